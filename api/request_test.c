/* request_test.c - decoding by tables: what is found, and the words for wrong types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/native.h"

static enum status decode(const char *text, struct native_request *r, json **root, struct err *e) {
    *r = (struct native_request){0};
    return request_decode(&native_chat_fields, text, strlen(text), r, root, e);
}

static void test_keys(void **state) {
    (void)state;
    struct native_request r;
    json *root;
    assert_int_equal(
        decode("{\"MODEL\":\"a\",\"x\":{},\"model\":\"b\",\"stream\":null} rest", &r, &root, NULL),
        ST_OK);
    assert_string_equal(field_text(r.model), "b");
    assert_true(field_flag(r.stream, true));
    assert_int_equal(field_int(r.top_logprobs, 7), 7);
    json_free(root);
    assert_int_equal(decode("null", &r, &root, NULL), ST_OK);
    assert_string_equal(field_text(r.model), "");
    json_free(root);
}

static void test_errors(void **state) {
    (void)state;
#define CANNOT "json: cannot unmarshal "
    const struct {
        const char *text, *message;
    } row[] = {
        {"", "EOF"},
        {"{", "unexpected EOF"},
        {"[]", CANNOT "array into Go value of type api.ChatRequest"},
        {"{\"model\":1,\"stream\":2}",
         CANNOT "number into Go struct field ChatRequest.model of type string"},
        {"{\"stream\":2,\"model\":1}",
         CANNOT "number into Go struct field ChatRequest.stream of type bool"},
        {"{\"top_logprobs\":1.5}",
         CANNOT "number 1.5 into Go struct field ChatRequest.top_logprobs of type int"},
        {"{\"messages\":{}}",
         CANNOT "object into Go struct field ChatRequest.messages of type []api.Message"},
        {"{\"messages\":[5]}",
         CANNOT "number into Go struct field ChatRequest.messages of type api.Alias"},
        {"{\"messages\":[{\"content\":[]}]}",
         CANNOT "array into Go struct field ChatRequest.messages.content of type string"},
        {"{\"messages\":[{\"images\":[\"%%\"]}]}", "illegal base64 data at input byte 0"},
        {"{\"messages\":[{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}]}",
         "Value looks like object, but can't find closing '}' symbol"},
        {"{\"tools\":[{\"function\":{\"name\":5}}]}",
         CANNOT "number into Go struct field ToolFunction.tools.function.name of type string"},
#define PROPERTIES "{\"tools\":[{\"function\":{\"parameters\":{\"properties\":"
#define PROPERTY                                                                                   \
    CANNOT "number into Go struct field ToolProperty.tools.function.parameters.properties."
        {PROPERTIES "5}}}]}", CANNOT
         "number into Go struct field ToolFunctionParameters.tools.function.parameters.properties "
         "of type map[string]api.ToolProperty"},
        {PROPERTIES "{\"ok\":true,\"city\":5}}}}]}",
         CANNOT "number into Go struct field "
                "ToolFunctionParameters.tools.function.parameters.properties.city of type "
                "api.ToolProperty"},
        {PROPERTIES "{\"c\":{\"type\":[\"a\",1]}}}}}]}", CANNOT
         "array into Go struct field ToolProperty.tools.function.parameters.properties.c.type of "
         "type api.PropertyType"},
        {PROPERTIES "{\"c\":{\"properties\":{\"d\":{\"description\":5}}}}}}}]}",
         PROPERTY "c.properties.d.description of type string"},
        {PROPERTIES "{\"c\":{\"anyOf\":[{\"enum\":5}]}}}}}]}",
         PROPERTY "c.anyOf.enum of type []interface {}"},
        {"{\"options\":[]}",
         CANNOT "array into Go struct field ChatRequest.options of type map[string]interface {}"},
        {"{\"keep_alive\":\"5\"}", "time: missing unit in duration \"5\""},
        {"{\"think\":\"HIGH\"}", "invalid think value: \"HIGH\" (must be \"high\", \"medium\", "
                                 "\"low\", \"max\", true, or false)"},
        {"{\"think\":1}", "think must be a boolean or string (\"high\", \"medium\", \"low\", "
                          "\"max\", true, or false)"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct native_request r;
        struct err e = {.msg = ""};
        json *root;
        assert_int_equal(decode(row[i].text, &r, &root, &e), ST_INVALID);
        assert_string_equal(e.msg, row[i].message);
        json_free(root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

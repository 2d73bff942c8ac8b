/* dialect_test.c - what a foreign request means: native bodies, errors, and memory that runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/dialect/call_names.h"
#include "api/dialect/dialect.h"
#include "base/mem.h"

enum { MEMBERS = 64 }; /* more than any dialect's struct has */

static enum status translated(const struct dialect_reader *d, const char *text, struct buf *out,
                              struct err *e) {
    const json *request[MEMBERS] = {NULL};
    json *root;
    assert_true(d->size <= sizeof request);
    enum status st = request_decode(d->fields, text, strlen(text), request, &root, e);
    if (st == ST_OK) st = d->translate(request, out, e);
    json_free(root);
    return st;
}

/* Single quotes stand for double ones. */
static char *quoted(const char *text) {
    char *s = mem_strdup(text);
    for (char *p = s; *p != '\0'; p++)
        if (*p == '\'') *p = '"';
    return s;
}

#define USER "{'role':'user','content':'a'}"
#define CALL "{'id':'c','function':{'index':0,'name':'f','arguments':{'x':1}}}"

static const struct {
    const struct dialect_reader *d;
    const char *text, *native;
} good[] = {
    {&dialect_openai_chat,
     "{'model':'m','messages':[" USER "],'max_tokens':3,'max_completion_tokens':2,'stop':'x',"
     "'reasoning_effort':'none'}",
     "{'model':'m','messages':[" USER "],'think':false,'options':{'temperature':1.0,'top_p':1.0,"
     "'num_predict':2,'stop':['x']},'stream':false}"},
    {&dialect_openai_chat,
     "{'messages':[{'role':'user','content':[{'type':'text','text':'a'},{'type':'image_url',"
     "'image_url':'data:;base64,aGk='}]}],'temperature':0,'stream':true,"
     "'response_format':{'type':' JSON_object '}}",
     "{'model':'','messages':[" USER ",{'role':'user','content':'','images':['aGk=']}],"
     "'options':{'temperature':1.0,'top_p':1.0,'temperature':0},'format':'json','stream':true}"},
    {&dialect_openai_chat, /* what is said more specially comes later, and wins */
     "{'messages':[" USER "],'options':{'seed':1,'min_p':0.5},'seed':2,'tools':[{}],"
     "'tool_choice':'none','logit_bias':{'5':-1}}",
     "{'model':'','messages':[" USER "],'options':{'temperature':1.0,'top_p':1.0,'seed':1,"
     "'min_p':0.5,'seed':2,'logit_bias':{'5':-1}},'stream':false}"},
    {&dialect_openai_chat,
     "{'messages':[" USER
     "],'tools':[{}],'tool_choice':{'type':'function','function':{'name':'f'}}}",
     "{'model':'','messages':[" USER "],'options':{'temperature':1.0,'top_p':1.0},'tools':[{}],"
     "'tool_choice':{'type':'function','function':{'name':'f'}},'stream':false}"},
    {&dialect_completions, "{'model':'m','prompt':'p','top_p':0,'logprobs':2,'stop':['x','']}",
     "{'model':'m','prompt':'p','options':{'temperature':1.0,'top_p':1.0,'stop':['x','']},"
     "'top_logprobs':2,'logprobs':true,'stream':false}"},
    {&dialect_responses,
     "{'model':'m','instructions':'i','input':[{'role':'user','content':[{'type':'input_text',"
     "'text':'a'}]},{'type':'reasoning','summary':[],'encrypted_content':'t'},{'type':"
     "'function_call','call_id':'c','name':'f','arguments':''},{'type':'function_call_output',"
     "'call_id':'c','output':'o'}],'reasoning':{'effort':'xhigh'}}",
     "{'model':'m','messages':[{'role':'system','content':'i'}," USER
     ",{'role':'assistant','content':'','thinking':'t','tool_calls':[{'id':'c','function':{"
     "'index':0,'name':'f','arguments':{}}}]},{'role':'tool','content':'o','tool_name':'f',"
     "'tool_call_id':'c'}],'think':'max','options':{'temperature':1.0},'stream':false}"},
    {&dialect_responses, /* without input the model is only loaded */
     "{'model':'m','instructions':'i','tools':[{'type':'namespace','name':'n','tools':[{'name':"
     "'f','parameters':{}}]},{'type':'code_interpreter'}],'tool_choice':'required'}",
     "{'model':'m','messages':[],'tools':[{'type':'function','function':{'name':'n.f',"
     "'parameters':{}}}],'tool_choice':'required','options':{'temperature':1.0},'stream':false}"},
    {&dialect_messages,
     "{'model':'m','max_tokens':5,'system':[{'type':'text','text':'s'},{'type':'text','text':"
     "'t'}],'messages':[{'role':'assistant','content':[{'type':'tool_use','id':'c','name':'f',"
     "'input':{'x':1}}]},{'role':'user','content':[{'type':'text','text':'a'},{'type':"
     "'tool_result','tool_use_id':'c','content':[{'type':'text','text':'o'}]},{'type':'other'}]}],"
     "'thinking':{'type':'adaptive'},'output_config':{'effort':'xhigh'},'stop_sequences':['x'],"
     "'tools':[{'name':'f','input_schema':{}}],'tool_choice':{'type':'any'}}",
     "{'model':'m','messages':[{'role':'system','content':'st'},{'role':'assistant','content':'',"
     "'tool_calls':[" CALL
     "]},{'role':'tool','content':'o','tool_name':'f','tool_call_id':'c'}," USER
     "],'tools':[{'type':'function','function':{'name':'f','parameters':{}}}],"
     "'tool_choice':'required','options':{'num_predict':5,'stop':['x']},'think':'high',"
     "'stream':false}"},
    {&dialect_count_tokens, "{'model':'m','messages':[" USER "]}",
     "{'model':'m','messages':[" USER "],'options':{},'stream':false}"},
};
enum { N_GOOD = sizeof good / sizeof *good };

static void test_meaning(void **state) {
    (void)state;
    for (size_t i = 0; i < N_GOOD; i++) {
        struct buf out = {0};
        struct err e = {.msg = ""};
        char *text = quoted(good[i].text), *native = quoted(good[i].native);
        if (translated(good[i].d, text, &out, &e) != ST_OK) fail_msg("%s: %s", text, e.msg);
        assert_string_equal(out.data, native);
        buf_free(&out);
        mem_free(text);
        mem_free(native);
    }
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const struct dialect_reader *d;
        const char *text, *msg;
    } row[] = {
        {&dialect_openai_chat, "{'messages':[" USER "],'n':0}", "n must be between 1 and 128"},
        {&dialect_openai_chat, "{'messages':[" USER "],'tool_choice':{'type':'allowed_tools'}}",
         "invalid tool_choice: must be \"auto\", \"none\", \"required\", or a function with a "
         "name"},
        {&dialect_completions, "{'stop':{}}",
         "invalid type for 'stop' field: map[string]interface {}"},
        {&dialect_responses, "{'input':[{'type':'function_call','arguments':'[]'}]}",
         "failed to parse function call arguments: json: cannot unmarshal array into Go value of "
         "type map[string]interface {}"},
        {&dialect_responses, "{'input':['x']}",
         "input[0]: json: cannot unmarshal string into Go value of type struct { Type string "
         "\"json:\\\"type\\\"\"; Role string \"json:\\\"role\\\"\" }"},
        {&dialect_messages, "{'model':'m','max_tokens':1,'messages':[{'content':'a','role':5}]}",
         "json: cannot unmarshal number into Go struct field MessagesRequest.messages.role of type "
         "string"},
        {&dialect_messages,
         "{'model':'m','max_tokens':1,'messages':[{'role':'user','content':[{'type':'image',"
         "'source':{'type':'base64','data':'a=b'}}]}]}",
         "invalid base64 image data: illegal base64 data at input byte 1"},
        {&dialect_messages,
         "{'model':'m','max_tokens':1,'messages':[" USER "],'tool_choice':{'type':'x'}}",
         "tool_choice.type must be \"auto\", \"any\", \"tool\" or \"none\""},
        {&dialect_count_tokens, "{}", "model is required"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf out = {0};
        struct err e = {.msg = ""};
        char *text = quoted(row[i].text);
        assert_int_equal(translated(row[i].d, text, &out, &e), ST_INVALID);
        assert_string_equal(e.msg, row[i].msg);
        buf_free(&out);
        mem_free(text);
    }
}

/* Ids come again; the last call before the result counts. */
static void test_names(void **state) {
    (void)state;
    struct call_names c = {.n = 0};
    static const char *const id[] = {"b", "a", "b", "a", "c"}, *const name[] = {"1", "2", "3", "4",
                                                                                "5"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(call_names_add(&c, id[i], name[i], 2 * i, NULL), ST_OK);
    call_names_sort(&c);
    assert_string_equal(call_names_find(&c, "b", 0), "");
    assert_string_equal(call_names_find(&c, "b", 1), "1");
    assert_string_equal(call_names_find(&c, "b", 4), "1");
    assert_string_equal(call_names_find(&c, "b", 5), "3");
    assert_string_equal(call_names_find(&c, "a", 99), "4");
    assert_string_equal(call_names_find(&c, "c", 99), "5");
    assert_string_equal(call_names_find(&c, "d", 99), "");
    call_names_free(&c);
}

/* Whichever allocation fails: an error, or the whole request; nothing is left behind. */
static void test_no_memory(void **state) {
    (void)state;
    for (size_t i = 0; i < N_GOOD; i++) {
        char *text = quoted(good[i].text);
        const long live = mem_live();
        enum status st = ST_NO_MEMORY;
        for (long n = 1; st != ST_OK; n++) {
            const json *request[MEMBERS] = {NULL};
            struct dialect_request r;
            struct err e = {.msg = ""};
            mem_fail_at(n);
            st = dialect_decode(good[i].d, text, strlen(text), request, &r, &e);
            mem_fail_at(0);
            assert_true(st == ST_OK || e.msg[0] != '\0');
            dialect_free(&r);
            assert_int_equal(mem_live(), live);
        }
        mem_free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_meaning),
                                       cmocka_unit_test(test_errors), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* multipart_test.c - forms as clients send them, and as nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/multipart.h"

static void test_boundary(void **state) {
    (void)state;
    static const struct {
        const char *type, *boundary, *error; /* error NULL: none */
    } row[] = {
        {"multipart/form-data; boundary=abc", "abc", NULL},
        {"Multipart/Form-Data;  charset=utf-8 ; BOUNDARY=\"a b;c\"", "a b;c", NULL},
        {"multipart/form-data; boundary=x; more", "x", NULL},
        {NULL, NULL, "request Content-Type isn't multipart/form-data"},
        {"application/json", NULL, "request Content-Type isn't multipart/form-data"},
        {"multipart/mixed; boundary=a", NULL, "request Content-Type isn't multipart/form-data"},
        {"multipart/form-data", NULL, "no multipart boundary param in Content-Type"},
        {"multipart/form-data; boundary=", NULL, "no multipart boundary param in Content-Type"},
        {"multipart/form-data; boundary=\"", NULL, "no multipart boundary param in Content-Type"},
        {"multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567"
         "8901234567890",
         NULL, "no multipart boundary param in Content-Type"}, /* 71 bytes */
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char got[BOUNDARY_MAX + 1];
        struct err e = {.msg = ""};
        enum status st = form_boundary(row[i].type, got, &e);
        assert_int_equal(st, row[i].error == NULL ? ST_OK : ST_INVALID);
        if (row[i].error == NULL)
            assert_string_equal(got, row[i].boundary);
        else
            assert_string_equal(e.msg, row[i].error);
    }
}

static void must_have(const struct form *f, const char *name, bool file, const char *data) {
    const struct form_part *p = form_find(f, name, file);
    assert_non_null(p);
    assert_int_equal(p->len, strlen(data));
    assert_memory_equal(p->data, data, p->len);
}

/* A part that looks like the boundary in its data, an empty one, one without a name. */
static void test_parts(void **state) {
    (void)state;
    static const char body[] = "preamble\r\n"
                               "--B \t\r\n"
                               "content-disposition:form-data;name=model\r\n\r\n"
                               "m--B\r\n--Bx\r\n--B-\r\n"
                               "--B\r\n"
                               "X-Other: y\r\n"
                               "Content-Disposition: form-data; filename=\"a\\\".wav\"; "
                               "name=\"file\"\r\nContent-Type: audio/wav\r\n\r\n"
                               "\r\nRIFF\r\n\r\n--B\r\n"
                               "Content-Disposition: form-data; name=\"file\"\r\n\r\n\r\n--B\n"
                               "Content-Disposition: form-data\r\n\r\nnameless\r\n"
                               "--B--\r\nepilogue --B\r\n";
    struct form f;
    struct err e = {.msg = ""};
    assert_int_equal(form_read(&f, body, sizeof body - 1, "B", &e), ST_OK);
    assert_int_equal(f.n, 3);
    must_have(&f, "model", false, "m--B\r\n--Bx\r\n--B-");
    must_have(&f, "file", true, "\r\nRIFF\r\n");
    must_have(&f, "file", false, "");
    assert_null(form_find(&f, "model", true));
    assert_null(form_find(&f, "mode", false));
}

static void test_broken(void **state) {
    (void)state;
    static const struct {
        const char *body, *error;
    } row[] = {
        {"", "multipart: NextPart: EOF"},
        {"--B", "multipart: NextPart: EOF"},
        {"x--B\r\n", "multipart: NextPart: EOF"},
        {"--B\r\nContent-Disposition: form-data; name=a\r\n", "multipart: NextPart: EOF"},
        {"--B\r\nContent-Disposition: form-data; name=a\r\n\r\ndata\r\n",
         "multipart: NextPart: EOF"},
        {"--B\r\nno colon\r\n\r\n\r\n--B--", "malformed MIME header line: no colon"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct form f;
        struct err e = {.msg = ""};
        assert_int_equal(form_read(&f, row[i].body, strlen(row[i].body), "B", &e), ST_INVALID);
        assert_string_equal(e.msg, row[i].error);
    }
}

/* Every prefix of a form is refused, in a buffer that ends where the prefix does. */
static void test_cut_off(void **state) {
    (void)state;
    static const char body[] =
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--B--";
    for (size_t n = 0; n < sizeof body - 1; n++) {
        struct form f;
        char *part = malloc(n + 1);
        memcpy(part, body, n);
        assert_int_equal(form_read(&f, part, n, "B", NULL), ST_INVALID);
        free(part);
    }
}

static void test_limits(void **state) {
    (void)state;
    static const char part[] = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n";
    const size_t n = sizeof part - 1;
    char *body = malloc((FORM_PARTS + 1) * n + 5);
    struct form f;
    struct err e = {.msg = ""};
    for (size_t i = 0; i <= FORM_PARTS; i++) memcpy(body + i * n, part, n);
    memcpy(body + FORM_PARTS * n, "--B--", 5);
    assert_int_equal(form_read(&f, body, FORM_PARTS * n + 5, "B", &e), ST_OK);
    assert_int_equal(f.n, FORM_PARTS);
    memcpy(body + FORM_PARTS * n, part, n);
    memcpy(body + (FORM_PARTS + 1) * n, "--B--", 5);
    assert_int_equal(form_read(&f, body, (FORM_PARTS + 1) * n + 5, "B", &e), ST_INVALID);
    assert_string_equal(e.msg, "multipart: message too large");
    free(body);

    char *head = malloc(PART_HEAD_MAX + 64);
    int len = sprintf(head, "--B\r\nX: ");
    memset(head + len, 'x', PART_HEAD_MAX);
    memcpy(head + len + PART_HEAD_MAX, "\r\n\r\n\r\n--B--", 12);
    assert_int_equal(form_read(&f, head, (size_t)len + PART_HEAD_MAX + 11, "B", &e), ST_INVALID);
    assert_string_equal(e.msg, "multipart: message too large");
    free(head);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_boundary),
                                       cmocka_unit_test(test_parts), cmocka_unit_test(test_broken),
                                       cmocka_unit_test(test_cut_off),
                                       cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

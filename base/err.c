/* err.c - see err.h. */
#include "base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts a truncated message back to the last whole UTF-8 character. */
static void trim_partial_char(char *s) {
    size_t n = strlen(s);
    if (n + 1 < ERR_MSG_SIZE) return;
    while (n > 0 && ((unsigned char)s[n - 1] & 0xC0) == 0x80) n--;
    if (n > 0 && ((unsigned char)s[n - 1] & 0x80) != 0) s[n - 1] = '\0';
}

enum status err_set(struct err *e, enum status code, const char *fmt, ...) {
    assert(code > ST_OK && code < ST_COUNT);
    if (e == NULL) return code;
    /* Formatted aside first: an argument may point into e->msg itself. */
    char text[ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    trim_partial_char(text);
    memcpy(e->msg, text, sizeof e->msg);
    e->code = code;
    return code;
}

enum status err_wrap(struct err *e, const char *fmt, ...) {
    if (e == NULL) return ST_INTERNAL;
    char context[ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    char text[2 * ERR_MSG_SIZE + 2]; /* both and the ": " between */
    snprintf(text, sizeof text, "%s: %s", context, e->msg);
    text[ERR_MSG_SIZE - 1] = '\0';
    trim_partial_char(text);
    memcpy(e->msg, text, sizeof e->msg);
    return e->code;
}

enum status err_no_memory(struct err *e) {
    return err_set(e, ST_NO_MEMORY, "%s", status_text(ST_NO_MEMORY));
}

const char *status_text(enum status code) {
    static const char *const text[] = {
#define STATUS(name, text) text,
#include "base/status.def"
#undef STATUS
    };
    assert(code < ST_COUNT);
    return text[code];
}

const char *status_name(enum status code) {
    static const char *const name[] = {
#define STATUS(name, text) #name,
#include "base/status.def"
#undef STATUS
    };
    assert(code < ST_COUNT);
    return name[code];
}

/* limits.c - see limits.h. */
#include "api/limits.h"

#include <string.h>

static enum status too_many(const char *what, long long most, struct err *e) {
    return err_set(e, ST_LIMIT, "more than %lld %s", most, what);
}

static size_t count_images(const struct gen_request *r) {
    size_t n = json_len(r->images);
    for (const json *m = json_first(r->messages); m != NULL; m = json_next(m))
        n += json_len(json_get(m, "images"));
    return n;
}

static size_t text_len(const json *v) {
    size_t n = 0;
    return json_string_n(v, &n) != NULL ? n : 0;
}

/* What is no list of texts is the options' own error. */
static enum status check_stops(const json *stop, struct err *e) {
    size_t longest = text_len(stop);
    if (json_kind(stop) == JSON_ARRAY) {
        if (json_len(stop) > LIMIT_STOPS) return too_many("stop texts", LIMIT_STOPS, e);
        for (const json *m = json_first(stop); m != NULL; m = json_next(m))
            if (text_len(m) > longest) longest = text_len(m);
    }
    return longest > LIMIT_STOP_BYTES ? too_many("bytes in a stop text", LIMIT_STOP_BYTES, e)
                                      : ST_OK;
}

enum status limits_check(const struct gen_request *r, struct err *e) {
    if (json_len(r->messages) > LIMIT_MESSAGES) return too_many("messages", LIMIT_MESSAGES, e);
    if (json_len(r->tools) > LIMIT_TOOLS) return too_many("tools", LIMIT_TOOLS, e);
    if (count_images(r) > LIMIT_IMAGES) return too_many("images", LIMIT_IMAGES, e);
    if (text_len(r->grammar) > LIMIT_GRAMMAR_BYTES || text_len(r->regex) > LIMIT_GRAMMAR_BYTES)
        return too_many("bytes in a grammar", LIMIT_GRAMMAR_BYTES, e);
    return check_stops(json_get(r->options, "stop"), e);
}

/* choice.c - one of several texts: a JSON list of strings (source.h). */
#include <string.h>

#include "engine/grammar/source.h"

void choice_compile(struct rules *r, const char *text, size_t len) {
    struct err e = {0};
    json *list = json_parse(text, len, &json_default_limits, NULL, &e);
    if (list == NULL) {
        rules_fail(r, e.code == ST_FORMAT ? ST_INVALID : e.code, "choice: %s", e.msg);
        return;
    }
    if (json_kind(list) != JSON_ARRAY || json_len(list) == 0)
        rules_fail(r, ST_INVALID, "choice must be a list of strings that is not empty");
    r->root = rules_rule(r, "root", 4);
    rules_define(r, r->root);
    for (const json *m = json_first(list); m != NULL && r->st == ST_OK; m = json_next(m)) {
        size_t n;
        const char *s = json_string_n(m, &n);
        if (s == NULL)
            rules_fail(r, ST_INVALID, "choice must be a list of strings");
        else
            rules_text(r, r->rule[r->root].start, r->rule[r->root].end, s, n);
    }
    json_free(list);
}

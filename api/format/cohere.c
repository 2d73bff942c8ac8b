/* cohere.c - Command A: blocks between start and end tokens (spec/chat-formats.md 5.6). */
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

enum { S_BETWEEN = S_OWN, S_ACTION };

#define END_THINKING "<|END_THINKING|>"
#define END_TURN "<|END_OF_TURN_TOKEN|>"
#define END_ACTION "<|END_ACTION|>"

void cohere_start(struct parser *p) {
    bool think = !p->think_set || p->think;
    p->state = p->prefill ? S_CONTENT : think ? S_THINK : S_BETWEEN;
}

/* The first of the tags: where, and which. */
static size_t first_of(const struct parser *p, const char *const *tags, size_t *which) {
    size_t best = NOWHERE;
    for (size_t i = 0; tags[i] != NULL; i++) {
        size_t at = parser_find(p, tags[i]);
        if (at >= best) continue;
        best = at;
        *which = i;
    }
    return best;
}

static bool think(struct parser *p) {
    static const char *const tags[] = {END_THINKING, NULL};
    size_t end = parser_find(p, END_THINKING);
    if (end == NOWHERE) {
        size_t n = parser_free_bytes(p, tags, true);
        if (p->done) n = text_rtrim(p->held.data, p->held.len);
        parser_emit(p, &p->out->thinking, n);
        return false;
    }
    parser_emit_trimmed(p, &p->out->thinking, end);
    buf_drop(&p->held, strlen(END_THINKING));
    p->state = S_BETWEEN;
    return true;
}

static bool content(struct parser *p) {
    static const char *const tags[] = {"<|END_TEXT|>", "<|END_RESPONSE|>", END_TURN, NULL};
    size_t which = 0, end = first_of(p, tags, &which);
    if (end == NOWHERE) {
        parser_emit(p, &p->out->content, p->done ? p->held.len : parser_free_bytes(p, tags, false));
        return false;
    }
    parser_emit(p, &p->out->content, end);
    buf_drop(&p->held, strlen(tags[which]));
    p->state = S_BETWEEN;
    return true;
}

static bool between(struct parser *p) {
    static const char *const tags[] = {"<|START_TEXT|>",   "<|START_RESPONSE|>",
                                       "<|START_ACTION|>", "<|START_THINKING|>",
                                       END_TURN,           NULL};
    static const int to[] = {S_CONTENT, S_CONTENT, S_ACTION, S_THINK, S_BETWEEN};
    if (!parser_eat_space(p)) return false;
    const int i = parser_eat_tag(p, tags);
    if (i == TAG_WAIT) return false;
    p->state = i == TAG_NONE ? S_CONTENT : to[i];
    return true;
}

static void one_action(struct parser *p, const json *v) {
    size_t n = 0;
    const char *name = json_string_n(json_get(v, "tool_name"), &n);
    const char *id = json_string(json_get(v, "tool_call_id"));
    const json *args = json_get(v, "parameters");
    struct buf text = {0};
    if (n == 0) return;
    if (json_kind(args) == JSON_OBJECT)
        json_print(&text, args);
    else
        buf_str(&text, "{}");
    parser_call(p, name, n, text.data, id != NULL && *id != '\0' ? id : NULL);
    buf_free(&text);
}

/* A list of calls; if it is bad, each balanced object by itself. */
static void actions(struct parser *p, const char *s, size_t n) {
    json *list = json_whole(s, n, NULL);
    if (json_kind(list) == JSON_ARRAY)
        for (const json *v = json_first(list); v != NULL; v = json_next(v)) one_action(p, v);
    else
        for (size_t i = 0; i < n; i++) {
            size_t k = s[i] == '{' ? json_balanced(s + i, n - i) : 0;
            if (k == 0) continue;
            json *v = json_whole(s + i, k, NULL);
            if (v != NULL) one_action(p, v);
            json_free(v);
            i += k - 1;
        }
    json_free(list);
}

static bool action(struct parser *p) {
    size_t end = parser_find(p, END_ACTION);
    if (end == NOWHERE && !p->done) return false;
    actions(p, p->held.data, end == NOWHERE ? p->held.len : end);
    buf_drop(&p->held, end == NOWHERE ? p->held.len : end + strlen(END_ACTION));
    p->state = S_BETWEEN;
    return true;
}

bool cohere_step(struct parser *p) {
    if (p->held.len == 0) return false;
    return p->state == S_THINK     ? think(p)
           : p->state == S_CONTENT ? content(p)
           : p->state == S_ACTION  ? action(p)
                                   : between(p);
}

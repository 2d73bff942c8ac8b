/* check_parsers.c - output parsers against recorded events: golden/chat.
 *
 * Each row is replayed as it was cut, then byte by byte and by random cuts, which must give the
 * same totals but for white space (where the reference's trimming depends on the cuts). Some of the
 * reference's parsers hold nothing back and miss tags that are cut; cria's find them, so for these
 * the totals of the uncut text count (spec/chat-formats.md 5.2, D1). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call_parts.h"
#include "api/format/parse.h"
#include "api/think.h"
#include "api/toolcall.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "golden/check.h"
#include "golden/check_chat.h"

struct totals {
    struct buf content, thinking, calls;
    struct err error;
    bool failed;
    struct call_parts parts; /* the calls as a stream of /v1 has them while they are written */
    size_t n_parts, sent;    /* parts so far; bytes of the open call that they had */
    const char *untrue;      /* what is wrong with them; NULL: nothing */
};

static void totals_free(struct totals *t) {
    buf_free(&t->content);
    buf_free(&t->thinking);
    buf_free(&t->calls);
    parts_free(&t->parts);
}

static const char *text(const struct buf *b) { return b->len > 0 ? b->data : ""; }

/* ---- one event ---- */

static bool same_json(const json *a, const json *b, bool ordered);

static bool same_members(const json *a, const json *b, bool ordered) {
    const json *q = json_first(b);
    if (json_len(a) != json_len(b)) return false;
    for (const json *p = json_first(a); p != NULL; p = json_next(p), q = json_next(q)) {
        if (json_kind(a) == JSON_ARRAY) {
            if (!same_json(p, q, ordered)) return false;
            continue;
        }
        const json *other = ordered ? q : json_get(b, json_key(p));
        if (other == NULL || strcmp(json_key(p), json_key(other)) != 0 ||
            !same_json(p, other, ordered))
            return false;
    }
    return true;
}

static bool same_json(const json *a, const json *b, bool ordered) {
    double x = 0, y = 0;
    size_t n = 0, m = 0;
    bool p = false, q = false;
    if (json_kind(a) != json_kind(b)) return false;
    switch (json_kind(a)) {
    case JSON_NUMBER:
        return json_number(a, &x) == json_number(b, &y) && x == y;
    case JSON_STRING: {
        const char *s = json_string_n(a, &n), *t = json_string_n(b, &m);
        return n == m && memcmp(s, t, n) == 0;
    }
    case JSON_BOOL:
        json_bool(a, &p);
        json_bool(b, &q);
        return p == q;
    case JSON_NULL:
        return true;
    default:
        return same_members(a, b, ordered);
    }
}

/* Our calls (a list of {"id","function":{...}}) against recorded ones. */
static bool same_calls(const char *ours, const json *want, bool ordered) {
    struct buf b = {0};
    buf_printf(&b, "[");
    buf_str(&b, ours);
    buf_chr(&b, ']');
    json *list = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    bool same = list != NULL && json_len(list) == json_len(want);
    const json *w = json_first(want);
    for (const json *c = json_first(list); same && c != NULL; c = json_next(c), w = json_next(w)) {
        const json *f = json_get(c, "function");
        int64_t i = -1, k = -2;
        json_int(json_get(f, "index"), &i);
        json_int(json_get(w, "index"), &k);
        same = i == k && strcmp(chat_string(f, "name"), chat_string(w, "name")) == 0 &&
               same_json(json_get(f, "arguments"), json_get(w, "arguments"), ordered);
        if (same && json_get(w, "id") != NULL)
            same = strcmp(chat_string(c, "id"), chat_string(w, "id")) == 0;
    }
    json_free(list);
    buf_free(&b);
    return same;
}

static const json *event_at(const json *events, int64_t chunk) {
    for (const json *e = json_first(events); e != NULL; e = json_next(e)) {
        int64_t i = -1;
        json_int(json_get(e, "chunk"), &i);
        if (i == chunk) return e;
    }
    return NULL;
}

static bool same_event(const json *want, const struct parser_out *o, enum status st,
                       const struct err *e) {
    const char *error = json_string(json_get(want, "error"));
    if ((error != NULL) != (st != ST_OK)) return false;
    if (error != NULL) return strcmp(error, e->msg) == 0;
    return strcmp(chat_string(want, "content"), text(&o->content)) == 0 &&
           strcmp(chat_string(want, "thinking"), text(&o->thinking)) == 0 &&
           same_calls(text(&o->calls), json_get(want, "tool_calls"), true);
}

/* ---- cutting ---- */

/* The end of the piece that begins at `at`. */
static size_t piece_end(const char *split, const char *s, size_t n, size_t at) {
    if (strncmp(split, "runes:", 6) == 0) {
        for (int k = atoi(split + 6); k > 0 && at < n; k--) {
            uint32_t cp;
            at += utf8_decode(s + at, n - at, &cp);
        }
        return at;
    }
    if (strcmp(split, "lines") == 0) {
        const char *nl = memchr(s + at, '\n', n - at);
        return nl == NULL ? n : (size_t)(nl - s) + 1;
    }
    if (strcmp(split, "bytes") == 0) return at + 1;
    if (strcmp(split, "random") == 0) {
        size_t k = (size_t)rand() % 9 + 1;
        return at + k < n ? at + k : n;
    }
    return n;
}

static struct parser_input input_of(struct chat_set *s, const json *row) {
    const char *think = chat_string(row, "think");
    struct parser_input in = {.tools = chat_tools(s, row), .last = json_get(row, "last_message")};
    in.think_set = *think != '\0' && strcmp(think, "null") != 0;
    in.think = in.think_set && strcmp(think, "false") != 0;
    return in;
}

/* ---- calls in parts ---- */

static void next_part(struct totals *t) {
    struct gen_part part;
    if (!parts_next(&t->parts, false, &part)) return;
    if (part.from != 0 && part.from != t->sent) t->untrue = "a part does not follow the last";
    t->sent = part.to;
    t->n_parts++;
}

/* The peer's generic parser passes over a call that is no JSON, to a later object. */
static bool was_json(const struct buf *b) {
    json *v = json_parse(text(b), b->len, &json_default_limits, NULL, NULL);
    const bool yes = v != NULL;
    json_free(v);
    return yes;
}

/* After each piece: what was sent is the call that the parser has now. */
static void check_parts(struct totals *t, const struct buf *finished,
                        const struct call_head *held) {
    struct err e;
    struct buf calls = {0};
    buf_add(&calls, text(finished), finished->len);
    if (finished->len > 0 && parts_settle(&t->parts, &calls, &e) != ST_OK &&
        was_json(&t->parts.args.text))
        t->untrue = "the parts are not the call";
    buf_free(&calls);
    next_part(t);
    parts_look(&t->parts, held);
    next_part(t);
}

/* Runs a row; with events (may be NULL) says at which call something differs (-1: nowhere). */
static int64_t replay(struct chat_set *s, const json *row, const char *split, struct totals *t,
                      const json *events, bool check) {
    struct parser *p = NULL;
    struct parser_input in = input_of(s, row);
    size_t n = 0;
    const char *str = json_string_n(json_get(row, "text"), &n);
    bool once = strcmp(split, "last_done") == 0;
    int64_t wrong = -1, chunk = 0;
    if (parser_open(&p, chat_string(row, "parser"), &in, &t->error) != ST_OK) {
        t->failed = true;
        return 0;
    }
    for (size_t at = 0; !t->failed; chunk++) {
        struct parser_out o = {0};
        bool last = at >= n || once;
        size_t end = at >= n ? at : piece_end(split, str, n, at);
        parts_feed(&t->parts, str + at, end - at);
        enum status st = parser_feed(p, str + at, end - at, last, &o, &t->error);
        struct call_head head;
        if (st == ST_OK) check_parts(t, &o.calls, parser_peek(p, &head) ? &head : NULL);
        if (check && wrong < 0 && !same_event(event_at(events, chunk), &o, st, &t->error))
            wrong = chunk;
        buf_str(&t->content, text(&o.content));
        buf_str(&t->thinking, text(&o.thinking));
        if (o.calls.len > 0 && t->calls.len > 0) buf_chr(&t->calls, ',');
        buf_str(&t->calls, text(&o.calls));
        t->failed = st != ST_OK;
        parser_out_free(&o);
        at = end;
        if (last) break;
    }
    parser_free(p);
    return wrong;
}

/* ---- comparing totals ---- */

static bool same_but_space(const char *a, const char *b) {
    for (;; a++, b++) {
        while (isspace((unsigned char)*a)) a++;
        while (isspace((unsigned char)*b)) b++;
        if (*a != *b) return false;
        if (*a == '\0') return true;
    }
}

static bool totals_are(const struct totals *t, const json *row, bool spaces) {
    const char *error = json_string(json_get(row, "error"));
    const char *content = chat_string(row, "content"), *thinking = chat_string(row, "thinking");
    if (error != NULL || t->failed)
        return error != NULL && t->failed && strcmp(t->error.msg, error) == 0;
    bool texts = spaces ? strcmp(text(&t->content), content) == 0 &&
                              strcmp(text(&t->thinking), thinking) == 0
                        : same_but_space(text(&t->content), content) &&
                              same_but_space(text(&t->thinking), thinking);
    return texts && same_calls(text(&t->calls), json_get(row, "tool_calls"), true);
}

/* The row of the same text in one piece. */
static const json *whole_of(const struct chat_set *s, const json *row) {
    const char *id = chat_string(row, "id"), *mark = strchr(id, '#');
    size_t n = mark == NULL ? strlen(id) : (size_t)(mark - id);
    for (const json *r = json_first(s->rows); r != NULL; r = json_next(r))
        if (strncmp(chat_string(r, "id"), id, n) == 0 &&
            strcmp(chat_string(r, "id") + n, "#whole") == 0)
            return r;
    return NULL;
}

static bool holds_nothing(const char *parser) {
    static const char *const names[] = {"deepseek3",     "cogito", "lfm2",
                                        "lfm2-thinking", "laguna", "poolside-v1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], parser) == 0) return true;
    return false;
}

static bool same_totals(const struct totals *a, const struct totals *b) {
    struct buf p = {0}, q = {0};
    buf_printf(&p, "[");
    buf_str(&p, text(&a->calls));
    buf_chr(&p, ']');
    buf_printf(&q, "[");
    buf_str(&q, text(&b->calls));
    buf_chr(&q, ']');
    json *x = json_parse(p.data, p.len, &json_default_limits, NULL, NULL);
    json *y = json_parse(q.data, q.len, &json_default_limits, NULL, NULL);
    bool same = a->failed == b->failed && same_but_space(text(&a->content), text(&b->content)) &&
                same_but_space(text(&a->thinking), text(&b->thinking)) &&
                json_len(x) == json_len(y);
    const json *w = json_first(y);
    for (const json *v = json_first(x); same && v != NULL; v = json_next(v), w = json_next(w)) {
        const json *f = json_get(v, "function"), *g = json_get(w, "function");
        same = same_json(f, g, true);
    }
    json_free(x);
    json_free(y);
    buf_free(&p);
    buf_free(&q);
    return same;
}

/* Where the cuts decide: a text that ends with what may be a tag or with done set. */
static void check_cuts(struct chat_set *s, const json *row, const struct totals *whole) {
    static const char *const split[] = {"bytes", "random", "random", "random"};
    const char *id = chat_string(row, "id");
    for (size_t i = 0; i < sizeof split / sizeof *split; i++) {
        struct totals t = {0};
        replay(s, row, split[i], &t, NULL, false);
        check_that(s->c, same_totals(&t, whole), id,
                   "cut by %s: got '%.60s' '%.60s' %.80s, want '%.60s' '%.60s' %.80s", split[i],
                   text(&t.content), text(&t.thinking), text(&t.calls), text(&whole->content),
                   text(&whole->thinking), text(&whole->calls));
        check_that(s->c, t.untrue == NULL, id, "cut by %s: %s", split[i],
                   t.untrue == NULL ? "" : t.untrue);
        totals_free(&t);
    }
}

void check_parser_row(struct chat_set *s, const json *row) {
    const char *id = chat_string(row, "id"), *split = chat_string(row, "split");
    const char *parser = chat_string(row, "parser");
    bool totals_only = false, done = strcmp(split, "last_done") == 0;
    json_bool(json_get(row, "totals_only"), &totals_only);
    if (json_kind(json_get(row, "tools")) == JSON_STRING && s->conversations == NULL) {
        check_skip(s->c, id, "the tools of golden/templates are not here (--base)");
        return;
    }
    struct totals t = {0};
    int64_t wrong = replay(s, row, split, &t, json_get(row, "events"), !totals_only);
    bool ok = totals_only ? totals_are(&t, row, true) : wrong < 0 && totals_are(&t, row, true);
    if (!ok && holds_nothing(parser)) ok = totals_are(&t, row, false);
    if (!ok && holds_nothing(parser) && !done && strcmp(split, "whole") != 0) {
        const json *uncut = whole_of(s, row);
        struct totals own = {0};
        replay(s, row, "whole", &own, NULL, false);
        ok = uncut != NULL ? totals_are(&t, uncut, false) : same_totals(&t, &own);
        totals_free(&own);
    }
    check_that(s->c, ok, id, "call %lld: totals '%.100s' '%.100s' %.160s %s", (long long)wrong,
               text(&t.content), text(&t.thinking), text(&t.calls), t.failed ? t.error.msg : "");
    if (ok && strcmp(split, "whole") == 0) check_cuts(s, row, &t);
    totals_free(&t);
}

/* ---- parser_info.jsonl ---- */

void check_parser_info(struct chat_set *s, const json *row) {
    const char *name = chat_string(row, "parser"), *wrong = NULL;
    const struct parser_info *info = parser_info(name);
    bool tools = false, thinking = false;
    json_bool(json_get(row, "tools"), &tools);
    json_bool(json_get(row, "thinking"), &thinking);
    if (info == NULL) {
        check_fail(s->c, name, "no such parser");
        return;
    }
    if (info->tools != tools) wrong = "tools";
    if (info->thinking != thinking) wrong = "thinking";
    const json *want = json_first(json_get(row, "preserved_tokens"));
    size_t i = 0;
    for (; want != NULL && info->preserved[i] != NULL; want = json_next(want), i++)
        if (strcmp(info->preserved[i], json_string(want)) != 0) wrong = "preserved tokens";
    if (want != NULL || info->preserved[i] != NULL) wrong = "preserved tokens";
    check_that(s->c, wrong == NULL, name, "%s differ", wrong == NULL ? "" : wrong);
}

/* ---- the generic parsers ---- */

static bool only_totals(const json *row) {
    bool yes = false;
    json_bool(json_get(row, "totals_only"), &yes);
    return yes;
}

static bool check_piece(const json *events, int64_t chunk, const char *content,
                        const char *thinking, const char *calls) {
    const json *e = event_at(events, chunk);
    return strcmp(chat_string(e, "content"), content) == 0 &&
           strcmp(chat_string(e, "thinking"), thinking) == 0 &&
           same_calls(calls, json_get(e, "tool_calls"), false);
}

/* The recorded totals are those before the flush (the reference loses what it holds at the end) or
 * those behind it. What is flushed is the end of the text. */
static bool check_thinking_end(const json *row, struct think_parser *p, struct totals *t) {
    const char *content = chat_string(row, "content"), *thinking = chat_string(row, "thinking");
    const char *str = chat_string(row, "text");
    struct buf rest = {0}, thought = {0};
    bool ok = strcmp(text(&t->content), content) == 0 && strcmp(text(&t->thinking), thinking) == 0;
    think_flush(p, &rest, &thought);
    const struct buf *out = thought.len > 0 ? &thought : &rest;
    bool tail = (rest.len == 0 || thought.len == 0) && out->len <= strlen(str) &&
                strcmp(str + strlen(str) - out->len, text(out)) == 0;
    buf_str(&t->content, text(&rest));
    buf_str(&t->thinking, text(&thought));
    ok = ok ||
         (strcmp(text(&t->content), content) == 0 && strcmp(text(&t->thinking), thinking) == 0);
    buf_free(&rest);
    buf_free(&thought);
    return ok && tail;
}

void check_thinking_row(struct chat_set *s, const json *row) {
    const char *id = chat_string(row, "id"), *split = chat_string(row, "split");
    size_t n = 0;
    const char *str = json_string_n(json_get(row, "text"), &n);
    struct think_parser p;
    struct totals t = {0};
    int64_t chunk = 0, wrong = -1;
    think_begin(&p, chat_string(row, "open"), chat_string(row, "close"));
    for (size_t at = 0; at < n; chunk++) {
        struct buf content = {0}, thinking = {0};
        size_t end = piece_end(split, str, n, at);
        think_feed(&p, str + at, end - at, &content, &thinking);
        if (!only_totals(row) && wrong < 0 &&
            !check_piece(json_get(row, "events"), chunk, text(&content), text(&thinking), ""))
            wrong = chunk;
        buf_str(&t.content, text(&content));
        buf_str(&t.thinking, text(&thinking));
        buf_free(&content);
        buf_free(&thinking);
        at = end;
    }
    bool same = check_thinking_end(row, &p, &t);
    think_end(&p);
    check_that(s->c, wrong < 0 && same, id, "call %lld: totals '%.100s' '%.100s'", (long long)wrong,
               text(&t.content), text(&t.thinking));
    totals_free(&t);
}

void check_tool_row(struct chat_set *s, const json *row) {
    const char *id = chat_string(row, "id"), *split = chat_string(row, "split");
    size_t n = 0;
    const char *str = json_string_n(json_get(row, "text"), &n);
    struct tool_parser p;
    struct totals t = {0};
    int64_t chunk = 0, wrong = -1;
    struct buf rest = {0};
    tool_begin(&p, chat_string(row, "tag"), chat_tools(s, row));
    for (size_t at = 0; at < n; chunk++) {
        struct buf content = {0}, calls = {0};
        size_t end = piece_end(split, str, n, at);
        struct call_head head;
        parts_feed(&t.parts, str + at, end - at);
        tool_feed(&p, str + at, end - at, &content, &calls);
        check_parts(&t, &calls, tool_peek(&p, &head) ? &head : NULL);
        if (!only_totals(row) && wrong < 0 &&
            !check_piece(json_get(row, "events"), chunk, text(&content), "", text(&calls)))
            wrong = chunk;
        buf_str(&t.content, text(&content));
        if (calls.len > 0 && t.calls.len > 0) buf_chr(&t.calls, ',');
        buf_str(&t.calls, text(&calls));
        buf_free(&content);
        buf_free(&calls);
        at = end;
    }
    tool_end(&p, &rest);
    check_that(s->c, t.untrue == NULL, id, "%s", t.untrue == NULL ? "" : t.untrue);
    /* The reference hands text out again at the end that was content already; cria does not. */
    const char *final = chat_string(row, "final_content");
    size_t k = strlen(final), have = t.content.len;
    if (rest.len == 0 && k > 0 && have >= k && strstr(text(&t.content), final) != NULL) final = "";
    check_that(s->c,
               wrong < 0 && strcmp(text(&t.content), chat_string(row, "content")) == 0 &&
                   strcmp(text(&rest), final) == 0 &&
                   same_calls(text(&t.calls), json_get(row, "tool_calls"), false),
               id, "call %lld: totals '%.100s' %.160s rest '%.80s'", (long long)wrong,
               text(&t.content), text(&t.calls), text(&rest));
    buf_free(&rest);
    totals_free(&t);
}

/* check_chat.c - built-in renderers and output parsers against recorded prompts and events; the
 * contract is the README of the set. Conversations and tool lists are those of ../templates. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/format/render.h"
#include "base/mem.h"
#include "golden/check.h"
#include "golden/check_chat.h"

const char *chat_string(const json *row, const char *key) {
    const char *s = json_string(json_get(row, key));
    return s != NULL ? s : "";
}

const json *chat_tools(const struct chat_set *s, const json *row) {
    const json *v = json_get(row, "tools");
    if (json_kind(v) == JSON_STRING)
        v = json_get(json_get(s->conversations, "tools"), json_string(v));
    return json_len(v) > 0 ? v : NULL;
}

static const json *find_conversation(const struct chat_set *s, const char *id) {
    const json *j = json_first(json_get(s->conversations, "conversations"));
    while (j != NULL && strcmp(chat_string(j, "id"), id) != 0) j = json_next(j);
    return j;
}

/* ---- renderers ---- */

static const json *find_same(const struct chat_set *s, const json *row) {
    const char *think = json_string(json_get(row, "same_as"));
    if (think == NULL) return row;
    for (const json *r = json_first(s->rows); r != NULL; r = json_next(r))
        if (strcmp(chat_string(r, "renderer"), chat_string(row, "renderer")) == 0 &&
            strcmp(chat_string(r, "conversation"), chat_string(row, "conversation")) == 0 &&
            strcmp(chat_string(r, "think"), think) == 0)
            return r;
    return row;
}

static char *with_today(const char *text) {
    static const char mark[] = "@TODAY@";
    struct buf b = {0};
    char date[32];
    struct tm tm;
    time_t now = time(NULL);
    localtime_r(&now, &tm);
    strftime(date, sizeof date, "%Y-%m-%d", &tm);
    for (const char *hit; (hit = strstr(text, mark)) != NULL; text = hit + sizeof mark - 1) {
        buf_add(&b, text, (size_t)(hit - text));
        buf_str(&b, date);
    }
    buf_str(&b, text);
    return buf_take(&b);
}

static void check_renderer(struct chat_set *s, const json *row) {
    const char *id = chat_string(row, "id"), *think = chat_string(row, "think");
    const json *conversation = find_conversation(s, chat_string(row, "conversation"));
    const json *same = find_same(s, row);
    bool set = strcmp(think, "null") != 0, plain = strcmp(think, "true") == 0;
    struct render_input in = {.messages = json_get(conversation, "messages"),
                              .tools = chat_tools(s, conversation),
                              .think_set = set,
                              .think = set && strcmp(think, "false") != 0,
                              .level_named = set && !plain && strcmp(think, "false") != 0};
    struct buf out = {0};
    struct err e = {0};
    in.level = in.level_named ? think : "";
    if (conversation == NULL) {
        check_skip(s->c, id, "the conversations of golden/templates are not here (--base)");
        return;
    }
    enum status st = render_prompt(chat_string(row, "renderer"), &in, &out, &e);
    const char *error = json_string(json_get(same, "error"));
    char *want = with_today(chat_string(same, "output")), *got = buf_take(&out);
    size_t at = 0;
    while (got[at] == want[at] && got[at] != '\0') at++;
    if (error != NULL)
        check_that(s->c, st != ST_OK && strcmp(e.msg, error) == 0, id, "want error %s, got %s",
                   error, st != ST_OK ? e.msg : got);
    else if (st != ST_OK)
        check_fail(s->c, id, "%s", e.msg);
    else
        check_that(s->c, got[at] == want[at], id, "differs at byte %zu: got %.80s, want %.80s", at,
                   got + at, want + at);
    mem_free(got);
    mem_free(want);
}

/* ---- the set ---- */

/* All rows of a file as one list. */
static json *read_rows(struct check *c, const char *dir, const char *file) {
    size_t size;
    struct err e = {0};
    struct buf b = {0};
    static const struct json_limits limits = {(size_t)512 << 20, 8000000, 1000};
    char *text = check_read(c, dir, file, &size);
    buf_chr(&b, '[');
    for (size_t i = 0; text != NULL && i < size; i++) {
        bool last = text[i] == '\n' && i + 1 == size;
        if (!last) buf_chr(&b, text[i] == '\n' ? ',' : text[i]);
    }
    buf_chr(&b, ']');
    json *rows = json_parse(b.data, b.len, &limits, NULL, &e);
    if (rows == NULL) check_fail(c, file, "%s", e.msg);
    buf_free(&b);
    mem_free(text);
    return rows;
}

static json *read_conversations(struct check *c, const char *dir) {
    char where[4096];
    snprintf(where, sizeof where, "%s/../templates", dir);
    if (check_exists(where, "conversations.json"))
        return check_read_json(c, where, "conversations.json");
    if (c->base == NULL) return NULL;
    snprintf(where, sizeof where, "%s/templates", c->base);
    return check_exists(where, "conversations.json")
               ? check_read_json(c, where, "conversations.json")
               : NULL;
}

void check_chat(struct check *c, const char *dir) {
    static const struct {
        const char *file;
        void (*check)(struct chat_set *, const json *);
    } files[] = {
        {"renderers.jsonl", check_renderer},      {"parsers.jsonl", check_parser_row},
        {"parser_info.jsonl", check_parser_info}, {"thinking_parser.jsonl", check_thinking_row},
        {"tool_parser.jsonl", check_tool_row},
    };
    struct chat_set s = {.c = c, .conversations = read_conversations(c, dir)};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!check_exists(dir, files[i].file)) continue;
        s.rows = read_rows(c, dir, files[i].file);
        for (const json *r = json_first(s.rows); r != NULL; r = json_next(r)) files[i].check(&s, r);
        json_free(s.rows);
    }
    json_free(s.conversations);
}

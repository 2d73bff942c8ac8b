/* laguna.c - Laguna and Poolside v1 (spec/chat-formats.md 5.5): thinking and calls may stand
 * anywhere in the content, and calls come in five notations. */
#include <ctype.h>
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

/* p->flag: the white space at the beginning of this content is dropped already. */
enum { S_EAT = S_OWN };

static const char think_open[] = "<think>", think_close[] = "</think>";
static const char call_open[] = "<tool_call>", call_close[] = "</tool_call>";
static const char user_open[] = "<user>", user_close[] = "</user>";

void laguna_start(struct parser *p) {
    const char *role = json_string(json_get(p->last, "role"));
    bool assistant = role != NULL && strcmp(role, "assistant") == 0;
    bool v1 = strcmp(p->type->info.name, "poolside-v1") == 0;
    p->state = p->think && (v1 || !assistant) ? S_THINK_START : S_CONTENT;
}

/* ---- calls ---- */

static const char *alias(struct parser *p, const char *name, size_t *n) {
    static const char *const row[][2] = {{"read_file", "read"},
                                         {"write_file", "write"},
                                         {"edit_file", "edit"},
                                         {"web_fetch", "webfetch"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (strlen(row[i][0]) != *n || memcmp(row[i][0], name, *n) != 0) continue;
        if (tool_find(p->tools, name, *n) != NULL) break;
        if (tool_find(p->tools, row[i][1], strlen(row[i][1])) == NULL) break;
        *n = strlen(row[i][1]);
        return row[i][1];
    }
    return name;
}

static bool json_form(struct parser *p, const char *s, size_t n) {
    struct err why = {0};
    size_t name_n = 0;
    json *v = json_whole(s, n, &why);
    const char *name = json_string_n(json_get(v, "name"), &name_n);
    const json *args = json_get(v, "arguments");
    struct buf text = {0};
    if (v == NULL) {
        parser_fail(p, "failed to parse Laguna JSON tool call: %s", why.msg);
    } else if (name_n == 0) {
        parser_fail(p, "empty Laguna tool call name");
    } else {
        if (json_kind(args) == JSON_OBJECT)
            json_print(&text, args);
        else
            buf_str(&text, "{}");
        name = alias(p, name, &name_n);
        parser_call(p, name, name_n, text.data, NULL);
    }
    buf_free(&text);
    json_free(v);
    return p->status == ST_OK;
}

/* Every <arg_key>k</arg_key> <arg_value>v</arg_value>; anything else is ignored. */
static void put_pairs(struct buf *args, struct parser *p, const char *tool, size_t n_tool,
                      const char *s, size_t n) {
    static const char *const tag[] = {"<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"};
    const char *end = s + n;
    while (s < end) {
        const char *at[4];
        const char *from = s;
        int k = 0;
        for (; k < 4; k++) {
            at[k] = memmem(from, (size_t)(end - from), tag[k], strlen(tag[k]));
            if (at[k] == NULL) return;
            from = at[k] + strlen(tag[k]);
        }
        const char *key = at[0] + strlen(tag[0]), *v = at[2] + strlen(tag[2]);
        size_t skip = text_skip_space(key, (size_t)(at[1] - key));
        struct buf name = {0};
        key += skip;
        buf_add(&name, key, text_rtrim(key, (size_t)(at[1] - key)));
        put_key_n(args, name.len > 0 ? name.data : "", name.len);
        put_typed(args, p, tool, n_tool, name.len > 0 ? name.data : "", v, (size_t)(at[3] - v));
        buf_free(&name);
        s = from;
    }
}

static bool call(struct parser *p, const char *s, size_t n) {
    size_t skip = n == 0 ? 0 : text_skip_space(s, n), name_n = 0;
    s += skip;
    n = text_rtrim(s, n - skip);
    if (n > 0 && *s == '{') return json_form(p, s, n);
    while (name_n < n && !isspace((unsigned char)s[name_n]) && s[name_n] != '<' && s[name_n] != '{')
        name_n++;
    if (name_n == 0) return parser_fail(p, "empty Laguna tool call name");
    size_t rest = name_n + text_skip_space(s + name_n, n - name_n), own_n = name_n;
    const char *name = alias(p, s, &own_n);
    struct buf args = {0};
    if (rest < n && s[rest] == '{') {
        struct err why = {0};
        json *v = json_whole(s + rest, n - rest, &why);
        if (v == NULL) return parser_fail(p, "failed to parse Laguna JSON tool call: %s", why.msg);
        json_print(&args, v);
        json_free(v);
    } else {
        buf_chr(&args, '{');
        put_pairs(&args, p, name, own_n, s + name_n, n - name_n);
        buf_chr(&args, '}');
    }
    parser_call(p, name, own_n, args.data, NULL);
    buf_free(&args);
    return true;
}

/* ---- thinking ---- */

static bool think_start(struct parser *p) {
    if (!parser_eat_space(p)) return false;
    if (parser_starts(p, think_open)) {
        buf_drop(&p->held, sizeof think_open - 1);
        parser_eat_space(p);
    } else if (!p->done && p->held.len < sizeof think_open - 1 &&
               memcmp(p->held.data, think_open, p->held.len) == 0) {
        return false;
    }
    p->state = S_THINK;
    return true;
}

static bool think(struct parser *p) {
    static const char *const tags[] = {think_close, call_open, NULL};
    struct buf *to = p->think ? &p->out->thinking : NULL;
    size_t close = parser_find(p, think_close), tool = parser_find(p, call_open);
    size_t at = close < tool ? close : tool, all = p->held.len;
    if (at != NOWHERE) {
        parser_emit_trimmed(p, to, at);
        if (close < tool) buf_drop(&p->held, sizeof think_close - 1);
        p->state = S_CONTENT;
        p->flag = false;
        return true;
    }
    size_t ready = parser_free_bytes(p, tags, false), trimmed = text_rtrim(p->held.data, all);
    if (ready == all) ready = trimmed < all ? trimmed : 0; /* whole words only */
    parser_emit(p, to, p->done ? all : ready);
    return false;
}

/* ---- content ---- */

/* "<user>NAME...": may it be a call? -1 no, 0 not known yet, 1 yes and complete (its end in *end).
 */
static int user_block(const struct parser *p, size_t at, size_t *end) {
    const char *s = p->held.data + at + sizeof user_open - 1;
    size_t n = p->held.len - at - (sizeof user_open - 1), skip = n == 0 ? 0 : text_skip_space(s, n);
    s += skip;
    n -= skip;
    *end = parser_find_at(p, at, user_close);
    for (const json *t = json_first(p->tools); t != NULL; t = json_next(t)) {
        const char *name = json_string(json_get(json_get(t, "function"), "name"));
        size_t k = name == NULL ? 0 : strlen(name);
        if (k > 0 && n < k && memcmp(s, name, n) == 0 && *end == NOWHERE) return 0;
        if (k > 0 && n >= k && memcmp(s, name, k) == 0 &&
            (n == k || !(isalnum((unsigned char)s[k]) || s[k] == '_')))
            return *end == NOWHERE ? 0 : 1;
    }
    return -1;
}

/* "{" that may begin {"name": ...}: the same answers. */
static int bare_json(const struct parser *p, size_t at, bool first, size_t *end) {
    static const char key[] = "\"name\"";
    const char *s = p->held.data + at;
    size_t n = p->held.len - at, k = json_balanced(s, n);
    *end = at + k;
    if (first) return k > 0 ? 1 : 0;
    size_t skip = 1 + text_skip_space(s + 1, n - 1), left = n - skip;
    size_t m = left < sizeof key - 1 ? left : sizeof key - 1;
    if (memcmp(s + skip, key, m) != 0) return -1;
    return k > 0 ? 1 : 0;
}

static bool drop_leading_close(struct parser *p, bool *wait) {
    *wait = false;
    if (p->flag) return false; /* only before the first text */
    if (parser_starts(p, think_close)) {
        buf_drop(&p->held, sizeof think_close - 1);
        return true;
    }
    *wait = !p->done && p->held.len < sizeof think_close - 1 &&
            memcmp(p->held.data, think_close, p->held.len) == 0;
    return false;
}

/* The first place where something other than text may begin; what it is in *kind. */
static size_t first_place(struct parser *p, char *kind, size_t *end, int *sure) {
    bool tools = json_len(p->tools) > 0;
    size_t i = 0;
    for (; i < p->held.len; i++) {
        char c = p->held.data[i];
        *sure = -1;
        if (c == '<' && parser_find_at(p, i, call_open) == i) {
            *kind = 't';
            *sure = 1;
        } else if (c == '<' && parser_find_at(p, i, think_open) == i) {
            *kind = 'k';
            *sure = 1;
        } else if (c == '<' && tools && parser_find_at(p, i, user_open) == i) {
            *kind = 'u';
            *sure = user_block(p, i, end);
        } else if (c == '{' && tools) {
            *kind = 'j';
            *sure =
                bare_json(p, i, i == 0 && !p->called && p->n_calls == 0 && p->extra.len == 0, end);
        }
        if (*sure >= 0) return i;
    }
    return NOWHERE;
}

static void say(struct parser *p, size_t n) {
    if (n > 0 && p->extra.len == 0) buf_chr(&p->extra, '1'); /* content was handed out */
    parser_emit(p, &p->out->content, n);
}

/* At the end a bare object without a name is what the user asked for. */
static bool is_plain_object(const char *s, size_t n) {
    json *v = json_whole(s, n, NULL);
    bool plain = v != NULL && json_get(v, "name") == NULL;
    json_free(v);
    return plain;
}

static bool begin_block(struct parser *p, size_t at, char kind, size_t end) {
    if (kind == 'k') {
        say(p, at);
        buf_drop(&p->held, sizeof think_open - 1);
        p->state = S_THINK;
        return true;
    }
    if (kind == 'j' && p->done && is_plain_object(p->held.data + at, end - at)) {
        say(p, text_rtrim(p->held.data, p->held.len));
        return false;
    }
    size_t keep = text_rtrim(p->held.data, at);
    say(p, keep);
    buf_drop(&p->held, at - keep);
    end -= at;
    if (kind == 't') {
        buf_drop(&p->held, sizeof call_open - 1);
        p->state = S_TOOL;
        return true;
    }
    size_t open = kind == 'u' ? sizeof user_open - 1 : 0;
    bool ok =
        kind == 'u' ? call(p, p->held.data + open, end - open) : json_form(p, p->held.data, end);
    buf_drop(&p->held, end + (kind == 'u' ? sizeof user_close - 1 : 0));
    p->flag = false;
    return ok;
}

static bool content(struct parser *p) {
    static const char *const tags[] = {call_open, think_open, user_open, NULL};
    bool wait;
    char kind = ' ';
    size_t end = 0;
    int sure = -1;
    if (!p->flag && !parser_eat_space(p)) return false;
    if (drop_leading_close(p, &wait)) return true;
    if (wait) return false;
    p->flag = true;
    size_t at = first_place(p, &kind, &end, &sure);
    if (at != NOWHERE && sure == 1) return begin_block(p, at, kind, end);
    if (at != NOWHERE && !p->done) {
        say(p, text_rtrim(p->held.data, at));
        return false;
    }
    if (at == 0 && kind == 'j' && p->extra.len == 0 && p->done) /* broken JSON and nothing else */
        return json_form(p, p->held.data, p->held.len) && false;
    size_t ready = parser_free_bytes(p, tags, false);
    if (ready == p->held.len) ready = text_rtrim(p->held.data, ready);
    if (p->done) ready = text_rtrim(p->held.data, p->held.len);
    say(p, ready);
    return false;
}

bool laguna_step(struct parser *p) {
    if (p->held.len == 0 && !(p->done && p->state == S_TOOL)) return false;
    if (p->state == S_THINK_START) return think_start(p);
    if (p->state == S_THINK) return think(p);
    if (p->state == S_CONTENT) return content(p);
    size_t end = parser_find(p, call_close);
    if (end == NOWHERE && !p->done) return false;
    size_t n =
        end != NOWHERE ? end : p->held.len - text_overlap(p->held.data, p->held.len, call_close);
    bool ok = call(p, p->held.data, n);
    buf_drop(&p->held, end != NOWHERE ? end + sizeof call_close - 1 : p->held.len);
    p->state = S_CONTENT;
    p->flag = false;
    return ok && p->held.len > 0;
}

/* call_json.c - calls as JSON objects (J1), and DeepSeek's lists of calls (D1, D2). */
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

static bool json_call(struct parser *p, const char *s, size_t n, bool vl) {
    struct err why = {0};
    size_t name_len = 0;
    json *v = json_whole(s, n, &why);
    const json *args = json_get(v, "arguments");
    const char *name = json_string_n(json_get(v, "name"), &name_len), *wrong = NULL;
    struct buf text = {0};
    if (v == NULL)
        wrong = why.msg;
    else if (args != NULL && json_kind(args) != JSON_OBJECT && json_kind(args) != JSON_NULL)
        wrong = "Value looks like object, but can't find closing '}' symbol";
    if (wrong != NULL) {
        parser_fail(p, vl ? "%s" : "failed to parse JSON: %s", wrong);
    } else if (name_len == 0 && !vl) {
        parser_fail(p, "empty function name");
    } else {
        if (json_kind(args) == JSON_OBJECT)
            json_print(&text, args);
        else
            buf_str(&text, "{}");
        parser_call(p, name == NULL ? "" : name, name_len, text.data, NULL);
    }
    buf_free(&text);
    json_free(v);
    return p->status == ST_OK;
}

bool call_json(struct parser *p, const char *s, size_t n) { return json_call(p, s, n, false); }
bool call_json_vl(struct parser *p, const char *s, size_t n) { return json_call(p, s, n, true); }

/* ---- DeepSeek ---- */

#define CALL_BEGIN "<｜tool▁call▁begin｜>"
#define CALL_END "<｜tool▁call▁end｜>"
#define SEP "<｜tool▁sep｜>"

static bool fenced(const struct parser *p) { return strcmp(p->type->info.name, "cogito") == 0; }

/* NAME<sep>JSON, or function<sep>NAME\n```json\nJSON: the name, and where the JSON begins; NULL: it
 * is neither. */
static const char *deepseek_head(const struct parser *p, const char *s, size_t n, const char **name,
                                 size_t *name_len) {
    static const char open[] = "\n```json\n";
    const char *end = s + n, *name_end = memmem(s, n, SEP, strlen(SEP));
    if (name_end == NULL) return NULL;
    const char *rest = name_end + strlen(SEP);
    *name = s;
    if (fenced(p)) {
        *name = rest;
        name_end = memmem(rest, (size_t)(end - rest), open, sizeof open - 1);
        if (name_end == NULL) return NULL;
        rest = name_end + sizeof open - 1;
    }
    *name += text_skip_space(*name, (size_t)(name_end - *name));
    *name_len = text_rtrim(*name, (size_t)(name_end - *name));
    return rest;
}

/* What is no call is skipped. */
static void deepseek_call(struct parser *p, const char *s, size_t n) {
    static const char close[] = "\n```";
    const char *name, *end = s + n;
    size_t name_len;
    const char *rest = deepseek_head(p, s, n, &name, &name_len);
    if (rest != NULL && fenced(p))
        end = memmem(rest, (size_t)(end - rest), close, sizeof close - 1);
    if (rest == NULL || end == NULL) return;
    json *v = json_whole(rest, (size_t)(end - rest), NULL);
    if (json_kind(v) == JSON_OBJECT) {
        struct buf text = {0};
        json_print(&text, v);
        parser_call(p, name, name_len, text.data, NULL);
        buf_free(&text);
    }
    json_free(v);
}

bool step_deepseek_calls(struct parser *p) {
    const struct family *f = p->type->family;
    size_t begin = parser_find(p, CALL_BEGIN), end = parser_find(p, f->tool_close);
    if (end != NOWHERE && (begin == NOWHERE || end < begin)) {
        buf_drop(&p->held, end + strlen(f->tool_close));
        parser_eat_space(p);
        p->state = S_CONTENT;
        return true;
    }
    size_t close = begin == NOWHERE ? NOWHERE : parser_find_at(p, begin, CALL_END);
    if (close == NOWHERE) return false;
    size_t from = begin + strlen(CALL_BEGIN);
    deepseek_call(p, p->held.data + from, close - from);
    buf_drop(&p->held, close + strlen(CALL_END));
    return true;
}

bool peek_deepseek(const struct parser *p, struct call_head *out) {
    const size_t begin = parser_find(p, CALL_BEGIN);
    if (begin == NOWHERE) return false;
    const char *s = p->held.data + begin + strlen(CALL_BEGIN), *end = p->held.data + p->held.len;
    const char *rest = deepseek_head(p, s, (size_t)(end - s), &out->name, &out->name_len);
    return rest != NULL && args_begin(rest, (size_t)(end - rest), out);
}

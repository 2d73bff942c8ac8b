/* harmony.c - the channels of gpt-oss (spec/chat-formats.md 5.3). */
#include <ctype.h>
#include <string.h>

#include "api/format/parse_impl.h"
#include "base/unicode.h"
#include "base/utf8.h"

enum { S_SEEK = S_OWN, S_HEADER, S_BODY };
enum { TO_CONTENT, TO_THINKING, TO_TOOL };

#define START "<|start|>"
#define MESSAGE "<|message|>"
#define END "<|end|>"

/* p->extra: recipient, NUL, text of the call; p->flag: a recipient is there. The route of the body
 * is kept in the high bits of the state. */
static int route_of(const struct parser *p) { return p->state >> 8; }
static void go(struct parser *p, int state, int route) { p->state = state | route << 8; }

void harmony_start(struct parser *p) {
    const char *role = json_string(json_get(p->last, "role"));
    const char *thinking = json_string(json_get(p->last, "thinking"));
    bool open = role != NULL && strcmp(role, "assistant") == 0;
    buf_str(&p->held, START "assistant");
    if (open && p->prefill)
        buf_str(&p->held, "<|channel|>final" MESSAGE);
    else if (open && thinking != NULL && *thinking != '\0')
        buf_str(&p->held, "<|channel|>analysis" MESSAGE);
    go(p, S_SEEK, TO_CONTENT);
}

/* ---- names of tools ---- */

static bool built_in(const char *name) {
    static const char *const names[] = {"browser.open", "browser.search", "browser.find", "python"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static void plain_name(struct buf *out, const char *name) {
    size_t n = strlen(name), start = out->len;
    if (built_in(name)) {
        buf_str(out, name);
        return;
    }
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        unsigned k = utf8_decode(name + i, n - i, &cp);
        unsigned c = unicode_class(cp);
        if (cp == ' ' || cp == '-' || cp == '.')
            buf_chr(out, '_');
        else if (c == UNI_L || c == UNI_N || cp == '_' || cp == '$')
            buf_add(out, name + i, k);
        i += k;
    }
    if (out->len == start) {
        buf_str(out, "unnamed");
    } else if (isdigit((unsigned char)out->data[start])) {
        struct buf rest = {0};
        buf_add(&rest, out->data + start, out->len - start);
        buf_cut(out, start);
        buf_chr(out, '_');
        buf_add(out, rest.data, rest.len);
        buf_free(&rest);
    }
}

static const char *own_name(const json *tool) {
    const char *s = json_string(json_get(json_get(tool, "function"), "name"));
    return s == NULL ? "" : s;
}

/* The names of the first tools, each made different from those before it. */
static void name_upto(struct buf *out, const json *tools, size_t index, const char *wanted,
                      const char **owner) {
    enum { MAX_TOOLS = 512 };
    struct buf made[MAX_TOOLS] = {{0}};
    bool out_of_memory = false;
    size_t i = 0;
    for (const json *t = json_first(tools); t != NULL && i <= index && i < MAX_TOOLS;
         t = json_next(t), i++) {
        struct buf base = {0};
        plain_name(&base, own_name(t));
        if (base.failed) out_of_memory = true;
        buf_str(&made[i], base.failed ? "" : base.data);
        for (unsigned k = 2, again = 1; again; k++) {
            again = 0;
            out_of_memory = out_of_memory || made[i].failed;
            for (size_t j = 0; j < i && !again && !out_of_memory; j++)
                again = strcmp(made[j].data, made[i].data) == 0;
            if (!again) break;
            buf_cut(&made[i], 0);
            buf_printf(&made[i], "%s_%u", base.data, k);
        }
        buf_free(&base);
        if (wanted != NULL && !out_of_memory && strcmp(made[i].data, wanted) == 0)
            *owner = own_name(t);
    }
    if (out != NULL && out_of_memory) out->failed = true;
    if (out != NULL && i > 0 && !out_of_memory) buf_str(out, made[i - 1].data);
    for (size_t j = 0; j < i; j++) buf_free(&made[j]);
}

void harmony_tool_name(struct buf *out, const json *tools, size_t index) {
    name_upto(out, tools, index, NULL, NULL);
}

/* ---- calls ---- */

static void begin_call(struct parser *p, const char *to, size_t n) {
    static const char prefix[] = "functions.";
    if (n >= sizeof prefix - 1 && memcmp(to, prefix, sizeof prefix - 1) == 0) {
        to += sizeof prefix - 1;
        n -= sizeof prefix - 1;
    }
    buf_cut(&p->extra, 0);
    buf_add(&p->extra, to, n);
    buf_chr(&p->extra, '\0');
    p->flag = true;
}

static bool finish_call(struct parser *p) {
    if (p->extra.failed) return false; /* told by the caller */
    const char *name = p->extra.data, *owner = name;
    const char *raw = name + strlen(name) + 1;
    size_t n = p->extra.len - strlen(name) - 1;
    struct err why = {0};
    json *v = json_whole(raw, n, &why);
    p->flag = false;
    if (v == NULL || json_kind(v) != JSON_OBJECT) {
        bool broken = v == NULL;
        json_free(v);
        return parser_fail(p, "error parsing tool call: raw='%.*s', err=%s",
                           (int)(n < 300 ? n : 300), raw,
                           broken ? why.msg : "tool arguments must be a JSON object");
    }
    name_upto(NULL, p->tools, NOWHERE - 1, name, &owner);
    struct buf text = {0};
    json_print(&text, v);
    p->n_calls = 0; /* each call of this format has index 0 */
    parser_call(p, owner, strlen(owner), text.data, NULL);
    buf_free(&text);
    json_free(v);
    return true;
}

/* The end of the text may still be held, as the beginning of a tag. */
bool harmony_peek(const struct parser *p, struct call_head *out) {
    if (!p->flag || (p->state & 0xFF) != S_BODY || route_of(p) != TO_TOOL) return false;
    const char *name = p->extra.data;
    const size_t n = strlen(name) + 1;
    if (!args_begin(name + n, p->extra.len - n, out)) return false;
    name_upto(NULL, p->tools, NOWHERE - 1, name, &name);
    out->name = name;
    out->name_len = strlen(name);
    out->index = 0;
    out->raw_more = p->held.data;
    out->raw_more_len = p->held.len;
    return true;
}

/* ---- headers ---- */

static bool word_at(const char *s, size_t n, size_t *at, const char **word, size_t *len) {
    while (*at < n && isspace((unsigned char)s[*at])) ++*at;
    size_t from = *at;
    while (*at < n && !isspace((unsigned char)s[*at]) && s[*at] != '<') ++*at;
    if (*at == from && *at < n) ++*at;
    *word = s + from;
    *len = *at - from;
    return *len > 0;
}

static int channel_route(const char *channel, size_t n, bool recipient, int before) {
    static const struct {
        const char *name;
        int plain, addressed;
    } row[] = {{"analysis", TO_THINKING, TO_TOOL},
               {"commentary", TO_CONTENT, TO_TOOL},
               {"final", TO_CONTENT, TO_CONTENT}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strlen(row[i].name) == n && memcmp(row[i].name, channel, n) == 0)
            return recipient ? row[i].addressed : row[i].plain;
    return before;
}

static void read_header(struct parser *p, const char *s, size_t n) {
    static const char tag[] = "<|channel|>", constrain[] = "<|constrain|>";
    const char *channel = memmem(s, n, tag, sizeof tag - 1), *to = NULL, *word;
    size_t channel_n = 0, to_n = 0, len, skip_from = n, skip_to = n;
    const char *cut = memmem(s, n, constrain, sizeof constrain - 1);
    if (cut != NULL) n = (size_t)(cut - s); /* what follows is the type of the content */
    if (channel != NULL && channel < s + n) {
        size_t at = (size_t)(channel - s) + sizeof tag - 1;
        skip_from = (size_t)(channel - s);
        word_at(s, n, &at, &channel, &channel_n);
        skip_to = at;
    } else {
        channel = "";
    }
    for (size_t at = 0, i = 0; at < n && i < 8; i++) {
        if (at >= skip_from && at < skip_to) at = skip_to;
        size_t limit = at < skip_from ? skip_from : n;
        if (!word_at(s, limit, &at, &word, &len)) {
            if (at < n && limit < n) {
                at = skip_to;
                continue;
            }
            break;
        }
        if (len > 3 && memcmp(word, "to=", 3) == 0 && to == NULL) {
            to = word + 3;
            to_n = len - 3;
        }
    }
    int route = channel_route(channel, channel_n, to != NULL, TO_CONTENT);
    if (route == TO_TOOL) begin_call(p, to, to_n);
    go(p, S_BODY, route);
}

/* ---- the machine ---- */

static bool body(struct parser *p) {
    static const char *const tags[] = {END, NULL};
    size_t end = parser_find(p, END);
    size_t n = end != NOWHERE ? end : parser_free_bytes(p, tags, false);
    struct buf *to = route_of(p) == TO_TOOL       ? &p->extra
                     : route_of(p) == TO_THINKING ? &p->out->thinking
                                                  : &p->out->content;
    if (end == NOWHERE && p->done && route_of(p) == TO_TOOL) n = p->held.len;
    parser_emit(p, to, n);
    if (end == NOWHERE) return false;
    buf_drop(&p->held, strlen(END));
    go(p, S_SEEK, TO_CONTENT);
    return true;
}

static bool seek(struct parser *p) {
    size_t at = parser_find(p, START);
    static const char *const tags[] = {START, NULL};
    if (at == NOWHERE) {
        parser_emit(p, NULL, parser_free_bytes(p, tags, false));
        return false;
    }
    buf_drop(&p->held, at + strlen(START));
    go(p, S_HEADER, TO_CONTENT);
    return true;
}

static bool header(struct parser *p) {
    size_t end = parser_find(p, MESSAGE);
    if (end == NOWHERE) return false;
    read_header(p, p->held.data, end);
    buf_drop(&p->held, end + strlen(MESSAGE));
    return true;
}

bool harmony_step(struct parser *p) {
    bool more = false;
    if (p->held.len > 0 || (p->state & 0xFF) == S_BODY)
        more = (p->state & 0xFF) == S_SEEK     ? seek(p)
               : (p->state & 0xFF) == S_HEADER ? header(p)
                                               : body(p);
    if (!more && p->done && p->flag) return finish_call(p) && false;
    return more;
}

void harmony_end(struct parser *p) {
    if ((p->state & 0xFF) != S_BODY || route_of(p) == TO_TOOL) return;
    parser_emit(p, route_of(p) == TO_THINKING ? &p->out->thinking : &p->out->content, p->held.len);
}

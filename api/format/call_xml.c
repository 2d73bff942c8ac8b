/* call_xml.c - calls in XML-like notations: Qwen 3 Coder's functions and parameters (X1), GLM's
 * keys and values (G1). Models write values unescaped, so only the known tags count. */
#include <ctype.h>
#include <string.h>

#include "api/format/parse_impl.h"
#include "api/think.h"

static unsigned line_of(const char *s, size_t at) {
    unsigned line = 1;
    for (size_t i = 0; i < at; i++) line += s[i] == '\n';
    return line;
}

static bool starts(const char *s, size_t n, size_t at, const char *what) {
    size_t k = strlen(what);
    return n - at >= k && memcmp(s + at, what, k) == 0;
}

/* ---- X1 ---- */

struct tag {
    enum { NONE, FUNCTION, PARAMETER, FUNCTION_END, PARAMETER_END } kind;
    size_t at, end;      /* of the whole tag */
    size_t name, name_n; /* of an opening one */
};

static struct tag next_tag(const char *s, size_t n, size_t from) {
    static const struct {
        const char *text;
        bool named;
    } form[] = {[FUNCTION] = {"<function=", true},
                [PARAMETER] = {"<parameter=", true},
                [FUNCTION_END] = {"</function>", false},
                [PARAMETER_END] = {"</parameter>", false}};
    struct tag t = {NONE, n, n, 0, 0};
    for (size_t i = from; i < n; i++) {
        if (s[i] != '<') continue;
        for (int k = FUNCTION; k <= PARAMETER_END; k++) {
            if (!starts(s, n, i, form[k].text)) continue;
            size_t name = i + strlen(form[k].text);
            const char *end = form[k].named ? memchr(s + name, '>', n - name) : s + name - 1;
            if (end == NULL) continue;
            t.kind = (unsigned)k;
            t.at = i;
            t.end = (size_t)(end - s) + 1;
            t.name = name;
            t.name_n = form[k].named ? (size_t)(end - s) - name : 0;
            return t;
        }
    }
    return t;
}

static const char *tag_name(struct tag t) {
    return t.kind == FUNCTION || t.kind == FUNCTION_END ? "function" : "parameter";
}

static void put_parameter(struct buf *args, struct parser *p, const char *s, struct tag f,
                          struct tag open, size_t end) {
    struct buf key = {0};
    size_t from = open.end;
    buf_add(&key, s + open.name, open.name_n);
    if (from < end && s[from] == '\n') from++;
    if (end > from && s[end - 1] == '\n') end--;
    put_key_n(args, s + open.name, open.name_n);
    put_typed(args, p, s + f.name, f.name_n, key.data == NULL ? "" : key.data, s + from,
              end - from);
    buf_free(&key);
}

bool call_xml(struct parser *p, const char *s, size_t n) {
    struct buf args = {0};
    struct tag f = next_tag(s, n, 0), open = {0};
    if (f.kind == NONE) return parser_fail(p, "EOF");
    if (f.kind == FUNCTION_END || f.kind == PARAMETER_END)
        return parser_fail(p, "XML syntax error on line %u: unexpected end element </%s>",
                           line_of(s, f.at), tag_name(f));
    if (f.kind != FUNCTION)
        return parser_fail(p, "expected element type <function> but have <%s>", tag_name(f));
    bool inside = false, closed = false;
    buf_chr(&args, '{');
    for (struct tag t = next_tag(s, n, f.end); !closed && p->status == ST_OK;
         t = next_tag(s, n, t.end)) {
        if (t.kind == NONE) {
            parser_fail(p, "XML syntax error on line %u: unexpected EOF", line_of(s, n));
        } else if (t.kind == PARAMETER && !inside) {
            open = t;
            inside = true;
        } else if (t.kind == PARAMETER_END && inside) {
            put_parameter(&args, p, s, f, open, t.at);
            inside = false;
        } else if (t.kind == FUNCTION_END && !inside) {
            closed = true;
        } else if (t.kind == FUNCTION_END) {
            parser_fail(p, "XML syntax error on line %u: element <parameter> closed by </function>",
                        line_of(s, t.at));
        } else if (t.kind == PARAMETER_END) {
            parser_fail(p, "XML syntax error on line %u: element <function> closed by </parameter>",
                        line_of(s, t.at));
        } else if (t.kind == FUNCTION) {
            parser_fail(p, "XML syntax error on line %u: element <function> inside of a call",
                        line_of(s, t.at));
        }
    }
    buf_chr(&args, '}');
    if (p->status == ST_OK) parser_call(p, s + f.name, f.name_n, args.data, NULL);
    buf_free(&args);
    return p->status == ST_OK;
}

/* ---- G1 ---- */

static const char *const glm_tag[] = {"<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"};
static const char *const glm_name[] = {"arg_key", "arg_key", "arg_value", "arg_value"};
enum { MAX_PARTS = 512 };

struct part { /* the text before a tag, and the tag (4: the end) */
    const char *p;
    size_t n, at;
    int tag;
};

static size_t cut_parts(const char *s, size_t n, struct part *part) {
    size_t count = 0, from = 0;
    for (size_t i = 0; i < n && count + 1 < MAX_PARTS; i++) {
        for (int k = 0; s[i] == '<' && k < 4; k++) {
            if (!starts(s, n, i, glm_tag[k])) continue;
            part[count++] = (struct part){s + from, i - from, i, k};
            from = i + strlen(glm_tag[k]);
            i = from - 1;
            break;
        }
    }
    part[count++] = (struct part){s + from, n - from, n, 4};
    return count;
}

struct glm {
    const char *name;
    size_t name_n, n_keys, n_values;
    const char *key[MAX_PARTS], *value[MAX_PARTS];
    size_t key_n[MAX_PARTS], value_n[MAX_PARTS];
};

static void trim(const char **p, size_t *n) {
    size_t skip = text_skip_space(*p, *n);
    *p += skip;
    *n = text_rtrim(*p, *n - skip);
}

/* The tags nest as they should; else the message in why. */
static bool read_strict(const char *s, const struct part *part, size_t count, struct glm *g,
                        struct err *why) {
    int open = -1;
    *g = (struct glm){.name = part[0].p, .name_n = part[0].n};
    for (size_t i = 0; i < count; i++) {
        int tag = part[i].tag;
        unsigned line = line_of(s, part[i].at);
        if (tag == 4) {
            if (open < 0) break;
            err_set(why, ST_FORMAT,
                    "XML syntax error on line %u: element <%s> closed by </tool_call>", line,
                    glm_name[open]);
            return false;
        }
        if (tag % 2 == 0) {
            if (open >= 0) {
                err_set(why, ST_FORMAT, "XML syntax error on line %u: element <%s> in <%s>", line,
                        glm_name[tag], glm_name[open]);
                return false;
            }
            open = tag;
            continue;
        }
        if (open != tag - 1) {
            err_set(why, ST_FORMAT, "XML syntax error on line %u: element <%s> closed by </%s>",
                    line, open < 0 ? "tool_call" : glm_name[open], glm_name[tag]);
            return false;
        }
        if (tag == 1) {
            g->key[g->n_keys] = part[i].p;
            g->key_n[g->n_keys++] = part[i].n;
        } else {
            g->value[g->n_values] = part[i].p;
            g->value_n[g->n_values++] = part[i].n;
        }
        open = -1;
    }
    return true;
}

/* Missing tags are thought to be there: the cycle key, /key, value, /value goes on. */
static void read_repaired(const struct part *part, size_t count, struct glm *g) {
    *g = (struct glm){.name = "", .name_n = 0};
    int at = -1; /* -1: before the first key; else the tag after which we are */
    for (size_t i = 0; i < count; i++) {
        const char *p = part[i].p;
        size_t n = part[i].n;
        if (at < 0) {
            g->name = p;
            g->name_n = n;
            trim(&g->name, &g->name_n);
            if (part[i].tag != 0 && part[i].tag != 4) { /* NAME key</arg_key> */
                size_t k = 0;
                while (k < g->name_n && !isspace((unsigned char)g->name[k])) k++;
                if (k < g->name_n) {
                    g->key[g->n_keys] = g->name + k;
                    g->key_n[g->n_keys++] = g->name_n - k;
                    g->name_n = k;
                }
            }
        } else if (at == 0) {
            g->key[g->n_keys] = p;
            g->key_n[g->n_keys++] = n;
        } else if (at == 2 || (at == 1 && n > 0 && text_skip_space(p, n) < n)) {
            g->value[g->n_values] = p;
            g->value_n[g->n_values++] = n;
            if (at == 1 && part[i].tag == 3) at = 2;
        }
        at = part[i].tag;
    }
}

static bool put_glm(struct parser *p, struct glm *g) {
    struct buf args = {0};
    trim(&g->name, &g->name_n);
    if (g->name_n == 0) return parser_fail(p, "empty function name");
    if (g->n_keys != g->n_values)
        return parser_fail(p, "mismatched arg_key and arg_value counts: %zu keys, %zu values",
                           g->n_keys, g->n_values);
    buf_chr(&args, '{');
    for (size_t i = 0; i < g->n_keys; i++) {
        struct buf key = {0};
        trim(&g->key[i], &g->key_n[i]);
        buf_add(&key, g->key[i], g->key_n[i]);
        const char *v = g->value[i];
        size_t n = g->value_n[i];
        if (n > 0 && v[0] == '\n') {
            v++;
            n--;
        }
        if (n > 0 && v[n - 1] == '\n') n--;
        put_key_n(&args, g->key[i], g->key_n[i]);
        put_typed(&args, p, g->name, g->name_n, key.data == NULL ? "" : key.data, v, n);
        buf_free(&key);
    }
    buf_chr(&args, '}');
    parser_call(p, g->name, g->name_n, args.data, NULL);
    buf_free(&args);
    return true;
}

bool call_glm(struct parser *p, const char *s, size_t n) {
    struct part part[MAX_PARTS];
    struct glm g;
    struct err why = {0};
    size_t count = cut_parts(s, n, part);
    if (!read_strict(s, part, count, &g, &why)) read_repaired(part, count, &g);
    return put_glm(p, &g);
}

static bool declared(struct parser *p, const struct glm *g) {
    const json *f = tool_find(p->tools, g->name, g->name_n);
    if (f == NULL)
        return parser_fail(p, "incomplete GLM tool call: tool \"%.*s\" is not declared",
                           (int)g->name_n, g->name);
    const json *required = json_get(json_get(f, "parameters"), "required");
    for (const json *r = json_first(required); r != NULL; r = json_next(r)) {
        const char *name = json_string(r);
        bool there = name == NULL;
        for (size_t i = 0; i < g->n_keys && !there; i++) {
            const char *k = g->key[i];
            size_t k_n = g->key_n[i];
            trim(&k, &k_n);
            there = strlen(name) == k_n && memcmp(name, k, k_n) == 0;
        }
        if (!there)
            return parser_fail(p,
                               "incomplete GLM tool call: required argument \"%s\" is missing for "
                               "tool \"%.*s\"",
                               name, (int)g->name_n, g->name);
    }
    return true;
}

/* The text ended inside of a call: taken only if nothing of it is missing. */
bool call_glm_end(struct parser *p, const char *s, size_t n) {
    struct part part[MAX_PARTS];
    struct glm g;
    struct err why = {0};
    if (!read_strict(s, part, cut_parts(s, n, part), &g, &why))
        return parser_fail(p, "incomplete GLM tool call: %s", why.msg);
    trim(&g.name, &g.name_n);
    if (g.name_n == 0) return parser_fail(p, "incomplete GLM tool call: empty function name");
    return declared(p, &g) && put_glm(p, &g);
}

/* escape.c - html, js and urlquery (spec/templates.md 3.3 "Functions"). All three work on the text
 * that print would make of their arguments. */
#include <string.h>

#include "api/template/template_impl.h"
#include "base/utf8.h"

/* The arguments as one text. */
static enum status joined(struct texec *x, const struct value *arg, size_t n, struct text *out) {
    struct value text = {.kind = V_STRING, .s = arg[0].s};
    enum status st = ST_OK;
    if (n != 1 || arg[0].kind != V_STRING) {
        st = tfunc_sprint(x, arg, n, false);
        if (st == ST_OK) st = texec_take(x, &text);
    }
    if (st == ST_OK) *out = text.s;
    buf_clear(&x->scratch);
    return st;
}

static const char *html_entity(char c) {
    switch (c) {
    case '\0':
        return "\xEF\xBF\xBD";
    case '"':
        return "&#34;";
    case '\'':
        return "&#39;";
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    default:
        return NULL;
    }
}

enum status tfunc_html(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    struct text s = {0};
    enum status st = joined(x, arg, n, &s);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < s.n; i++) {
        const char *entity = html_entity(s.p[i]);
        if (entity != NULL)
            buf_str(&x->scratch, entity);
        else
            buf_chr(&x->scratch, s.p[i]);
    }
    return texec_take(x, out);
}

static void put_js(struct buf *b, struct text c, uint32_t cp) {
    if (cp == '\\' || cp == '\'' || cp == '"')
        buf_printf(b, "\\%c", (char)cp);
    else if (cp < ' ' || cp == '<' || cp == '>' || cp == '&' || cp == '=')
        buf_printf(b, "\\u%04X", (unsigned)cp);
    else if (cp >= 0x80 && !tliteral_is_printable(cp))
        buf_printf(b, "\\u%04X", (unsigned)cp);
    else
        buf_add(b, c.p, c.n);
}

enum status tfunc_js(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    struct text s = {0};
    enum status st = joined(x, arg, n, &s);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t len = utf8_decode(s.p + i, s.n - i, &cp);
        put_js(&x->scratch, (struct text){s.p + i, len}, cp);
        i += len;
    }
    return texec_take(x, out);
}

enum status tfunc_urlquery(struct texec *x, const struct value *arg, size_t n, struct value *out) {
    struct text s = {0};
    enum status st = joined(x, arg, n, &s);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
                     (c != '\0' && strchr("-_.~", c) != NULL);
        if (plain)
            buf_chr(&x->scratch, (char)c);
        else if (c == ' ')
            buf_chr(&x->scratch, '+');
        else
            buf_printf(&x->scratch, "%%%02X", (unsigned)c);
    }
    return texec_take(x, out);
}

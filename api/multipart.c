/* multipart.c - see multipart.h. */
#include "api/multipart.h"

#include <string.h>
#include <strings.h>

struct span { /* a stretch of text that is not terminated */
    const char *p, *end;
};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static void skip_blanks(struct span *s) {
    while (s->p < s->end && is_blank(*s->p)) s->p++;
}

static bool same_word(struct span s, const char *word) {
    const size_t n = strlen(word);
    return (size_t)(s.end - s.p) == n && strncasecmp(s.p, word, n) == 0;
}

/* Up to one of the stops, blanks at its end left out. */
static struct span take_word(struct span *s, const char *stops) {
    struct span w = {s->p, s->p};
    while (s->p < s->end && strchr(stops, *s->p) == NULL) s->p++;
    w.end = s->p;
    while (w.end > w.p && is_blank(w.end[-1])) w.end--;
    return w;
}

/* ---- "form-data; name="file"; filename="a.wav"" ---- */

/* The next parameter; quotes go, escapes in them stay. False: there is none. */
static bool take_param(struct span *s, struct span *key, struct span *value) {
    skip_blanks(s);
    if (s->p == s->end || *s->p != ';') return false;
    s->p++;
    skip_blanks(s);
    *key = take_word(s, "=;");
    *value = (struct span){s->p, s->p};
    if (s->p == s->end || *s->p != '=') return true;
    s->p++;
    skip_blanks(s);
    if (s->p == s->end || *s->p != '"') {
        *value = take_word(s, ";");
        return true;
    }
    value->p = ++s->p;
    while (s->p < s->end && *s->p != '"') s->p += *s->p == '\\' && s->end - s->p > 1 ? 2 : 1;
    value->end = s->p;
    if (s->p < s->end) s->p++;
    return true;
}

enum status form_boundary(const char *content_type, char boundary[BOUNDARY_MAX + 1],
                          struct err *e) {
    const char *text = content_type == NULL ? "" : content_type;
    struct span s = {text, text + strlen(text)}, key, value;
    if (!same_word(take_word(&s, ";"), "multipart/form-data"))
        return err_set(e, ST_INVALID, "request Content-Type isn't multipart/form-data");
    while (take_param(&s, &key, &value)) {
        const size_t n = (size_t)(value.end - value.p);
        if (!same_word(key, "boundary") || n == 0 || n > BOUNDARY_MAX) continue;
        memcpy(boundary, value.p, n);
        boundary[n] = '\0';
        return ST_OK;
    }
    return err_set(e, ST_INVALID, "no multipart boundary param in Content-Type");
}

/* ---- parts ---- */

static enum status ended(struct err *e) {
    return err_set(e, ST_INVALID, "multipart: NextPart: EOF");
}

/* What follows a boundary decides whether it is one: the end of its line, or "--". */
enum after { AFTER_TEXT, AFTER_PART, AFTER_LAST };
static enum after look_after(struct span *s) {
    if (s->end - s->p >= 2 && s->p[0] == '-' && s->p[1] == '-') return AFTER_LAST;
    skip_blanks(s);
    if (s->p < s->end && *s->p == '\r') s->p++;
    if (s->p == s->end || *s->p != '\n') return AFTER_TEXT;
    s->p++;
    return AFTER_PART;
}

/* The next delimiter: *data_end is where the bytes before it end, s goes behind it. */
static enum after find_delimiter(struct span *s, const char *boundary, const char *begin,
                                 const char **data_end) {
    char mark[BOUNDARY_MAX + 3] = "--";
    const size_t n = strlen(boundary) + 2;
    memcpy(mark + 2, boundary, n - 1);
    while (s->p < s->end) {
        const char *at = memmem(s->p, (size_t)(s->end - s->p), mark, n);
        if (at == NULL) break;
        s->p = at + n;
        if (at > begin && at[-1] != '\n') continue; /* not at the beginning of a line */
        const enum after what = look_after(s);
        if (what == AFTER_TEXT) continue;
        if (at > begin) at--;
        if (at > begin && at[-1] == '\r') at--;
        *data_end = at;
        return what;
    }
    s->p = s->end;
    return AFTER_TEXT;
}

static void read_disposition(struct span s, struct form_part *part) {
    struct span key, value;
    if (!same_word(take_word(&s, ";"), "form-data")) return;
    while (take_param(&s, &key, &value)) {
        if (same_word(key, "filename") && value.end > value.p) part->file = true;
        if (!same_word(key, "name")) continue;
        part->name = value.p;
        part->name_len = (size_t)(value.end - value.p);
    }
}

/* Header lines up to the blank one; s goes behind it. */
static enum status read_head(struct span *s, struct form_part *part, struct err *e) {
    const char *begin = s->p;
    for (;;) {
        const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p));
        if (nl == NULL) return ended(e);
        struct span line = {s->p, nl > s->p && nl[-1] == '\r' ? nl - 1 : nl};
        s->p = nl + 1;
        if (line.p == line.end) return ST_OK;
        if (s->p - begin > PART_HEAD_MAX)
            return err_set(e, ST_INVALID, "multipart: message too large");
        struct span name = take_word(&line, ":");
        if (line.p == line.end)
            return err_set(e, ST_INVALID, "malformed MIME header line: %.*s",
                           (int)(name.end - name.p), name.p);
        line.p++;
        skip_blanks(&line);
        if (same_word(name, "Content-Disposition")) read_disposition(line, part);
    }
}

enum status form_read(struct form *f, const char *body, size_t len, const char *boundary,
                      struct err *e) {
    struct span s = {body, body + len};
    const char *end;
    f->n = 0;
    enum after what = find_delimiter(&s, boundary, body, &end);
    while (what == AFTER_PART) {
        struct form_part part = {.name = NULL};
        enum status st = read_head(&s, &part, e);
        if (st != ST_OK) return st;
        part.data = s.p;
        what = find_delimiter(&s, boundary, part.data, &end);
        if (what == AFTER_TEXT) return ended(e);
        part.len = (size_t)(end - part.data);
        if (part.name_len == 0) continue;
        if (f->n == FORM_PARTS) return err_set(e, ST_INVALID, "multipart: message too large");
        f->part[f->n++] = part;
    }
    return what == AFTER_LAST ? ST_OK : ended(e);
}

const struct form_part *form_find(const struct form *f, const char *name, bool file) {
    const size_t n = strlen(name);
    for (size_t i = 0; i < f->n; i++) {
        const struct form_part *p = &f->part[i];
        if (p->file == file && p->name_len == n && memcmp(p->name, name, n) == 0) return p;
    }
    return NULL;
}

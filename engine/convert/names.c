/* names.c - names of tensors: renaming, patterns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/convert/impl.h"

bool starts_with(const char *s, const char *start) { return strncmp(s, start, strlen(start)) == 0; }

bool ends_with(const char *s, const char *end) {
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}

static const char *keep(struct conversion *c, struct buf *b) {
    const char *copy = b->failed ? NULL : arena_strndup(&c->arena, b->data ? b->data : "", b->len);
    buf_free(b);
    if (copy == NULL) convert_fail(c, ST_NO_MEMORY, "out of memory");
    return copy != NULL ? copy : "";
}

/* From left to right; at each byte the first pair that matches here; what was written is never read
 * again. */
const char *names_rename(struct conversion *c, const struct rename *pairs, const char *name) {
    struct buf out = {0};
    while (*name != '\0') {
        const struct rename *r = pairs;
        while (r->old != NULL && !starts_with(name, r->old)) r++;
        if (r->old != NULL) {
            buf_str(&out, r->new);
            name += strlen(r->old);
        } else {
            buf_chr(&out, *name++);
        }
    }
    return keep(c, &out);
}

/* Patterns are ours and have two stars at most, so going back is cheap. */
static bool match(const char *p, const char *s, uint32_t num[2], unsigned n) {
    for (; *p != '\0'; p++) {
        if (*p == '*') {
            for (;; s++) {
                if (match(p + 1, s, num, n)) return true;
                if (*s == '\0') return false;
            }
        }
        if (*p == '#') {
            const size_t digits = strspn(s, "0123456789");
            if (digits == 0 || digits > 9 || n == 2) return false;
            num[n++] = (uint32_t)strtoul(s, NULL, 10);
            s += digits;
            continue;
        }
        if (*p != *s) return false;
        s++;
    }
    return *s == '\0';
}

bool names_match(const char *pattern, const char *name, uint32_t num[2]) {
    num[0] = num[1] = 0;
    return match(pattern, name, num, 0);
}

const char *names_fill(struct conversion *c, const char *pattern, const uint32_t num[2]) {
    struct buf out = {0};
    unsigned n = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '#')
            buf_printf(&out, "%u", num[n++ & 1]);
        else
            buf_chr(&out, *pattern);
    }
    return keep(c, &out);
}

const char *names_replace(struct conversion *c, const char *name, const char *what,
                          const char *with) {
    const char *at = strstr(name, what);
    if (at == NULL) return name;
    return convert_text(c, "%.*s%s%s", (int)(at - name), name, with, at + strlen(what));
}

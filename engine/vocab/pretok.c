/* pretok.c - see pretok.h: the table of names, walking through the levels, cleaning. */
#include "engine/vocab/pretok.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/vocab/pretok_split.h"

/* -- the table --------------------------------------------------------------------------------- */

#define COUNT(...) (sizeof((pretok_split *[]){__VA_ARGS__}) / sizeof(pretok_split *))
#define PRETOK_GROUP(name, ...)                                                                    \
    static const struct pretok_group group_##name = {COUNT(__VA_ARGS__), {__VA_ARGS__}};
#include "engine/vocab/pretok.def"

enum { /* the letters of the specification, for the table */
       I = PRE_WHOLE,
       B = PRE_ADD_BOS,
       S = PRE_ADD_SEP,
       N = PRE_NO_BOS,
       c = PRE_NO_CLEAN,
       E = PRE_SPACE,
       R = PRE_RAW,
       l = PRE_KEEP_CASE,
       Q = PRE_NEWLINES | PRE_FORCE_BOS
};
static const struct pretok table[] = {
#define PRETOK(name, group, flags) {name, &group_##group, flags},
#include "engine/vocab/pretok.def"
};

const struct pretok *pretok_find(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0) return &table[i];
    }
    return NULL;
}

/* -- cutting ----------------------------------------------------------------------------------- */

void pretok_start(struct pretok_iter *it, const struct pretok *pre, const char *text, size_t len) {
    it->group = pre->group;
    it->pos = text;
    it->end[0] = text + len;
    for (unsigned i = 1; i <= it->group->n; i++) it->end[i] = it->run[i].end = text;
}

bool pretok_next(struct pretok_iter *it, const char **piece, size_t *len) {
    const char *p = it->pos;
    if (p == it->end[0]) return false;
    unsigned level = it->group->n; /* the innermost piece that goes on at p */
    while (it->end[level] == p) level--;
    for (; level < it->group->n; level++) {
        it->end[level + 1] = it->group->split[level](p, it->end[level], &it->run[level + 1]);
        assert(it->end[level + 1] > p && it->end[level + 1] <= it->end[level]);
    }
    *piece = p;
    it->pos = it->end[level];
    *len = (size_t)(it->pos - p);
    return true;
}

/* Length of the longest prefix that decoding and encoding again leaves as it is. */
static size_t clean_prefix(const char *text, size_t len) {
    size_t i = 0;
    while (i < len) {
        uint32_t cp;
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        unsigned n = utf8_decode_lenient(text + i, len - i, &cp);
        unsigned shortest = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (n != shortest) break; /* a bad byte (1 for U+FFFD) or an overlong form */
        i += n;
    }
    return i;
}

bool pretok_clean(const char *text, size_t len, struct buf *copy, const char **out,
                  size_t *out_len) {
    size_t i = clean_prefix(text, len);
    *out = text;
    *out_len = len;
    if (i == len) return true;
    buf_clear(copy);
    buf_add(copy, text, i);
    while (i < len) {
        uint32_t cp;
        char utf8[4];
        i += utf8_decode_lenient(text + i, len - i, &cp);
        buf_add(copy, utf8, utf8_encode(cp, utf8));
    }
    *out = copy->data;
    *out_len = copy->len;
    return !copy->failed;
}

/* base64.c - see base64.h. */
#include "base/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *out, const void *data, size_t n) {
    const unsigned char *p = data;
    if (!buf_reserve(out, (n + 2) / 3 * 4)) return;
    char *to = out->data + out->len;
    for (size_t i = 0; i < n; i += 3) {
        const size_t have = n - i < 3 ? n - i : 3;
        uint32_t group = (uint32_t)p[i] << 16;
        if (have > 1) group |= (uint32_t)p[i + 1] << 8;
        if (have > 2) group |= p[i + 2];
        for (size_t k = 0; k < 4; k++) *to++ = k <= have ? digits[group >> (18 - 6 * k) & 63] : '=';
    }
    *to = '\0';
    out->len = (size_t)(to - out->data);
}

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The text behind its last whole group: `have` digits of one, then text[at] is '='. Tells how many
 * bytes those digits hold, or -1. */
static int padded_end(const char *text, size_t n, size_t at, unsigned have, size_t *bad) {
    unsigned pads = 0;
    for (size_t i = at; i < n; i++) {
        if (text[i] == '\n' || text[i] == '\r') continue;
        if (text[i] == '=' && have >= 2 && have + pads < 4) {
            pads++;
            continue;
        }
        *bad = have == 2 && pads == 1 ? i - 1 : i;
        return -1;
    }
    *bad = n;
    return have + pads == 4 ? (int)have - 1 : -1;
}

bool base64_get(struct buf *out, const char *text, size_t n, size_t *bad) {
    uint32_t group = 0;
    unsigned have = 0; /* digits of the group */
    const size_t before = out == NULL ? 0 : out->len;
    char *to = out != NULL && buf_reserve(out, n / 4 * 3 + 3) ? out->data + before : NULL;
    int rest = 0;
    for (size_t i = 0; i < n; i++) {
        const int value = value_of(text[i]);
        if (value < 0) {
            if (text[i] == '\n' || text[i] == '\r') continue;
            rest = padded_end(text, n, i, have, bad);
            break;
        }
        group = group << 6 | (uint32_t)value;
        if (++have < 4) continue;
        if (to != NULL) {
            *to++ = (char)(group >> 16);
            *to++ = (char)(group >> 8);
            *to++ = (char)group;
        }
        have = 0;
    }
    if (rest == 0 && have > 0) {
        *bad = n - have;
        rest = -1;
    }
    if (rest < 0) {
        if (to != NULL) buf_cut(out, before);
        return false;
    }
    if (to == NULL) return true;
    group <<= 6 * (4 - have); /* have is 0, 2 or 3 */
    for (int k = 0; k < rest; k++) *to++ = (char)(group >> (16 - 8 * k));
    *to = '\0';
    out->len = (size_t)(to - out->data);
    return true;
}

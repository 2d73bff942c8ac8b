/* tar.c - see tar.h. A header is a block of 512 bytes: name at 0 (100), mode at 100, size at 124
 * (12), mtime at 136, checksum at 148 (8), type at 156, magic at 257, prefix of the name at 345
 * (155). */
#include "store/tar.h"

#include <stdio.h>
#include <string.h>

enum {
    AT_MODE = 100,
    AT_OWNER = 108,
    AT_GROUP = 116,
    AT_SIZE = 124,
    AT_TIME = 136,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_PREFIX = 345,
    NAME = 100,
    PREFIX = 155,
};

/* ---- reading ---- */

static enum status broken(const struct tar_reader *r, const char *what, struct err *e) {
    return err_set(e, ST_FORMAT, "archive at byte %llu: %s", (unsigned long long)r->offset, what);
}

/* All of n bytes, or fewer at the end of the archive. */
static enum status fill(struct tar_reader *r, void *out, size_t n, size_t *got, struct err *e) {
    enum status st = ST_OK;
    for (*got = 0; *got < n && st == ST_OK;) {
        size_t some = 0;
        st = r->read(r->arg, (char *)out + *got, n - *got, &some, e);
        if (st == ST_OK && some == 0) break;
        *got += some;
        r->offset += some;
    }
    return st;
}

static enum status skip(struct tar_reader *r, uint64_t n, struct err *e) {
    char room[4096];
    while (n > 0) {
        size_t got, want = n < sizeof room ? (size_t)n : sizeof room;
        enum status st = fill(r, room, want, &got, e);
        if (st != ST_OK) return st;
        if (got < want) return broken(r, "it ends in the middle of a member", e);
        n -= got;
    }
    return ST_OK;
}

/* Octal digits between blanks and NULs, or GNU's binary form. */
static bool number(const unsigned char *p, size_t n, uint64_t *out) {
    *out = 0;
    if ((p[0] & 0x80) != 0) {
        if (p[0] != 0x80) return false; /* negative or above 2^88 */
        for (size_t i = 1; i < n; i++) {
            if (*out >> 56 != 0) return false;
            *out = *out << 8 | p[i];
        }
        return *out <= INT64_MAX;
    }
    size_t i = 0;
    while (i < n && p[i] == ' ') i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) *out = *out << 3 | (uint64_t)(p[i] - '0');
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != '\0') return false;
    return true;
}

static bool sum_fits(const unsigned char *block) {
    uint64_t told, sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++) sum += i >= AT_SUM && i < AT_SUM + 8 ? ' ' : block[i];
    return number(block + AT_SUM, 8, &told) && told == sum;
}

/* What comes in front of a member and changes it. */
struct extra {
    char path[TAR_PATH_MAX]; /* "": nothing */
    uint64_t size;
    bool has_size;
};

static bool set_path(char out[TAR_PATH_MAX], const char *text, size_t n) {
    if (n >= TAR_PATH_MAX || memchr(text, '\0', n) != NULL) return false;
    memcpy(out, text, n);
    out[n] = '\0';
    return true;
}

/* Records "LENGTH KEY=VALUE\n". */
static bool read_pax(const char *p, size_t n, struct extra *x) {
    while (n > 0) {
        size_t len = 0, digits = 0;
        while (digits < n && digits < 8 && p[digits] >= '0' && p[digits] <= '9')
            len = len * 10 + (size_t)(p[digits++] - '0');
        if (digits == 0 || len > n || len < digits + 3 || p[digits] != ' ' || p[len - 1] != '\n')
            return false;
        const char *key = p + digits + 1, *end = p + len - 1;
        const char *eq = memchr(key, '=', (size_t)(end - key));
        if (eq == NULL) return false;
        const size_t k = (size_t)(eq - key), v = (size_t)(end - eq - 1);
        if (k == 4 && memcmp(key, "path", 4) == 0 && !set_path(x->path, eq + 1, v)) return false;
        if (k == 4 && memcmp(key, "size", 4) == 0) {
            if (v == 0 || v > 18) return false;
            x->size = 0;
            x->has_size = true;
            for (const char *c = eq + 1; c < end; c++) {
                if (*c < '0' || *c > '9') return false;
                x->size = x->size * 10 + (uint64_t)(*c - '0');
            }
        }
        if (k > 11 && memcmp(key, "GNU.sparse.", 11) == 0) return false;
        p += len;
        n -= len;
    }
    return true;
}

static uint64_t padding(uint64_t size) { return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK; }

/* A member that tells of the next one: 'x' (pax), 'L' (long name). */
static enum status read_extra(struct tar_reader *r, char type, uint64_t size, struct extra *x,
                              struct err *e) {
    char text[TAR_EXTRA_MAX];
    size_t got;
    if (size > sizeof text) return broken(r, "a header of its own is too long", e);
    enum status st = fill(r, text, (size_t)size, &got, e);
    if (st == ST_OK && got < size) return broken(r, "it ends in the middle of a header", e);
    if (st == ST_OK) st = skip(r, padding(size), e);
    if (st != ST_OK) return st;
    bool ok = type == 'x' ? read_pax(text, got, x) : set_path(x->path, text, strnlen(text, got));
    return ok ? ST_OK : broken(r, "a header of its own cannot be read", e);
}

static void whole_name(const unsigned char *block, char out[TAR_PATH_MAX]) {
    const char *name = (const char *)block, *prefix = name + AT_PREFIX;
    const bool ustar = memcmp(block + AT_MAGIC, "ustar\0", 6) == 0; /* GNU: "ustar  " */
    const int n = (int)strnlen(prefix, PREFIX);
    if (ustar && n > 0)
        snprintf(out, TAR_PATH_MAX, "%.*s/%.*s", n, prefix, NAME, name);
    else
        snprintf(out, TAR_PATH_MAX, "%.*s", NAME, name);
}

static void plain_path(char *path) {
    size_t n = strlen(path), from = 0;
    while (path[from] == '.' && path[from + 1] == '/') from += 2;
    while (n > from && path[n - 1] == '/') n--;
    memmove(path, path + from, n - from);
    path[n - from] = '\0';
}

/* One header block; *again: it told of the next one. */
static enum status read_header(struct tar_reader *r, const unsigned char *block, struct extra *x,
                               struct tar_entry *out, bool *again, struct err *e) {
    const char type = (char)block[AT_TYPE];
    if (!sum_fits(block)) return broken(r, "no header where one should be", e);
    if (!number(block + AT_SIZE, 12, &out->size)) return broken(r, "bad size of a member", e);
    *again = type == 'x' || type == 'L' || type == 'g';
    if (type == 'g') return skip(r, out->size + padding(out->size), e);
    if (*again) return read_extra(r, type, out->size, x, e);
    whole_name(block, out->path);
    if (x->path[0] != '\0') memcpy(out->path, x->path, sizeof out->path);
    if (x->has_size) out->size = x->size;
    plain_path(out->path);
    out->folder = type == '5';
    if (type != '0' && type != '\0' && type != '7' && !out->folder)
        return err_set(e, ST_UNSUPPORTED, "archive: %.200s is a link or a device", out->path);
    r->left = out->folder ? 0 : out->size;
    r->pad = out->folder ? 0 : padding(out->size);
    return ST_OK;
}

static bool is_blank(const unsigned char *block) {
    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (block[i] != 0) return false;
    return true;
}

enum status tar_next(struct tar_reader *r, struct tar_entry *out, bool *end, struct err *e) {
    struct extra x = {.path = ""};
    unsigned char block[TAR_BLOCK];
    bool again = true;
    enum status st = skip(r, r->left + r->pad, e);
    *end = false;
    r->left = r->pad = 0;
    while (st == ST_OK && again) {
        size_t got;
        st = fill(r, block, sizeof block, &got, e);
        if (st != ST_OK) break;
        *end = got == 0 || (got == sizeof block && is_blank(block));
        if (*end) return ST_OK;
        if (got < sizeof block) return broken(r, "it ends in the middle of a header", e);
        st = read_header(r, block, &x, out, &again, e);
    }
    return st;
}

enum status tar_read(struct tar_reader *r, void *out, size_t n, size_t *got, struct err *e) {
    if (n > r->left) n = (size_t)r->left;
    enum status st = fill(r, out, n, got, e);
    if (st == ST_OK && *got < n) return broken(r, "it ends in the middle of a member", e);
    r->left -= *got;
    return st;
}

/* ---- writing ---- */

static void put_octal(unsigned char *p, size_t n, uint64_t v) {
    p[n - 1] = '\0';
    for (size_t i = n - 1; i-- > 0; v >>= 3) p[i] = (unsigned char)('0' + (v & 7));
}

static enum status put_block(tar_sink *sink, void *arg, const char *path, char type, uint64_t size,
                             struct err *e) {
    unsigned char block[TAR_BLOCK] = {0};
    uint64_t sum = 0;
    memcpy(block, path, strnlen(path, NAME));
    put_octal(block + AT_MODE, 8, 0644);
    put_octal(block + AT_OWNER, 8, 0);
    put_octal(block + AT_GROUP, 8, 0);
    put_octal(block + AT_SIZE, 12, size >> 33 == 0 ? size : 0); /* else pax tells it */
    put_octal(block + AT_TIME, 12, 0);
    block[AT_TYPE] = (unsigned char)type;
    memcpy(block + AT_MAGIC, "ustar\00000", 8);
    memset(block + AT_SUM, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++) sum += block[i];
    put_octal(block + AT_SUM, 7, sum);
    return sink(arg, block, sizeof block, e);
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static size_t pax_record(char *out, size_t room, const char *key, const char *value) {
    const size_t rest = strlen(key) + strlen(value) + 3;
    size_t len = rest + 1;
    for (size_t digits = 1, top = 10; len >= top; top *= 10) len = rest + ++digits;
    snprintf(out, room, "%zu %s=%s\n", len, key, value);
    return len;
}

enum status tar_put_pad(tar_sink *sink, void *arg, uint64_t size, struct err *e) {
    static const char zeros[TAR_BLOCK];
    const uint64_t n = padding(size);
    return n > 0 ? sink(arg, zeros, (size_t)n, e) : ST_OK;
}

enum status tar_put_file(tar_sink *sink, void *arg, const char *path, uint64_t size,
                         struct err *e) {
    char text[TAR_PATH_MAX + 128], digits[24];
    size_t n = 0;
    enum status st = ST_OK;
    if (strlen(path) >= TAR_PATH_MAX) return err_set(e, ST_INVALID, "path too long");
    if (strlen(path) > NAME) n += pax_record(text, sizeof text, "path", path);
    if (size >> 33 != 0) {
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)size);
        n += pax_record(text + n, sizeof text - n, "size", digits);
    }
    if (n > 0) {
        st = put_block(sink, arg, "pax", 'x', n, e);
        if (st == ST_OK) st = sink(arg, text, n, e);
        if (st == ST_OK) st = tar_put_pad(sink, arg, n, e);
    }
    return st == ST_OK ? put_block(sink, arg, path, '0', size, e) : st;
}

enum status tar_put_end(tar_sink *sink, void *arg, struct err *e) {
    static const char zeros[2 * TAR_BLOCK];
    return sink(arg, zeros, sizeof zeros, e);
}

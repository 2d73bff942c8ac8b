/* images.c - see images.h. The reference finds paths by the expression
 *     (?:[a-zA-Z]:)?(?:\./|/|\\)[\S\\ ]+?\.(?i:jpg|jpeg|png|webp|wav)\b
 * which is match_at() here. Where that is no file, the search goes on behind its first byte, not
 * behind its end, so that "this and/or ./a.png" finds the file; and a path that has more in front
 * of it, as "../a.png" or "dir/a.png", is tried from there first. */
#include "cli/images.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/os.h"

enum { MAX_FILE = 100 << 20, MAX_PATH = 4096 };

/* ---- paths in a text ---- */

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Bytes of a type's dot and letters at p, or 0. */
static size_t extension_at(const char *p) {
    static const char *const known[] = {".jpg", ".jpeg", ".png", ".webp", ".wav"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i]);
        if (strncasecmp(p, known[i], n) == 0 && !is_word(p[n])) return n;
    }
    return 0;
}

/* Length of the path that begins here, the shortest possible; 0: none does. */
static size_t match_at(const char *text) {
    const char *p = text;
    if (isalpha((unsigned char)p[0]) && p[1] == ':') p += 2;
    if (p[0] == '.' && p[1] == '/')
        p += 2;
    else if (*p == '/' || *p == '\\')
        p++;
    else
        return 0;
    if (*p == '\0') return 0;
    for (p++; *p != '\0' && p - text < MAX_PATH; p++) { /* a byte at least before the dot */
        const size_t n = extension_at(p);
        if (n > 0) return (size_t)(p - text) + n;
        if (isspace((unsigned char)p[-1]) && p[-1] != ' ') return 0;
    }
    return 0;
}

bool images_begin(const char *line) { return match_at(line) > 0; }

/* The path without its shell escapes: "\ " is a blank. */
static char *unescaped(const char *path, size_t n) {
    static const char escaped[] = " ()[]{}$&;'\"\\*?~`|<>#!";
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        if (path[i] == '\\' && i + 1 < n && strchr(escaped, path[i + 1]) != NULL) i++;
        buf_chr(&b, path[i]);
    }
    return buf_take(&b);
}

static bool is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

struct found {
    size_t at, n;
    char *path; /* owned */
};

/* The next path of a file at or behind `from`. */
static bool find(const char *text, size_t from, struct found *f) {
    size_t word = from; /* where the word around `at` begins */
    for (size_t at = from; text[at] != '\0'; at++) {
        const size_t n = match_at(text + at);
        for (int whole = 1; n > 0 && whole >= 0; whole--) {
            const size_t first = whole ? word : at;
            if (whole && word == at) continue;
            char *path = unescaped(text + first, at - first + n);
            if (path != NULL && is_file(path)) {
                *f = (struct found){first, at - first + n, path};
                return true;
            }
            mem_free(path);
        }
        if (isspace((unsigned char)text[at]) || strchr("'\"(<", text[at]) != NULL) word = at + 1;
    }
    return false;
}

/* ---- files ---- */

/* What the bytes are, in MIME's words. */
static const char *type_of(const char *data, size_t n) {
    static const struct {
        const char *magic, *inner; /* inner: 8 bytes behind the beginning */
        const char *type;
    } row[] = {{"\xFF\xD8\xFF", "", "image/jpeg"},
               {"\x89PNG\r\n\x1a\n", "", "image/png"},
               {"RIFF", "WEBP", "image/webp"},
               {"RIFF", "WAVE", "audio/wave"},
               {"GIF87a", "", "image/gif"},
               {"GIF89a", "", "image/gif"},
               {"BM", "", "image/bmp"},
               {"%PDF-", "", "application/pdf"},
               {"PK\x03\x04", "", "application/zip"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const size_t m = strlen(row[i].magic), k = strlen(row[i].inner);
        if (n >= m && memcmp(data, row[i].magic, m) == 0 &&
            (k == 0 || (n >= 8 + k && memcmp(data + 8, row[i].inner, k) == 0)))
            return row[i].type;
    }
    for (size_t i = 0; i < n && i < 512; i++) {
        const unsigned char c = (unsigned char)data[i];
        if (c < 32 && strchr("\t\n\r\f\x1b", (char)c) == NULL) return "application/octet-stream";
        if (c == 0) return "application/octet-stream";
    }
    return "text/plain; charset=utf-8";
}

static enum status add_file(const char *path, struct buf *list, struct err *e) {
    static const char *const allowed[] = {"image/jpeg", "image/png", "image/webp", "audio/wave"};
    char *data;
    size_t n;
    bool ok = false;
    enum status st = os_file_read(path, MAX_FILE, &data, &n, e);
    if (st == ST_LIMIT) return err_set(e, ST_LIMIT, "file size exceeds maximum limit (100MB)");
    if (st != ST_OK) return st;
    const char *type = type_of(data, n);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        ok = ok || strcmp(type, allowed[i]) == 0;
    if (ok) {
        buf_str(list, list->len > 0 ? ",\"" : "\"");
        base64_put(list, data, n);
        buf_chr(list, '"');
        fprintf(stderr, "Added %s '%s'\n", *type == 'a' ? "audio" : "image", path);
    } else {
        st = err_set(e, ST_INVALID, "invalid file type: %s", type);
    }
    mem_free(data);
    return st == ST_OK && list->failed ? err_no_memory(e) : st;
}

/* ---- all together ---- */

static void trim(struct buf *b) {
    size_t front = 0;
    while (b->len > 0 && isspace((unsigned char)b->data[b->len - 1])) buf_cut(b, b->len - 1);
    while (front < b->len && isspace((unsigned char)b->data[front])) front++;
    buf_drop(b, front);
}

enum status images_take(const struct session *s, struct buf *prompt, struct buf *list,
                        struct err *e) {
    struct buf rest = {0};
    struct found f;
    size_t from = 0;
    enum status st = ST_OK;
    if (prompt->len == 0 || (!session_can(s, "vision") && !session_can(s, "audio"))) return ST_OK;
    while (st == ST_OK && find(prompt->data, from, &f)) {
        const char before = f.at > from ? prompt->data[f.at - 1] : '\0';
        const bool quoted = (before == '\'' || before == '"') && prompt->data[f.at + f.n] == before;
        st = add_file(f.path, list, e);
        buf_add(&rest, prompt->data + from, f.at - from - (quoted ? 1 : 0));
        from = f.at + f.n + (quoted ? 1 : 0);
        mem_free(f.path);
    }
    if (st == ST_OK && list->len > 0) {
        buf_add(&rest, prompt->data + from, prompt->len - from);
        trim(&rest);
        buf_clear(prompt);
        buf_add(prompt, rest.data, rest.len);
    }
    if (st == ST_OK && (rest.failed || prompt->failed)) st = err_no_memory(e);
    buf_free(&rest);
    return st;
}

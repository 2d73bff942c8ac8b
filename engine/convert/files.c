/* files.c - the files of a model folder: found by name among those that were given, never by a path
 * of our own making. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

/* tokenizer.json of the largest vocabularies: 33 MB, two million values. */
static const struct json_limits folder_limits = {
    .max_bytes = (size_t)256 << 20, .max_nodes = 20u * 1000 * 1000, .max_depth = 64};

/* Its fields are looked up again and again. */
static const struct json_limits config_limits = {
    .max_bytes = (size_t)16 << 20, .max_nodes = 100000, .max_depth = 64};

static int by_name(const void *name, const void *file) {
    return strcmp(name, ((const struct convert_file *)file)->name);
}

const struct convert_file *files_find(const struct conversion *c, const char *name) {
    return c->n_files == 0 ? NULL : bsearch(name, c->files, c->n_files, sizeof *c->files, by_name);
}

/* What may stand before and behind a bare word (spec/safetensors.md 2); NUL: the text's ends. */
static bool may_precede(char ch) { return ch == '\0' || strchr(" \t\r\n:,[", ch) != NULL; }
static bool may_follow(char ch) { return ch == '\0' || strchr(" \t\r\n,]}", ch) != NULL; }

/* Length of a non-JSON number word at p (which ends with a NUL), 0 if there is none. */
static size_t word_at(const char *p) {
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const size_t n = strlen(words[i]);
        if (strncmp(p, words[i], n) == 0 && may_follow(p[n])) return n;
    }
    return 0;
}

/* Puts "0   " in the place of such words outside of strings. */
static void replace_words(char *text, size_t len) {
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && strchr("NI-", text[i]) != NULL && text[i] != '\0' &&
                 may_precede(i > 0 ? text[i - 1] : '\0')) {
            const size_t n = word_at(text + i);
            if (n == 0) continue;
            memset(text + i, ' ', n);
            text[i] = '0';
            i += n - 1;
        }
    }
}

bool files_map(struct conversion *c, const struct convert_file *f, struct os_map *map) {
    struct err e = {0};
    if (f->path == NULL) {
        os_map_borrow(map, f->data, f->size);
        return true;
    }
    if (os_map_open(map, f->path, &e) == ST_OK) return true;
    convert_fail(c, e.code, "%s: %s", f->name, e.msg);
    return false;
}

char *files_text(struct conversion *c, const struct convert_file *f, size_t max, size_t *len) {
    struct os_map map = {0};
    char *text = NULL;
    if (convert_failed(c) || !files_map(c, f, &map)) return NULL;
    if (map.size > max)
        convert_fail(c, ST_LIMIT, "%s: %zu bytes, more than %zu", f->name, map.size, max);
    else if ((text = mem_strndup((const char *)map.data, map.size)) == NULL)
        convert_fail(c, ST_NO_MEMORY, "out of memory");
    *len = map.size;
    os_map_close(&map);
    return text;
}

static json *read_json(struct conversion *c, const char *name, const struct json_limits *limits) {
    const struct convert_file *f = files_find(c, name);
    struct err e = {0};
    size_t len;
    char *text = f != NULL ? files_text(c, f, limits->max_bytes, &len) : NULL;
    if (text == NULL) return NULL;
    replace_words(text, len);
    json *root = json_parse(text, len, limits, NULL, &e);
    mem_free(text);
    if (root == NULL) convert_fail(c, e.code, "%s: %s", name, e.msg);
    return root;
}

json *files_json(struct conversion *c, const char *name) {
    return read_json(c, name, &folder_limits);
}

void files_open_config(struct conversion *c, const char *name) {
    if (files_find(c, name) == NULL)
        convert_fail(c, ST_INVALID, "open %s: file does not exist", name);
    c->config = read_json(c, name, &config_limits);
    c->text = c->config;
    if (c->config != NULL && json_kind(c->config) != JSON_OBJECT)
        convert_fail(c, ST_FORMAT, "%s: not an object", name);
}

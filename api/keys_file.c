/* keys_file.c - see keys.h: the JSON file of keys.
 *
 *     {"keys":[{"id":"1f00c2d4","name":"laptop","sha256":"...","scopes":["infer"],"created":1760000000,
 *               "expires":0,"requests_per_minute":0,"tokens_per_minute":0,"concurrent":0,"models":[]}]}
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/keys.h"
#include "base/config.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"

enum { FILE_MAX = 8 << 20, MODELS_MAX = 1024 };
static const struct json_limits limits = {
    .max_bytes = FILE_MAX, .max_nodes = 1 << 20, .max_depth = 8};

/* ---- reading ---- */

static bool unhex(const char *text, unsigned char out[DIGEST_BYTES]) {
    if (strlen(text) != DIGEST_HEX || strspn(text, "0123456789abcdef") != DIGEST_HEX) return false;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        const char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        out[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return true;
}

static bool read_text(const json *v, char *out, size_t size) {
    const char *text = json_string(v);
    if (text == NULL || strlen(text) >= size) return false;
    strcpy(out, text);
    return true;
}

/* Absent: 0. */
static bool read_count(const json *v, uint64_t max, uint64_t *out) {
    int64_t n = 0;
    if (v != NULL && (!json_int(v, &n) || n < 0 || (uint64_t)n > max)) return false;
    *out = (uint64_t)n;
    return true;
}

static bool read_scopes(const json *list, unsigned *out) {
    for (const json *m = json_first(list); m != NULL; m = json_next(m)) {
        const char *name = json_string(m);
        const unsigned bit = name != NULL ? scope_by_name(name) : 0;
        if (bit == 0) return false;
        *out |= bit;
    }
    return *out != 0;
}

static const char *read_models(const json *list, struct api_key *k) {
    if (list == NULL) return NULL;
    if (json_kind(list) != JSON_ARRAY || json_len(list) > MODELS_MAX) return "models";
    k->models = mem_zalloc(json_len(list) + 1, sizeof *k->models);
    if (k->models == NULL) return "models: out of memory";
    for (const json *m = json_first(list); m != NULL; m = json_next(m)) {
        const char *name = json_string(m);
        if (name == NULL || *name == '\0') return "models";
        if ((k->models[k->n_models] = mem_strdup(name)) == NULL) return "models: out of memory";
        k->n_models++;
    }
    return NULL;
}

/* NULL, or the member that is wrong. */
static const char *read_key(const json *v, struct api_key *k) {
    const char *hash = json_string(json_get(v, "sha256"));
    uint64_t created, expires, requests, tokens, concurrent;
    if (json_kind(v) != JSON_OBJECT) return "no object";
    if (!read_text(json_get(v, "id"), k->id, sizeof k->id) || *k->id == '\0') return "id";
    if (!read_text(json_get(v, "name"), k->name, sizeof k->name)) return "name";
    if (hash == NULL || !unhex(hash, k->sha256)) return "sha256";
    if (!read_scopes(json_get(v, "scopes"), &k->scopes)) return "scopes";
    if (!read_count(json_get(v, "created"), INT64_MAX, &created)) return "created";
    if (!read_count(json_get(v, "expires"), INT64_MAX, &expires)) return "expires";
    if (!read_count(json_get(v, "requests_per_minute"), UINT32_MAX, &requests))
        return "requests_per_minute";
    if (!read_count(json_get(v, "tokens_per_minute"), INT64_MAX, &tokens))
        return "tokens_per_minute";
    if (!read_count(json_get(v, "concurrent"), UINT32_MAX, &concurrent)) return "concurrent";
    k->created = (int64_t)created;
    k->expires = (int64_t)expires;
    k->limits = (struct key_limits){(uint32_t)requests, (uint32_t)concurrent, tokens};
    return read_models(json_get(v, "models"), k);
}

static enum status read_list(struct keyring *r, const json *list, struct err *e) {
    if (json_kind(list) != JSON_ARRAY) return err_set(e, ST_FORMAT, "keys: no list \"keys\"");
    if (json_len(list) > KEYS_MAX) return err_set(e, ST_LIMIT, "keys: more than %d", KEYS_MAX);
    r->keys = mem_zalloc(json_len(list) + 1, sizeof *r->keys);
    if (r->keys == NULL) return err_no_memory(e);
    for (const json *m = json_first(list); m != NULL; m = json_next(m)) {
        const char *wrong = read_key(m, &r->keys[r->n]);
        r->n++;
        if (wrong != NULL) return err_set(e, ST_FORMAT, "keys: entry %zu: %s", r->n, wrong);
        for (size_t i = 0; i + 1 < r->n; i++)
            if (strcmp(r->keys[i].id, r->keys[r->n - 1].id) == 0)
                return err_set(e, ST_FORMAT, "keys: entry %zu: id is not the only one", r->n);
    }
    return ST_OK;
}

enum status keyring_parse(struct keyring **out, const char *text, size_t len, struct err *e) {
    struct keyring *r = mem_zalloc(1, sizeof *r);
    struct err local = {.msg = ""};
    if (r == NULL) return err_no_memory(e);
    pthread_mutex_init(&r->mutex, NULL);
    r->refs = 1;
    json *root = json_parse(text, len, &limits, NULL, &local);
    enum status st = root == NULL ? err_set(e, ST_FORMAT, "keys: %s", local.msg)
                                  : read_list(r, json_get(root, "keys"), e);
    json_free(root);
    if (st != ST_OK) {
        keyring_free(r);
        return st;
    }
    *out = r;
    return ST_OK;
}

enum status keyring_read(struct keyring **out, const char *path, struct err *e) {
    static const char none[] = "{\"keys\":[]}";
    struct stat info;
    char *text;
    size_t size;
    if (stat(path, &info) != 0 && errno == ENOENT)
        return keyring_parse(out, none, sizeof none - 1, e);
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return err_set(e, ST_DENIED, "keys: others may write to %s: chmod go-w it", path);
    enum status st = os_file_read(path, FILE_MAX, &text, &size, e);
    if (st != ST_OK) return st;
    st = keyring_parse(out, text, size, e);
    mem_free(text);
    return st;
}

/* ---- writing ---- */

static void put_key(struct buf *b, const struct api_key *k) {
    char hash[DIGEST_HEX + 1];
    digest_hex(k->sha256, hash);
    buf_chr(b, '{');
    json_put_field(b, "id", k->id);
    json_put_field(b, "name", k->name);
    json_put_field(b, "sha256", hash);
    buf_str(b, ",\"scopes\":[");
    bool first = true;
    for (unsigned bit = 1; bit <= SCOPE_ADMIN; bit <<= 1) {
        if ((k->scopes & bit) == 0) continue;
        buf_str(b, first ? "\"" : ",\"");
        scopes_put(b, bit);
        buf_chr(b, '"');
        first = false;
    }
    buf_chr(b, ']');
    json_put_field_int(b, "created", k->created);
    json_put_field_int(b, "expires", k->expires);
    json_put_field_int(b, "requests_per_minute", k->limits.requests_per_minute);
    json_put_field_int(b, "tokens_per_minute", (int64_t)k->limits.tokens_per_minute);
    json_put_field_int(b, "concurrent", k->limits.concurrent);
    buf_str(b, ",\"models\":[");
    for (size_t i = 0; i < k->n_models; i++) {
        if (i > 0) buf_chr(b, ',');
        json_put_string(b, k->models[i], strlen(k->models[i]));
    }
    buf_str(b, "]}");
}

/* r without key number `without`, and with `more`, if there is one. */
static enum status write_file(const char *path, const struct keyring *r, size_t without,
                              const struct api_key *more, struct err *e) {
    struct buf b = {0};
    buf_str(&b, "{\"keys\":[");
    bool first = true;
    for (size_t i = 0; i <= r->n; i++) {
        const struct api_key *k = i < r->n ? &r->keys[i] : more;
        if (i == without || k == NULL) continue;
        buf_str(&b, first ? "\n" : ",\n");
        first = false;
        put_key(&b, k);
    }
    buf_str(&b, "\n]}\n");
    char *slash = strrchr(path, '/'), *folder = slash != NULL && slash != path
                                                    ? mem_strndup(path, (size_t)(slash - path))
                                                    : mem_strdup(".");
    enum status st = b.failed || folder == NULL ? err_no_memory(e) : os_mkdirs(folder, e);
    if (st == ST_OK) st = os_file_write_atomic(path, b.data, b.len, e);
    if (st == ST_OK && chmod(path, S_IRUSR | S_IWUSR) != 0) st = os_fail(e, "chmod", path);
    mem_free(folder);
    buf_free(&b);
    return st;
}

static void hex(const unsigned char *in, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) sprintf(out + 2 * i, "%02x", in[i]);
}

/* The id is random, too: nothing of the key can be told from it. */
static enum status make_key(struct api_key *k, char text[KEY_TEXT + 1], struct err *e) {
    unsigned char random[32], id[4];
    enum status st = os_random(random, sizeof random, e);
    if (st == ST_OK) st = os_random(id, sizeof id, e);
    struct digest *d = st == ST_OK ? digest_new() : NULL;
    if (d == NULL) return st != ST_OK ? st : err_no_memory(e);
    memcpy(text, "cria_", 5);
    hex(random, sizeof random, text + 5);
    hex(id, sizeof id, k->id);
    OPENSSL_cleanse(random, sizeof random);
    digest_update(d, text, KEY_TEXT);
    digest_finish(d, k->sha256);
    return ST_OK;
}

enum status keys_add(const char *path, struct api_key *k, char text[KEY_TEXT + 1], struct err *e) {
    struct keyring *r;
    enum status st = keyring_read(&r, path, e);
    if (st != ST_OK) return st;
    if (r->n >= KEYS_MAX) st = err_set(e, ST_LIMIT, "keys: %d is the most there can be", KEYS_MAX);
    if (st == ST_OK) st = make_key(k, text, e);
    k->created = os_time_unix_ns() / 1000000000;
    if (st == ST_OK) st = write_file(path, r, r->n + 1, k, e);
    keyring_free(r);
    return st;
}

enum status keys_remove(const char *path, const char *id, struct err *e) {
    struct keyring *r;
    enum status st = keyring_read(&r, path, e);
    size_t by_id, n_named = 0, named = 0;
    if (st != ST_OK) return st;
    for (by_id = 0; by_id < r->n && strcmp(r->keys[by_id].id, id) != 0; by_id++)
        if (strcmp(r->keys[by_id].name, id) == 0) n_named++, named = by_id;
    if (by_id < r->n)
        st = write_file(path, r, by_id, NULL, e);
    else if (n_named == 1)
        st = write_file(path, r, named, NULL, e);
    else
        st = err_set(e, ST_NOT_FOUND,
                     n_named == 0 ? "key '%s' not found" : "several keys have the name '%s'", id);
    keyring_free(r);
    return st;
}

char *keys_path(void) {
    const char *given = config_text(SET_keys), *xdg = getenv("XDG_CONFIG_HOME"),
               *home = getenv("HOME");
    struct buf b = {0};
    if (given != NULL && *given != '\0')
        buf_str(&b, given);
    else if (xdg != NULL && *xdg == '/')
        buf_printf(&b, "%s/cria/keys.json", xdg);
    else if (home != NULL && *home != '\0')
        buf_printf(&b, "%s/.config/cria/keys.json", home);
    else
        return NULL;
    return buf_take(&b);
}

/* cmd_key.c - makes, lists and removes API keys, in the file that the server of this user reads. No
 * server is asked: who may write the file may have keys. */
#include <openssl/crypto.h>
#include <string.h>

#include "api/keys.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/table.h"

enum { DAY_SECONDS = 86400, MAX_DAYS = 36500 };

static enum status read_scopes(const struct args *a, unsigned *out, struct err *e) {
    const char *name;
    *out = 0;
    for (size_t i = 0; (name = args_nth(a, "scope", i)) != NULL; i++) {
        const unsigned bit = scope_by_name(name);
        if (bit == 0)
            return err_set(
                e, ST_INVALID,
                "there is no scope '%s': infer, manage, metrics, admin are the ones there "
                "are",
                name);
        *out |= bit;
    }
    if (*out == 0) *out = SCOPE_INFER;
    return ST_OK;
}

static enum status read_number(const struct args *a, const char *name, int64_t max, int64_t *out,
                               struct err *e) {
    *out = args_int(a, name, 0);
    if (*out >= 0 && *out <= max) return ST_OK;
    return err_set(e, ST_INVALID, "--%s: 0 to %lld", name, (long long)max);
}

/* Names as `cria list` shows them. */
static enum status read_models(const struct args *a, struct api_key *k, struct err *e) {
    const char *name;
    for (size_t i = 0; (name = args_nth(a, "model", i)) != NULL; i++) {
        struct buf full = {0};
        const char *slash = strrchr(name, '/'), *part = slash != NULL ? slash : name;
        buf_printf(&full, strchr(part, ':') != NULL ? "%s" : "%s:latest", name);
        char **grown = mem_grow(k->models, k->n_models + 1, sizeof *grown);
        if (grown == NULL || full.failed) {
            buf_free(&full);
            return err_no_memory(e);
        }
        k->models = grown;
        k->models[k->n_models++] = buf_take(&full);
    }
    return ST_OK;
}

static enum status add(const struct args *a, const char *path, struct err *e) {
    struct api_key k = {.id = ""};
    char text[KEY_TEXT + 1];
    int64_t days, requests, tokens, concurrent;
    const char *name = a->n_words > 1 ? a->words[1] : "";
    enum status st = read_scopes(a, &k.scopes, e);
    if (st == ST_OK && strlen(name) > KEY_NAME_MAX)
        st = err_set(e, ST_INVALID, "a name has %d bytes at most", KEY_NAME_MAX);
    if (st == ST_OK) st = read_number(a, "days", MAX_DAYS, &days, e);
    if (st == ST_OK) st = read_number(a, "requests", UINT32_MAX, &requests, e);
    if (st == ST_OK) st = read_number(a, "tokens", INT64_MAX, &tokens, e);
    if (st == ST_OK) st = read_number(a, "concurrent", UINT32_MAX, &concurrent, e);
    if (st == ST_OK) st = read_models(a, &k, e);
    if (st == ST_OK) {
        strcpy(k.name, name);
        k.limits = (struct key_limits){(uint32_t)requests, (uint32_t)concurrent, (uint64_t)tokens};
        if (days > 0) k.expires = os_time_unix_ns() / 1000000000 + days * DAY_SECONDS;
        st = keys_add(path, &k, text, e);
    }
    if (st == ST_OK) {
        struct buf out = {0};
        buf_printf(&out, "%s\n", text);
        st = cli_put(&out, e);
        OPENSSL_cleanse(text, sizeof text);
    }
    for (size_t i = 0; i < k.n_models; i++) mem_free(k.models[i]);
    mem_free(k.models);
    return st;
}

static void put_row(struct table *t, const struct api_key *k, int64_t now) {
    struct buf text = {0};
    table_row(t);
    table_cell(t, k->id);
    table_cell(t, k->name);
    scopes_put(&text, k->scopes);
    table_cell_buf(t, &text);
    for (size_t i = 0; i < k->n_models; i++) buf_printf(&text, i == 0 ? "%s" : ",%s", k->models[i]);
    if (k->n_models == 0) buf_str(&text, "all");
    table_cell_buf(t, &text);
    format_span(&text, (double)(now - k->created));
    buf_str(&text, " ago");
    table_cell_buf(t, &text);
    if (k->expires == 0) {
        buf_str(&text, "Never");
    } else if (k->expires <= now) {
        buf_str(&text, "Expired");
    } else {
        format_span(&text, (double)(k->expires - now));
        buf_str(&text, " from now");
    }
    table_cell_buf(t, &text);
    buf_free(&text);
}

static enum status list(const char *path, struct err *e) {
    static const char *const header[] = {"ID", "NAME", "SCOPES", "MODELS", "CREATED", "EXPIRES"};
    struct keyring *r;
    struct table t = {0};
    struct buf out = {0};
    enum status st = keyring_read(&r, path, e);
    if (st != ST_OK) return st;
    table_row(&t);
    for (size_t i = 0; i < sizeof header / sizeof *header; i++) table_cell(&t, header[i]);
    for (size_t i = 0; i < r->n; i++) put_row(&t, &r->keys[i], os_time_unix_ns() / 1000000000);
    table_print(&out, &t, "", true);
    keyring_free(r);
    st = t.failed ? err_no_memory(e) : ST_OK;
    table_free(&t);
    if (st == ST_OK) return cli_put(&out, e);
    buf_free(&out);
    return st;
}

enum status cmd_key(const struct args *a, struct err *e) {
    const char *what = a->words[0];
    char *path = keys_path();
    enum status st;
    if (path == NULL)
        st =
            err_set(e, ST_INVALID, "there is no place for keys: neither CRIA_KEYS nor HOME is set");
    else if (strcmp(what, "add") == 0)
        st = add(a, path, e);
    else if (strcmp(what, "list") == 0 || strcmp(what, "ls") == 0)
        st = list(path, e);
    else if (strcmp(what, "rm") == 0 && a->n_words == 2)
        st = keys_remove(path, a->words[1], e);
    else
        st = err_set(e, ST_INVALID, "key add [NAME], key list or key rm NAME|ID");
    mem_free(path);
    return st;
}

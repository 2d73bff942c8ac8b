/* check_store.c - names and signatures (README of golden/store); every comparison is exact. What a
 * registry is asked is tested with real registries: conformance/test_registry.py. */
#include <stdlib.h>
#include <string.h>

#include "golden/check.h"
#include "store/name.h"
#include "store/registry/key.h"

static void same(struct check *c, const char *where, const char *what, const char *got,
                 const char *want) {
    check_that(c, strcmp(got, want) == 0, where, "%s: '%s', expected '%s'", what, got, want);
}

/* ---- names.jsonl ---- */

static void check_reference(struct check *c, const json *row, const char *input,
                            const char *where) {
    static const char *const source_text[] = {"", "local", "cloud"};
    struct buf base = {0}, pull = {0};
    struct err e = {0};
    enum name_source source = NAME_SOURCE_NONE;
    const enum status st = name_split_source(input, &base, &source, &e);
    if (json_get(row, "ref_error") != NULL) {
        check_that(c, st == ST_INVALID, where, "accepted");
        same(c, where, "error", e.msg, check_string(row, "ref_error"));
    } else if (check_that(c, st == ST_OK, where, "refused: %s", e.msg)) {
        same(c, where, "ref_base", base.data != NULL ? base.data : "",
             check_string(row, "ref_base"));
        same(c, where, "ref_source", source_text[source], check_string(row, "ref_source"));
    }
    if (json_get(row, "pull_name") != NULL && name_pull_text(input, &pull, &e) == ST_OK)
        same(c, where, "pull_name", pull.data != NULL ? pull.data : "",
             check_string(row, "pull_name"));
    buf_free(&base);
    buf_free(&pull);
}

static void check_parse(struct check *c, const json *row, const char *input, size_t len,
                        const char *where) {
    struct model_name n, again;
    char text[NAME_TEXT_MAX];
    bool want = false;
    json_bool(json_get(row, "valid"), &want);
    const bool valid = name_parse_n(&n, input, len);
    check_that(c, valid == want, where, "'%s' counts as %s", input, valid ? "valid" : "invalid");
    if (strlen(input) != len) return; /* a NUL: our texts cannot show it */
    same(c, where, "host", n.host, check_string(row, "host"));
    same(c, where, "namespace", n.namespace, check_string(row, "namespace"));
    same(c, where, "model", n.model, check_string(row, "model"));
    same(c, where, "tag", n.tag, check_string(row, "tag"));
    same(c, where, "scheme", n.scheme, check_string(row, "scheme"));
    name_full(&n, text);
    same(c, where, "string", text, check_string(row, "string"));
    name_shortest(&n, text);
    same(c, where, "display_shortest", text, check_string(row, "display_shortest"));
    if (!valid || !want) return;
    name_path(&n, text);
    same(c, where, "filepath", text, check_string(row, "filepath"));
    check_that(c, name_from_path(&again, text) && name_equal(&n, &again), where, "path back");
}

static void check_name(struct check *c, const json *row, const char *where) {
    bool ref_only = false;
    size_t len = 0;
    const char *input = json_string_n(json_get(row, "input"), &len);
    if (!check_that(c, input != NULL, where, "no input")) return;
    json_bool(json_get(row, "ref_only"), &ref_only);
    if (strlen(input) == len) check_reference(c, row, input, where);
    if (!ref_only) check_parse(c, row, input, len, where);
}

/* ---- signature.json ---- */

static bool read_seed(const char *hex, unsigned char seed[KEY_SEED]) {
    if (strlen(hex) != 2 * KEY_SEED) return false;
    for (int i = 0; i < KEY_SEED; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        char *end;
        seed[i] = (unsigned char)strtoul(digits, &end, 16);
        if (*end != '\0') return false;
    }
    return true;
}

static void check_signature(struct check *c, const char *dir) {
    unsigned char seed[KEY_SEED];
    struct key key;
    struct buf line = {0}, signature = {0};
    struct err e = {0};
    json *v =
        check_exists(dir, "signature.json") ? check_read_json(c, dir, "signature.json") : NULL;
    if (v == NULL) return;
    if (check_that(c, read_seed(check_string(v, "seed_hex"), seed), "signature", "bad seed") &&
        check_that(c, key_from_seed(&key, seed, &e) == ST_OK, "signature", "%s", e.msg) &&
        check_that(c, key_sign(&key, check_string(v, "signed_string"), &signature, &e) == ST_OK,
                   "signature", "%s", e.msg)) {
        key_public_line(&key, &line);
        buf_chr(&line, '\n');
        same(c, "signature", "public key", line.data, check_string(v, "authorized_key"));
        same(c, "signature", "header", signature.data, check_string(v, "authorization_header"));
    }
    buf_free(&line);
    buf_free(&signature);
    json_free(v);
}

void check_store(struct check *c, const char *dir) {
    check_rows(c, dir, "names.jsonl", check_name);
    check_signature(c, dir);
    if (check_exists(dir, "registry_exchange.jsonl"))
        check_skip(c, "store/registry_exchange.jsonl",
                   "exchanges with a registry are conformance/test_registry.py's");
}

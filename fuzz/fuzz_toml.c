/* fuzz_toml.c - the TOML reader: what it gives back is well formed, and reading again what was
 * accepted gives the same. */
#include <string.h>

#include "base/toml.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"

static void check_value(const struct toml_value *v) {
    must(v->line > 0 && v->column > 0);
    if (v->kind == TOML_STRING) must(v->text != NULL && utf8_valid(v->text, strlen(v->text)));
    for (size_t i = 0; i < v->n; i++) {
        must(v->kind == TOML_ARRAY && v->items[i].kind < TOML_ARRAY);
        check_value(&v->items[i]); /* once: items are never arrays */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct toml t, again;
    struct err e = {0};
    const enum status st = toml_parse(&t, (const char *)data, size, &e);
    must(st == ST_OK || (*e.msg != '\0' && t.entries == NULL));
    if (st != ST_OK) return 0;
    must(toml_parse(&again, (const char *)data, size, NULL) == ST_OK && again.n == t.n);
    for (size_t i = 0; i < t.n; i++) {
        const struct toml_entry *a = &t.entries[i];
        must(*a->key != '\0' && strlen(a->key) <= TOML_MAX_KEY);
        must(strcmp(a->key, again.entries[i].key) == 0 && a->line == again.entries[i].line);
        check_value(&a->value);
        for (size_t k = 0; k < i && i < 50; k++) /* a table may be opened behind its children */
            must(strcmp(a->key, t.entries[k].key) != 0);
    }
    toml_free(&t);
    toml_free(&again);
    return 0;
}

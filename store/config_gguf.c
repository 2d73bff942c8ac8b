/* config_gguf.c - what a config says about a GGUF: family, number of parameters, file type. */
#include <stdio.h>
#include <string.h>

#include "engine/file/gguf.h"
#include "store/store_impl.h"

/* 32K, 212K, 268.10M, 8.0B, 1.0T: as the reference's config blobs have it. */
static void put_count(char out[32], uint64_t n) {
    double v = (double)n;
    if (n >= 1000000000000u)
        snprintf(out, 32, "%.1fT", v / 1e12);
    else if (n >= 1000000000u)
        snprintf(out, 32, "%.1fB", v / 1e9);
    else if (n >= 1000000u)
        snprintf(out, 32, "%.2fM", v / 1e6);
    else if (n >= 1000u)
        snprintf(out, 32, "%.0fK", v / 1e3);
    else
        snprintf(out, 32, "%llu", (unsigned long long)n);
}

static enum status put_if_empty(const char **field, const char *text, size_t len, struct arena *a,
                                struct err *e) {
    if ((*field)[0] != '\0') return ST_OK;
    const char *copy = arena_strndup(a, text, len);
    if (copy == NULL) return err_no_memory(e);
    *field = copy;
    return ST_OK;
}

enum status config_add_family(struct store_config *c, const char *family, struct arena *a,
                              struct err *e) {
    for (size_t i = 0; i < c->n_model_families; i++)
        if (strcmp(c->model_families[i], family) == 0) return ST_OK;
    const char **grown = arena_zalloc(a, c->n_model_families + 1, sizeof *grown);
    if (grown == NULL) return err_no_memory(e);
    for (size_t i = 0; i < c->n_model_families; i++) grown[i] = c->model_families[i];
    grown[c->n_model_families++] = family;
    c->model_families = grown;
    return ST_OK;
}

enum status config_from_gguf(struct store_config *c, const struct gguf *g, struct arena *a,
                             struct err *e) {
    struct gguf_str arch = {.ptr = "unknown", .len = 7};
    char count[32];
    gguf_get_str(g, "general.architecture", &arch, NULL);
    const char *family = arena_strndup(a, arch.ptr, arch.len);
    if (family == NULL) return err_no_memory(e);
    put_count(count, gguf_parameter_count(g));
    const char *type = gguf_file_type_name(g);
    enum status st = put_if_empty(&c->model_format, "gguf", 4, a, e);
    if (st == ST_OK) st = put_if_empty(&c->model_family, family, strlen(family), a, e);
    if (st == ST_OK) st = put_if_empty(&c->model_type, count, strlen(count), a, e);
    if (st == ST_OK) st = put_if_empty(&c->file_type, type, strlen(type), a, e);
    if (st == ST_OK) st = config_add_family(c, family, a, e);
    return st;
}

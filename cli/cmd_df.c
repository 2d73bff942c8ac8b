/* cmd_df.c - how full the store is: the sums, and the models by the time of their last use. */
#include <stdio.h>

#include "base/json.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/table.h"
#include "store/upkeep.h"

static void put_sum(struct table *t, const char *what, uint64_t n, uint64_t bytes) {
    struct buf text = {0};
    table_row(t);
    table_cell(t, what);
    buf_printf(&text, "%llu", (unsigned long long)n);
    table_cell_buf(t, &text);
    format_bytes(&text, bytes);
    table_cell_buf(t, &text);
    buf_free(&text);
}

static void put_model(struct table *t, const struct store_usage_model *m) {
    struct buf text = {0};
    char shown[NAME_TEXT_MAX];
    table_row(t);
    name_shortest(&m->name, shown);
    table_cell(t, shown);
    format_bytes(&text, m->own);
    table_cell_buf(t, &text);
    format_bytes(&text, m->shared);
    table_cell_buf(t, &text);
    format_span(&text, (double)(os_time_unix_ns() - m->used_ns) / 1e9);
    buf_str(&text, " ago");
    table_cell_buf(t, &text);
    buf_free(&text);
}

static void put_tables(struct buf *out, const struct store_usage *u) {
    struct table sums = {0}, models = {0};
    table_row(&sums);
    for (size_t i = 0; i < 3; i++) table_cell(&sums, (const char *[]){"KIND", "COUNT", "SIZE"}[i]);
    put_sum(&sums, "blobs of models", u->n_named, u->named);
    put_sum(&sums, "blobs nobody names", u->n_unnamed, u->unnamed);
    put_sum(&sums, "downloads begun", u->n_partial, u->partial);
    put_sum(&sums, "other files", u->n_other, u->other);
    table_print(out, &sums, "", true);
    buf_str(out, "\nstore ");
    format_bytes(out, u->total);
    if (u->quota > 0) buf_str(out, ", quota ");
    if (u->quota > 0) format_bytes(out, u->quota);
    buf_str(out, ", disk ");
    format_bytes(out, u->disk_size);
    buf_str(out, ", free ");
    format_bytes(out, u->disk_free);
    buf_str(out, "\n");
    if (u->n_models > 0) {
        buf_str(out, "\n");
        table_row(&models);
        for (size_t i = 0; i < 4; i++)
            table_cell(&models, (const char *[]){"MODEL", "OWN", "SHARED", "USED"}[i]);
        for (size_t i = 0; i < u->n_models; i++) put_model(&models, &u->models[i]);
        table_print(out, &models, "", true);
    }
    table_free(&sums);
    table_free(&models);
}

static void put_json(struct buf *b, const struct store_usage *u) {
    const struct {
        const char *key;
        uint64_t value;
    } field[] = {
        {"total", u->total},         {"named", u->named},         {"unnamed", u->unnamed},
        {"partial", u->partial},     {"other", u->other},         {"n_named", u->n_named},
        {"n_unnamed", u->n_unnamed}, {"n_partial", u->n_partial}, {"n_other", u->n_other},
        {"quota", u->quota},         {"disk_size", u->disk_size}, {"disk_free", u->disk_free}};
    buf_chr(b, '{');
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        json_put_field_int(b, field[i].key, (int64_t)field[i].value);
    json_put_key(b, "models");
    buf_chr(b, '[');
    for (size_t i = 0; i < u->n_models; i++) {
        char shown[NAME_TEXT_MAX], when[48];
        name_shortest(&u->models[i].name, shown);
        os_time_rfc3339(u->models[i].used_ns, true, when);
        buf_str(b, i > 0 ? ",{" : "{");
        json_put_field(b, "name", shown);
        json_put_field_int(b, "own", (int64_t)u->models[i].own);
        json_put_field_int(b, "shared", (int64_t)u->models[i].shared);
        json_put_field(b, "used_at", when);
        buf_chr(b, '}');
    }
    buf_str(b, "]}\n");
}

enum status cmd_df(const struct args *a, struct err *e) {
    struct store *s = NULL;
    struct store_usage u = {0};
    struct buf out = {0};
    enum status st = store_open(&s, NULL, e);
    if (st == ST_OK) st = store_usage(s, &u, e);
    if (st == ST_OK) {
        if (args_bool(a, "json"))
            put_json(&out, &u);
        else
            put_tables(&out, &u);
        st = cli_put(&out, e);
    }
    store_usage_free(&u);
    store_close(s);
    return st;
}

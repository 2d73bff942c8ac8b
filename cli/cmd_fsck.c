/* cmd_fsck.c - checks the store; works on the folder itself, with or without a server. */
#include <stdio.h>

#include "base/json.h"
#include "cli/cli.h"
#include "store/upkeep.h"

struct output {
    struct buf list; /* JSON */
    bool json, verbose;
};

static void put_finding(void *arg, const struct store_finding *f) {
    struct output *o = arg;
    if (!o->json) {
        if (!f->damage && !o->verbose) return;
        printf("%s %s: %s\n", f->damage ? "damage" : "left over", f->subject, f->text);
        return;
    }
    buf_str(&o->list, o->list.len > 0 ? ",{" : "{");
    json_put_field(&o->list, "code", f->code);
    json_put_field(&o->list, "subject", f->subject);
    json_put_field(&o->list, "text", f->text);
    json_put_field_bool(&o->list, "damage", f->damage);
    json_put_field_bool(&o->list, "repaired", f->repaired);
    buf_chr(&o->list, '}');
}

static void put_totals(struct buf *b, const struct store_fsck *f, const struct output *o) {
    buf_chr(b, '{');
    json_put_field_int(b, "models", (int64_t)f->n_models);
    json_put_field_int(b, "blobs", (int64_t)f->n_blobs);
    json_put_field_int(b, "damaged", (int64_t)f->n_damaged);
    json_put_field_int(b, "repaired", (int64_t)f->n_repaired);
    json_put_field_int(b, "left_over", (int64_t)f->n_left_over);
    json_put_key(b, "findings");
    buf_printf(b, "[%s]}\n", o->list.data != NULL ? o->list.data : "");
    b->failed = b->failed || o->list.failed;
}

enum status cmd_fsck(const struct args *a, struct err *e) {
    struct store *s = NULL;
    struct buf out = {0};
    struct output o = {.json = args_bool(a, "json"), .verbose = args_bool(a, "verbose")};
    struct store_fsck f = {.repair = args_bool(a, "repair"),
                           .hash = !args_bool(a, "fast"),
                           .found = put_finding,
                           .arg = &o};
    enum status st = store_open(&s, NULL, e);
    if (st == ST_OK) st = store_fsck(s, &f, e);
    if (st == ST_OK && o.json) put_totals(&out, &f, &o);
    if (st == ST_OK && !o.json)
        buf_printf(&out, "%llu models, %llu blobs: %llu damaged, %llu repaired, %llu left over\n",
                   (unsigned long long)f.n_models, (unsigned long long)f.n_blobs,
                   (unsigned long long)f.n_damaged, (unsigned long long)f.n_repaired,
                   (unsigned long long)f.n_left_over);
    if (st == ST_OK) st = cli_put(&out, e);
    if (st == ST_OK && f.n_damaged > f.n_repaired)
        st = err_set(e, ST_FORMAT, "the store %s is damaged", store_dir(s));
    buf_free(&out);
    buf_free(&o.list);
    store_close(s);
    return st;
}

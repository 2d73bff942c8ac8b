/* cmd_prune.c - removes what no model needs; also while servers use the store. */
#include <stdio.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "store/upkeep.h"

struct output {
    struct buf list; /* JSON */
    bool json;
};

static void put_removed(void *arg, const char *file, uint64_t size) {
    struct output *o = arg;
    if (!o->json) {
        printf("%s\n", file);
        return;
    }
    buf_str(&o->list, o->list.len > 0 ? ",{" : "{");
    json_put_field(&o->list, "file", file);
    json_put_field_int(&o->list, "size", (int64_t)size);
    buf_chr(&o->list, '}');
}

enum status cmd_prune(const struct args *a, struct err *e) {
    struct store *s = NULL;
    struct output o = {.json = args_bool(a, "json")};
    struct buf out = {0};
    struct store_prune p = {.dry_run = args_bool(a, "dry-run"),
                            .all = args_bool(a, "all"),
                            .removed = put_removed,
                            .arg = &o};
    enum status st = store_open(&s, NULL, e);
    if (st == ST_OK) st = store_prune_now(s, &p, e);
    if (st == ST_OK && o.json) {
        buf_chr(&out, '{');
        json_put_field_int(&out, "removed", (int64_t)p.n_removed);
        json_put_field_int(&out, "bytes", (int64_t)p.bytes);
        json_put_field_bool(&out, "dry_run", p.dry_run);
        json_put_key(&out, "files");
        buf_printf(&out, "[%s]}\n", o.list.data != NULL ? o.list.data : "");
    } else if (st == ST_OK) {
        buf_printf(&out, "%s%llu files, ", p.dry_run ? "would remove " : "removed ",
                   (unsigned long long)p.n_removed);
        format_bytes(&out, p.bytes);
        buf_chr(&out, '\n');
    }
    if (st == ST_OK) st = cli_put(&out, e);
    buf_free(&out);
    buf_free(&o.list);
    store_close(s);
    return st;
}

/* cmd_alias.c - names that stand for other names: lists them, sets one, removes one. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "store/store.h"

struct output {
    struct table table;
    struct buf json;
};

static void put(void *arg, const struct model_name *alias, const struct model_name *target) {
    struct output *o = arg;
    char left[NAME_TEXT_MAX], right[NAME_TEXT_MAX];
    name_shortest(alias, left);
    name_shortest(target, right);
    table_row(&o->table);
    table_cell(&o->table, left);
    table_cell(&o->table, right);
    buf_str(&o->json, o->json.len > 0 ? ",{" : "{");
    json_put_field(&o->json, "alias", left);
    json_put_field(&o->json, "target", right);
    buf_chr(&o->json, '}');
}

static enum status list(struct store *s, bool wants_json, struct err *e) {
    struct output o = {.json = {0}};
    struct buf out = {0};
    table_row(&o.table);
    table_cell(&o.table, "ALIAS");
    table_cell(&o.table, "TARGET");
    store_alias_list(s, put, &o);
    if (wants_json)
        buf_printf(&out, "{\"aliases\":[%s]}\n", o.json.data != NULL ? o.json.data : "");
    else
        table_print(&out, &o.table, "", true);
    buf_free(&o.json);
    table_free(&o.table);
    return cli_put(&out, e);
}

enum status cmd_alias(const struct args *a, struct err *e) {
    struct store *s = NULL;
    struct model_name name[2];
    const bool remove = args_bool(a, "remove");
    if (a->n_words > 2 || (a->n_words == 1) != remove)
        return err_set(e, ST_INVALID, "alias: NAME TARGET, or --remove NAME, or nothing");
    enum status st = ST_OK;
    for (size_t i = 0; i < a->n_words && st == ST_OK; i++)
        st = name_parse_ref(&name[i], a->words[i], NULL, e);
    if (st == ST_OK) st = store_open(&s, NULL, e);
    if (st == ST_OK && a->n_words == 0)
        st = list(s, args_bool(a, "json"), e);
    else if (st == ST_OK)
        st = store_alias_set(s, &name[0], remove ? NULL : &name[1], e);
    store_close(s);
    return st;
}

/* outdated.c - models that came from a registry: which are older than there (list --outdated),
 * and all of them anew (pull --all). Which were pulled is seen in the store's folder on this
 * machine; what create made is left alone, whatever a registry has under its name. */
#include "cli/outdated.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "cli/statuses.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "store/registry/registry.h"

struct found {
    struct table table;
    struct buf json;
    bool wants_json;
};

static void put(struct found *f, const struct store_entry *m, const char *latest) {
    char shown[NAME_TEXT_MAX];
    name_shortest(&m->name, shown);
    if (f->wants_json) {
        buf_str(&f->json, f->json.len > 0 ? ",{" : "{");
        json_put_field(&f->json, "name", shown);
        json_put_field(&f->json, "digest", m->digest);
        json_put_field(&f->json, "latest", latest);
        buf_chr(&f->json, '}');
        return;
    }
    char id[13], newer[13];
    snprintf(id, sizeof id, "%.12s", m->digest);
    snprintf(newer, sizeof newer, "%.12s", latest);
    table_row(&f->table);
    table_cell(&f->table, shown);
    table_cell(&f->table, id);
    table_cell(&f->table, newer);
}

/* What a registry does not know any more, or one that cannot be reached, is only warned about. */
static void look(struct found *f, const struct store_entry *m, bool insecure) {
    const struct registry_options o = {.insecure = insecure};
    char latest[65], shown[NAME_TEXT_MAX];
    struct err why = {.msg = ""};
    if (registry_latest(&m->name, &o, latest, &why) != ST_OK) {
        name_shortest(&m->name, shown);
        fprintf(stderr, "Warning: %s: %s\n", shown, why.msg);
    } else if (strcasecmp(latest, m->digest) != 0) {
        put(f, m, latest);
    }
}

enum status outdated_list(const struct args *a, struct err *e) {
    struct store *s = NULL;
    struct store_list l = {0};
    struct buf out = {0};
    struct found f = {.wants_json = args_bool(a, "json")};
    const char *prefix = a->n_words > 0 ? a->words[0] : "";
    enum status st = store_open(&s, NULL, e);
    if (st == ST_OK) st = store_list(s, &l, e);
    table_row(&f.table);
    for (size_t i = 0; i < 3; i++)
        table_cell(&f.table, (const char *[]){"NAME", "ID", "LATEST"}[i]);
    for (size_t i = 0; i < l.n_entries && st == ST_OK; i++) {
        char shown[NAME_TEXT_MAX];
        name_shortest(&l.entries[i].name, shown);
        if (strncasecmp(shown, prefix, strlen(prefix)) == 0 &&
            registry_was_pulled(s, &l.entries[i].name))
            look(&f, &l.entries[i], args_bool(a, "insecure"));
    }
    if (f.wants_json)
        buf_printf(&out, "{\"models\":[%s]}\n", f.json.data != NULL ? f.json.data : "");
    else
        table_print(&out, &f.table, "", true);
    if (st == ST_OK) st = cli_put(&out, e);
    buf_free(&out);
    buf_free(&f.json);
    table_free(&f.table);
    store_list_free(&l);
    store_close(s);
    return st;
}

/* One that fails does not stop the others; the last error is that of the command. */
enum status outdated_pull_all(const struct args *a, struct client *c, struct err *e) {
    struct store *s = NULL;
    struct store_list l = {0};
    enum status st = store_open(&s, NULL, e), result = ST_OK;
    if (st == ST_OK) st = store_list(s, &l, e);
    for (size_t i = 0; i < l.n_entries && st == ST_OK; i++) {
        char shown[NAME_TEXT_MAX];
        struct err why = {.msg = ""};
        if (!registry_was_pulled(s, &l.entries[i].name)) continue;
        name_shortest(&l.entries[i].name, shown);
        fprintf(stderr, "%s\n", shown);
        st = statuses_model(c, "/api/pull", shown, args_bool(a, "insecure"), &why);
        if (st == ST_CANCELLED) break;
        if (st != ST_OK) {
            fprintf(stderr, "Warning: %s: %s\n", shown, why.msg);
            result = err_set(e, st, "%s: %s", shown, why.msg);
        }
        st = ST_OK;
    }
    store_list_free(&l);
    store_close(s);
    return st == ST_OK ? result : st;
}

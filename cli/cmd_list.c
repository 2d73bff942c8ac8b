/* cmd_list.c - lists the models of the server. */
#include <string.h>
#include <strings.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/listing.h"
#include "cli/table.h"

void listing_id(struct buf *out, const json *model) {
    const char *digest = json_string(json_get(model, "digest"));
    if (digest != NULL && strncmp(digest, "sha256:", 7) == 0) digest += 7;
    buf_printf(out, "%.12s", digest != NULL ? digest : "");
}

static void put_row(struct table *t, const json *m, const char *name) {
    struct buf text = {0};
    int64_t size = 0, modified = INT64_MIN;
    const char *when = json_string(json_get(m, "modified_at"));
    const char *remote = json_string(json_get(m, "remote_model"));
    table_row(t);
    table_cell(t, name);
    listing_id(&text, m);
    table_cell_buf(t, &text);
    json_int(json_get(m, "size"), &size);
    if (remote != NULL && *remote != '\0')
        buf_chr(&text, '-');
    else
        format_bytes(&text, size > 0 ? (uint64_t)size : 0);
    table_cell_buf(t, &text);
    if (when == NULL || !parse_time(when, &modified) || modified == INT64_MIN) {
        buf_str(&text, "Never");
    } else {
        format_span(&text, (double)(os_time_unix_ns() - modified) / 1e9);
        buf_str(&text, " ago");
    }
    table_cell_buf(t, &text);
    buf_free(&text);
}

enum status listing_models(struct client *c, const char *prefix, struct buf *out, struct err *e) {
    json *reply = NULL;
    struct table t = {0};
    enum status st = client_json(c, "/api/tags", NULL, &reply, e);
    if (st != ST_OK) return st;
    table_row(&t);
    table_cell(&t, "NAME");
    table_cell(&t, "ID");
    table_cell(&t, "SIZE");
    table_cell(&t, "MODIFIED");
    for (const json *m = json_first(json_get(reply, "models")); m != NULL; m = json_next(m)) {
        const char *name = json_string(json_get(m, "name"));
        if (name != NULL && strncasecmp(name, prefix, strlen(prefix)) == 0) put_row(&t, m, name);
    }
    table_print(out, &t, "", true);
    table_free(&t);
    json_free(reply);
    return ST_OK;
}

enum status cmd_list(const struct args *a, struct err *e) {
    struct client *c = NULL;
    struct buf out = {0};
    enum status st = client_open(&c, NULL, e);
    if (st == ST_OK) st = listing_models(c, a->n_words > 0 ? a->words[0] : "", &out, e);
    if (st == ST_OK) st = cli_put(&out, e);
    buf_free(&out);
    client_close(c);
    return st;
}

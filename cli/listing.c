/* listing.c - see listing.h. */
#include "cli/listing.h"

#include <string.h>
#include <strings.h>

void listing_id(struct buf *out, const json *model) {
    const char *digest = json_string(json_get(model, "digest"));
    if (digest != NULL && strncmp(digest, "sha256:", 7) == 0) digest += 7;
    buf_printf(out, "%.12s", digest != NULL ? digest : "");
}

enum status listing_put(const struct listing *l, struct client *c, const char *prefix,
                        struct buf *out, struct err *e) {
    json *reply = NULL;
    struct table t = {0};
    enum status st = client_json(c, l->path, NULL, &reply, e);
    if (st != ST_OK) return st;
    table_row(&t);
    for (const char *const *title = l->header; *title != NULL; title++) table_cell(&t, *title);
    for (const json *m = json_first(json_get(reply, "models")); m != NULL; m = json_next(m)) {
        const char *name = json_string(json_get(m, "name"));
        if (name != NULL && strncasecmp(name, prefix, strlen(prefix)) == 0) l->put_row(&t, m, name);
    }
    table_print(out, &t, "", true);
    table_free(&t);
    json_free(reply);
    return ST_OK;
}

/* What the server says of them, as it says it. */
static enum status put_json(const struct listing *l, struct client *c, const char *prefix,
                            struct buf *out, struct err *e) {
    json *reply = NULL;
    bool any = false;
    enum status st = client_json(c, l->path, NULL, &reply, e);
    if (st != ST_OK) return st;
    buf_str(out, "{\"models\":[");
    for (const json *m = json_first(json_get(reply, "models")); m != NULL; m = json_next(m)) {
        const char *name = json_string(json_get(m, "name"));
        if (name == NULL || strncasecmp(name, prefix, strlen(prefix)) != 0) continue;
        if (any) buf_chr(out, ',');
        any = true;
        json_print(out, m);
    }
    buf_str(out, "]}\n");
    json_free(reply);
    return ST_OK;
}

enum status listing_command(const struct listing *l, const struct args *a, struct err *e) {
    struct client *c = NULL;
    struct buf out = {0};
    enum status st = client_open(&c, NULL, e);
    const char *prefix = a->n_words > 0 ? a->words[0] : "";
    if (st == ST_OK) st = (args_bool(a, "json") ? put_json : listing_put)(l, c, prefix, &out, e);
    if (st == ST_OK) st = cli_put(&out, e);
    buf_free(&out);
    client_close(c);
    return st;
}

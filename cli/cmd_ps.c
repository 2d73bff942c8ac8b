/* cmd_ps.c - lists the models that are loaded. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/listing.h"
#include "cli/table.h"

static void put_processor(struct buf *out, int64_t size, int64_t vram) {
    if (size <= 0 || vram > size) {
        buf_str(out, "Unknown");
    } else if (vram <= 0) {
        buf_str(out, "100% CPU");
    } else if (vram == size) {
        buf_str(out, "100% GPU");
    } else {
        const int cpu = (int)lround((double)(size - vram) / (double)size * 100);
        buf_printf(out, "%d%%/%d%% CPU/GPU", cpu, 100 - cpu);
    }
}

static void put_until(struct buf *out, const char *text) {
    int64_t at = INT64_MIN;
    if (text == NULL || !parse_time(text, &at) || at == INT64_MIN) {
        buf_str(out, "Never");
        return;
    }
    const double left = ((double)at - (double)os_time_unix_ns()) / 1e9;
    if (left > 20 * 365 * 86400.0) {
        buf_str(out, "Forever");
    } else if (left < 0) {
        buf_str(out, "Stopping...");
    } else {
        format_span(out, left);
        buf_str(out, " from now");
    }
}

static void put_row(struct table *t, const json *m, const char *name) {
    struct buf text = {0};
    int64_t size = 0, vram = 0, context = 0;
    json_int(json_get(m, "size"), &size);
    json_int(json_get(m, "size_vram"), &vram);
    json_int(json_get(m, "context_length"), &context);
    table_row(t);
    table_cell(t, name);
    listing_id(&text, m);
    table_cell_buf(t, &text);
    format_bytes(&text, size > 0 ? (uint64_t)size : 0);
    table_cell_buf(t, &text);
    put_processor(&text, size, vram);
    table_cell_buf(t, &text);
    buf_printf(&text, "%lld", (long long)context);
    table_cell_buf(t, &text);
    put_until(&text, json_string(json_get(m, "expires_at")));
    table_cell_buf(t, &text);
    buf_free(&text);
}

static enum status put_models(struct client *c, const char *prefix, struct buf *out,
                              struct err *e) {
    static const char *const header[] = {"NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"};
    json *reply = NULL;
    struct table t = {0};
    enum status st = client_json(c, "/api/ps", NULL, &reply, e);
    if (st != ST_OK) return st;
    table_row(&t);
    for (size_t i = 0; i < sizeof header / sizeof *header; i++) table_cell(&t, header[i]);
    for (const json *m = json_first(json_get(reply, "models")); m != NULL; m = json_next(m)) {
        const char *name = json_string(json_get(m, "name"));
        if (name != NULL && strncasecmp(name, prefix, strlen(prefix)) == 0) put_row(&t, m, name);
    }
    table_print(out, &t, "", true);
    table_free(&t);
    json_free(reply);
    return ST_OK;
}

enum status cmd_ps(const struct args *a, struct err *e) {
    struct client *c = NULL;
    struct buf out = {0};
    enum status st = client_open(&c, NULL, e);
    if (st == ST_OK) st = put_models(c, a->n_words > 0 ? a->words[0] : "", &out, e);
    if (st == ST_OK) st = cli_put(&out, e);
    buf_free(&out);
    client_close(c);
    return st;
}

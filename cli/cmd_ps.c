/* cmd_ps.c - lists the models that are loaded. */
#include <math.h>

#include "base/os.h"
#include "cli/format.h"
#include "cli/listing.h"

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

static const char *const header[] = {"NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL", NULL};
const struct listing listing_loaded = {"/api/ps", header, put_row};

enum status cmd_ps(const struct args *a, struct err *e) {
    return listing_command(&listing_loaded, a, e);
}

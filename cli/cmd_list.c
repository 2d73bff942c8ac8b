/* cmd_list.c - lists the models of the server. */
#include "base/os.h"
#include "cli/format.h"
#include "cli/listing.h"
#include "cli/outdated.h"

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

static const char *const header[] = {"NAME", "ID", "SIZE", "MODIFIED", NULL};
const struct listing listing_stored = {"/api/tags", header, put_row};

enum status cmd_list(const struct args *a, struct err *e) {
    if (args_bool(a, "outdated")) return outdated_list(a, e);
    return listing_command(&listing_stored, a, e);
}

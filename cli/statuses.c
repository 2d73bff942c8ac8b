/* statuses.c - answers that are a stream of status items, shown as progress. */
#include "cli/statuses.h"

#include <string.h>

static enum status on_line(void *arg, const json *line, struct err *e) {
    struct progress *p = arg;
    const char *status = json_string(json_get(line, "status"));
    const char *digest = json_string(json_get(line, "digest"));
    int64_t total = 0, completed = 0;
    (void)e;
    if (status == NULL) return ST_OK;
    json_int(json_get(line, "total"), &total);
    json_int(json_get(line, "completed"), &completed);
    if (digest != NULL && *digest != '\0' && total > 0) {
        struct buf text = {0}; /* "pulling 0123456789ab:" */
        buf_printf(&text, "%s:", status);
        progress_bar(p, digest, text.data != NULL ? text.data : status, (uint64_t)total,
                     completed > 0 ? (uint64_t)completed : 0);
        buf_free(&text);
    } else {
        progress_spinner(p, status, status);
    }
    return ST_OK;
}

static void on_tick(void *arg) { progress_tick(arg); }

enum status statuses_post(struct client *c, const char *path, const struct buf *body,
                          struct progress *p, struct err *e) {
    if (body->failed) return err_no_memory(e);
    const struct client_call call = {.method = "POST",
                                     .path = path,
                                     .body = body,
                                     .on_line = on_line,
                                     .on_tick = on_tick,
                                     .arg = p};
    enum status st = client_call(c, &call, NULL, NULL, e);
    progress_stop(p);
    return st;
}

enum status statuses_model(struct client *c, const char *path, const char *model, bool insecure,
                           struct err *e) {
    struct buf body = {0};
    struct progress *p = progress_new();
    buf_chr(&body, '{');
    json_put_field(&body, "model", model);
    if (insecure) json_put_field_bool(&body, "insecure", true);
    buf_chr(&body, '}');
    enum status st = statuses_post(c, path, &body, p, e);
    buf_free(&body);
    progress_free(p);
    return st;
}

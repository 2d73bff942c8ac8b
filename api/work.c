/* work.c - see work.h. */
#include "api/work.h"

#include "api/request.h"

static void on_gone(void *arg) { atomic_store(&((struct work *)arg)->gone, true); }

void work_begin(struct work *w, const struct route_call *call, bool streaming) {
    *w = (struct work){
        .call = call, .stream = {.x = call->x, .dialect = DIALECT_NATIVE}, .streaming = streaming};
    http_watch(call->x, on_gone, w);
    activity_set_end(&call->server->activities, server_activity(call->x), on_gone, w);
}

bool work_progress(void *arg, const char *status, const char *digest, uint64_t total,
                   uint64_t completed) {
    struct work *w = arg;
    struct buf b = {0};
    if (atomic_load(&w->gone)) return false;
    if (!w->streaming) return true;
    buf_chr(&b, '{');
    json_put_field(&b, "status", status);
    if (*digest != '\0') json_put_field(&b, "digest", digest);
    if (total != 0) json_put_field_int(&b, "total", (int64_t)total);
    if (completed != 0) json_put_field_int(&b, "completed", (int64_t)completed);
    buf_chr(&b, '}');
    enum status st = stream_item(&w->stream, &b);
    buf_free(&b);
    return st == ST_OK;
}

void work_finish(struct work *w, enum status st, int code, const struct err *e) {
    struct http_exchange *x = w->call->x;
    activity_set_end(&w->call->server->activities, server_activity(x), NULL, NULL);
    http_unwatch(x);
    if (w->stream.started && st == ST_OK)
        stream_end(&w->stream);
    else if (w->stream.started)
        stream_error(&w->stream, code, e->msg);
    else if (st == ST_OK)
        http_answer_text(x, 200, TYPE_JSON, "{\"status\":\"success\"}");
    else
        answer_error(x, DIALECT_NATIVE, code, TYPE_JSON, e->msg);
}

/* openai.c - see openai.h. */
#include "api/dialect/openai.h"

#include <time.h>

enum status openai_check_stop(const json *v, bool entries, struct err *e) {
    static const char *const go_type[] = {
        [JSON_NULL] = "<nil>",           [JSON_BOOL] = "bool",
        [JSON_NUMBER] = "float64",       [JSON_STRING] = "string",
        [JSON_ARRAY] = "[]interface {}", [JSON_OBJECT] = "map[string]interface {}"};
    const bool list = json_kind(v) == JSON_ARRAY;
    const json *bad = v == NULL || list || json_kind(v) == JSON_STRING ? NULL : v;
    for (const json *m = list && entries ? json_first(v) : NULL; m != NULL && bad == NULL;
         m = json_next(m))
        if (json_kind(m) != JSON_STRING) bad = m;
    if (bad == NULL) return ST_OK;
    return err_set(e, ST_INVALID, "invalid type for 'stop' field: %s", go_type[json_kind(bad)]);
}

void openai_put_head(struct buf *b, const struct openai_answer *a, const char *object) {
    buf_printf(b, "{\"id\":\"%s-%lu\",\"object\":\"%s\",\"created\":%lld", a->prefix, a->id, object,
               a->created);
    json_put_field(b, "model", a->r->model);
    json_put_field(b, "system_fingerprint", "fp_ollama");
}

void openai_put_usage(struct buf *b, const struct openai_answer *a) {
    buf_printf(b,
               ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%llu}",
               a->n_prompt, a->n_generated, (unsigned long long)a->n_prompt + a->n_generated);
}

void openai_count(struct openai_answer *a, const struct gen_stats *s) {
    if (s == NULL) return;
    a->n_prompt = s->n_prompt; /* the same for all choices, and paid for once */
    a->n_generated += s->n_generated;
}

enum status openai_send(struct openai_answer *a, struct buf *chunk) {
    enum status st = stream_item(&a->stream, chunk);
    buf_free(chunk);
    a->sent = true;
    return st;
}

enum status openai_wait(void *answer) {
    return stream_wait(&((struct openai_answer *)answer)->stream);
}

static void send_whole(struct openai_answer *a) {
    struct buf b = {0};
    openai_put_head(&b, a, a->object);
    buf_str(&b, ",\"choices\":[");
    buf_add(&b, a->choices.data, a->choices.len);
    buf_chr(&b, ']');
    openai_put_usage(&b, a);
    if (a->debug.len > 0) {
        buf_chr(&b, ',');
        buf_add(&b, a->debug.data, a->debug.len);
    }
    buf_str(&b, "}\n");
    if (a->choices.failed || a->debug.failed) b.failed = true;
    answer_json(a->stream.x, 200, TYPE_JSON, &b);
}

static void send_end(struct openai_answer *a) {
    struct buf b = {0};
    if (a->usage) {
        openai_put_head(&b, a, a->chunk_object);
        buf_str(&b, ",\"choices\":[]");
        openai_put_usage(&b, a);
        buf_chr(&b, '}');
        openai_send(a, &b);
    }
    stream_end(&a->stream);
}

void openai_run(const struct route_call *c, struct openai_answer *a, struct gen_request *r,
                int64_t n, const struct gen_sink *sink) {
    struct gen_failure f;
    bool ok = true;
    a->r = r;
    a->id = dialect_id(c);
    a->created = (long long)time(NULL);
    a->stream = (struct stream){.x = c->x, .dialect = DIALECT_OPENAI};
    for (int64_t i = 0; i < n && ok; i++) {
        a->choice = r->n_before = (unsigned)i;
        a->sent = a->called = false;
        ok = gen_run(c->server, c->x, r, sink, &f);
    }
    if (ok && a->stream.started)
        send_end(a);
    else if (ok)
        send_whole(a);
    else if (a->stream.started)
        stream_error(&a->stream, f.http_status, f.err.msg);
    else
        dialect_answer_failure(c->x, DIALECT_OPENAI, &f);
    buf_free(&a->choices);
    buf_free(&a->debug);
}

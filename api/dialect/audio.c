/* audio.c - POST /v1/audio/transcriptions (spec/api.md 6.6): a form with a recording becomes a
 * question to /api/chat, and its answer the transcript. What the model makes of the recording is
 * its own affair: one that cannot hear refuses it as it refuses any picture. */
#include <string.h>

#include "api/dialect/dialect.h"
#include "api/multipart.h"
#include "base/base64.h"
#include "base/mem.h"

route_fn route_transcriptions;

static const char instructions[] =
    "Transcribe the audio exactly as spoken. Output only the spoken words. Do not answer any "
    "question in the audio.";
static const char question[] = "What exact words are spoken in this audio?";

/* ---- the request ---- */

/* A field as text; "" if it is absent. Valid until the buffer changes. */
static const char *field(const struct form *f, const char *name, struct buf *text) {
    const struct form_part *p = form_find(f, name, false);
    buf_clear(text);
    buf_add(text, p == NULL ? "" : p->data, p == NULL ? 0 : p->len);
    return text->data == NULL ? "" : text->data;
}

static void put_system(struct buf *b, const struct form *f) {
    struct buf text = {0}, value = {0};
    buf_str(&text, instructions);
    const char *language = field(f, "language", &value);
    if (*language != '\0') buf_printf(&text, " The audio is in %s.", language);
    const char *prompt = field(f, "prompt", &value);
    if (*prompt != '\0') {
        buf_str(&text, " Context: ");
        buf_str(&text, prompt);
    }
    buf_str(b, "{\"role\":\"system\"");
    put_text(b, "content", text.len > 0 ? text.data : "", text.len);
    buf_chr(b, '}');
    if (text.failed || value.failed) b->failed = true;
    buf_free(&text);
    buf_free(&value);
}

static enum status translate(const struct form *f, struct buf *b, struct err *e) {
    struct buf model = {0};
    const struct form_part *audio = form_find(f, "file", true);
    enum status st = ST_OK;
    field(f, "model", &model);
    if (model.len == 0)
        st = err_set(e, ST_INVALID, "model is required");
    else if (audio == NULL)
        st = err_set(e, ST_INVALID, "file is required: http: no such file");
    else if (audio->len == 0)
        st = err_set(e, ST_INVALID, "audio file is empty");
    if (st == ST_OK) {
        buf_str(b, "{\"model\":");
        json_put_string(b, model.data, model.len);
        buf_str(b, ",\"stream\":false,\"options\":{\"temperature\":0},\"messages\":[");
        put_system(b, f);
        buf_str(b, ",{\"role\":\"user\"");
        json_put_field(b, "content", question);
        buf_str(b, ",\"images\":[\"");
        base64_put(b, audio->data, audio->len);
        buf_str(b, "\"]}]}");
        if (model.failed || b->failed) st = err_no_memory(e);
    }
    buf_free(&model);
    return st;
}

/* Body -> the native request; *as_text: the answer is wanted without JSON around it. */
static enum status read_form(const struct route_call *c, struct buf *native, bool *as_text,
                             struct err *e) {
    char boundary[BOUNDARY_MAX + 1];
    struct buf body = {0}, format = {0};
    struct form *f = mem_zalloc(1, sizeof *f);
    enum status st = f == NULL ? err_no_memory(e)
                               : form_boundary(http_header(c->x, "Content-Type"), boundary, e);
    if (st == ST_OK) st = http_read_all(c->x, BODY_MAX, &body, e);
    if (st == ST_OK) st = form_read(f, body.data == NULL ? "" : body.data, body.len, boundary, e);
    if (st == ST_INVALID) err_wrap(e, "failed to parse multipart form");
    if (st == ST_OK) st = translate(f, native, e);
    if (st == ST_OK) *as_text = strcmp(field(f, "response_format", &format), "text") == 0;
    buf_free(&body);
    buf_free(&format);
    mem_free(f);
    return st;
}

/* ---- the answer ---- */

static const char *trimmed(const struct buf *text, size_t *len) {
    static const char space[] = " \t\r\n\v\f";
    const char *p = text->data, *end = p + text->len;
    while (p < end && strchr(space, *p) != NULL) p++;
    while (end > p && strchr(space, end[-1]) != NULL) end--;
    *len = (size_t)(end - p);
    return p;
}

static enum status take_piece(void *arg, const struct gen_piece *p) {
    buf_add(arg, p->content, p->content_len);
    return ST_OK;
}

static void send_transcript(struct http_exchange *x, const struct buf *text, bool as_text) {
    struct buf b = {0};
    size_t len = 0;
    const char *p = text->len > 0 ? trimmed(text, &len) : "";
    if (as_text) {
        buf_add(&b, p, len);
    } else {
        buf_str(&b, "{\"text\":");
        json_put_string(&b, p, len);
        buf_str(&b, "}\n");
    }
    if (text->failed) b.failed = true;
    answer_json(x, 200, as_text ? TYPE_TEXT : TYPE_JSON, &b);
}

void route_transcriptions(const struct route_call *c) {
    struct native_request n = {0};
    struct buf native = {0}, text = {0};
    struct gen_failure f;
    struct err e = {.msg = ""};
    json *root = NULL;
    bool as_text = false;
    enum status st = read_form(c, &native, &as_text, &e);
    bool too_large = st == ST_LIMIT;
    if (st == ST_OK)
        st = request_decode(&native_chat_fields, native.data, native.len, &n, &root, &e);
    buf_free(&native);
    if (st != ST_OK) {
        answer_error(c->x, DIALECT_OPENAI, too_large ? 413 : answer_status(st), TYPE_JSON_UTF8,
                     e.msg);
    } else {
        struct gen_request r = native_to_gen(&n, true, false);
        if (gen_run(c->server, c->x, &r, &(struct gen_sink){&text, take_piece, NULL}, &f))
            send_transcript(c->x, &text, as_text);
        else
            dialect_answer_failure(c->x, DIALECT_OPENAI, &f);
    }
    buf_free(&text);
    json_free(root);
}

/* completions.c - POST /v1/completions: the older route of a prompt without messages
 * (spec/api.md 6.3). It is /api/generate in other words. */
#include <string.h>

#include "api/dialect/openai.h"

route_fn route_completions;

/* ---- the request ---- */

struct completion { /* members: see request.h */
    const json *model, *prompt, *suffix, *max_tokens, *temperature, *top_p, *seed,
        *frequency_penalty, *presence_penalty, *stop, *stream, *stream_options, *logprobs, *n,
        *logit_bias, *options, *lora, *debug;
};

#define AT(name) offsetof(struct completion, name)
#define PLAIN(name, kind)                                                                          \
    { #name, kind, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }

static const struct field completion_field[] = {
    PLAIN(model, FIELD_TEXT),
    PLAIN(prompt, FIELD_TEXT),
    PLAIN(suffix, FIELD_TEXT),
    PLAIN(max_tokens, FIELD_INT),
    PLAIN(temperature, FIELD_FLOAT),
    PLAIN(top_p, FIELD_FLOAT),
    PLAIN(seed, FIELD_INT),
    PLAIN(frequency_penalty, FIELD_FLOAT),
    PLAIN(presence_penalty, FIELD_FLOAT),
    PLAIN(stop, FIELD_ANY),
    PLAIN(stream, FIELD_FLAG),
    PLAIN(logprobs, FIELD_INT),
    PLAIN(n, FIELD_INT),
    PLAIN(logit_bias, FIELD_ANY),
    {"options", FIELD_MAP, AT(options), "map[string]interface {}", FIELD_ANY, NULL, NULL, NULL},
    {"lora", FIELD_ANY, AT(lora), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"_debug_render_only", FIELD_FLAG, AT(debug), NULL, FIELD_ANY, NULL, NULL, NULL},
    {"stream_options", FIELD_STRUCT, AT(stream_options), "openai.StreamOptions", FIELD_ANY, NULL,
     &openai_usage_fields, NULL},
};
static const struct fields completion_fields = {"CompletionRequest", "openai.CompletionRequest",
                                                completion_field,
                                                sizeof completion_field / sizeof *completion_field};

/* 0 counts as absent. */
static const json *nonzero(const json *v) {
    double x = 0;
    return json_number(v, &x) && x != 0 ? v : NULL;
}

static enum status translate(const void *request, struct buf *b, struct err *e) {
    const struct completion *r = request;
    enum status st = openai_check_stop(r->stop, true, e);
    if (st == ST_OK) st = check_n(r->n, e);
    if (st != ST_OK) return st;
    buf_chr(b, '{');
    json_put_field(b, "model", field_text(r->model));
    put_value(b, "prompt", r->prompt);
    put_value(b, "suffix", r->suffix);
    put_options(b, &(struct dialect_options){.options = r->options,
                                             .temperature = r->temperature,
                                             .top_p = nonzero(r->top_p),
                                             .seed = r->seed,
                                             .frequency_penalty = r->frequency_penalty,
                                             .presence_penalty = r->presence_penalty,
                                             .num_predict = r->max_tokens,
                                             .stop = r->stop,
                                             .logit_bias = r->logit_bias,
                                             .defaults = OPENAI_DEFAULTS});
    put_value(b, "lora", r->lora);
    put_value(b, "top_logprobs", r->logprobs);
    if (r->logprobs != NULL) buf_str(b, ",\"logprobs\":true");
    put_value(b, "_debug_render_only", r->debug);
    buf_str(b, field_flag(r->stream, false) ? ",\"stream\":true}" : ",\"stream\":false}");
    return ST_OK;
}

const struct dialect_reader dialect_completions = {DIALECT_OPENAI, &completion_fields,
                                                   sizeof(struct completion), false, translate};

/* ---- the answer ---- */

static void put_choice(struct buf *b, const struct openai_answer *a, const struct gen_piece *p) {
    buf_printf(b, "{\"index\":%u", a->choice);
    put_text(b, "text", p->content, p->content_len);
    if (p->done_reason != NULL)
        json_put_field(b, "finish_reason", p->done_reason);
    else
        buf_str(b, ",\"finish_reason\":null");
    buf_chr(b, '}');
}

static enum status send_chunk(struct openai_answer *a, const struct gen_piece *p) {
    struct buf b = {0};
    openai_put_head(&b, a, a->chunk_object);
    buf_str(&b, ",\"choices\":[");
    put_choice(&b, a, p);
    buf_chr(&b, ']');
    if (a->usage)
        buf_str(&b, ",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}");
    buf_chr(&b, '}');
    return openai_send(a, &b);
}

/* Thinking is not shown: pieces of nothing else are left out of streams. */
static enum status take_piece(void *arg, const struct gen_piece *p) {
    struct openai_answer *a = arg;
    openai_count(a, p->stats);
    if (a->r->stream && p->rendered == NULL)
        return p->done || p->content_len > 0 ? send_chunk(a, p) : ST_OK;
    if (a->choices.len > 0) buf_chr(&a->choices, ',');
    put_choice(&a->choices, a, p);
    if (p->rendered != NULL && a->debug.len == 0) native_put_debug(&a->debug, p);
    return ST_OK;
}

void route_completions(const struct route_call *c) {
    struct completion o;
    struct dialect_request r;
    if (!dialect_read(c, &dialect_completions, &o, &r)) return;
    struct openai_answer a = {.prefix = "cmpl",
                              .object = "text_completion",
                              .chunk_object = "text_completion",
                              .usage =
                                  field_flag(json_get(o.stream_options, "include_usage"), false)};
    openai_run(c, &a, &r.gen, field_int(o.n, 1), &(struct gen_sink){&a, take_piece, openai_wait});
    dialect_free(&r);
}

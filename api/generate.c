/* generate.c - see generate.h. The steps are in the order of spec/api.md 5.1 and 5.2, because the
 * first one that fails decides what the client reads. */
#include "api/generate.h"

#include <string.h>

#include "api/constrain.h"
#include "api/generate_impl.h"
#include "api/limits.h"
#include "api/lora.h"
#include "api/request.h"
#include "api/sampling.h"
#include "base/config.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

enum {
    MAX_TOP_LOGPROBS = 20,
    N_PREDICT_CTX = 10, /* most new tokens, in contexts */
};

/* ---- the model ---- */

static bool is_blank(const char *s) { return s[text_skip_space(s, strlen(s))] == '\0'; }

static enum status not_found(const struct gen *g, struct err *e) {
    return err_set(e, ST_NOT_FOUND, "model '%s' not found", g->r->model);
}

static enum status find_model(struct gen *g, struct err *e) {
    struct model_name name;
    if (!g->r->chat && is_blank(g->r->model)) return not_found(g, e);
    enum status st = server_name(g->r->model, &name, e);
    if (st != ST_OK) return st;
    st = catalog_find(g->server->catalog, &name, &g->model, e);
    if (st == ST_NOT_FOUND) return not_found(g, e);
    if (st != ST_OK) return err_set(e, ST_INTERNAL, "%s", e->msg);
    if (*g->model.stored.entry.config.remote_host != '\0')
        return err_set(e, ST_DENIED, "ollama cloud is disabled: remote model is unavailable");
    st = server_allow(g->x, &g->model.stored.entry.name, e);
    if (st != ST_OK) return st;
    activity_set_model(&g->server->activities, g->activity, g->r->model);
    return ST_OK;
}

static bool nothing_to_do(const struct gen_request *r) {
    return r->chat ? json_len(r->messages) == 0 : *r->prompt == '\0';
}

static bool wants_unload(const struct gen_request *r) {
    int64_t ns = -1;
    return nothing_to_do(r) && r->keep_alive != NULL &&
           keep_alive_parse(r->keep_alive, &ns, NULL) == ST_OK && ns == 0;
}

static enum status send_empty(struct gen *g, const char *reason) {
    struct gen_piece p = {.content = "",
                          .thinking = "",
                          .tool_calls = "",
                          .logprobs = "",
                          .done = true,
                          .done_reason = reason};
    return g->sink->piece(g->sink->arg, &p);
}

/* ---- checks ---- */

static enum status check_raw(const struct gen_request *r, struct err *e) {
    if (r->raw && (*r->template != '\0' || *r->system != '\0' || json_len(r->context) > 0))
        return err_set(e, ST_INVALID, "raw mode does not support template, system, or context");
    return ST_OK;
}

static enum status set_think(struct gen *g, struct err *e) {
    const json *v = g->r->think;
    bool can = g->model.can[CAN_THINKING], flag = true;
    const char *level = json_string(v);
    g->think.level = "";
    if (v == NULL && !can) return ST_OK;
    json_bool(v, &flag);
    g->think.set = true;
    g->think.on = flag;
    if (!flag) return ST_OK;
    if (!can && g->r->any_think) {
        g->think.set = g->think.on = false;
        return ST_OK;
    }
    if (!can) return err_set(e, ST_INVALID, "\"%s\" does not support thinking", g->r->model);
    g->think.named = level != NULL;
    g->think.level = level != NULL ? level : "medium";
    if (catalog_is_gptoss(&g->model) && strcmp(g->think.level, "max") == 0) g->think.level = "high";
    return ST_OK;
}

static enum status lacks(const struct gen *g, enum capability c, struct err *e) {
    char full[NAME_TEXT_MAX];
    name_full(&g->model.stored.entry.name, full);
    return err_set(e, ST_INVALID, "%s does not support %s", full, capability_name(c));
}

static enum status check_capabilities(const struct gen *g, struct err *e) {
    const struct gen_request *r = g->r;
    if (!g->model.can[CAN_COMPLETION])
        return err_set(e, ST_INVALID, "\"%s\" does not support %s", r->model,
                       r->chat ? "chat" : "generate");
    if (*r->suffix != '\0' && !g->model.can[CAN_INSERT]) return lacks(g, CAN_INSERT, e);
    if (json_len(r->tools) > 0 && !g->model.can[CAN_TOOLS]) return lacks(g, CAN_TOOLS, e);
    return ST_OK;
}

static enum status read_options(struct gen *g, struct err *e) {
    const enum status st = catalog_options(&g->model, g->r->options, &g->options, &g->arena, e);
    if (g->options.seed < 0 && config_is_set(SET_seed))
        g->options.seed = (int64_t)(config_uint(SET_seed) & INT32_MAX);
    if (g->options.seed >= 0 && g->options.seed < INT64_MAX - g->r->n_before)
        g->options.seed += g->r->n_before;
    return st;
}

static enum status load(struct gen *g, struct err *e) {
    int64_t keep;
    bool has_keep = g->r->keep_alive != NULL;
    if (has_keep) {
        enum status st = keep_alive_parse(g->r->keep_alive, &keep, e);
        if (st != ST_OK) return st;
    }
    struct runner_wish wish = {&g->model, &g->options, has_keep ? &keep : NULL};
    enum status st = runner_acquire(g->server->runners, &wish, &g->cancel, &g->runner, e);
    if (st == ST_OK) store_mark_used(g->server->store, &g->model.stored.entry.name);
    g->ready_ns = os_time_mono_ns();
    return st;
}

/* ---- the prompt ---- */

/* The ids of an earlier answer, as text in front of the prompt. */
static enum status put_context(struct gen *g, struct err *e) {
    const struct vocab *v = cria_engine_vocab(runner_engine(g->runner));
    for (const json *m = json_first(g->r->context); m != NULL; m = json_next(m)) {
        int64_t id = -1;
        size_t len = 0;
        json_int(m, &id);
        if (id < 0 || id >= (int64_t)vocab_size(v))
            return err_set(e, ST_INVALID, "context: token %lld is not in the vocabulary",
                           (long long)id);
        const char *piece = vocab_piece(v, (token_id)id, true, &len);
        buf_add(&g->prompt.text, piece, len);
    }
    return ST_OK;
}

static enum status render(struct gen *g, struct err *e) {
    const struct gen_request *r = g->r;
    const struct cria_engine *engine = runner_engine(g->runner);
    if (r->raw) {
        buf_str(&g->prompt.text, r->prompt);
        return prompt_add_images(&g->prompt, r->images, e);
    }
    if (*r->template != '\0') {
        enum status st = template_parse(&g->own_template, r->template, strlen(r->template), e);
        if (st != ST_OK) return st;
    }
    struct prompt_input in = {.model = &g->model,
                              .vocab = cria_engine_vocab(engine),
                              .n_ctx = cria_engine_info(engine)->n_ctx,
                              .truncate = r->truncate && !r->count,
                              .projector = g->model.stored.n_projectors > 0 ||
                                           runner_vision(g->runner, NULL) != NULL,
                              .think = g->think,
                              .harmony = strcmp(g->model.parser, "harmony") == 0,
                              .tools = json_len(r->tools) > 0 ? r->tools : NULL,
                              .messages = r->messages,
                              .generate = !r->chat,
                              .prompt = r->prompt,
                              .suffix = r->suffix,
                              .system = r->system,
                              .images = r->images,
                              .without_stored = json_len(r->context) > 0,
                              .template = g->own_template};
    enum status st = put_context(g, e);
    if (st == ST_OK) st = prompt_render(&in, &g->prompt, e);
    if (st == ST_OK && g->prompt.text.failed) st = err_no_memory(e);
    return st;
}

/* Without an encoder the tags of images are text, which only `debug` gets to see. */
static enum status tokenize(struct gen *g, struct err *e) {
    const struct vocab *v = cria_engine_vocab(runner_engine(g->runner));
    struct cria_vision *vision = runner_vision(g->runner, NULL);
    const struct prompt *p = &g->prompt;
    const char *text = p->text.len > 0 ? p->text.data : "";
    if (p->n_images == 0 || vision == NULL)
        return prompt_tokenize(v, text, p->text.len, p->writes_bos, &g->tokens, e);
    enum status st = pictures_read(&g->pictures, vision, p->images, p->n_images,
                                   server_domain(g->x), &g->cancel, e);
    return st != ST_OK ? st
                       : pictures_tokenize(&g->pictures, v, text, p->text.len, p->writes_bos,
                                           &g->tokens, e);
}

static enum status send_rendered(struct gen *g, struct err *e) {
    const struct buf *text = &g->prompt.text;
    enum status st = tokenize(g, e);
    if (st != ST_OK) return st;
    struct gen_piece p = {.content = "",
                          .thinking = "",
                          .tool_calls = "",
                          .logprobs = "",
                          .rendered = text->len > 0 ? text->data : "",
                          .rendered_len = text->len,
                          .n_prompt = g->tokens.len + pictures_extra(&g->pictures),
                          .n_images = g->prompt.n_images};
    return g->sink->piece(g->sink->arg, &p);
}

/* Rendered by the Jinja template of its file: what does not fit is an error, not cut. */
static bool by_jinja(const struct gen *g) {
    return g->model.way == WAY_JINJA && !g->r->raw && g->own_template == NULL;
}

/* Spec 3.10, step 2: the first k tokens and the last ones, so that about half of the context is
 * free again. */
static enum status shorten(struct gen *g, uint32_t n_ctx, size_t keep, bool shift, struct err *e) {
    struct token_list *t = &g->tokens;
    if (g->pictures.n_images > 0) return ST_OK; /* an image cannot be cut */
    if (t->len <= n_ctx - 1 || !g->r->truncate || by_jinja(g))
        return ST_OK; /* the engine words the error */
    if (!shift)
        return err_set(e, ST_LIMIT,
                       "the prompt is longer than the context length currently available to the "
                       "model; shorten the prompt, adjust the context length in settings, or use a "
                       "model with a longer context length");
    if (keep > n_ctx - 1) keep = n_ctx - 1;
    size_t half = (n_ctx - keep) / 2, room = n_ctx - (half > 1 ? half : 1);
    size_t tail = room > keep ? room - keep : 0;
    memmove(t->ids + keep, t->ids + t->len - tail, tail * sizeof *t->ids);
    g->prompt.truncated = true;
    t->len = keep + tail;
    return ST_OK;
}

/* ---- the generation ---- */

/* Tokens at the start that stay when the context is full. */
static size_t tokens_to_keep(const struct gen *g, const struct vocab *v) {
    int64_t keep = g->options.num_keep;
    if (keep < 0 || keep > (int64_t)g->tokens.len) return g->tokens.len;
    return (size_t)keep + (vocab_special(v)->add_bos ? 1 : 0);
}

/* The grammar of the answer, checked before anything runs; what it cannot keep is logged. */
static enum status constrain(struct gen *g, struct cria_request *request, struct buf *text,
                             struct err *e) {
    const struct template *t = gen_template(g);
    const char *tag = t != NULL ? template_tool_tag(t) : NULL;
    struct buf notes = {0};
    if (g->parser != NULL) tag = parser_json_tag(g->parser_name);
    enum status st = constrain_source(g->r, tag, text, &request->grammar, e);
    if (st == ST_OK && request->grammar.kind == GRAMMAR_TOOLS && g->parser != NULL && tag == NULL)
        return err_set(e, ST_INVALID, "tool_choice: calls in the format '%s' cannot be forced",
                       g->parser_name);
    if (st != ST_OK || request->grammar.kind == GRAMMAR_NONE) return st;
    st = cria_grammar_check(runner_engine(g->runner), &request->grammar, &notes, e);
    if (st == ST_OK && notes.len > 0) log_warn("format", "%s", notes.data);
    buf_free(&notes);
    return st;
}

static enum status start(struct gen *g, struct err *e) {
    struct cria_engine *engine = runner_engine(g->runner);
    const struct vocab *v = cria_engine_vocab(engine);
    const struct options *o = &g->options;
    uint32_t n_ctx = cria_engine_info(engine)->n_ctx;
    bool shift = g->r->shift && !catalog_is_family(&g->model, "deepseek2");
    enum status st = tokenize(g, e);
    if (st != ST_OK) return st;
    size_t keep = tokens_to_keep(g, v);
    st = shorten(g, n_ctx, keep, shift, e);
    if (st == ST_OK && g->prompt.truncated)
        server_tell_truncated(g->server, g->x, g->r->model, n_ctx);
    if (st == ST_OK) st = gen_choose_parser(g, e);
    if (st != ST_OK) return st;
    int64_t most = (int64_t)n_ctx * N_PREDICT_CTX;
    struct sampling sampling;
    struct lora lora;
    if ((st = lora_read(&lora, g->r->lora, engine, e)) != ST_OK) return st;
    st = sampling_make(&sampling, o, v, &g->arena, e);
    struct cria_request request = {.prompt = g->tokens.ids,
                                   .n_prompt = g->tokens.len,
                                   .images = g->pictures.images,
                                   .n_images = g->pictures.n_images,
                                   .sampler = sampling.params,
                                   .n_predict = o->num_predict > most ? most : o->num_predict,
                                   .stop = o->stop,
                                   .n_stop = o->n_stop,
                                   .shift = shift,
                                   .n_keep = (int32_t)keep,
                                   .logprobs = g->r->logprobs,
                                   .adapters = lora.given ? lora.list : NULL,
                                   .n_adapters = lora.n,
                                   .visible = g->visible,
                                   .n_visible = g->n_visible,
                                   .progress = &g->activity->progress,
                                   .domain = server_domain(g->x),
                                   .n_top_logprobs =
                                       g->r->logprobs ? (uint32_t)g->r->top_logprobs : 0};
    struct buf grammar = {0};
    if (st == ST_OK) st = constrain(g, &request, &grammar, e);
    gen_thinking_tags(g, &request.think_open, &request.think_close, &request.in_thinking);
    if (st == ST_OK) st = cria_generation_start(&g->generation, engine, &request, e);
    buf_free(&grammar);
    sampling_free(&sampling);
    if (st == ST_OK) cancel_attach(&g->cancel, g->generation);
    return st;
}

static bool has_images(const struct gen_request *r) {
    if (json_len(r->images) > 0) return true;
    for (const json *m = json_first(r->messages); m != NULL; m = json_next(m))
        if (json_len(json_get(m, "images")) > 0) return true;
    return false;
}

static enum status check_vision(const struct gen *g, struct err *e) {
    const char *why;
    if (!has_images(g->r) || runner_vision(g->runner, &why) != NULL) return ST_OK;
    if (why != NULL) return err_set(e, ST_INVALID, "images: %s", why);
    return err_set(e, ST_INVALID,
                   "Multimodal data provided, but model does not support multimodal requests.");
}

static enum status generate(struct gen *g, struct err *e) {
    g->f->late = true;
    enum status st = constrain_check(g->r, e);
    if (st == ST_OK) st = check_vision(g, e);
    if (st == ST_OK) st = start(g, e);
    return st == ST_OK ? gen_output(g, e) : st;
}

static enum status run(struct gen *g, struct err *e) {
    enum status st = ST_OK;
    if (g->r->top_logprobs < 0 || g->r->top_logprobs > MAX_TOP_LOGPROBS)
        return err_set(e, ST_INVALID, "top_logprobs must be between 0 and 20");
    if ((st = limits_check(g->r, e)) != ST_OK) return st;
    if ((st = find_model(g, e)) != ST_OK) return st;
    if (wants_unload(g->r)) {
        runner_expire(g->server->runners, &g->model);
        return send_empty(g, "unload");
    }
    if (!g->r->chat && g->model.can[CAN_IMAGE])
        return err_set(e, ST_INVALID, "image generation models are not currently supported");
    if ((st = check_raw(g->r, e)) != ST_OK || (st = set_think(g, e)) != ST_OK ||
        (st = check_capabilities(g, e)) != ST_OK || (st = read_options(g, e)) != ST_OK ||
        (st = load(g, e)) != ST_OK)
        return st;
    if (nothing_to_do(g->r)) {
        runner_release(g->server->runners, g->runner);
        g->runner = NULL;
        return send_empty(g, "load");
    }
    if ((st = render(g, e)) != ST_OK) return st;
    return g->r->debug || g->r->count ? send_rendered(g, e) : generate(g, e);
}

static void release(struct gen *g) {
    cancel_attach(&g->cancel, NULL);
    cria_generation_free(g->generation);
    pictures_release(&g->pictures);
    if (g->runner != NULL) runner_release(g->server->runners, g->runner);
    parser_free(g->parser);
    if (g->thinks) think_end(&g->think_parser);
    if (g->calls) tool_end(&g->tool_parser, &g->content);
    template_free(g->own_template);
    catalog_model_free(&g->model);
    token_list_free(&g->tokens);
    struct buf *const b[] = {&g->answer, &g->content, &g->thinking, &g->tool_calls, &g->logprobs};
    prompt_free(&g->prompt);
    for (size_t i = 0; i < sizeof b / sizeof *b; i++) buf_free(b[i]);
    parts_free(&g->parts);
    arena_free(&g->arena);
}

bool gen_run(struct server *s, struct http_exchange *x, const struct gen_request *r,
             const struct gen_sink *sink, struct gen_failure *f) {
    struct gen *g = mem_zalloc(1, sizeof *g);
    *f = (struct gen_failure){.http_status = 500,
                              .err = {.code = ST_NO_MEMORY, .msg = "out of memory"}};
    if (g == NULL) return false;
    *g = (struct gen){
        .server = s, .x = x, .r = r, .sink = sink, .f = f, .start_ns = os_time_mono_ns()};
    g->activity = server_activity(x);
    atomic_store(&g->activity->generates, true);
    cancel_init(&g->cancel);
    server_enter(s, x, &g->cancel);
    enum status st = run(g, &f->err);
    f->http_status = answer_status(st);
    if (st == ST_CANCELLED) {
        metrics_add(&s->metrics, COUNT_aborted, 1);
        metrics_add(&s->metrics, COUNT_generation_tokens,
                    atomic_load(&g->activity->progress.n_generated));
    }
    server_leave(s, x, &g->cancel);
    release(g);
    cancel_destroy(&g->cancel);
    mem_free(g);
    return st == ST_OK;
}

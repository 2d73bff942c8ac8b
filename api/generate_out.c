/* generate_out.c - from the engine's chunks of text to the pieces of an answer.
 *
 * A chunk passes the thinking parser, its content the tool parser; what comes out collects in the
 * four buffers of the next piece. Streams send them after each chunk, others once at the end. The
 * runner is given back before the last piece goes out: who has the whole answer may rely on
 * keep_alive 0 having had its effect. */
#include <string.h>

#include "api/generate_impl.h"
#include "api/learn_jinja.h"
#include "base/config.h"
#include "base/duration.h"
#include "base/os.h"
#include "base/utf8.h"

/* ---- logprobs ---- */

/* Control tokens print nothing, here as in the text. */
static void put_logprob(struct buf *b, const char *piece, size_t len, double value) {
    buf_str(b, "{\"token\":");
    json_put_string(b, piece, len);
    json_put_key(b, "logprob");
    json_put_double(b, value);
    for (size_t i = 0; i < len; i++)
        buf_printf(b, "%s%u", i == 0 ? ",\"bytes\":[" : ",", (unsigned char)piece[i]);
    if (len > 0) buf_chr(b, ']');
}

static void put_top(struct buf *b, const struct vocab *v, const struct cria_token_logprobs *t) {
    for (uint32_t i = 0; i < t->n_top; i++) {
        size_t len = 0;
        const char *piece = vocab_piece(v, t->top[i].id, false, &len);
        buf_str(b, i == 0 ? ",\"top_logprobs\":[" : ",");
        put_logprob(b, piece, len, (double)t->top[i].logprob);
        buf_chr(b, '}');
    }
    if (t->n_top > 0) buf_chr(b, ']');
}

/* Tokens that make one character together are one entry: their bytes, the sum of their values, and
 * the alternatives to the first. */
static void put_logprobs(struct buf *b, const struct vocab *v, const struct cria_chunk *c) {
    struct buf bytes = {0};
    double sum = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < c->n_logprobs; i++) {
        const struct cria_logprob *t = &c->logprobs[i].token;
        buf_add(&bytes, t->piece, t->len);
        sum += (double)t->logprob;
        bool whole = bytes.len == 0 || utf8_complete_prefix(bytes.data, bytes.len) == bytes.len;
        if (!whole && i + 1 < c->n_logprobs) continue;
        if (b->len > 0) buf_chr(b, ',');
        put_logprob(b, bytes.len > 0 ? bytes.data : "", bytes.len, sum);
        put_top(b, v, &c->logprobs[first]);
        buf_chr(b, '}');
        buf_clear(&bytes);
        sum = 0;
        first = i + 1;
    }
    buf_free(&bytes);
}

/* ---- pieces ---- */

static const char *text_of(const struct buf *b) { return b->len > 0 ? b->data : ""; }

static bool is_empty(const struct gen *g) {
    return g->content.len == 0 && g->thinking.len == 0 && g->tool_calls.len == 0 &&
           g->logprobs.len == 0;
}

static enum status send(struct gen *g, struct gen_piece *p, struct err *e) {
    struct buf *const b[] = {&g->content, &g->thinking, &g->tool_calls, &g->logprobs};
    for (size_t i = 0; i < sizeof b / sizeof *b; i++)
        if (b[i]->failed) return err_no_memory(e);
    p->content = text_of(&g->content);
    p->content_len = g->content.len;
    p->thinking = text_of(&g->thinking);
    p->thinking_len = g->thinking.len;
    p->tool_calls = text_of(&g->tool_calls);
    p->logprobs = text_of(&g->logprobs);
    p->n_prompt = g->tokens.len;
    enum status st = g->sink->piece(g->sink->arg, p);
    g->sent_ns = os_time_mono_ns();
    for (size_t i = 0; i < sizeof b / sizeof *b; i++) buf_clear(b[i]);
    return st == ST_OK ? ST_OK : err_set(e, ST_CANCELLED, "request canceled");
}

/* Each finished call is a piece of its own. */
static enum status send_calls(struct gen *g, const struct buf *all, struct err *e) {
    struct gen_piece p = {.done = false};
    json *list;
    enum status st = ST_OK;
    struct buf text = {0};
    buf_printf(&text, "[%s]", all->data);
    list = text.failed ? NULL : json_parse(text.data, text.len, &json_default_limits, NULL, e);
    for (const json *m = json_first(list); m != NULL && st == ST_OK; m = json_next(m)) {
        json_print(&g->tool_calls, m);
        st = send(g, &p, e);
    }
    json_free(list);
    buf_free(&text);
    return st;
}

/* What came of a call that is still being written, if anything did. */
static enum status send_part(struct gen *g, bool cut, struct err *e) {
    struct gen_part part;
    struct gen_piece p = {.part = &part};
    if (parts_failed(&g->parts)) return err_no_memory(e);
    if (!parts_next(&g->parts, cut, &part)) return ST_OK;
    struct buf content = g->content, thinking = g->thinking; /* they follow the call */
    g->content = g->thinking = (struct buf){0};
    enum status st = send(g, &p, e);
    g->content = content;
    g->thinking = thinking;
    return st;
}

/* Where a stop text of the request may end the answer, inside of a call too, nothing of a call goes
 * out before it is complete: the answer is the same as without a stream. */
static bool sends_parts(const struct gen *g) {
    return g->r->parts && json_len(json_get(g->r->options, "stop")) == 0;
}

static enum status begin_part(struct gen *g, struct err *e) {
    struct call_head head;
    const bool held = g->parser != NULL ? parser_peek(g->parser, &head)
                                        : g->calls && tool_peek(&g->tool_parser, &head);
    if (g->parts.open) return ST_OK;
    parts_look(&g->parts, held ? &head : NULL);
    return send_part(g, false, e);
}

/* Native generate shows a chunk in which only a tag was read as an empty one; chat shows nothing.
 */
static enum status send_stream(struct gen *g, bool held, bool done, struct err *e) {
    struct gen_piece p = {.done = false};
    struct buf calls = g->tool_calls;
    enum status st = ST_OK;
    if (calls.failed) return err_no_memory(e);
    g->tool_calls = (struct buf){0};
    const bool tag = calls.len == 0 && !g->r->chat && held;
    st = send_part(g, false, e);
    if (st == ST_OK && !g->parts.open && (!is_empty(g) || tag)) st = send(g, &p, e);
    if (st == ST_OK && calls.len > 0) st = send_calls(g, &calls, e);
    if (st == ST_OK && sends_parts(g) && !done) st = begin_part(g, e);
    buf_free(&calls);
    return st;
}

/* ---- chunks ---- */

static bool prompt_ends_with(const struct gen *g, const char *tag) {
    const struct buf *text = &g->prompt.text;
    size_t n = text->len, k = strlen(tag);
    while (n > 0 && strchr(" \t\r\n\v\f", text->data[n - 1]) != NULL) n--;
    return n >= k && memcmp(text->data + n - k, tag, k) == 0;
}

/* A Go template tells its thinking tags; for Jinja and the built-in formats they are the usual
 * ones, but for harmony, where all that comes before the final channel counts as thinking. */
void gen_thinking_tags(const struct gen *g, const char **open, const char **close, bool *in) {
    const struct template *t = gen_template(g);
    const bool go = g->own_template != NULL || g->model.way == WAY_GO;
    *open = !go ? "<think>" : t == NULL ? NULL : template_thinking_open(t);
    *close = !go ? "</think>" : t == NULL ? NULL : template_thinking_close(t);
    *in = false;
    if (g->parser != NULL && strcmp(g->model.parser, "harmony") == 0) {
        *open = "<|channel|>";
        *close = "<|channel|>final<|message|>";
        *in = true;
    } else if (!g->think.on || *open == NULL || *close == NULL || **open == '\0' ||
               **close == '\0') {
        *open = *close = NULL;
    } else {
        *in = prompt_ends_with(g, *open);
    }
}

static void begin(struct gen *g) {
    const char *open, *close;
    bool in;
    if (g->parser != NULL) return;
    gen_thinking_tags(g, &open, &close, &in);
    g->thinks = open != NULL;
    g->calls = json_len(g->r->tools) > 0;
    if (g->thinks) {
        think_begin(&g->think_parser, open, close);
        if (in) think_feed(&g->think_parser, open, strlen(open), &g->content, &g->thinking);
    }
    const bool go = g->own_template != NULL || g->model.way == WAY_GO;
    if (g->calls)
        tool_begin(&g->tool_parser, go ? template_tool_tag(gen_template(g)) : "{", g->r->tools);
}

static const json *last_message(const struct gen *g) {
    const json *last = NULL;
    for (const json *m = json_first(g->r->messages); m != NULL; m = json_next(m)) last = m;
    return last;
}

enum status gen_choose_parser(struct gen *g, struct err *e) {
    const struct model_facts *f = g->model.facts;
    const struct vocab *v = cria_engine_vocab(runner_engine(g->runner));
    const bool own = g->r->raw || g->own_template != NULL;
    const char *name = own ? "" : g->model.parser;
    struct parser_input in = {.tools = json_len(g->r->tools) > 0 ? g->r->tools : NULL,
                              .last = last_message(g),
                              .think_set = g->think.set,
                              .think = g->think.on};
    if (*name == '\0' && !own && g->model.way == WAY_JINJA) {
        in.think = prompt_ends_with(g, "<think>");
        in.think_set = true;
        in.look = !in.think && g->think.on;
        name = jinja_parser(f->jinja, f->jinja_len, in.think);
    }
    if (name == NULL || *name == '\0') return ST_OK;
    const struct parser_info *info = parser_info(name);
    for (size_t i = 0; info->preserved[i] != NULL && g->n_visible < GEN_VISIBLE; i++) {
        token_id id = vocab_find(v, info->preserved[i], strlen(info->preserved[i]));
        if (id >= 0) g->visible[g->n_visible++] = id;
    }
    g->parser_name = name;
    return parser_open(&g->parser, name, &in, e);
}

static void add_calls(struct gen *g, const struct buf *calls) {
    if (calls->len > 0 && g->tool_calls.len > 0) buf_chr(&g->tool_calls, ',');
    buf_add(&g->tool_calls, text_of(calls), calls->len);
    if (calls->failed) g->tool_calls.failed = true;
}

/* The piece through the model's own parser. */
static enum status take_formatted(struct gen *g, const char *text, size_t len, bool done,
                                  struct err *e) {
    struct parser_out o = {0};
    parts_feed(&g->parts, text, len);
    enum status st = parser_feed(g->parser, text, len, done, &o, e);
    if (done && st == ST_OK) parser_end(g->parser, &o);
    if (st == ST_OK && o.n_calls > 0) st = parts_settle(&g->parts, &o.calls, e);
    buf_add(&g->content, text_of(&o.content), o.content.len);
    buf_add(&g->thinking, text_of(&o.thinking), o.thinking.len);
    add_calls(g, &o.calls);
    parser_out_free(&o);
    return st;
}

/* The piece through the parsers that know only the template's tags. */
static enum status take_generic(struct gen *g, const char *text, size_t len, bool done,
                                struct err *e) {
    struct buf content = {0}, calls = {0};
    enum status st = ST_OK;
    if (g->thinks) {
        think_feed(&g->think_parser, text, len, &content, &g->thinking);
        if (done) think_flush(&g->think_parser, &content, &g->thinking);
    } else {
        buf_add(&content, text, len);
    }
    if (g->calls) {
        parts_feed(&g->parts, text_of(&content), content.len);
        if (tool_feed(&g->tool_parser, text_of(&content), content.len, &g->content, &calls) > 0)
            st = parts_settle(&g->parts, &calls, e);
    } else {
        buf_add(&g->content, text_of(&content), content.len);
    }
    add_calls(g, &calls);
    buf_free(&calls);
    buf_free(&content);
    return st;
}

static enum status take_chunk(struct gen *g, const struct cria_chunk *chunk, struct err *e) {
    put_logprobs(&g->logprobs, cria_engine_vocab(runner_engine(g->runner)), chunk);
    buf_add(&g->answer, chunk->text, chunk->len);
    bool done = chunk->done != CRIA_RUNNING;
    enum status st = ST_OK;
    if (g->parser == NULL) {
        st = take_generic(g, chunk->text, chunk->len, done, e);
    } else {
        st = take_formatted(g, chunk->text, chunk->len, false, e);
        if (st == ST_OK && done) st = take_formatted(g, "", 0, true, e);
    }
    return st;
}

/* ---- the end ---- */

/* The ids of prompt and answer, tokenised again as text: a client sends them back as a prefix. */
static void put_context_ids(struct gen *g, struct buf *b) {
    struct token_list ids = {0};
    struct buf text = {0};
    const struct vocab *v = cria_engine_vocab(runner_engine(g->runner));
    buf_add(&text, text_of(&g->prompt.text), g->prompt.text.len);
    buf_add(&text, text_of(&g->answer), g->answer.len);
    vocab_encode(v, text_of(&text), text.len, VOCAB_PARSE_SPECIAL, &ids, NULL);
    buf_chr(b, '[');
    for (size_t i = 0; i < ids.len; i++) buf_printf(b, i == 0 ? "%d" : ",%d", ids.ids[i]);
    buf_chr(b, ']');
    token_list_free(&ids);
    buf_free(&text);
}

/* The generation's own text of it ends with the generation, the options' does not. */
static const char *stop_of(const struct gen *g, const char *hit) {
    for (size_t i = 0; hit != NULL && i < g->options.n_stop; i++)
        if (strcmp(g->options.stop[i], hit) == 0) return g->options.stop[i];
    return NULL;
}

static struct gen_stats stats_of(const struct gen *g) {
    const struct cria_stats *s = cria_generation_stats(g->generation);
    int64_t load = g->ready_ns - g->start_ns;
    /* A cached prompt of one token or a coarse clock must not make a field vanish (0 is left out).
     */
    return (struct gen_stats){.load_ns = load > 0 ? load : 1,
                              .prompt_ns = s->prompt_ns > 0 ? s->prompt_ns : 1,
                              .eval_ns = s->eval_ns > 0 ? s->eval_ns : 1,
                              .n_prompt = s->n_prompt,
                              .n_generated = s->n_generated,
                              .truncated = g->prompt.truncated,
                              .stop_hit = stop_of(g, s->stop_hit)};
}

/* Called while the generation is there. */
static void count(const struct gen *g, enum cria_done done) {
    struct metrics *m = &g->server->metrics;
    const struct cria_stats *s = cria_generation_stats(g->generation);
    metrics_add(m, COUNT_prompt_tokens, s->n_prompt);
    metrics_add(m, COUNT_generation_tokens, s->n_generated);
    server_charge(g->x, (uint64_t)s->n_prompt + s->n_generated);
    metrics_add(m, COUNT_prefix_queries, s->n_prompt);
    metrics_add(m, COUNT_prefix_hits, s->n_cached);
    metrics_add(m, done == CRIA_DONE_LENGTH ? COUNT_full : COUNT_stopped, 1);
    metrics_time(m, HIST_queue, g->ready_ns - g->start_ns + s->wait_ns);
    metrics_time(m, HIST_e2e, os_time_mono_ns() - g->start_ns);
}

static enum status finish(struct gen *g, enum cria_done done, struct err *e) {
    struct buf context = {0};
    struct gen_stats stats = stats_of(g);
    count(g, done);
    if (!g->r->chat && !g->r->raw) put_context_ids(g, &context);
    if (g->calls) {
        tool_end(&g->tool_parser, &g->content);
        g->calls = false;
    }
    cancel_attach(&g->cancel, NULL);
    cria_generation_free(g->generation);
    g->generation = NULL;
    pictures_release(&g->pictures);
    runner_release(g->server->runners, g->runner);
    g->runner = NULL;
    stats.total_ns = os_time_mono_ns() - g->start_ns;
    struct gen_piece p = {.done = true,
                          .stats = &stats,
                          .context = context.data,
                          .done_reason = done == CRIA_DONE_LENGTH ? "length" : "stop"};
    enum status st = send(g, &p, e);
    buf_free(&context);
    return st;
}

/* Clients and what stands between give up on a connection in which nothing happens. */
static enum status keep_alive(struct gen *g, int64_t beat, struct err *e) {
    if (!g->r->stream || g->sink->wait == NULL || beat == DURATION_FOREVER) return ST_OK;
    for (;;) {
        const int64_t left = g->sent_ns + beat - os_time_mono_ns();
        if (left > 0 && cria_generation_wait(g->generation, left)) return ST_OK;
        if (left > 0) continue;
        if (g->sink->wait(g->sink->arg) != ST_OK)
            return err_set(e, ST_CANCELLED, "request canceled");
        g->sent_ns = os_time_mono_ns();
    }
}

/* The answer ends inside of a call that went out in parts. */
static enum status cut_part(struct gen *g, enum cria_done done, struct err *e) {
    if (done != CRIA_DONE_LENGTH)
        return err_set(e, ST_INVALID, "tool call '%.200s' is malformed: it has no end",
                       g->parts.name.data);
    buf_cut(&g->tool_parser.held, 0); /* it is not to come again, as content */
    return send_part(g, true, e);
}

enum status gen_output(struct gen *g, struct err *e) {
    struct cria_chunk chunk;
    enum status st = ST_OK;
    int64_t last_ns = 0;
    const int64_t beat = config_ns(SET_heartbeat);
    begin(g);
    g->sent_ns = os_time_mono_ns();
    do {
        st = keep_alive(g, beat, e);
        if (st == ST_OK) st = cria_generation_next(g->generation, &chunk, e);
        if (st != ST_OK) return st;
        const int64_t now = os_time_mono_ns();
        if (last_ns == 0)
            metrics_time(&g->server->metrics, HIST_ttft, now - g->start_ns);
        else
            metrics_time(&g->server->metrics, HIST_itl, now - last_ns);
        last_ns = now;
        if (chunk.done == CRIA_DONE_CANCELLED) return err_set(e, ST_CANCELLED, "request canceled");
        const bool more = chunk.done == CRIA_RUNNING && cria_generation_wait(g->generation, 0);
        if (more) http_hold(g->x, true);
        st = take_chunk(g, &chunk, e);
        if (st == ST_OK && g->r->stream)
            st = send_stream(g, chunk.len > 0, chunk.done != CRIA_RUNNING, e);
        if (!more) http_hold(g->x, false);
    } while (st == ST_OK && chunk.done == CRIA_RUNNING);
    if (st == ST_OK && g->parts.open) st = cut_part(g, chunk.done, e);
    return st == ST_OK ? finish(g, chunk.done, e) : st;
}

/* embed.c - see embed.h. */
#include "api/embed.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/file/gguf.h"

void embed_begin(struct embed_job *j, struct server *s, struct http_exchange *x) {
    *j = (struct embed_job){.server = s, .x = x, .start_ns = os_time_mono_ns()};
    j->ready_ns = j->start_ns;
    cancel_init(&j->cancel);
    server_enter(s, x, &j->cancel);
}

void embed_end(struct embed_job *j) {
    server_leave(j->server, j->x, &j->cancel);
    if (j->runner != NULL) runner_release(j->server->runners, j->runner);
    catalog_model_free(&j->model);
    token_list_free(&j->tokens);
    mem_free(j->end);
    mem_free(j->vectors);
    arena_free(&j->arena);
    cancel_destroy(&j->cancel);
}

/* ---- the model ---------------------------------------------------------------------------------
 */

enum status embed_find(struct embed_job *j, const char *text, struct err *e) {
    struct model_name name;
    enum status st = server_name(text, &name, e);
    if (st != ST_OK) return st;
    st = catalog_find(j->server->catalog, &name, &j->model, e);
    if (st == ST_NOT_FOUND)
        return err_set(e, ST_NOT_FOUND, "model \"%s\" not found, try pulling it first", text);
    if (st != ST_OK) return err_set(e, ST_INTERNAL, "%s", e->msg);
    if (*j->model.stored.entry.config.remote_host != '\0')
        return err_set(e, ST_DENIED, "ollama cloud is disabled: remote model is unavailable");
    st = server_allow(j->x, &j->model.stored.entry.name, e);
    if (st != ST_OK) return st;
    activity_set_model(&j->server->activities, server_activity(j->x), text);
    return ST_OK;
}

enum status embed_load(struct embed_job *j, const json *options, const json *keep_alive,
                       struct err *e) {
    int64_t keep;
    enum status st = catalog_options(&j->model, options, &j->options, &j->arena, e);
    if (st == ST_OK && keep_alive != NULL) st = keep_alive_parse(keep_alive, &keep, e);
    if (st != ST_OK) return st;
    const struct runner_wish wish = {&j->model, &j->options, keep_alive != NULL ? &keep : NULL};
    st = runner_acquire(j->server->runners, &wish, &j->cancel, &j->runner, e);
    if (st == ST_OK) store_mark_used(j->server->store, &j->model.stored.entry.name);
    j->ready_ns = os_time_mono_ns();
    return st;
}

bool embed_wants_unit(const struct embed_job *j) {
    const struct cria_engine *engine = runner_engine(j->runner);
    char key[128];
    bool unit = true;
    snprintf(key, sizeof key, "%s.normalize_embeddings", cria_engine_info(engine)->arch);
    gguf_get_bool(cria_engine_gguf(engine), key, &unit, NULL);
    return unit;
}

/* ---- texts -------------------------------------------------------------------------------------
 */

static enum status end_text(struct embed_job *j, struct err *e) {
    if (j->n_texts == EMBED_MAX_TEXTS)
        return err_set(e, ST_LIMIT, "more than %d inputs in a request", EMBED_MAX_TEXTS);
    if ((j->n_texts & (j->n_texts - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
        size_t *end = mem_grow(j->end, j->n_texts != 0 ? 2 * j->n_texts : 1, sizeof *end);
        if (end == NULL) return err_no_memory(e);
        j->end = end;
    }
    j->end[j->n_texts++] = j->tokens.len;
    return ST_OK;
}

/* Too long: the first tokens that fit, as text once more, and then in any case as tokens. */
static enum status add_cut(struct embed_job *j, const char *text, size_t len, size_t begin,
                           struct err *e) {
    const struct cria_engine *engine = runner_engine(j->runner);
    const struct vocab *v = cria_engine_vocab(engine);
    const uint32_t n_ctx = cria_engine_info(engine)->n_ctx;
    struct token_list plain = {0}, *t = &j->tokens;
    struct buf cut = {0};
    enum status st = vocab_encode(v, text, len, VOCAB_PARSE_SPECIAL, &plain, e);
    if (st != ST_OK) return st;
    server_tell_truncated(j->server, j->x, j->model.stored.entry.name.model, n_ctx);
    const size_t n = t->len - begin, extra = n > plain.len ? n - plain.len : 0;
    const size_t room = n_ctx > extra ? n_ctx - extra : 0;
    if (room == 0)
        st = err_set(e, ST_LIMIT, "input after truncation exceeds maximum context length");
    if (st == ST_OK) {
        vocab_detokenize(v, plain.ids, plain.len < room ? plain.len : room, false, true, &cut);
        t->len = begin;
        st = cut.failed ? err_no_memory(e)
                        : vocab_encode(v, cut.len > 0 ? cut.data : "", cut.len,
                                       VOCAB_ADD_SPECIAL | VOCAB_PARSE_SPECIAL, t, e);
    }
    if (st == ST_OK && t->len - begin > n_ctx) { /* the text of tokens may be more tokens */
        t->ids[begin + n_ctx - 1] = t->ids[t->len - 1];
        t->len = begin + n_ctx;
    }
    token_list_free(&plain);
    buf_free(&cut);
    return st;
}

enum status embed_add(struct embed_job *j, const char *text, size_t len, bool truncate,
                      struct err *e) {
    const struct cria_engine *engine = runner_engine(j->runner);
    const struct vocab *v = cria_engine_vocab(engine);
    const size_t begin = j->tokens.len;
    enum status st =
        vocab_encode(v, text, len, VOCAB_ADD_SPECIAL | VOCAB_PARSE_SPECIAL, &j->tokens, e);
    if (st == ST_OK && j->tokens.len - begin > cria_engine_info(engine)->n_ctx)
        st = truncate ? add_cut(j, text, len, begin, e)
                      : err_set(e, ST_LIMIT, "the input length exceeds the context length");
    if (st == ST_OK &&
        j->tokens.len == begin) { /* "" where nothing is added: something, at least */
        const struct vocab_special *s = vocab_special(v);
        const token_id id = s->bos != TOKEN_NONE ? s->bos : s->eos != TOKEN_NONE ? s->eos : 0;
        if (!token_list_add(&j->tokens, id)) st = err_no_memory(e);
    }
    return st == ST_OK ? end_text(j, e) : st;
}

/* ---- pairs -------------------------------------------------------------------------------------
 */

static bool add_id(struct embed_job *j, bool wanted, token_id id) {
    return !wanted || id == TOKEN_NONE || token_list_add(&j->tokens, id);
}

/* `text` with the first {query} and {document} replaced: the model's own form of a pair. */
static void put_filled(struct buf *b, struct gguf_str form, const char *query,
                       const char *document) {
    const struct {
        const char *mark, *value;
    } part[] = {{"{query}", query}, {"{document}", document}};
    for (size_t i = 0; i < form.len;) {
        size_t k = 0;
        for (; k < 2; k++) {
            const size_t n = strlen(part[k].mark);
            if (form.len - i >= n && memcmp(form.ptr + i, part[k].mark, n) == 0) break;
        }
        if (k < 2) {
            buf_str(b, part[k].value);
            i += strlen(part[k].mark);
        } else {
            buf_chr(b, form.ptr[i++]);
        }
    }
}

/* [CLS] query [SEP] document [SEP], with what of that the vocabulary has. */
static enum status add_framed(struct embed_job *j, const char *query, const char *document,
                              struct err *e) {
    const struct cria_engine *engine = runner_engine(j->runner);
    const struct vocab *v = cria_engine_vocab(engine);
    const struct vocab_special *s = vocab_special(v);
    const token_id end = s->add_eos ? s->eos : s->add_sep ? s->sep : TOKEN_NONE;
    const size_t begin = j->tokens.len, n_ctx = cria_engine_info(engine)->n_ctx;
    bool ok = add_id(j, s->add_bos, s->bos);
    enum status st = vocab_encode(v, query, strlen(query), 0, &j->tokens, e);
    /* XLM-R has an end and a separator between the two; where there is but one, once. */
    ok = ok && add_id(j, true, end) && add_id(j, s->add_eos && s->add_sep, s->sep);
    if (st == ST_OK) st = vocab_encode(v, document, strlen(document), 0, &j->tokens, e);
    if (st == ST_OK && j->tokens.len - begin + 1 > n_ctx) j->tokens.len = begin + n_ctx - 1;
    ok = ok && add_id(j, true, end);
    return st == ST_OK && !ok ? err_no_memory(e) : st;
}

enum status embed_add_pair(struct embed_job *j, const char *query, const char *document,
                           struct err *e) {
    const struct cria_engine *engine = runner_engine(j->runner);
    struct gguf_str form;
    if (gguf_get_str(cria_engine_gguf(engine), "tokenizer.chat_template.rerank", &form, NULL) ==
        ST_OK) {
        struct buf text = {0};
        put_filled(&text, form, query, document);
        enum status st = text.failed
                             ? err_no_memory(e)
                             : embed_add(j, text.len > 0 ? text.data : "", text.len, true, e);
        buf_free(&text);
        return st;
    }
    enum status st = add_framed(j, query, document, e);
    return st == ST_OK ? end_text(j, e) : st;
}

/* ---- vectors ------------------------------------------------------------------------------------
 */

static bool is_cancelled(void *arg) {
    struct embed_job *j = arg;
    return cancel_fired(&j->cancel);
}

/* One vector for a text, also of models that were not made for that (chat models: the mean). */
static enum cria_pooling embedding_pooling(const struct cria_model_info *info) {
    if (info->pooling == CRIA_POOL_NONE) return CRIA_POOL_MEAN;
    if (info->pooling != CRIA_POOL_RANK) return info->pooling;
    return info->causal ? CRIA_POOL_LAST : CRIA_POOL_CLS;
}

static enum status run_engine(struct embed_job *j, const struct cria_embed_request *r,
                              struct err *e) {
    struct cria_engine *engine = runner_engine(j->runner);
    j->width = cria_embed_width(engine, r->pooling);
    j->vectors = mem_array(j->n_texts * (size_t)j->width, sizeof *j->vectors);
    if (j->vectors == NULL) return err_no_memory(e);
    enum status st = cria_embed(engine, r, j->vectors, e);
    for (size_t i = 0; st == ST_OK && i < j->n_texts * (size_t)j->width; i++)
        if (!isfinite(j->vectors[i]))
            return err_set(e, ST_INVALID, "embedding contains NaN or Inf values");
    return st;
}

enum status embed_lora(struct embed_job *j, const json *lora, struct err *e) {
    return lora_read(&j->lora, lora, runner_engine(j->runner), e);
}

enum status embed_run(struct embed_job *j, bool scores, bool normalize, struct err *e) {
    const struct cria_model_info *info = cria_engine_info(runner_engine(j->runner));
    struct cria_text *texts = mem_array(j->n_texts, sizeof *texts);
    if (texts == NULL && j->n_texts > 0) return err_no_memory(e);
    server_charge(j->x, j->tokens.len);
    metrics_add(&j->server->metrics, COUNT_prompt_tokens, j->tokens.len);
    for (size_t i = 0, begin = 0; i < j->n_texts; begin = j->end[i++])
        texts[i] = (struct cria_text){j->tokens.ids + begin, j->end[i] - begin};
    const struct cria_embed_request r = {.texts = texts,
                                         .n_texts = j->n_texts,
                                         .pooling =
                                             scores ? CRIA_POOL_RANK : embedding_pooling(info),
                                         .normalize = normalize,
                                         .adapters = j->lora.given ? j->lora.list : NULL,
                                         .n_adapters = j->lora.n,
                                         .cancelled = is_cancelled,
                                         .domain = server_domain(j->x),
                                         .arg = j};
    enum status st = j->n_texts > 0 ? run_engine(j, &r, e) : ST_OK;
    mem_free(texts);
    return st;
}

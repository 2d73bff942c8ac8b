/* vocab_special.c - special ids, end of generation, attributes (spec/tokenizers.md 2, 3 and 8).
 *
 * Most files name only some of their special tokens by key; the others are recognised by their
 * texts. The order of the steps matters, because later steps change what earlier ones marked. */
#include <ctype.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/file/gguf.h"
#include "engine/vocab/pretok.h"
#include "engine/vocab/vocab_impl.h"

/* clang-format off */
/* Lists of texts end with NULL; the first one found wins where one token is wanted. EF BD 9C is a
 * full-width bar, E2 96 81 the low block that stands for a space (deepseek). */
static const char *const eot_texts[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
    "<EOT>", "_<EOT>", "[EOT]",
    "<\xEF\xBD\x9C" "end\xE2\x96\x81" "of\xE2\x96\x81" "sentence\xEF\xBD\x9C>",
    "<end_of_utterance>", NULL};
static const char *const eom_texts[] = {"<|eom_id|>", NULL};
static const char *const fim_pre_texts[] = {
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",
    "<\xEF\xBD\x9C" "fim\xE2\x96\x81" "begin\xEF\xBD\x9C>", "<PRE>", "\xE2\x96\x81<PRE>",
    "<|code_prefix|>", "<|prefix|>", NULL};
static const char *const fim_suf_texts[] = {
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
    "<\xEF\xBD\x9C" "fim\xE2\x96\x81" "hole\xEF\xBD\x9C>", "<SUF>", "\xE2\x96\x81<SUF>",
    "<|code_suffix|>", "<|suffix|>", NULL};
static const char *const fim_mid_texts[] = {
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>",
    "<\xEF\xBD\x9C" "fim\xE2\x96\x81" "end\xEF\xBD\x9C>", "<MID>", "\xE2\x96\x81<MID>",
    "<|code_middle|>", "<|middle|>", NULL};
static const char *const fim_pad_texts[] = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>",
                                            "[PAD]", NULL};
static const char *const fim_rep_texts[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>",
                                            "<reponame>", NULL};
static const char *const fim_sep_texts[] = {"<|file_sep|>", NULL};

static const char *const end_texts[] = { /* every one of these ends a generation */
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
    "<\xEF\xBD\x9C" "end\xE2\x96\x81" "of\xE2\x96\x81" "sentence\xEF\xBD\x9C>", "[e~[", NULL};
static const char *const user_texts[] = {"<|channel|>", "<|message|>", "<|start|>",
                                         "<|constrain|>", NULL};
/* clang-format on */

static token_id find(const struct vocab *v, const char *text) {
    return vocab_find(v, text, strlen(text));
}

static token_id find_first(const struct vocab *v, const char *const *texts) {
    token_id id = TOKEN_NONE;
    for (; *texts != NULL && id == TOKEN_NONE; texts++) id = find(v, *texts);
    return id;
}

static void set_end(struct vocab *v, token_id id) {
    if (id != TOKEN_NONE) v->attr[id] |= ATTR_EOG;
}

static bool ends(const struct vocab *v, const char *text) {
    token_id id = find(v, text);
    return id != TOKEN_NONE && (v->attr[id] & ATTR_EOG) != 0;
}

/* -- keys -------------------------------------------------------------------------------------- */

/* An id of the file; *id keeps its value if there is none or none of this vocabulary. */
static enum status read_id(const struct vocab *v, const struct gguf *g, const char *key,
                           token_id *id, struct err *e) {
    uint32_t value = 0;
    if (gguf_find(g, key) == NULL) return ST_OK;
    enum status st = gguf_get_u32(g, key, &value, e);
    if (st != ST_OK) return st;
    if (value < v->n)
        *id = (token_id)value;
    else
        log_warn("vocab", "%s = %u is no token of %u, ignored", key, value, v->n);
    return ST_OK;
}

static enum status read_flag(const struct gguf *g, const char *key, bool *flag, struct err *e) {
    return gguf_find(g, key) != NULL ? gguf_get_bool(g, key, flag, e) : ST_OK;
}

void special_none(struct vocab *v) {
    v->special = (struct vocab_special){.bos = TOKEN_NONE,
                                        .eos = TOKEN_NONE,
                                        .eot = TOKEN_NONE,
                                        .eom = TOKEN_NONE,
                                        .unk = TOKEN_NONE,
                                        .sep = TOKEN_NONE,
                                        .pad = TOKEN_NONE,
                                        .mask = TOKEN_NONE,
                                        .fim_pre = TOKEN_NONE,
                                        .fim_suf = TOKEN_NONE,
                                        .fim_mid = TOKEN_NONE,
                                        .fim_pad = TOKEN_NONE,
                                        .fim_rep = TOKEN_NONE,
                                        .fim_sep = TOKEN_NONE,
                                        .nl = TOKEN_NONE};
}

static void set_defaults(struct vocab *v) {
    const struct vocab_kind *k = v->kind;
    unsigned flags = v->pre != NULL ? v->pre->flags : 0;
    struct vocab_special *s = &v->special;
    special_none(v);
    s->bos = k->bos;
    s->eos = k->eos;
    s->unk = k->unk;
    s->sep = k->sep;
    s->pad = k->pad;
    s->mask = k->mask;
    s->add_bos = k->add_bos;
    s->add_eos = k->add_eos;
    s->add_sep = (flags & PRE_ADD_SEP) != 0 || k->frame == FRAME_BERT;
    if ((flags & PRE_NO_BOS) != 0) s->bos = TOKEN_NONE;
    if ((flags & PRE_ADD_BOS) != 0) s->add_bos = true;
    token_id *ids[] = {&s->bos, &s->eos, &s->unk, &s->sep, &s->pad, &s->mask};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (*ids[i] >= (int64_t)v->n) *ids[i] = TOKEN_NONE;
    }
    const bool whitespace =
        strcmp(v->pre_name, "whitespace") == 0 || strcmp(k->name, "whitespace") == 0;
    v->lower = !whitespace && (flags & PRE_KEEP_CASE) == 0;
    v->space_prefix = k->space_prefix;
    v->clean = k->clean && (flags & PRE_NO_CLEAN) == 0;
}

static enum status read_keys(struct vocab *v, const struct gguf *g, struct err *e) {
    struct vocab_special *s = &v->special;
    const struct {
        const char *key;
        token_id *id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", &s->bos},
               {"tokenizer.ggml.eos_token_id", &s->eos},
               {"tokenizer.ggml.eot_token_id", &s->eot},
               {"tokenizer.ggml.eom_token_id", &s->eom},
               {"tokenizer.ggml.unknown_token_id", &s->unk},
               {"tokenizer.ggml.seperator_token_id", &s->sep},
               {"tokenizer.ggml.padding_token_id", &s->pad},
               {"tokenizer.ggml.mask_token_id", &s->mask},
               {"tokenizer.ggml.fim_pre_token_id", &s->fim_pre},
               {"tokenizer.ggml.fim_suf_token_id", &s->fim_suf},
               {"tokenizer.ggml.fim_mid_token_id", &s->fim_mid},
               {"tokenizer.ggml.fim_pad_token_id", &s->fim_pad},
               {"tokenizer.ggml.fim_rep_token_id", &s->fim_rep},
               {"tokenizer.ggml.fim_sep_token_id", &s->fim_sep},
               {"tokenizer.ggml.prefix_token_id", &s->fim_pre}, /* old names, read last: they win */
               {"tokenizer.ggml.suffix_token_id", &s->fim_suf},
               {"tokenizer.ggml.middle_token_id", &s->fim_mid}};
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {{"tokenizer.ggml.add_bos_token", &s->add_bos},
                 {"tokenizer.ggml.add_bos_token", &s->add_bos_by_file},
                 {"tokenizer.ggml.add_eos_token", &s->add_eos},
                 {"tokenizer.ggml.add_sep_token", &s->add_sep},
                 {"tokenizer.ggml.add_space_prefix", &v->space_prefix},
                 {"tokenizer.ggml.remove_extra_whitespaces", &v->collapse_spaces},
                 {"tokenizer.ggml.normalizer.lowercase", &v->lower},
                 {"tokenizer.ggml.normalizer.strip_accents", &v->strip_accents}};
    enum status st = ST_OK;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && st == ST_OK; i++)
        st = read_id(v, g, ids[i].key, ids[i].id, e);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && st == ST_OK; i++)
        st = read_flag(g, flags[i].key, flags[i].flag, e);
    if (gguf_find(g, "tokenizer.ggml.normalizer.strip_accents") == NULL)
        v->strip_accents = v->lower;
    if (v->pre != NULL && (v->pre->flags & PRE_FORCE_BOS) != 0)
        s->add_bos = s->add_bos_by_file = true;
    if (v->pre != NULL && strcmp(vocab_pre_name(v), "lfm2") == 0) s->add_bos_by_file = true;
    return st;
}

/* -- texts ------------------------------------------------------------------------------------- */

/* Finds what no key gave; a token found this way becomes a control token. */
static void find_by_text(struct vocab *v) {
    struct vocab_special *s = &v->special;
    const struct {
        token_id *id;
        const char *const *texts;
    } roles[] = {{&s->eot, eot_texts},         {&s->eom, eom_texts},
                 {&s->fim_pre, fim_pre_texts}, {&s->fim_suf, fim_suf_texts},
                 {&s->fim_mid, fim_mid_texts}, {&s->fim_pad, fim_pad_texts},
                 {&s->fim_rep, fim_rep_texts}, {&s->fim_sep, fim_sep_texts}};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (*roles[i].id != TOKEN_NONE) continue;
        *roles[i].id = find_first(v, roles[i].texts);
        if (*roles[i].id != TOKEN_NONE) v->attr[*roles[i].id] |= TOKEN_CONTROL;
    }
}

static void mark_unused(struct vocab *v) {
    for (uint32_t i = 0; i < v->n; i++) {
        if ((v->attr[i] & TOKEN_CONTROL) == 0) continue;
        if (memmem(span_ptr(v, v->text[i]), v->text[i].len, "unused", 6) != NULL)
            v->attr[i] |= TOKEN_UNUSED;
    }
}

/* Takes a token out of the end set and gives it another attribute. */
static void demote(struct vocab *v, const char *text, unsigned attr) {
    token_id id = find(v, text);
    v->attr[id] = (uint16_t)attr;
}

static void find_ends(struct vocab *v) {
    const struct vocab_special *s = &v->special;
    set_end(v, s->fim_pad);
    set_end(v, s->fim_rep);
    set_end(v, s->fim_sep);
    for (const char *const *t = end_texts; *t != NULL; t++) {
        token_id id = find(v, *t);
        if (id != TOKEN_NONE) v->attr[id] |= ATTR_EOG | TOKEN_CONTROL;
    }
    for (const char *const *t = user_texts; *t != NULL; t++) {
        token_id id = find(v, *t);
        if (id != TOKEN_NONE) v->attr[id] = (uint16_t)((v->attr[id] & ATTR_EOG) | TOKEN_USER);
    }
    set_end(v, s->eos);
    set_end(v, s->eot);
    set_end(v, s->eom);
    /* Harmony and its like: <|end|> ends a message, not the turn. */
    bool call = ends(v, "<|call|>") || ends(v, "<|calls|>");
    if (ends(v, "<|end|>") && call && (ends(v, "<|return|>") || ends(v, "<|flush|>")))
        demote(v, "<|end|>", TOKEN_USER);
    if (ends(v, "</s>") && (ends(v, "<|tool_response>") || ends(v, "<|plamo:eos|>")))
        demote(v, "</s>", TOKEN_NORMAL);
}

/* -- white space beside special tokens --------------------------------------------------------- */

static bool contains_any(const char *text, const char *const *words) {
    for (; *words != NULL; words++) {
        if (strstr(text, *words) != NULL) return true;
    }
    return false;
}

static void set_strip(struct vocab *v, const char *text, unsigned attr) {
    token_id id = find(v, text);
    if (id != TOKEN_NONE) v->attr[id] |= (uint16_t)attr;
}

static void strip_phi3(struct vocab *v) {
    static const char *const kept[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (uint32_t i = 0; i < v->n; i++) {
        if ((v->attr[i] & (TOKEN_CONTROL | TOKEN_USER | TOKEN_UNKNOWN)) != 0)
            v->attr[i] |= TOKEN_RSTRIP;
    }
    set_strip(v, "</s>", TOKEN_RSTRIP);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        token_id id = find(v, kept[i]);
        if (id != TOKEN_NONE) v->attr[id] &= (uint16_t)~TOKEN_RSTRIP;
    }
}

/* A string of the file as lower-cased C text; "" if there is none. NULL: no memory. */
static char *read_text(const struct gguf *g, const char *key, bool lower) {
    struct gguf_str s = {"", 0};
    gguf_get_str(g, key, &s, NULL);
    char *text = mem_strndup(s.ptr, s.len);
    for (size_t i = 0; text != NULL && lower && i < s.len; i++)
        text[i] = (char)tolower((unsigned char)text[i]);
    return text;
}

static enum status set_strips(struct vocab *v, const struct gguf *g, struct err *e) {
    static const char *const jina_pres[] = {"jina-v2-de", "jina-v2-es", "jina-v2-code", NULL};
    static const char *const mask_archs[] = {"nomic-bert-moe", "jina-bert-v3", NULL};
    static const char *const phi3_names[] = {"phi-3", "phi3", NULL};
    char *name = read_text(g, "general.name", true);
    char *arch = read_text(g, "general.architecture", false);
    bool ok = name != NULL && arch != NULL;
    if (ok) {
        if (contains_any(v->pre_name, jina_pres) || contains_any(arch, mask_archs))
            set_strip(v, "<mask>", TOKEN_LSTRIP);
        else if (contains_any(name, phi3_names))
            strip_phi3(v);
        else if (strstr(name, "modern-bert") != NULL)
            set_strip(v, "[MASK]", TOKEN_LSTRIP);
    }
    mem_free(name);
    mem_free(arch);
    return ok ? ST_OK : err_no_memory(e);
}

static enum status read_suppressed(struct vocab *v, const struct gguf *g, struct err *e) {
    static const char key[] = "tokenizer.ggml.suppress_tokens";
    const struct gguf_kv *kv = gguf_find(g, key);
    if (kv == NULL) return ST_OK;
    if (kv->type != GGUF_ARRAY || !gguf_is_int(kv->elem))
        return err_set(e, ST_FORMAT, "key %s is no array of i32", key);
    for (uint64_t i = 0; i < kv->count; i++) {
        const int64_t id = gguf_elem_int(kv, i);
        if (id < 0 || id >= (int64_t)v->n) continue;
        if (!token_list_add(&v->suppressed, (token_id)id)) return err_no_memory(e);
    }
    return ST_OK;
}

enum status special_load(struct vocab *v, const struct gguf *g, struct err *e) {
    set_defaults(v);
    enum status st = read_keys(v, g, e);
    if (st == ST_OK) st = read_suppressed(v, g, e);
    if (st != ST_OK) return st;
    find_by_text(v);
    mark_unused(v);
    find_ends(v);
    return set_strips(v, g, e);
}

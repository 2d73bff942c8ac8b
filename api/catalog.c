/* catalog.c - see catalog.h. */
#include "api/catalog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/file_options.h"
#include "api/format/parse.h"
#include "api/learn_jinja.h"
#include "api/template/named.h"
#include "base/config.h"
#include "base/mem.h"
#include "engine/file/gguf.h"

struct catalog {
    struct store *store;
    pthread_mutex_t mutex;
    struct model_facts *facts; /* list, newest first */
};

const char *capability_name(enum capability c) {
    static const char *const name[] = {
        [CAN_COMPLETION] = "completion", [CAN_TOOLS] = "tools",
        [CAN_INSERT] = "insert",         [CAN_VISION] = "vision",
        [CAN_AUDIO] = "audio",           [CAN_EMBEDDING] = "embedding",
        [CAN_THINKING] = "thinking",     [CAN_IMAGE] = "image generation"};
    return name[c];
}

enum status catalog_open(struct catalog **out, struct store *store, struct err *e) {
    struct catalog *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) return err_no_memory(e);
    c->store = store;
    pthread_mutex_init(&c->mutex, NULL);
    *out = c;
    return ST_OK;
}

static void facts_free(struct model_facts *f) {
    mem_free((void *)(uintptr_t)f->key); /* ours; const for everybody else */
    mem_free((void *)(uintptr_t)f->jinja);
    jinja_free(f->tree);
    json_free(f->sampling);
    mem_free(f);
}

void catalog_close(struct catalog *c) {
    if (c == NULL) return;
    while (c->facts != NULL) {
        struct model_facts *f = c->facts;
        c->facts = f->next;
        facts_free(f);
    }
    pthread_mutex_destroy(&c->mutex);
    mem_free(c);
}

/* ---- facts of a file ---- */

static const char *arch_key(char out[160], const struct gguf_str *arch, const char *suffix) {
    struct buf b = {0};
    buf_add(&b, arch->ptr, arch->len < 64 ? arch->len : 64);
    buf_str(&b, suffix);
    size_t n = b.data == NULL || b.len > 159 ? 0 : b.len;
    if (n > 0) memcpy(out, b.data, n);
    out[n] = '\0';
    buf_free(&b);
    return out;
}

/* "name", or "x.name" whatever x is. */
static bool is_called(const struct gguf_kv *kv, const char *name) {
    const size_t n = strlen(name), len = kv->key.len;
    return len >= n && memcmp(kv->key.ptr + len - n, name, n) == 0 &&
           (len == n || kv->key.ptr[len - n - 1] == '.');
}

/* Whether a projector takes recordings (spec/templates.md 5.4). */
static bool hears(const struct gguf *g) {
    bool found = false;
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        if (is_called(kv, "has_audio_encoder"))
            found = kv->type != GGUF_BOOL || gguf_elem_int(kv, 0) != 0;
        if (is_called(kv, "vision.projector_type") && kv->type == GGUF_STRING &&
            gguf_str_is(gguf_elem_str(g, kv, 0), "gemma3nv"))
            return false;
    }
    return found;
}

static void read_facts(struct model_facts *f, const struct gguf *g) {
    char key[160];
    struct gguf_str arch = {"", 0}, jinja;
    gguf_get_str(g, "general.architecture", &arch, NULL);
    f->readable = true;
    f->pooling = gguf_find(g, arch_key(key, &arch, ".pooling_type")) != NULL;
    f->vision = gguf_find(g, arch_key(key, &arch, ".vision.block_count")) != NULL;
    f->audio = gguf_find(g, arch_key(key, &arch, ".audio.block_count")) != NULL;
    f->hears = hears(g);
    gguf_get_i64(g, arch_key(key, &arch, ".context_length"), &f->context_length, NULL);
    gguf_get_i64(g, arch_key(key, &arch, ".embedding_length"), &f->embedding_length, NULL);
    f->sampling = file_options(g);
    if (gguf_get_str(g, "tokenizer.chat_template", &jinja, NULL) == ST_OK && jinja.len > 0) {
        f->jinja = mem_strndup(jinja.ptr, jinja.len);
        f->jinja_len = f->jinja == NULL ? 0 : jinja.len;
        if (f->jinja != NULL) f->tree = jinja_load(f->jinja, f->jinja_len);
    }
}

/* A file, or memory if path is NULL. One that cannot be read has no facts; loading it will tell
 * why. */
struct facts_source {
    const char *key, *path;
    const void *data;
    size_t size;
};

static struct model_facts *facts_new(const struct facts_source *s) {
    struct model_facts *f = mem_zalloc(1, sizeof *f);
    struct gguf *g = NULL;
    if (f == NULL || (f->key = mem_strdup(s->key)) == NULL) {
        mem_free(f);
        return NULL;
    }
    enum status st = ST_NOT_FOUND;
    if (s->path != NULL)
        st = gguf_open(&g, s->path, NULL);
    else if (s->data != NULL)
        st = gguf_open_memory(&g, s->data, s->size, s->key, NULL);
    if (st == ST_OK) read_facts(f, g);
    if (st == ST_OK) gguf_close(g);
    return f;
}

static struct model_facts *facts_find(const struct catalog *c, const char *key) {
    for (struct model_facts *f = c->facts; f != NULL; f = f->next)
        if (strcmp(f->key, key) == 0) return f;
    return NULL;
}

static enum status facts_of(struct catalog *c, const struct facts_source *s,
                            const struct model_facts **out, struct err *e) {
    static const struct model_facts none = {.key = ""};
    pthread_mutex_lock(&c->mutex);
    struct model_facts *f = facts_find(c, s->key);
    pthread_mutex_unlock(&c->mutex);
    *out = f;
    if (f != NULL) return ST_OK;
    struct model_facts *fresh =
        facts_new(s); /* without the lock; of two threads the first counts */
    if (fresh == NULL) return err_no_memory(e);
    pthread_mutex_lock(&c->mutex);
    f = facts_find(c, s->key);
    if (f == NULL && fresh->readable) {
        fresh->next = c->facts;
        c->facts = f = fresh;
        fresh = NULL;
    }
    pthread_mutex_unlock(&c->mutex);
    if (fresh != NULL) facts_free(fresh);
    *out = f != NULL ? f : &none; /* unreadable: not kept, the file may be repaired */
    return ST_OK;
}

static enum status get_facts(struct catalog *c, struct catalog_model *m, struct err *e) {
    char shortest[NAME_TEXT_MAX];
    struct store_model *s = &m->stored;
    struct facts_source from = {s->model_path, s->model_path, s->model_data, s->model_size};
    name_shortest(&s->entry.name, shortest);
    if (from.key == NULL) from.key = arena_printf(&s->arena, "builtin:%s", shortest);
    if (from.key == NULL) return err_no_memory(e);
    enum status st = facts_of(c, &from, &m->facts, e);
    for (size_t i = 0; st == ST_OK && i < s->n_projectors; i++) {
        const struct model_facts *f = NULL;
        from = (struct facts_source){.key = s->projectors[i], .path = s->projectors[i]};
        st = facts_of(c, &from, &f, e);
        m->hears = m->hears || (st == ST_OK && f->hears);
    }
    return st;
}

enum status catalog_options(const struct catalog_model *m, const json *request, struct options *o,
                            struct arena *a, struct err *e) {
    *o = options_default();
    enum status st = options_apply(o, m->facts->sampling, a, e);
    if (st == ST_OK) st = options_apply(o, m->stored.params, a, e);
    if (st == ST_OK) st = options_apply(o, request, a, e);
    return st;
}

/* ---- templates and capabilities ---- */

bool catalog_is_family(const struct catalog_model *m, const char *family) {
    return strcasecmp(m->stored.entry.config.model_family, family) == 0;
}

bool catalog_is_gptoss(const struct catalog_model *m) {
    return catalog_is_family(m, "gptoss") || catalog_is_family(m, "gpt-oss");
}

/* "gemma4" stands for the variant of the model's size. */
static const char *sized_renderer(const struct catalog_model *m, const char *name) {
    static const struct {
        const char *part;
        bool large;
    } row[] = {{"e2b", false}, {"e4b", false}, {"12b", true}, {"26b", true}, {"31b", true}};
    char text[2][NAME_TEXT_MAX];
    if (strcmp(name, "gemma4") != 0) return name;
    name_shortest(&m->stored.entry.name, text[0]);
    name_full(&m->stored.entry.name, text[1]);
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof row / sizeof *row; i++)
            if (strcasestr(text[t], row[i].part) != NULL)
                return row[i].large ? "gemma4-large" : "gemma4-small";
    char *end;
    const double size = strtod(m->stored.entry.config.model_type, &end);
    const double unit = *end == 'B' ? 1e9 : *end == 'M' ? 1e6 : *end == 'K' ? 1e3 : 0;
    return size * unit >= 12e9 ? "gemma4-large" : "gemma4-small";
}

static bool is_harmony(const struct catalog_model *m) {
    const char *text = m->stored.template.ptr;
    return m->stored.has_template && catalog_is_gptoss(m) && strstr(text, "<|start|>") != NULL &&
           strstr(text, "<|end|>") != NULL;
}

/* prefer(chat, goT) of spec/templates.md 1. */
static bool jinja_preferred(const struct catalog_model *m) {
    const struct jinja_facts j = jinja_learn(m->facts->jinja, m->facts->jinja_len);
    const struct template *t = m->template;
    const bool g_tools = template_uses(t, "tools"), g_thinks = template_can_think(t);
    const bool g_insert = template_uses(t, "suffix"), g_trip = template_tool_round_trip(t);
    const int n_j = j.tools + j.thinking, n_g = g_tools + g_thinks + g_insert;
    if (n_j > n_g) return !g_trip || j.round_trip;
    bool same = n_j == n_g && j.tools == g_tools && j.thinking == g_thinks;
    return same && g_tools && j.round_trip && !g_trip;
}

static bool go_selected(const struct catalog_model *m) {
    if (m->template == NULL) return false;
    if (config_is_set(SET_go_template)) return config_bool(SET_go_template);
    bool free = *m->renderer == '\0' && *m->stored.entry.config.parser == '\0' && !is_harmony(m);
    return !(free && m->facts->tree != NULL && jinja_preferred(m));
}

/* A model without a Go template whose Jinja text is broken: the format its tokens tell of. */
static enum status choose_named(struct catalog_model *m, struct err *e) {
    const struct named_template *named =
        named_template_detect(m->facts->jinja, m->facts->jinja_len);
    if (named == NULL) return ST_OK;
    m->way = WAY_GO;
    return template_parse(&m->template, named->text, strlen(named->text), e);
}

static enum status choose_template(struct catalog_model *m, struct err *e) {
    const struct store_text *own = &m->stored.template;
    const struct store_config *config = &m->stored.entry.config;
    const struct model_facts *f = m->facts;
    m->template_text = f->jinja != NULL ? f->jinja : "{{ .Prompt }}";
    m->renderer = sized_renderer(m, config->renderer);
    m->parser = parser_info(config->parser) != NULL ? config->parser : "";
    if (m->stored.has_template) {
        m->template_text = own->ptr;
        enum status st = template_parse(&m->template, own->ptr, own->len, e);
        if (st != ST_OK) return st;
    }
    const bool harmony = is_harmony(m), go = go_selected(m);
    if (harmony && *config->parser == '\0') m->parser = "harmony";
    m->go_selected = go;
    if (*m->renderer != '\0')
        m->way = WAY_RENDERER;
    else if (m->template != NULL && (go || harmony || *config->parser != '\0'))
        m->way = WAY_GO;
    else if (f->tree != NULL)
        m->way = WAY_JINJA;
    else if (f->jinja != NULL && m->template == NULL)
        return choose_named(m, e);
    return ST_OK;
}

static void add_can(struct catalog_model *m, const char *name) {
    for (size_t i = 0; i < m->n_can; i++)
        if (strcmp(m->can_list[i], name) == 0) return;
    if (m->n_can < sizeof m->can_list / sizeof *m->can_list) m->can_list[m->n_can++] = name;
    for (int c = 0; c < CAN_COUNT; c++)
        if (strcmp(capability_name((enum capability)c), name) == 0) m->can[c] = true;
    if (strcmp(name, "image") == 0) m->can[CAN_IMAGE] = true; /* errors call it otherwise */
}

static void find_capabilities(struct catalog_model *m) {
    const struct store_config *config = &m->stored.entry.config;
    const struct template *t = m->template;
    const struct parser_info *parser = parser_info(m->parser);
    for (size_t i = 0; i < config->n_capabilities; i++) add_can(m, config->capabilities[i]);
    if (m->way == WAY_JINJA) {
        const struct jinja_facts j = jinja_learn(m->facts->jinja, m->facts->jinja_len);
        if (j.tools) add_can(m, "tools");
        if (j.thinking) add_can(m, "thinking");
    }
    add_can(m, m->facts->pooling ? "embedding" : "completion");
    if (m->facts->vision || m->stored.n_projectors > 0) add_can(m, "vision");
    if ((m->facts->audio || m->hears) && !catalog_is_family(m, "nemotron_h_omni"))
        add_can(m, "audio");
    if (t != NULL && (m->go_selected || !m->stored.has_template)) {
        if (template_uses(t, "tools")) add_can(m, "tools");
        if (template_uses(t, "suffix")) add_can(m, "insert");
        if (template_can_think(t)) add_can(m, "thinking");
    }
    if (parser != NULL && parser->tools) add_can(m, "tools");
    if (parser != NULL && parser->thinking) add_can(m, "thinking");
    if (catalog_is_gptoss(m)) add_can(m, "thinking");
}

enum status catalog_find(struct catalog *c, const struct model_name *name, struct catalog_model *m,
                         struct err *e) {
    *m = (struct catalog_model){0};
    enum status st = store_resolve(c->store, name, &m->stored, e);
    if (st != ST_OK) return st;
    st = get_facts(c, m, e);
    if (st == ST_OK) st = choose_template(m, e);
    if (st == ST_OK)
        find_capabilities(m);
    else
        catalog_model_free(m);
    return st;
}

void catalog_model_free(struct catalog_model *m) {
    template_free(m->template);
    store_model_free(&m->stored);
    *m = (struct catalog_model){0};
}

/* ---- as JSON ---- */

static void put_list(struct buf *b, const char *const *item, size_t n) {
    buf_chr(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) buf_chr(b, ',');
        json_put_string(b, item[i], strlen(item[i]));
    }
    buf_chr(b, ']');
}

void catalog_put_capabilities(struct buf *b, const struct catalog_model *m) {
    put_list(b, m->can_list, m->n_can);
}

void catalog_put_details(struct buf *b, const struct catalog_model *m, const char *parent,
                         bool with_sizes) {
    const struct store_config *c = &m->stored.entry.config;
    int64_t n_ctx = c->context_length != 0 ? c->context_length : m->facts->context_length;
    int64_t n_embd = c->embedding_length != 0 ? c->embedding_length : m->facts->embedding_length;
    buf_chr(b, '{');
    json_put_field(b, "parent_model", parent);
    json_put_field(b, "format", *c->model_format == '\0' ? "gguf" : c->model_format);
    json_put_field(b, "family", c->model_family);
    json_put_key(b, "families");
    if (c->n_model_families == 0)
        buf_str(b, "null");
    else
        put_list(b, c->model_families, c->n_model_families);
    json_put_field(b, "parameter_size", c->model_type);
    json_put_field(b, "quantization_level", c->file_type);
    if (with_sizes && n_ctx != 0) json_put_field_int(b, "context_length", n_ctx);
    if (with_sizes && n_embd != 0) json_put_field_int(b, "embedding_length", n_embd);
    buf_chr(b, '}');
}

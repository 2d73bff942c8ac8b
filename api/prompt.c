/* prompt.c - see prompt.h.
 *
 * The messages are gathered once in a list; each rendering writes the wanted part of it as JSON
 * text, which is what template_render() reads. When the prompt is too long, the first message to
 * keep is found by bisection: fewer messages never make a longer prompt. */
#include "api/prompt.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "api/format/parse.h"
#include "api/format/render.h"
#include "api/prompt_jinja.h"
#include "api/think.h"
#include "base/mem.h"

struct message {
    const json *source;
    const char *role, *content; /* role in lower case */
    size_t content_len;
    size_t n_images;
};

struct conversation {
    struct arena arena;
    struct message *messages;
    size_t n;
};

/* ---- gathering ---- */

static const char *lower(struct arena *a, const char *s) {
    char *copy = arena_strndup(a, s, strlen(s));
    for (char *p = copy; p != NULL && *p != '\0'; p++) *p = (char)tolower((unsigned char)*p);
    return copy == NULL ? "" : copy;
}

static void add(struct conversation *c, const json *source, const char *role, const char *content,
                size_t len, size_t n_images) {
    c->messages[c->n++] = (struct message){source, role, content, len, n_images};
}

static void add_json(struct conversation *c, const json *m) {
    size_t len = 0;
    const char *role = json_string(json_get(m, "role"));
    const char *content = json_string_n(json_get(m, "content"), &len);
    add(c, m, lower(&c->arena, role == NULL ? "" : role), content == NULL ? "" : content, len,
        json_len(json_get(m, "images")));
}

static bool first_is_system(const json *messages) {
    const char *role = json_string(json_get(json_first(messages), "role"));
    return role != NULL && strcasecmp(role, "system") == 0;
}

static enum status gather(const struct prompt_input *in, struct conversation *c, struct err *e) {
    const struct store_model *m = &in->model->stored;
    const char *system = in->generate && *in->system != '\0' ? in->system
                         : m->system.len > 0                 ? m->system.ptr
                                                             : "";
    size_t max = json_len(m->messages) + json_len(in->messages) + 2;
    c->messages = arena_zalloc(&c->arena, max, sizeof *c->messages);
    if (c->messages == NULL) return err_no_memory(e);
    if (*system != '\0' && (in->generate || !first_is_system(in->messages)))
        add(c, NULL, "system", system, strlen(system), 0);
    if (!in->without_stored)
        for (const json *v = json_first(m->messages); v != NULL; v = json_next(v)) add_json(c, v);
    for (const json *v = json_first(in->messages); v != NULL; v = json_next(v)) add_json(c, v);
    if (in->generate) add(c, NULL, "user", in->prompt, strlen(in->prompt), json_len(in->images));
    return ST_OK;
}

/* Some models were trained without the thinking of earlier turns in the history. */
static void drop_old_thinking(const struct prompt_input *in, struct conversation *c) {
    if (!catalog_is_family(in->model, "qwen3") &&
        strcasecmp(in->model->stored.entry.name.model, "deepseek-r1") != 0)
        return;
    size_t last_user = 0;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->messages[i].role, "user") == 0) last_user = i;
    for (size_t i = 0; i < last_user; i++) {
        struct message *m = &c->messages[i];
        struct think_parser p;
        struct buf content = {0}, thinking = {0};
        if (strcmp(m->role, "assistant") != 0) continue;
        think_begin(&p, "<think>", "</think>");
        think_feed(&p, m->content, m->content_len, &content, &thinking);
        think_end(&p);
        m->content = arena_strndup(&c->arena, content.len > 0 ? content.data : "", content.len);
        m->content_len = m->content == NULL ? 0 : content.len;
        buf_free(&content);
        buf_free(&thinking);
    }
}

static enum status check_images(const struct prompt_input *in, const struct conversation *c,
                                struct err *e) {
    if (!catalog_is_family(in->model, "mllama")) return ST_OK;
    for (size_t i = 0; i < c->n; i++)
        if (c->messages[i].n_images > 1)
            return err_set(e, ST_INVALID,
                           "this model only supports one image while more than one "
                           "image requested");
    return ST_OK;
}

/* ---- writing a part of the list as JSON ---- */

/* Image N of the prompt takes the place of the next "[img]", or stands in front. */
static void put_content(struct buf *b, const struct message *m, bool tags, unsigned *image) {
    struct buf text = {0}, front = {0};
    buf_add(&text, m->content, m->content_len);
    for (size_t i = 0; tags && i < m->n_images; i++, ++*image) {
        char *at = text.len > 0 ? strstr(text.data, "[img]") : NULL;
        if (at == NULL) {
            buf_printf(&front, "[img-%u]", *image);
            continue;
        }
        struct buf next = {0};
        buf_add(&next, text.data, (size_t)(at - text.data));
        buf_printf(&next, "[img-%u]%s", *image, at + 5);
        buf_free(&text);
        text = next;
    }
    if (text.len > 0) buf_add(&front, text.data, text.len);
    json_put_string(b, front.len > 0 ? front.data : "", front.len);
    buf_free(&text);
    buf_free(&front);
}

/* How images go into the text: as tags, or as a count in "images" for renderers that write tags of
 * their own. */
enum images { IMAGES_NOT, IMAGES_TAGS, IMAGES_COUNT };

static void put_message(struct buf *b, const struct message *m, enum images how, unsigned *image) {
    static const char *const copied[] = {"thinking", "tool_calls", "tool_name", "tool_call_id"};
    buf_str(b, "{\"role\":");
    json_put_string(b, m->role, strlen(m->role));
    buf_str(b, ",\"content\":");
    put_content(b, m, how == IMAGES_TAGS, image);
    if (how == IMAGES_NOT) *image += (unsigned)m->n_images;
    for (size_t i = 0; how == IMAGES_COUNT && i < m->n_images; i++, ++*image)
        buf_str(b, i == 0 ? ",\"images\":[0" : ",0");
    if (how == IMAGES_COUNT && m->n_images > 0) buf_chr(b, ']');
    for (size_t i = 0; m->source != NULL && i < sizeof copied / sizeof *copied; i++) {
        const json *v = json_get(m->source, copied[i]);
        if (v == NULL || json_kind(v) == JSON_NULL) continue;
        buf_printf(b, ",\"%s\":", copied[i]);
        json_print(b, v);
    }
    buf_chr(b, '}');
}

/* All system messages before `first`, then everything from there on. */
static void put_messages(struct buf *b, const struct conversation *c, size_t first, enum images how,
                         unsigned *n_images) {
    buf_chr(b, '[');
    for (size_t i = 0; i < c->n; i++) {
        const struct message *m = &c->messages[i];
        if (i < first && strcmp(m->role, "system") != 0) continue;
        if (b->data != NULL && b->len > 1) buf_chr(b, ',');
        put_message(b, m, how, n_images);
    }
    buf_chr(b, ']');
}

/* ---- rendering ---- */

static void render_chatml(const json *messages, struct buf *out) {
    for (const json *m = json_first(messages); m != NULL; m = json_next(m)) {
        size_t len = 0;
        const char *content = json_string_n(json_get(m, "content"), &len);
        buf_printf(out, "<|im_start|>%s\n", json_string(json_get(m, "role")));
        buf_add(out, content, len);
        buf_str(out, "<|im_end|>\n");
    }
    buf_str(out, "<|im_start|>assistant\n");
}

/* The tools under the names that gpt-oss sees; json_free. */
static json *harmony_tools(const json *tools) {
    struct buf b = {0};
    size_t i = 0;
    buf_chr(&b, '[');
    for (const json *t = json_first(tools); t != NULL; t = json_next(t), i++) {
        struct buf name = {0};
        harmony_tool_name(&name, tools, i);
        buf_str(&b, i == 0 ? "{" : ",{");
        for (const json *m = json_first(t); m != NULL; m = json_next(m)) {
            bool function = strcmp(json_key(m), "function") == 0;
            json_put_key(&b, json_key(m));
            if (!function) json_print(&b, m);
            for (const json *f = json_first(m); function && f != NULL; f = json_next(f)) {
                if (f == json_first(m)) buf_chr(&b, '{');
                json_put_key(&b, json_key(f));
                if (strcmp(json_key(f), "name") == 0)
                    json_put_string(&b, name.data == NULL ? "" : name.data, name.len);
                else
                    json_print(&b, f);
            }
            if (function) buf_chr(&b, '}');
        }
        buf_chr(&b, '}');
        buf_free(&name);
    }
    buf_chr(&b, ']');
    json *list = b.failed ? NULL : json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    buf_free(&b);
    return list;
}

static enum status render_go(const struct prompt_input *in, const struct template *t,
                             const json *messages, struct prompt *out, struct err *e) {
    json *renamed = in->harmony && in->tools != NULL ? harmony_tools(in->tools) : NULL;
    struct template_data data = {.messages = messages,
                                 .tools = renamed != NULL ? renamed : in->tools,
                                 .prompt = "",
                                 .suffix = "",
                                 .think = in->think.on,
                                 .think_set = in->think.set,
                                 .think_level = in->think.level};
    enum status st = template_render(t, &data, &out->text, e);
    json_free(renamed);
    return st;
}

static enum status render_named(const struct prompt_input *in, const json *messages,
                                struct prompt *out, struct err *e) {
    const struct render_input r = {.messages = messages,
                                   .tools = in->tools,
                                   .think_set = in->think.set,
                                   .think = in->think.on,
                                   .level = in->think.level,
                                   .level_named = in->think.named};
    out->writes_bos = true;
    return render_prompt(in->model->renderer, &r, &out->text, e);
}

static enum prompt_way way_of(const struct prompt_input *in) {
    return in->template != NULL ? WAY_GO : in->model->way;
}

static enum status render_part(const struct prompt_input *in, const struct conversation *c,
                               size_t first, bool tags, struct prompt *out, struct err *e) {
    static const struct json_limits limits = {(size_t)512 << 20, 4000000, 1000};
    const enum prompt_way way = way_of(in);
    const bool count = way == WAY_RENDERER;
    struct buf text = {0};
    unsigned n_images = 0;
    put_messages(&text, c, first,
                 count  ? IMAGES_COUNT
                 : tags ? IMAGES_TAGS
                        : IMAGES_NOT,
                 &n_images);
    json *messages = text.failed ? NULL : json_parse(text.data, text.len, &limits, NULL, e);
    buf_free(&text);
    if (messages == NULL) return e != NULL && e->code != ST_OK ? e->code : err_no_memory(e);
    enum status st = ST_OK;
    if (way == WAY_GO)
        st = render_go(in, in->template != NULL ? in->template : in->model->template, messages, out,
                       e);
    else if (way == WAY_RENDERER)
        st = render_named(in, messages, out, e);
    else if (way == WAY_JINJA)
        st = prompt_jinja(in, messages, out, e);
    else
        render_chatml(messages, &out->text);
    out->n_images = n_images; /* those that a template does not mention count, too */
    json_free(messages);
    if (st == ST_OK && out->text.failed) st = err_no_memory(e);
    return st;
}

/* A template that writes "<bos>" itself, for a vocabulary whose file asks for a BOS: the text goes,
 * exactly as the reference does it and no further (spec/tokenizers.md 4, "Ollama"): other doubled
 * BOS are the template's wish. */
static size_t doubled_bos(const struct vocab *v, const char *text, size_t len, bool own_bos) {
    static const char bos[] = "<bos>";
    const struct vocab_special *special = vocab_special(v);
    size_t n = sizeof bos - 1;
    const char *piece = bos;
    if (own_bos && special->add_bos && special->bos >= 0)
        piece = vocab_piece(v, special->bos, true, &n);
    else if (!special->add_bos_by_file)
        return 0;
    return n > 0 && len >= n && memcmp(text, piece, n) == 0 ? n : 0;
}

enum status prompt_tokenize(const struct vocab *v, const char *text, size_t len, bool own_bos,
                            struct token_list *out, struct err *e) {
    const size_t skip = doubled_bos(v, text, len, own_bos);
    return vocab_encode(v, text + skip, len - skip, VOCAB_ADD_SPECIAL | VOCAB_PARSE_SPECIAL, out,
                        e);
}

enum { TOKENS_PER_IMAGE = 768 }; /* the reference's guess */

static enum status fits(const struct prompt_input *in, const struct conversation *c, size_t first,
                        bool *yes, struct err *e) {
    struct prompt p = {0};
    struct token_list tokens = {0};
    enum status st = render_part(in, c, first, false, &p, e);
    const size_t images = in->projector ? (size_t)p.n_images * TOKENS_PER_IMAGE : 0;
    *yes = st == ST_OK && p.text.len + images < in->n_ctx; /* every token has at least a byte */
    if (st == ST_OK && !*yes && in->count != NULL) {
        *yes = in->count(p.text.len > 0 ? p.text.data : "", p.text.len) + images <= in->n_ctx;
    } else if (st == ST_OK && !*yes) {
        st = prompt_tokenize(in->vocab, p.text.len > 0 ? p.text.data : "", p.text.len, p.writes_bos,
                             &tokens, e);
        *yes = st == ST_OK && tokens.len + images <= in->n_ctx;
    }
    token_list_free(&tokens);
    buf_free(&p.text);
    return st;
}

/* The first message to keep; the last one always stays. */
static enum status find_first(const struct prompt_input *in, const struct conversation *c,
                              size_t *first, struct err *e) {
    size_t low = 0, high = c->n == 0 ? 0 : c->n - 1;
    bool yes = true;
    struct err refused;
    *first = 0;
    if (!in->truncate || high == 0) return ST_OK;
    enum status st = fits(in, c, 0, &yes, e);
    if (st != ST_OK || yes) return st;
    while (low + 1 < high) { /* low does not fit; high fits or is the last */
        size_t mid = low + (high - low) / 2;
        st = fits(in, c, mid, &yes, &refused);
        if (st == ST_INVALID) yes = false; /* a template that does not begin with this message */
        if (st != ST_OK && st != ST_INVALID) return err_set(e, st, "%s", refused.msg);
        if (yes)
            high = mid;
        else
            low = mid;
    }
    *first = high;
    return ST_OK;
}

enum status prompt_add_images(struct prompt *p, const json *images, struct err *e) {
    const size_t n = json_len(images);
    if (n == 0) return ST_OK;
    const json **list = mem_grow(p->images, p->n_images + n, sizeof *list);
    if (list == NULL) return err_no_memory(e);
    p->images = list;
    for (const json *i = json_first(images); i != NULL; i = json_next(i)) list[p->n_images++] = i;
    return ST_OK;
}

static enum status list_kept(const struct prompt_input *in, const struct conversation *c,
                             size_t first, struct prompt *out, struct err *e) {
    enum status st = ST_OK;
    out->n_images = 0;
    for (size_t i = 0; i < c->n && st == ST_OK; i++) {
        const struct message *m = &c->messages[i];
        if (i < first && strcmp(m->role, "system") != 0) continue;
        if (m->n_images > 0)
            st = prompt_add_images(
                out, m->source != NULL ? json_get(m->source, "images") : in->images, e);
    }
    return st;
}

/* System messages stay wherever they are. */
static bool drops_any(const struct conversation *c, size_t first) {
    for (size_t i = 0; i < first; i++)
        if (strcmp(c->messages[i].role, "system") != 0) return true;
    return false;
}

/* Fill in the middle: the template sees only the two texts. */
static enum status render_insert(const struct prompt_input *in, struct prompt *out, struct err *e) {
    const struct template *t = in->template != NULL ? in->template : in->model->template;
    struct template_data data = {.prompt = in->prompt,
                                 .suffix = in->suffix,
                                 .think = in->think.on,
                                 .think_set = in->think.set,
                                 .think_level = in->think.level};
    return template_render(t, &data, &out->text, e);
}

void prompt_free(struct prompt *p) {
    buf_free(&p->text);
    mem_free(p->images);
    *p = (struct prompt){0};
}

enum status prompt_render(const struct prompt_input *in, struct prompt *out, struct err *e) {
    struct conversation c = {0};
    size_t first = 0;
    const enum prompt_way way = way_of(in);
    const bool go = in->template != NULL || in->model->template != NULL;
    if (in->generate && *in->suffix != '\0' && go) {
        enum status st = render_insert(in, out, e);
        return st == ST_OK ? prompt_add_images(out, in->images, e) : st;
    }
    if (in->generate && way == WAY_PLAIN && in->model->facts->jinja == NULL) {
        buf_str(&out->text, in->prompt);
        return out->text.failed ? err_no_memory(e) : prompt_add_images(out, in->images, e);
    }
    enum status st = gather(in, &c, e);
    if (st == ST_OK && way == WAY_GO) st = check_images(in, &c, e);
    if (st == ST_OK) {
        drop_old_thinking(in, &c);
        if (in->template == NULL) st = find_first(in, &c, &first, e);
    }
    if (st == ST_OK) st = render_part(in, &c, first, in->template == NULL, out, e);
    if (st == ST_OK) st = list_kept(in, &c, first, out, e);
    out->truncated = drops_any(&c, first);
    arena_free(&c.arena);
    return st;
}

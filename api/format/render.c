/* render.c - see render.h: the table of renderers, their templates, parsed once. */
#include "api/format/render.h"

#include <pthread.h>
#include <string.h>

#include "api/jinja/jinja.h"
#include "base/mem.h"

/* The assembler puts the files into the binary, each with a NUL behind it. */
#define EMBED(name)                                                                                \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global cria_renderer_" #name "\n"                                                    \
            ".hidden cria_renderer_" #name "\n"                                                    \
            "cria_renderer_" #name ":\n"                                                           \
            ".incbin \"" CRIA_RENDERERS "/" #name ".jinja\"\n"                                     \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char cria_renderer_##name[]

EMBED(shared);
EMBED(qwen3_coder);
EMBED(qwen3_vl);
EMBED(qwen3_5);
EMBED(olmo3);
EMBED(nemotron);
EMBED(lfm2);
EMBED(deepseek);
EMBED(cogito);
EMBED(glm);
EMBED(functiongemma);
EMBED(gemma4);
EMBED(laguna);
EMBED(cohere);
EMBED(glimmer);

static const struct {
    const char *name, *text;
    bool image_tags;
} renderers[] = {
#define R(name, file, image_tags) {name, cria_renderer_##file, image_tags},
#include "api/format/renderers.def"
#undef R
};
enum { N_RENDERERS = sizeof renderers / sizeof *renderers, MAX_VARS = 16 };

/* Parsed on first use and kept: a dozen small trees. */
static struct jinja *parsed[N_RENDERERS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int find(const char *name) {
    for (int i = 0; i < N_RENDERERS; i++)
        if (strcmp(renderers[i].name, name) == 0) return i;
    return -1;
}

const char *render_name(size_t i) { return i < N_RENDERERS ? renderers[i].name : NULL; }

__attribute__((destructor)) static void forget(void) {
    for (int i = 0; i < N_RENDERERS; i++) {
        jinja_free(parsed[i]);
        parsed[i] = NULL;
    }
}

static enum status get_template(int i, const struct jinja **out, struct err *e) {
    enum status st = ST_OK;
    pthread_mutex_lock(&lock);
    if (parsed[i] == NULL) {
        struct buf text = {0};
        buf_str(&text, cria_renderer_shared);
        buf_str(&text, renderers[i].text);
        st = text.failed ? err_no_memory(e) : jinja_parse(&parsed[i], text.data, text.len, true, e);
        buf_free(&text);
    }
    *out = parsed[i];
    pthread_mutex_unlock(&lock);
    return st;
}

enum status render_prompt(const char *renderer, const struct render_input *in, struct buf *out,
                          struct err *e) {
    static const struct json_limits limits = {(size_t)1 << 30, 8000000, 1000};
    const int i = find(renderer);
    const struct jinja *t = NULL;
    struct jinja_var var[MAX_VARS];
    struct jinja_input input = {.var = var, .now = in->now};
    struct buf text = {0};
    if (i < 0) return err_set(e, ST_INVALID, "unknown renderer \"%s\"", renderer);
    enum status st = get_template(i, &t, e);
    if (st != ST_OK) return st;
    render_put_context(&text, renderer, renderers[i].image_tags, in);
    json *root = text.failed ? NULL : json_parse(text.data, text.len, &limits, NULL, e);
    if (root == NULL) st = text.failed || e == NULL ? err_no_memory(e) : e->code;
    buf_free(&text);
    if (st != ST_OK) return st;
    for (const json *m = json_first(root); m != NULL && input.n_vars < MAX_VARS; m = json_next(m))
        var[input.n_vars++] = (struct jinja_var){json_key(m), m};
    st = jinja_render(t, &input, &jinja_default_limits, out, e);
    json_free(root);
    return st;
}

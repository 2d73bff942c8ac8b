/* check_prompt.c - assembling a prompt: truncation and the numbering of images; and what is learned
 * from Jinja texts. The stand-in tokenizer counts words. */
#include <stdio.h>
#include <string.h>

#include "api/learn_jinja.h"
#include "api/prompt.h"
#include "api/template/template.h"
#include "base/mem.h"
#include "golden/check.h"
#include "golden/check_jinja.h"

static bool flag(const json *row, const char *key) {
    bool b = false;
    json_bool(json_get(row, key), &b);
    return b;
}

static size_t count_words(const char *text, size_t len) {
    size_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < len; i++) {
        bool space = strchr(" \t\r\n\v\f", text[i]) != NULL && text[i] != '\0';
        n += !space && !inside;
        inside = !space;
    }
    return n;
}

static bool same_images(const json *want, const struct prompt *p) {
    int64_t id = 0, k = 0;
    if (json_len(want) != p->n_images) return false;
    for (const json *w = json_first(want); w != NULL; w = json_next(w), k++) {
        if (!json_int(json_get(w, "id"), &id) || id != k) return false;
        if (strcmp(check_string(w, "data"), json_string(p->images[k])) != 0) return false;
    }
    return true;
}

static void check_assembly(struct check *c, const json *row, const char *where) {
    static const struct model_facts no_facts = {.key = ""};
    const char *id = check_string(row, "id"), *error = json_string(json_get(row, "error"));
    const char *text = check_string(row, "template"), *think = check_string(row, "think");
    struct catalog_model model = {.facts = &no_facts, .way = WAY_GO, .parser = ""};
    const json *family = json_first(json_get(row, "families"));
    struct err e = {0};
    struct prompt p = {0};
    int64_t n_ctx = 0;
    (void)where;
    json_int(json_get(row, "num_ctx"), &n_ctx);
    model.renderer = check_string(row, "renderer");
    model.stored.entry.config.model_family = json_string(family) != NULL ? json_string(family) : "";
    model.stored.entry.config.model_type = "";
    if (*model.renderer != '\0') model.way = WAY_RENDERER;
    if (*text != '\0' && template_parse(&model.template, text, strlen(text), &e) != ST_OK) {
        check_fail(c, id, "%s", e.msg);
        return;
    }
    bool set = *think != '\0' && strcmp(think, "null") != 0;
    struct prompt_input in = {
        .model = &model,
        .count = count_words,
        .n_ctx = (uint32_t)n_ctx,
        .truncate = flag(row, "truncate"),
        .projector = flag(row, "projector"),
        .messages = json_get(row, "messages"),
        .think = {.set = set, .on = set && strcmp(think, "false") != 0, .level = ""},
        .prompt = "",
        .suffix = "",
        .system = ""};
    enum status st = prompt_render(&in, &p, &e);
    const char *got = p.text.len > 0 ? p.text.data : "";
    if (error != NULL) {
        check_that(c, st != ST_OK && strcmp(e.msg, error) == 0, id, "want error %s, got %s", error,
                   st != ST_OK ? e.msg : got);
    } else if (st != ST_OK) {
        check_fail(c, id, "%s", e.msg);
    } else {
        check_that(c, strcmp(got, check_string(row, "prompt")) == 0, id, "got %.100s, want %.100s",
                   got, check_string(row, "prompt"));
        check_that(c, same_images(json_get(row, "images"), &p), id, "%u images", p.n_images);
    }
    template_free(model.template);
    prompt_free(&p);
}

/* What a Jinja text tells. The nearest named template is found by the texts of bundled/index.json,
 * which are third-party and no part of cria: it renders Jinja itself. */
static const char *set_dir;

static void check_learned(struct check *c, const json *row, const char *where) {
    const char *id = check_string(row, "id"), *file = json_string(json_get(row, "file"));
    size_t len = 0;
    const char *text = json_string_n(json_get(row, "text"), &len);
    char *read = NULL;
    (void)where;
    if (text == NULL && file != NULL) text = read = check_jinja_text(c, set_dir, file, &len);
    if (text == NULL) {
        check_skip(c, id, "its Jinja template is third-party and not here (--base)");
        return;
    }
    const struct jinja_facts f = jinja_learn(text, len);
    const char *wrong = f.tools != flag(row, "jinja_tools")                  ? "tools"
                        : f.thinking != flag(row, "jinja_thinking")          ? "thinking"
                        : f.round_trip != flag(row, "jinja_tool_round_trip") ? "round trip"
                                                                             : NULL;
    check_that(c, wrong == NULL, id, "%s differs", wrong == NULL ? "" : wrong);
    mem_free(read);
}

void check_prompts(struct check *c, const char *dir) {
    set_dir = dir;
    if (check_exists(dir, "chat_prompt.jsonl"))
        check_rows(c, dir, "chat_prompt.jsonl", check_assembly);
    if (check_exists(dir, "autodetect.jsonl"))
        check_rows(c, dir, "autodetect.jsonl", check_learned);
}

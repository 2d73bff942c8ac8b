/* convert.c - the order of a conversion; see convert.h and impl.h. */
#include "engine/convert/convert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/impl.h"

/* ---- errors and memory ---- */

void convert_fail(struct conversion *c, enum status st, const char *fmt, ...) {
    char text[ERR_MSG_SIZE];
    va_list ap;
    if (convert_failed(c)) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&c->first, st, "%s", text);
}

void *convert_zalloc(struct conversion *c, size_t n, size_t size) {
    void *p = arena_zalloc(&c->arena, n != 0 ? n : 1, size);
    if (p == NULL) convert_fail(c, ST_NO_MEMORY, "out of memory");
    return p;
}

const char *convert_text(struct conversion *c, const char *fmt, ...) {
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char *copy =
        n >= 0 && (size_t)n < sizeof text ? arena_strndup(&c->arena, text, (size_t)n) : NULL;
    if (copy == NULL) convert_fail(c, ST_NO_MEMORY, "out of memory");
    return copy != NULL ? copy : "";
}

/* ---- opening ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct convert_file *)a)->name, ((const struct convert_file *)b)->name);
}

static void take_files(struct conversion *c, const struct convert_spec *spec) {
    struct convert_file *list = convert_zalloc(c, spec->n_files, sizeof *list);
    if (list == NULL) return;
    for (size_t i = 0; i < spec->n_files; i++) {
        const struct convert_file *f = &spec->files[i];
        list[i] = *f;
        list[i].name = convert_text(c, "%s", f->name);
        if (f->path != NULL) list[i].path = convert_text(c, "%s", f->path);
    }
    qsort(list, spec->n_files, sizeof *list, by_name);
    c->files = list;
    c->n_files = spec->n_files;
    c->base = spec->base;
    if (spec->name != NULL) c->folder_name = convert_text(c, "%s", spec->name);
}

static void open_writer(struct conversion *c, enum convert_part part) {
    struct err e;
    if (gguf_writer_new(&c->writer[part], &e) != ST_OK)
        convert_fail(c, e.code, "%s", e.msg);
    else
        gguf_writer_sort(c->writer[part]);
}

/* The architecture's table, and where its fields are. */
static void choose_arch(struct conversion *c) {
    const json *classes = json_get(c->config, "architectures");
    const char *class = json_string(json_first(classes));
    if (convert_failed(c)) return;
    if (json_kind(classes) != JSON_ARRAY || class == NULL || *class == '\0') {
        convert_fail(c, ST_INVALID, "unknown architecture");
        return;
    }
    c->arch = arch_find(c, class);
    if (c->arch == NULL) {
        convert_fail(c, ST_INVALID, "unsupported architecture \"%.100s\"", class);
        return;
    }
    c->arch_name = c->arch->arch;
    const json *text = json_get(c->config, "text_config");
    if (c->arch->text_config && json_kind(text) == JSON_OBJECT) c->text = text;
}

/* ---- tensors ---- */

/* Positions and the like: nothing computes with them. */
static bool is_index(const struct source *s) {
    return s->t->dtype == SFT_I64 || s->t->dtype == SFT_U64;
}

/* Whose new name is the old one is unknown to the table and used by nobody; a long or deep one does
 * not fit into the file. */
static bool is_stray(const struct source *s) {
    return strcmp(s->name, s->orig) == 0 && (strlen(s->name) > 63 || s->n_dims > 4);
}

/* Gives each source that is still unused to the first rule that fits, then finishes the stacks. */
static void apply_rules(struct conversion *c, const struct rule *rules) {
    for (size_t i = 0; i < c->n_sources && !convert_failed(c); i++) {
        struct source *s = &c->sources[i];
        const struct rule *r = rules;
        uint32_t num[2] = {0};
        if (s->used || is_index(s) || is_stray(s)) continue;
        while (r != NULL && r->pattern != NULL && !names_match(r->pattern, s->name, num)) r++;
        if (r != NULL && r->pattern != NULL)
            r->fn(c, s, r, num);
        else
            out_keep(c, s, s->name);
    }
    if (!convert_failed(c)) stacks_finish(c);
}

static void put_general(struct conversion *c) {
    put_str(c, "general.architecture", c->arch_name);
    put_str(c, "general.type", "model");
    put_u32(c, "general.file_type", 1);
    put_u32(c, "general.quantization_version", 2);
    if (c->folder_name != NULL) put_str(c, "general.name", c->folder_name);
}

/* "7B", "1.2B", "23M": the number of weights, to two digits. */
static void put_size_label(struct conversion *c) {
    static const char suffixes[] = "KMBT";
    double n = 0;
    for (size_t i = 0; i < c->n_outs; i++) {
        double product = c->outs[i]->part == CONVERT_MODEL;
        for (uint32_t d = 0; d < c->outs[i]->n_dims; d++) product *= (double)c->outs[i]->dim[d];
        n += product;
    }
    size_t k = 0;
    for (n /= 1000; n >= 999.5 && k < sizeof suffixes - 2; k++) n /= 1000;
    put_str(c, "general.size_label",
            convert_text(c, "%.*f%c", n < 9.95 && n != (double)(int)n ? 1 : 0, n, suffixes[k]));
}

static void convert_model(struct conversion *c) {
    open_writer(c, CONVERT_MODEL);
    if (convert_failed(c)) return;
    files_open_config(c, "config.json");
    choose_arch(c);
    if (convert_failed(c)) return;
    sources_open(c);
    if (convert_failed(c)) return;
    fp8_attach(c);
    sources_rename(c, c->arch->names);
    if (!convert_failed(c) && c->arch->prepare != NULL) c->arch->prepare(c);
    if (convert_failed(c)) return;
    put_general(c);
    keys_put(c, c->arch->keys);
    if (!convert_failed(c)) vocab_put(c);
    if (!convert_failed(c) && c->arch->meta != NULL) c->arch->meta(c);
    if (!convert_failed(c)) apply_rules(c, c->arch->rules);
    if (!convert_failed(c) && c->arch->tensors != NULL) c->arch->tensors(c);
    if (!convert_failed(c)) fp8_put_keys(c);
    if (!convert_failed(c)) put_size_label(c);
    outs_finish(c);
}

void convert_open_projector(struct conversion *c) {
    if (c->writer[CONVERT_PROJECTOR] == NULL) open_writer(c, CONVERT_PROJECTOR);
}

static enum status convert(struct conversion **out, const struct convert_spec *spec,
                           void (*work)(struct conversion *c), struct err *e) {
    struct conversion *c = mem_zalloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) return err_no_memory(e);
    take_files(c, spec);
    if (!convert_failed(c)) work(c);
    if (convert_failed(c)) {
        const enum status st = err_set(e, c->first.code, "%s", c->first.msg);
        convert_free(c);
        return st;
    }
    *out = c;
    return ST_OK;
}

enum status convert_open_model(struct conversion **out, const struct convert_spec *spec,
                               struct err *e) {
    return convert(out, spec, convert_model, e);
}

static void open_adapter(struct conversion *c) {
    open_writer(c, CONVERT_MODEL);
    if (!convert_failed(c)) convert_adapter(c);
    outs_finish(c);
}

enum status convert_open_adapter(struct conversion **out, const struct convert_spec *spec,
                                 struct err *e) {
    return convert(out, spec, open_adapter, e);
}

void convert_free(struct conversion *c) {
    if (c == NULL) return;
    gguf_writer_free(c->writer[CONVERT_MODEL]);
    gguf_writer_free(c->writer[CONVERT_PROJECTOR]);
    sources_close(c);
    stacks_free(c);
    json_free(c->config);
    mem_free(c->outs);
    arena_free(&c->arena);
    mem_free(c);
}

/* ---- writing ---- */

bool convert_has(const struct conversion *c, enum convert_part part) {
    return c->writer[part] != NULL;
}

bool convert_was_fp8(const struct conversion *c) { return c->n_fp8 != 0; }

static enum status write_all(struct conversion *c, enum convert_part part, struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < c->n_outs && st == ST_OK; i++)
        if (c->outs[i]->part == part) st = out_write(c, c->outs[i], e);
    return st == ST_OK ? gguf_write_finish(c->writer[part], e) : st;
}

enum status convert_write(struct conversion *c, enum convert_part part, convert_sink *sink,
                          void *arg, struct err *e) {
    enum status st = gguf_write_to(c->writer[part], sink, arg, e);
    return st == ST_OK ? write_all(c, part, e) : st;
}

enum status convert_write_file(struct conversion *c, enum convert_part part, const char *path,
                               struct err *e) {
    enum status st = gguf_write_file(c->writer[part], path, e);
    return st == ST_OK ? write_all(c, part, e) : st;
}

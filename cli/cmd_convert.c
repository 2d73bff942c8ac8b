/* cmd_convert.c - a folder of safetensors, as published on model hubs, into a GGUF file: what
 * create does, without a store. A vision tower that goes to a file of its own gets one beside it.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/gather.h"
#include "cli/model_file.h"
#include "engine/convert/convert.h"

/* The last part of a path: the name of the model. */
static const char *folder_name(const char *dir, char out[128]) {
    size_t n = strlen(dir);
    while (n > 0 && dir[n - 1] == '/') n--;
    size_t from = n;
    while (from > 0 && dir[from - 1] != '/') from--;
    if (n == from || n - from > 127 || dir[from] == '.') return NULL;
    memcpy(out, dir + from, n - from);
    out[n - from] = '\0';
    return out;
}

/* "x.gguf" -> "x-mmproj.gguf" */
static void projector_path(const char *path, char *out, size_t room) {
    const size_t n = strlen(path), cut = n > 5 && strcmp(path + n - 5, ".gguf") == 0 ? n - 5 : n;
    snprintf(out, room, "%.*s-mmproj.gguf", (int)cut, path);
}

static enum status write_parts(struct conversion *c, const char *path, struct err *e) {
    char second[4096];
    enum status st = convert_write_file(c, CONVERT_MODEL, path, e);
    if (st == ST_OK) printf("%s\n", path);
    if (st != ST_OK || !convert_has(c, CONVERT_PROJECTOR)) return st;
    projector_path(path, second, sizeof second);
    st = convert_write_file(c, CONVERT_PROJECTOR, second, e);
    if (st == ST_OK) printf("%s\n", second);
    return st;
}

static enum status convert(const struct args *a, const struct gather *g, struct err *e) {
    const char *base = args_text(a, "base", NULL);
    struct convert_file *files = mem_zalloc(g->n_files + 1, sizeof *files);
    struct conversion *c = NULL;
    char name[128];
    struct convert_spec spec = {
        .files = files, .n_files = g->n_files, .name = folder_name(a->words[0], name)};
    struct gguf *of = NULL;
    enum status st = files != NULL ? ST_OK : err_no_memory(e);
    for (size_t i = 0; st == ST_OK && i < g->n_files; i++)
        files[i] = (struct convert_file){.name = g->files[i].name, .path = g->files[i].path};
    if (st == ST_OK && base != NULL) st = model_gguf(&of, base, e);
    spec.base = of;
    if (st == ST_OK)
        st = base != NULL ? convert_open_adapter(&c, &spec, e) : convert_open_model(&c, &spec, e);
    if (st == ST_OK) st = write_parts(c, a->words[1], e);
    convert_free(c);
    gguf_close(of);
    mem_free(files);
    return st;
}

enum status cmd_convert(const struct args *a, struct err *e) {
    struct modelfile_command from = {
        .kind = MODELFILE_FROM, .value = a->words[0], .len = strlen(a->words[0])};
    const struct modelfile m = {.commands = &from, .n_commands = 1};
    struct gather g;
    enum status st = gather_modelfile(&g, &m, ".", e);
    if (st != ST_OK) return st;
    if (g.from != NULL)
        st = err_set(e, ST_NOT_FOUND, "open %s: no such file or directory", a->words[0]);
    else
        st = convert(a, &g, e);
    gather_free(&g);
    return st;
}

/* model_file.c - models for the commands that work without a server. */
#include "cli/model_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo/embed.h"
#include "engine/cria.h"
#include "engine/file/gguf.h"
#include "store/store.h"

bool model_is_file(const char *text) {
    char magic[4];
    struct stat info;
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && read(fd, magic, 4) == 4 &&
              memcmp(magic, "GGUF", 4) == 0;
    close(fd);
    return ok;
}

enum status model_store(struct store **out, const char *dir, struct err *e) {
    const struct store_builtin *demo = demo_builtin();
    enum status st = store_open(out, dir, e);
    if (st == ST_OK && demo != NULL) st = store_add_builtin(*out, demo, e);
    return st;
}

/* A path that looks like a file, but is none, gets the error of opening it. */
static bool looks_like_path(const char *text) {
    const size_t n = strlen(text);
    return *text == '/' || *text == '.' || (n > 5 && strcmp(text + n - 5, ".gguf") == 0);
}

static enum status resolve(const char *text, struct store **s, struct store_model *m,
                           struct err *e) {
    struct model_name name;
    *s = NULL;
    enum status st = name_parse_ref(&name, text, NULL, e);
    if (st == ST_OK) st = model_store(s, NULL, e);
    if (st == ST_OK) st = store_resolve(*s, &name, m, e);
    if (st == ST_OK && m->model_path == NULL && m->model_data == NULL)
        st = err_set(e, ST_UNSUPPORTED, "model '%s' has no weights that can be run here", text);
    return st;
}

enum status model_engine(struct cria_engine **out, const char *text,
                         const struct cria_engine_params *p, struct err *e) {
    if (model_is_file(text) || looks_like_path(text)) return cria_engine_open(out, text, p, e);
    struct store *s;
    struct store_model m = {0};
    enum status st = resolve(text, &s, &m, e);
    if (st == ST_OK && m.model_path != NULL)
        st = cria_engine_open(out, m.model_path, p, e);
    else if (st == ST_OK)
        st = cria_engine_open_memory(out, m.model_data, m.model_size, text, p, e);
    store_model_free(&m);
    store_close(s); /* the bytes of a built-in model belong to the program */
    return st;
}

enum status model_gguf(struct gguf **out, const char *text, struct err *e) {
    if (model_is_file(text) || looks_like_path(text)) return gguf_open_set(out, text, e);
    struct store *s;
    struct store_model m = {0};
    enum status st = resolve(text, &s, &m, e);
    if (st == ST_OK && m.model_path != NULL)
        st = gguf_open_set(out, m.model_path, e);
    else if (st == ST_OK)
        st = gguf_open_memory(out, m.model_data, m.model_size, text, e);
    store_model_free(&m);
    store_close(s);
    return st;
}

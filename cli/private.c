/* private.c - a server for one GGUF file, inside this process. */
#include "cli/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/server.h"
#include "base/config.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/store.h"

enum { NAME_LEN = 64 };

struct private_server {
    struct os_map file; /* outlives the store, which borrows it */
    struct store *store;
    struct server *server;
    char model[NAME_LEN], url[64];
};

/* A model name from the file's: what no name may hold becomes '-'. */
static void name_model(char out[NAME_LEN], const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    size_t n = strlen(base);
    if (n > 5 && strcmp(base + n - 5, ".gguf") == 0) n -= 5;
    if (n >= NAME_LEN) n = NAME_LEN - 1;
    for (size_t i = 0; i < n; i++) {
        const char c = base[i];
        const bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        out[i] = letter || (i > 0 && (c == '.' || c == '_' || c == '-')) ? c : i > 0 ? '-' : 'm';
    }
    out[n] = '\0';
    struct model_name ignored;
    if (!name_parse(&ignored, out)) strcpy(out, "model");
}

/* A store needs a folder to look into. It gets an empty one, and loses it at once: what is read
 * from then on is "no models but the built-in one", and nothing is left behind however we end. */
static enum status open_store(struct private_server *p, struct err *e) {
    char dir[] = "/tmp/cria-XXXXXX", sub[64];
    if (mkdtemp(dir) == NULL) return os_fail(e, "mkdtemp", dir);
    enum status st = config_set(SET_builtin, "true", e); /* the user may have hidden them */
    if (st == ST_OK) st = store_open(&p->store, dir, e);
    static const char *const folders[] = {"/blobs", "/manifests", ""};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(sub, sizeof sub, "%s%s", dir, folders[i]);
        if (rmdir(sub) != 0) continue;
    }
    return st;
}

static enum status start(struct private_server *p, const char *path, struct err *e) {
    struct stat info;
    enum status st = os_map_open(&p->file, path, e);
    if (st == ST_OK) st = open_store(p, e);
    if (st != ST_OK) return st;
    name_model(p->model, path);
    const struct store_builtin model = {
        .name = p->model,
        .gguf = p->file.data,
        .size = p->file.size,
        .path = path,
        .in_place = true,
        .modified_ns = stat(path, &info) == 0
                           ? (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec
                           : 1,
    };
    st = store_add_builtin(p->store, &model, e);
    if (st != ST_OK) return st;
    const struct server_params params = {
        .host = "127.0.0.1", .port = 0, .store = p->store, .n_threads = 8, .is_private = true};
    st = server_open(&p->server, &params, e);
    if (st == ST_OK) snprintf(p->url, sizeof p->url, "http://127.0.0.1:%d", server_port(p->server));
    return st;
}

enum status private_open(struct private_server **out, const char *path, struct err *e) {
    struct private_server *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) return err_no_memory(e);
    enum status st = start(p, path, e);
    if (st != ST_OK) {
        private_close(p);
        return st;
    }
    *out = p;
    return ST_OK;
}

const char *private_url(const struct private_server *p) { return p->url; }
const char *private_model(const struct private_server *p) { return p->model; }

void private_close(struct private_server *p) {
    if (p == NULL) return;
    if (p->server != NULL) server_close(p->server);
    store_close(p->store);
    os_map_close(&p->file);
    mem_free(p);
}

/* cmd_create.c - makes a model from a Modelfile: its files are hashed and uploaded, the rest is a
 * request (spec/modelfile.md 5). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/gather.h"
#include "cli/statuses.h"
#include "cli/terminal.h"
#include "store/store.h"

struct create {
    struct client *client;
    struct progress *progress;
    struct modelfile modelfile;
    struct gather files;
    /* Of the upload that runs: */
    const struct gather_file *file;
    uint64_t sent;
    bool link, copy; /* files as hard links; always over HTTP */
};

/* ---- files ---- */

static void show_copy(struct create *c) {
    char text[128];
    const uint64_t total = c->file->size;
    snprintf(text, sizeof text, "copying file %s %d%%", c->file->digest,
             total > 0 ? (int)((double)c->sent / (double)total * 100) : 100);
    progress_spinner(c->progress, c->file->digest, text);
}

static void on_tick(void *arg) { show_copy(arg); }

static enum status upload(struct create *c, const char *path, struct err *e) {
    int fd = open(c->file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return os_fail(e, "open", c->file->path);
    const struct buf empty = {.data = (char[1]){0}};
    const struct client_call call = {.method = "POST",
                                     .path = path,
                                     .body = &empty, /* of a file without content */
                                     .upload_fd = fd,
                                     .upload_size = c->file->size,
                                     .on_tick = on_tick,
                                     .arg = c,
                                     .sent = &c->sent};
    c->sent = 0;
    enum status st = client_call(c->client, &call, NULL, NULL, e);
    close(fd);
    if (st == ST_OK) show_copy(c);
    return st;
}

/* Into the store on this disk without a copy; false: that is not possible. */
static bool adopt(struct create *c) {
    struct store *s;
    char digest[STORE_DIGEST_TEXT];
    if (c->copy || store_open(&s, NULL, NULL) != ST_OK) return false;
    const bool done = store_blob_adopt(s, c->file->path, c->link, digest, NULL) == ST_OK;
    store_close(s);
    return done && strcmp(digest, c->file->digest) == 0;
}

static enum status send_file(struct create *c, struct gather_file *f, struct err *e) {
    char hex[DIGEST_HEX + 1], path[128];
    struct err missing = {0};
    enum status st = digest_of_file(f->path, hex, e);
    if (st != ST_OK) return st;
    f->digest = arena_printf(&c->files.arena, "sha256:%s", hex);
    if (f->digest == NULL) return err_no_memory(e);
    if (terminal_interrupted()) return err_set(e, ST_CANCELLED, "%s", "");
    snprintf(path, sizeof path, "/api/blobs/%s", f->digest);
    c->file = f;
    const struct client_call head = {.method = "HEAD", .path = path};
    st = client_call(c->client, &head, NULL, NULL, &missing);
    if (st == ST_NOT_FOUND && adopt(c)) {
        st = client_call(c->client, &head, NULL, NULL, &missing);
        if (st == ST_OK) return st; /* the server works on this very store */
    }
    if (st == ST_NOT_FOUND) return upload(c, path, e);
    return st == ST_OK ? st : err_set(e, st, "%s", missing.msg);
}

/* ---- the request ---- */

static void put_files(struct buf *body, const struct gather *g, enum gather_kind kind,
                      const char *key) {
    bool any = false;
    for (size_t i = 0; i < g->n_files; i++) {
        const struct gather_file *f = &g->files[i];
        if (f->kind != kind) continue;
        if (!any) {
            json_put_key(body, key);
            buf_chr(body, '{');
        }
        any = true;
        json_put_field(body, f->name, f->digest);
    }
    if (any) buf_chr(body, '}');
}

static void warn(void *arg, const char *text) {
    (void)arg;
    printf("warning: %s\n", text);
}

static enum status request(struct create *c, const struct args *a, struct err *e) {
    struct buf body = {0};
    const char *quantize = args_text(a, "quantize", NULL);
    const char *draft = args_text(a, "draft-quantize", NULL);
    buf_chr(&body, '{');
    json_put_field(&body, "model", a->words[0]);
    if (c->files.from != NULL && *c->files.from != '\0')
        json_put_field(&body, "from", c->files.from);
    put_files(&body, &c->files, GATHER_FILES, "files");
    put_files(&body, &c->files, GATHER_ADAPTERS, "adapters");
    put_files(&body, &c->files, GATHER_DRAFTS, "draft_files");
    if (quantize != NULL) json_put_field(&body, "quantize", quantize);
    if (draft != NULL) json_put_field(&body, "draft_quantize", draft);
    enum status st = modelfile_put_request(&body, &c->modelfile, warn, NULL, e);
    buf_chr(&body, '}');
    if (st == ST_OK)
        st = statuses_post(c->client, "/api/create", &body, c->progress, e);
    else
        progress_stop(c->progress);
    buf_free(&body);
    return st;
}

/* ---- the Modelfile ---- */

static enum status read_modelfile(struct create *c, const struct args *a, char **dir,
                                  struct err *e) {
    const char *path = args_text(a, "file", NULL);
    char *text = NULL;
    size_t len = 0;
    enum status st = ST_OK;
    if (path != NULL && !os_file_exists(path))
        return err_set(e, ST_NOT_FOUND, "specified Modelfile wasn't found");
    if (path == NULL) path = "Modelfile";
    if (os_file_exists(path))
        st = os_file_read(path, MODELFILE_MAX_BYTES, &text, &len, e);
    else
        text = mem_strdup("FROM .\n"); /* a folder that holds a model needs no Modelfile */
    if (st == ST_OK && text == NULL) st = err_no_memory(e);
    if (st == ST_OK) st = modelfile_parse(&c->modelfile, text, len != 0 ? len : strlen(text), e);
    mem_free(text);
    const char *slash = strrchr(path, '/');
    *dir = slash == NULL   ? mem_strdup(".")
           : slash == path ? mem_strdup("/")
                           : mem_strndup(path, (size_t)(slash - path));
    return st == ST_OK && *dir == NULL ? err_no_memory(e) : st;
}

static enum status create(struct create *c, const struct args *a, struct err *e) {
    char *dir = NULL;
    enum status st = read_modelfile(c, a, &dir, e);
    if (st == ST_OK) st = client_open(&c->client, NULL, e);
    if (st == ST_OK) {
        progress_spinner(c->progress, "gather", "gathering model components");
        st = gather_modelfile(&c->files, &c->modelfile, dir, e);
    }
    for (size_t i = 0; i < c->files.n_files && st == ST_OK; i++)
        st = send_file(c, &c->files.files[i], e);
    if (st == ST_OK)
        st = request(c, a, e);
    else
        progress_stop(c->progress);
    mem_free(dir);
    return st;
}

enum status cmd_create(const struct args *a, struct err *e) {
    struct model_name name;
    if (!name_parse(&name, a->words[0]))
        return err_set(e, ST_INVALID, "invalid model name: %s", a->words[0]);
    struct create c = {
        .progress = progress_new(), .link = args_bool(a, "link"), .copy = args_bool(a, "copy")};
    terminal_catch_interrupt();
    enum status st = create(&c, a, e);
    gather_free(&c.files);
    modelfile_free(&c.modelfile);
    client_close(c.client);
    progress_free(c.progress);
    return st;
}

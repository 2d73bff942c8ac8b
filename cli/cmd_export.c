/* cmd_export.c - models into an archive, and out of one (import). On the store's folder itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "store/archive.h"

static bool show(void *arg, const char *status, const char *digest, uint64_t total,
                 uint64_t completed) {
    struct progress *p = arg;
    char text[64];
    snprintf(text, sizeof text, "%s:", status);
    progress_bar(p, digest, text, total, completed);
    return !terminal_interrupted();
}

/* ---- export ---- */

static enum status to_stdout(void *arg, const void *data, size_t n, struct err *e) {
    (void)arg;
    for (const char *p = data; n > 0;) {
        ssize_t put = write(STDOUT_FILENO, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return os_fail(e, "write", "standard output");
        p += put;
        n -= (size_t)put;
    }
    return ST_OK;
}

static enum status to_file(void *arg, const void *data, size_t n, struct err *e) {
    return os_out_write(arg, data, n, e);
}

static enum status export_to(struct store *s, const struct model_name *names, size_t n,
                             const char *path, struct progress *p, struct err *e) {
    struct os_out out = {0};
    if (strcmp(path, "-") == 0) {
        if (isatty(STDOUT_FILENO))
            return err_set(e, ST_INVALID, "an archive is nothing for a terminal: use --output");
        return store_export(s, names, n, to_stdout, NULL, show, p, e);
    }
    enum status st = os_out_begin(&out, path, e);
    if (st != ST_OK) return st;
    st = store_export(s, names, n, to_file, &out, show, p, e);
    if (st == ST_OK) return os_out_commit(&out, e);
    os_out_abort(&out);
    return st;
}

enum status cmd_export(const struct args *a, struct err *e) {
    struct store *s = NULL;
    struct progress *p = progress_new();
    struct model_name *names = mem_zalloc(a->n_words, sizeof *names);
    enum status st = names != NULL ? ST_OK : err_no_memory(e);
    terminal_catch_interrupt();
    for (size_t i = 0; i < a->n_words && st == ST_OK; i++)
        st = name_parse_ref(&names[i], a->words[i], NULL, e);
    if (st == ST_OK) st = store_open(&s, NULL, e);
    if (st == ST_OK) st = export_to(s, names, a->n_words, args_text(a, "output", "-"), p, e);
    progress_stop(p);
    progress_free(p);
    mem_free(names);
    store_close(s);
    return st;
}

/* ---- import ---- */

struct input {
    struct progress *p; /* first: show() takes it */
    int fd;
    bool json;
    struct buf list;
};

static bool show_input(void *arg, const char *status, const char *digest, uint64_t total,
                       uint64_t completed) {
    return show(((struct input *)arg)->p, status, digest, total, completed);
}

static enum status from_fd(void *arg, void *out, size_t n, size_t *got, struct err *e) {
    const struct input *in = arg;
    ssize_t some;
    do {
        some = read(in->fd, out, n);
    } while (some < 0 && errno == EINTR && !terminal_interrupted());
    if (some < 0) return os_fail(e, "read", "archive");
    *got = (size_t)some;
    return ST_OK;
}

static void put_name(void *arg, const struct model_name *name) {
    struct input *in = arg;
    char shown[NAME_TEXT_MAX];
    name_shortest(name, shown);
    if (!in->json) {
        buf_printf(&in->list, "imported '%s'\n", shown);
        return;
    }
    buf_str(&in->list, in->list.len > 0 ? "," : "{\"models\":[");
    json_put_string(&in->list, shown, strlen(shown));
}

enum status cmd_import(const struct args *a, struct err *e) {
    struct store *s = NULL;
    const char *path = a->words[0];
    struct input in = {.p = progress_new(), .json = args_bool(a, "json")};
    terminal_catch_interrupt();
    in.fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum status st = in.fd >= 0 ? store_open(&s, NULL, e) : os_fail(e, "open", path);
    const struct store_import i = {.read = from_fd,
                                   .read_arg = &in,
                                   .overwrite = args_bool(a, "overwrite"),
                                   .progress = show_input,
                                   .arg = &in,
                                   .imported = put_name};
    if (st == ST_OK) st = store_import(s, &i, e);
    progress_stop(in.p);
    if (st == ST_OK && in.json) buf_str(&in.list, "]}\n");
    if (st == ST_OK) st = cli_put(&in.list, e);
    buf_free(&in.list);
    progress_free(in.p);
    if (in.fd > STDIN_FILENO) close(in.fd);
    store_close(s);
    return st;
}

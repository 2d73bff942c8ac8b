/* editor.c - see editor.h. */
#include "cli/editor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/os.h"

enum { TEXT_MAX_BYTES = 16 << 20, WORDS_MAX = 16 };

static const char *choose(void) {
    const char *const choice[] = {config_text(SET_editor), getenv("VISUAL"), getenv("EDITOR")};
    for (size_t i = 0; i < sizeof choice / sizeof *choice; i++)
        if (choice[i] != NULL && *choice[i] != '\0') return choice[i];
    return "vi";
}

/* "code --wait" is a program and its argument. The words live in copy. */
static size_t split(char *copy, char *words[WORDS_MAX]) {
    char *state;
    size_t n = 0;
    for (char *w = strtok_r(copy, " \t", &state); w != NULL && n < WORDS_MAX - 2;
         w = strtok_r(NULL, " \t", &state))
        words[n++] = w;
    return n;
}

/* No shell: the file's name is an argument, whatever is in it. 127: no such program. */
static enum status run(const char *editor, char *file, struct err *e) {
    char *words[WORDS_MAX] = {NULL}, *copy = mem_strdup(editor);
    if (copy == NULL) return err_no_memory(e);
    const size_t n = split(copy, words);
    words[n] = file;
    int status = -1;
    const pid_t child = n > 0 ? fork() : -1;
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL); /* what we ignore, it need not */
        execvp(words[0], words);
        _exit(errno == ENOENT ? 127 : 126);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    mem_free(copy);
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return ST_OK;
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_set(e, ST_NOT_FOUND,
                       "editor \"%s\" not found, set OLLAMA_EDITOR to the path of your preferred "
                       "editor",
                       editor);
    return err_set(e, ST_IO, "editor \"%s\" failed", editor);
}

static enum status write_text(int fd, const struct buf *text, const char *path, struct err *e) {
    for (size_t done = 0; done < text->len;) {
        const ssize_t n = write(fd, text->data + done, text->len - done);
        if (n < 0) return os_fail(e, "write", path);
        done += (size_t)n;
    }
    return ST_OK;
}

enum status editor_edit(struct buf *text, struct err *e) {
    char path[] = "/tmp/cria-prompt-XXXXXX", *read = NULL;
    size_t len = 0;
    const int fd = mkstemp(path);
    if (fd < 0) return os_fail(e, "mkstemp", path);
    enum status st = write_text(fd, text, path, e);
    close(fd);
    if (st == ST_OK) st = run(choose(), path, e);
    if (st == ST_OK) st = os_file_read(path, TEXT_MAX_BYTES, &read, &len, e);
    unlink(path);
    if (st != ST_OK) return st;
    while (len > 0 && (read[len - 1] == '\n' || read[len - 1] == '\r')) len--;
    buf_clear(text);
    buf_add(text, read, len);
    mem_free(read);
    return text->failed ? err_no_memory(e) : ST_OK;
}

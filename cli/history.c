/* history.c - see history.h. */
#include "cli/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

enum { MAX_BYTES = 16 << 20, PATH_LEN = 4096 };

static bool find_path(char path[PATH_LEN]) {
    struct stat info;
    const char *home = getenv("HOME");
    if (home == NULL || *home == '\0') return false;
    snprintf(path, PATH_LEN, "%s/.ollama", home);
    const bool shared = stat(path, &info) == 0;
    return snprintf(path, PATH_LEN, "%s/%s/history", home, shared ? ".ollama" : ".cria") < PATH_LEN;
}

void history_load(History *h) {
    HistEvent event;
    char path[PATH_LEN], *text = NULL, *state;
    size_t len;
    if (!find_path(path) || os_file_read(path, MAX_BYTES, &text, &len, NULL) != ST_OK) return;
    for (char *s = strtok_r(text, "\n", &state); s != NULL; s = strtok_r(NULL, "\n", &state))
        history(h, &event, H_ENTER, s);
    mem_free(text);
}

void history_save(History *h) {
    char path[PATH_LEN], tmp[PATH_LEN + 8];
    HistEvent event;
    if (!find_path(path)) return;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    const bool there = os_mkdirs(path, NULL) == ST_OK;
    *slash = '/';
    if (!there) return;
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    unlink(tmp);
    const mode_t mask = umask(0177); /* prompts are private */
    FILE *f = fopen(tmp, "wxe");
    umask(mask);
    if (f == NULL) return;
    for (int ok = history(h, &event, H_LAST); ok >= 0; ok = history(h, &event, H_PREV)) {
        for (const char *s = event.str; *s != '\0'; s++) putc(*s == '\n' ? ' ' : *s, f);
        putc('\n', f);
    }
    if (fclose(f) != 0 || rename(tmp, path) != 0) unlink(tmp);
}

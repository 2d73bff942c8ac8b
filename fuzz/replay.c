/* replay.c - runs a fuzz target over files, without a fuzzer: replay_NAME PATH...
 *
 * A path is a file or a folder, which is walked. Each input is a heap block of exactly its size, so
 * that ASan sees a read past the end. No input at all is an error: a test that replays nothing
 * must not look like one that passed. */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

static unsigned n_inputs;

static bool replay_file(const char *path, size_t size) {
    uint8_t *data = malloc(size != 0 ? size : 1);
    FILE *f = fopen(path, "rb");
    bool ok = data != NULL && f != NULL && fread(data, 1, size, f) == size;
    if (f != NULL) fclose(f);
    if (ok)
        LLVMFuzzerTestOneInput(data, size);
    else
        fprintf(stderr, "%s: cannot be read\n", path);
    free(data);
    n_inputs += ok;
    return ok;
}

static bool replay(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "%s: not found\n", path);
        return false;
    }
    if (!S_ISDIR(st.st_mode)) return replay_file(path, (size_t)st.st_size);
    DIR *dir = opendir(path);
    bool ok = dir != NULL;
    char child[4096];
    for (struct dirent *ent; ok && (ent = readdir(dir)) != NULL;) {
        if (ent->d_name[0] == '.') continue;
        int n = snprintf(child, sizeof child, "%s/%s", path, ent->d_name);
        ok = n > 0 && (size_t)n < sizeof child && replay(child);
    }
    if (dir != NULL) closedir(dir);
    return ok;
}

int main(int argc, char **argv) {
    bool ok = true;
    for (int i = 1; i < argc; i++) ok = replay(argv[i]) && ok;
    printf("%u inputs replayed\n", n_inputs);
    return ok && n_inputs > 0 ? 0 : 1;
}

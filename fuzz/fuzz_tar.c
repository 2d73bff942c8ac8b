/* fuzz_tar.c - any bytes as a tar archive.
 *
 * A member gives exactly the bytes that its head announces, or the archive is broken; what was read
 * of paths and contents can be written again and reads the same. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "store/tar.h"

struct input {
    const uint8_t *data;
    size_t size, at;
};

static enum status get(void *arg, void *out, size_t n, size_t *got, struct err *e) {
    struct input *in = arg;
    (void)e;
    *got = in->size - in->at < n ? in->size - in->at : n;
    if (*got > 0) memcpy(out, in->data + in->at, *got);
    in->at += *got;
    return ST_OK;
}

struct output {
    uint8_t data[8192];
    size_t n;
};

static enum status put(void *arg, const void *data, size_t n, struct err *e) {
    struct output *o = arg;
    (void)e;
    must(n <= sizeof o->data - o->n);
    memcpy(o->data + o->n, data, n);
    o->n += n;
    return ST_OK;
}

static void again(const struct tar_entry *t) {
    static struct output o;
    o.n = 0;
    struct input in = {.data = o.data};
    struct tar_reader r = {.read = get, .arg = &in};
    struct tar_entry back;
    bool end;
    must(tar_put_file(put, &o, t->path, t->size, NULL) == ST_OK);
    in.size = o.n;
    must(tar_next(&r, &back, &end, NULL) == ST_OK && !end);
    must(strcmp(back.path, t->path) == 0 && back.size == t->size && !back.folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {.data = data, .size = size};
    struct tar_reader r = {.read = get, .arg = &in};
    struct tar_entry t;
    struct err e;
    bool end = false;
    while (tar_next(&r, &t, &end, &e) == ST_OK && !end) {
        char room[100];
        uint64_t sum = 0;
        size_t got = 1;
        enum status st = ST_OK;
        must(memchr(t.path, '\0', sizeof t.path) != NULL);
        while (st == ST_OK && got > 0) {
            st = tar_read(&r, room, sizeof room, &got, &e);
            if (st == ST_OK) sum += got;
        }
        if (st == ST_OK && !t.folder) must(sum == t.size);
        if (!t.folder && t.path[0] != '\0') again(&t);
    }
    must(r.offset <= size);
    return 0;
}

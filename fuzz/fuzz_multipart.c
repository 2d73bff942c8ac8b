/* fuzz_multipart.c - any bytes as a form; the first line is its Content-Type.
 *
 * Refused: a code and a message. Accepted: every part lies inside of the body, in order, and holds
 * no line that is the boundary. */
#include <string.h>

#include "api/multipart.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

static void check_part(const struct form_part *p, const char *body, size_t len,
                       const char *boundary) {
    char line[BOUNDARY_MAX + 8] = "\r\n--";
    strcat(strcat(line, boundary), "\r\n");
    must(p->name_len > 0 && p->name >= body && p->name + p->name_len <= p->data);
    must(p->data + p->len <= body + len);
    must(memmem(p->data, p->len, line, strlen(line)) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *nl = memchr(data, '\n', size);
    const size_t n = nl == NULL ? size : (size_t)(nl - data);
    const char *body = (const char *)data + (nl == NULL ? size : n + 1);
    const size_t len = size - (size_t)(body - (const char *)data);
    char boundary[BOUNDARY_MAX + 1];
    struct form f;
    struct err e = {.msg = ""};
    char *type = mem_alloc(n + 1);
    memcpy(type, data, n);
    type[n] = '\0';
    enum status st = form_boundary(type, boundary, &e);
    mem_free(type);
    if (st == ST_OK) st = form_read(&f, body, len, boundary, &e);
    must(st == ST_OK || (st == ST_INVALID && e.msg[0] != '\0'));
    for (size_t i = 0; st == ST_OK && i < f.n; i++) {
        check_part(&f.part[i], body, len, boundary);
        must(i == 0 || f.part[i].data > f.part[i - 1].data + f.part[i - 1].len);
    }
    return 0;
}

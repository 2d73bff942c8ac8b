/* fuzz_imatrix.c - any bytes as an importance matrix, in either form.
 *
 * Refused: status and message are there and no memory is left behind. Accepted: every value is
 * finite and not negative, memory is bounded by the input, look-ups find what the list holds. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/quantize/imatrix.h"
#include "fuzz/fuzz.h"

static void check_entry(const struct imatrix *m, const struct imatrix_entry *entry, size_t size) {
    must(entry->name.len > 0 && entry->name.len <= 63);
    must(entry->n > 0 && entry->n <= size / sizeof(float));
    for (size_t i = 0; i < entry->n; i++) must(isfinite(entry->iw[i]) && entry->iw[i] >= 0);
    must(imatrix_find(m, entry->name) == entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct imatrix *m = NULL;
    struct err e = {0};
    const long live = mem_live();
    enum status st = imatrix_open_memory(&m, data, size, "input", &e);
    if (st == ST_OK) {
        for (size_t i = 0; i < imatrix_count(m); i++) check_entry(m, imatrix_at(m, i), size);
        must(imatrix_dataset(m).len <= size);
        must(imatrix_find(m, (struct gguf_str){"no such weight", 14}) == NULL);
        imatrix_close(m);
    } else {
        must(m == NULL && e.code == st && strncmp(e.msg, "input: ", 7) == 0);
    }
    must(mem_live() == live);
    return 0;
}

/* fuzz_safetensors.c - any bytes as a safetensors file.
 *
 * Refused: status, class and message are there and no memory is left behind. Accepted: every tensor
 * lies inside the input, its size is that of its shape, together they are the data section, and the
 * look-up by name finds each of them. */
#include <string.h>

#include "base/mem.h"
#include "engine/file/safetensors.h"
#include "fuzz/fuzz.h"

static unsigned touched; /* makes the reads count */

static size_t check_tensor(const struct sft_file *f, const struct sft_tensor *t,
                           const uint8_t *begin, const uint8_t *end) {
    const size_t len = strlen(t->name);
    must(len > 0 && len <= SFT_MAX_NAME && t->n_dims <= SFT_MAX_DIMS && t->dtype < SFT_COUNT);
    must(t->data >= begin + 8 && t->data <= end && t->size <= (size_t)(end - t->data));
    if (t->size != 0) touched += (unsigned)t->data[0] + t->data[t->size - 1];
    int64_t n = 1;
    for (uint32_t d = 0; d < t->n_dims; d++) {
        must(t->dim[d] >= 0);
        n *= t->dim[d];
    }
    must(n == t->n_elems);
    must((uint64_t)n * sft_dtype_bits(t->dtype) == (uint64_t)t->size * 8);
    must(sft_find(f, t->name) == t);
    return t->size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sft_file *f = NULL;
    struct err e = {0};
    const long live = mem_live();
    const enum status st = sft_open_memory(&f, data, size, "input", &e);
    if (st == ST_OK) {
        size_t sum = 0, header = 0;
        must(sft_error_class()[0] == '\0');
        for (int i = 0; i < 8; i++) header |= (size_t)data[i] << (8 * i);
        for (size_t i = 0; i < sft_n_tensors(f); i++)
            sum += check_tensor(f, sft_tensor_at(f, i), data, data + size);
        must(sum == size - 8 - header);
        must(sft_find(f, "") == NULL);
        sft_close(f);
    } else {
        must(f == NULL && e.code == st && strncmp(e.msg, "input: ", 7) == 0);
        must(sft_error_class()[0] != '\0' || st == ST_NO_MEMORY);
    }
    must(mem_live() == live);
    return 0;
}

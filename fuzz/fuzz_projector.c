/* fuzz_projector.c - any metadata as a projector: loaded, and a picture encoded with it.
 *
 * The input is the beginning of a GGUF file, up to its data, which is made of zeros here. Refused:
 * there is a message and no memory is left behind. Accepted: the sizes of tiles are what the
 * patches need, and a picture of a few pixels becomes at most as many rows as was said. */
#include <string.h>

#include "base/mem.h"
#include "engine/vision/projector.h"
#include "fuzz/fuzz.h"

enum { MAX_INPUT = 1 << 16, DATA = 2 << 20 };
static uint8_t file[MAX_INPUT + DATA]; /* the data stays zero */
#include "fuzz/gguf_numbers.h"

/* Larger ones would take seconds and show nothing new. */
static bool is_small(const struct projector *p, const struct picture *tile) {
    return (uint32_t)tile->w / p->hp.patch * ((uint32_t)tile->h / p->hp.patch) <= 64 &&
           p->hp.n_embd <= 256 && p->hp.n_layer <= 8;
}

static void encode(const struct projector *p) {
    uint8_t pixels[9 * 5 * 3];
    const struct picture picture = {9, 5, pixels};
    struct tiles tiles = {0};
    struct err e = {0};
    memset(pixels, 100, sizeof pixels);
    if ((uint64_t)p->hp.image_size * p->hp.image_size > 1 << 20) return;
    if (preprocess(p, &picture, &tiles, &e) != ST_OK) {
        must(e.msg[0] != '\0');
        return;
    }
    const uint32_t unit = p->hp.patch * p->hp.merge;
    for (size_t i = 0; i < tiles.n; i++) {
        float *rows;
        uint32_t n;
        must((uint32_t)tiles.at[i].w % unit == 0 && (uint32_t)tiles.at[i].h % unit == 0);
        if (!is_small(p, &tiles.at[i])) continue;
        if (encode_tile(p, &tiles.at[i], NULL, &rows, &n, &e) != ST_OK) {
            must(e.msg[0] != '\0');
            continue;
        }
        must(n > 0 && n <= projector_max_rows(p));
        mem_free(rows);
    }
    tiles_free(&tiles);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct cria_vision_params params = {1, 16};
    struct device dev;
    struct gguf *g;
    struct projector *p;
    struct err e = {0};
    if (size > MAX_INPUT) return 0;
    const long live = mem_live();
    memcpy(file, data, size);
    must(device_open(&dev, "ref", &(struct device_params){0}, &e) == ST_OK);
    if (gguf_open_memory(&g, file, size + DATA, "fuzz", &e) == ST_OK) {
        cria_vision_notice(g);
        if (projector_load(&p, g, &dev, &params, &e) == ST_OK) {
            encode(p);
            projector_free(p);
        } else {
            must(e.code != ST_OK && e.msg[0] != '\0');
        }
    }
    device_close(&dev);
    memset(file, 0, size);
    must(mem_live() == live);
    return 0;
}

/* check_quants_conv.c - conv/ and tables/ of a set of block formats: the 16-bit floats, the scales
 * that encoders choose for a block maximum, and the values of codes. What a format keeps to itself
 * is seen through its blocks: made by the encoder, or taken apart by the decoder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "golden/check_quants.h"

static void check_halves(struct set *s) {
    size_t n_f16, n_in, n_half, n_brain;
    const unsigned char *f16 = set_file(s, "conv/f16_to_f32.bin", &n_f16);
    const unsigned char *in = set_file(s, "conv/f32_inputs.bin", &n_in);
    const unsigned char *half = set_file(s, "conv/f32_to_f16.bin", &n_half);
    const unsigned char *brain = set_file(s, "conv/f32_to_bf16.bin", &n_brain);
    size_t bad_f16 = 0, bad_half = 0, bad_brain = 0;
    for (uint32_t h = 0; f16 != NULL && h < n_f16 / 4; h++) {
        float x = f16_to_f32((uint16_t)h);
        bad_f16 += memcmp(&x, f16 + 4 * h, sizeof x) != 0;
    }
    for (size_t i = 0; in != NULL && half != NULL && brain != NULL && i < n_in / 4; i++) {
        float x;
        memcpy(&x, in + 4 * i, sizeof x);
        uint16_t h = f32_to_f16(x), b = f32_to_bf16(x);
        bad_half += memcmp(&h, half + 2 * i, sizeof h) != 0;
        bad_brain += memcmp(&b, brain + 2 * i, sizeof b) != 0;
    }
    if (f16 != NULL)
        check_that(s->c, bad_f16 == 0, "quants conv f16_to_f32", "%zu differ", bad_f16);
    if (in == NULL) return;
    check_that(s->c, bad_half == 0, "quants conv f32_to_f16", "%zu differ", bad_half);
    check_that(s->c, bad_brain == 0, "quants conv f32_to_bf16", "%zu differ", bad_brain);
}

/* A table "bits of the block maximum, scale byte": each as a block with that maximum, encoded. */
static void check_scales(struct set *s, const char *file, enum dtype t, int base) {
    size_t size, n, bad = 0;
    const struct dtype_info *info = dtype_info(t);
    if (!check_exists(s->dir, file)) return;
    char *text = check_read(s->c, s->dir, file, &size);
    if (text == NULL) return;
    struct line *lines = set_table(text, 2, &n);
    for (size_t i = 0; i < n; i++) {
        float x[256] = {0};
        uint8_t block[256];
        uint32_t bits = (uint32_t)strtoul(lines[i].col[0], NULL, 16);
        memcpy(&x[7], &bits, sizeof bits);
        info->encode(x, block, info->elems, NULL);
        bad += block[0] != strtoul(lines[i].col[1], NULL, base);
    }
    check_that(s->c, bad == 0 && n > 0, file, "%zu of %zu scales differ", bad, n);
    mem_free(lines);
    mem_free(text);
}

/* A table of what each scale byte stands for, halved: decoded with a code for 1 (doubled). */
static void check_scale_values(struct set *s, const char *file, enum dtype t, size_t scales) {
    size_t size, bad = 0;
    const struct dtype_info *info = dtype_info(t);
    const unsigned char *want = set_file(s, file, &size);
    if (want == NULL) return;
    for (size_t u = 0; u < size / 4; u++) {
        uint8_t block[256];
        float x[256];
        memset(block, 0x11, sizeof block);
        memset(block, (int)u, scales);
        info->decode(block, x, info->elems);
        bad += memcmp(&x[0], want + 4 * u, sizeof *x) != 0;
    }
    check_that(s->c, bad == 0 && size == 1024, file, "%zu values differ", bad);
}

/* The values of the 16 codes of a type, from blocks whose first byte(s) make the scale 1. */
static void check_codes(struct set *s, const json *table, const char *name, enum dtype t,
                        const uint8_t *scale, size_t scales) {
    const struct dtype_info *info = dtype_info(t);
    unsigned code = 0;
    bool ok = true;
    for (const json *v = json_first(json_get(table, name)); v != NULL; v = json_next(v), code++) {
        uint8_t block[256];
        float x[256];
        double want = 0;
        memset(block, (int)(code | code << 4), sizeof block);
        memcpy(block, scale, scales);
        info->decode(block, x, info->elems);
        ok = ok && json_number(v, &want) && (double)x[0] == want;
    }
    check_that(s->c, ok && code == 16, "quants tables", "%s differ", name);
}

void check_quants_conv(struct set *s) {
    check_halves(s);
    check_scales(s, "conv/mxfp4_exponent.tsv", DT_MXFP4, 10);
    check_scales(s, "conv/nvfp4_scale.tsv", DT_NVFP4, 10);
    check_scale_values(s, "tables/e8m0_half_f32.bin", DT_MXFP4, 1);
    check_scale_values(s, "tables/ue4m3_half_f32.bin", DT_NVFP4, 4);
    if (!check_exists(s->dir, "tables/constants.json")) return;
    json *table = check_read_json(s->c, s->dir, "tables/constants.json");
    if (table == NULL) return;
    check_codes(s, table, "iq4nl_values", DT_IQ4_NL, (const uint8_t[]){0, 0x3C}, 2);
    check_codes(s, table, "fp4_e2m1_values_doubled", DT_MXFP4, (const uint8_t[]){128}, 1);
    json_free(table);
}

/* picture_jpeg.c - JPEG files through libjpeg-turbo, with the accurate integer transform
 * (JDCT_ISLOW), so that the pixels are those of other decoders.
 *
 * The library reports errors through error_exit(), which must not return: longjmp. It goes on after
 * damaged data with a warning; those that mean missing pixels are errors here. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h> /* wants stdio.h before it */

#include <jerror.h>

#include "base/mem.h"
#include "engine/vision/picture_impl.h"

enum {
    MAX_SCANS = 64,       /* a progressive file has about ten; each costs a walk over all blocks */
    MAX_MEMORY = 1 << 30, /* the library's own, for the coefficients of progressive files */
    CMYK = 4
};

struct jpeg_read {
    struct jpeg_decompress_struct jpeg; /* its client_data points here */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct decode *d;
    uint8_t *row; /* of CMYK */
    enum status st;
    struct err *e;
    jmp_buf failed;
};

static void stop(j_common_ptr jpeg) {
    struct jpeg_read *r = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    if (r->st == ST_OK)
        r->st = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? err_no_memory(r->e)
                                                          : err_set(r->e, ST_FORMAT, "%s", text);
    longjmp(r->failed, 1);
}

static void on_message(j_common_ptr jpeg, int level) {
    const int code = jpeg->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) stop(jpeg);
}

static void on_progress(j_common_ptr jpeg) {
    struct jpeg_read *r = jpeg->client_data;
    if (r->jpeg.input_scan_number <= MAX_SCANS) return;
    if (r->st == ST_OK) r->st = err_set(r->e, ST_LIMIT, "more than %d scans", MAX_SCANS);
    longjmp(r->failed, 1);
}

static void be_silent(j_common_ptr jpeg) { (void)jpeg; }

/* Every block of every component has a Huffman code, thus a bit at least. */
static uint64_t least_bytes(const struct jpeg_decompress_struct *j) {
    uint64_t blocks = 0;
    for (int i = 0; i < j->num_components; i++)
        blocks += (uint64_t)j->comp_info[i].width_in_blocks * j->comp_info[i].height_in_blocks;
    return blocks / 8;
}

/* Ink to light: the values are stored inverted, as Adobe's programs began to do. */
static void from_cmyk(uint8_t *rgb, const uint8_t *cmyk, size_t n) {
    for (; n > 0; n--, rgb += 3, cmyk += 4)
        for (int c = 0; c < 3; c++) {
            const unsigned ink = (255U - cmyk[c]) * cmyk[3] + 128;
            rgb[c] = (uint8_t)(cmyk[3] - ((ink + (ink >> 8)) >> 8));
        }
}

static void read_rows(struct jpeg_read *r) {
    const size_t w = (size_t)r->d->out.w;
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        uint8_t *to = r->d->out.rgb + r->jpeg.output_scanline * w * 3;
        JSAMPROW row = r->row != NULL ? r->row : to;
        jpeg_read_scanlines(&r->jpeg, &row, 1);
        if (r->row != NULL) from_cmyk(to, r->row, w);
    }
}

/* Under setjmp. */
static void read_jpeg(struct jpeg_read *r) {
    struct jpeg_decompress_struct *j = &r->jpeg;
    jpeg_create_decompress(j);
    j->progress = &r->progress;
    j->mem->max_memory_to_use = MAX_MEMORY;
    jpeg_mem_src(j, r->d->data, (unsigned long)r->d->n);
    jpeg_read_header(j, TRUE);
    if (j->arith_code) { /* its blocks may cost less than a bit, and nobody writes it */
        r->st = err_set(r->e, ST_UNSUPPORTED, "arithmetic coding");
        return;
    }
    r->st = picture_begin(r->d, j->image_width, j->image_height, least_bytes(j), r->e);
    if (r->st != ST_OK) return;
    const bool cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    j->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    j->dct_method = JDCT_ISLOW;
    if (cmyk && (r->row = mem_array((size_t)r->d->out.w, CMYK)) == NULL) {
        r->st = err_no_memory(r->e);
        return;
    }
    jpeg_start_decompress(j);
    read_rows(r);
    jpeg_finish_decompress(j);
}

enum status picture_jpeg(struct decode *d, struct err *e) {
    struct jpeg_read *r = mem_zalloc(1, sizeof *r); /* not on the stack: longjmp may spoil that */
    if (r == NULL) return err_no_memory(e);
    r->d = d;
    r->e = e;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->jpeg.client_data = r;
    r->errors.error_exit = stop;
    r->errors.emit_message = on_message;
    r->errors.output_message = be_silent;
    r->progress.progress_monitor = on_progress;
    if (setjmp(r->failed) == 0) read_jpeg(r);
    jpeg_destroy_decompress(&r->jpeg);
    const enum status st = r->st;
    mem_free(r->row);
    mem_free(r);
    return st;
}

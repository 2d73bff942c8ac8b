/* picture_png.c - PNG files through libpng: every colour type and depth becomes eight bits of red,
 * green and blue.
 *
 * libpng reports errors by longjmp. Everything that must survive one is in struct png_read, on
 * the heap; the functions below setjmp own nothing. */
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "base/mem.h"
#include "engine/vision/picture_impl.h"

enum {
    MAX_CHUNK = 1 << 20, /* bytes of memory that libpng may use for one chunk that is no pixels */
    MOST_INFLATED = 1032 /* deflate cannot say more with a byte */
};

struct png_read {
    struct decode *d;
    size_t at;
    png_structp png;
    png_infop info;
    uint8_t *rows; /* with alpha: a row, or all of them where it is interlaced */
    enum status st;
    struct err *e;
    jmp_buf failed;
};

static void on_error(png_structp png, png_const_charp text) {
    struct png_read *r = png_get_error_ptr(png);
    if (r->st == ST_OK) r->st = err_set(r->e, ST_FORMAT, "%s", text);
    longjmp(r->failed, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep out, size_t n) {
    struct png_read *r = png_get_io_ptr(png);
    if (n > r->d->n - r->at) png_error(png, "the file ends too soon");
    memcpy(out, r->d->data + r->at, n);
    r->at += n;
}

static png_voidp give(png_structp png, png_alloc_size_t n) {
    (void)png;
    return mem_alloc(n);
}

static void take_back(png_structp png, png_voidp p) {
    (void)png;
    mem_free(p);
}

static void open_png(struct png_read *r) {
    /* Texts, profiles and the like: skipped, not unpacked. */
    static const png_byte skipped[] = "iCCP\0zTXt\0iTXt\0tEXt\0sPLT\0hIST\0eXIf\0pCAL\0sCAL\0tIME";
    png_set_read_fn(r->png, r, read_bytes);
    png_set_user_limits(r->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* picture_begin() decides */
    png_set_chunk_malloc_max(r->png, MAX_CHUNK);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, skipped, sizeof skipped / 5);
    png_read_info(r->png, r->info);
}

/* Whatever it is becomes 8 bit RGB, or RGBA if anything of it may be transparent. */
static void set_transforms(png_structp png) {
    png_set_expand(png);
    png_set_strip_16(png); /* the high byte, as Pillow and the peer take it */
    png_set_gray_to_rgb(png);
}

static void read_rows(struct png_read *r, bool alpha, int passes) {
    const size_t w = (size_t)r->d->out.w, h = (size_t)r->d->out.h;
    for (int pass = 1; pass <= passes; pass++)
        for (size_t y = 0; y < h; y++) {
            uint8_t *to = r->d->out.rgb + y * w * 3;
            uint8_t *row = alpha ? r->rows + (passes > 1 ? y * w * 4 : 0) : to;
            png_read_row(r->png, row, NULL);
            if (alpha && pass == passes) picture_over_white(to, row, w);
        }
}

/* Under setjmp: libpng's functions do not return when they fail. */
static void read_png(struct png_read *r) {
    open_png(r);
    const uint64_t w = png_get_image_width(r->png, r->info);
    const uint64_t h = png_get_image_height(r->png, r->info);
    const uint64_t raw = png_get_rowbytes(r->png, r->info) * h;
    r->st = picture_begin(r->d, w, h, raw / MOST_INFLATED, r->e);
    if (r->st != ST_OK) return;
    set_transforms(r->png);
    const int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    const unsigned channels = png_get_channels(r->png, r->info);
    if (png_get_rowbytes(r->png, r->info) != w * channels || channels < 3)
        png_error(r->png, "not eight bits per colour"); /* libpng kept a transform to itself */
    if (channels == 4) {
        r->rows = mem_array((size_t)(passes > 1 ? w * h : w), 4);
        if (r->rows == NULL) r->st = err_no_memory(r->e);
    }
    if (r->st != ST_OK) return;
    read_rows(r, channels == 4, passes);
    png_read_end(r->png, NULL);
}

enum status picture_png(struct decode *d, struct err *e) {
    struct png_read *r = mem_zalloc(1, sizeof *r); /* not on the stack: longjmp may spoil that */
    if (r == NULL) return err_no_memory(e);
    r->d = d;
    r->e = e;
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, NULL, give,
                                      take_back);
    if (r->png == NULL) {
        mem_free(r);
        return err_no_memory(e);
    }
    if (setjmp(r->failed) == 0) {
        r->info = png_create_info_struct(r->png);
        if (r->info == NULL)
            r->st = err_no_memory(e);
        else
            read_png(r);
    }
    const enum status st = r->st;
    png_destroy_read_struct(&r->png, &r->info, NULL);
    mem_free(r->rows);
    mem_free(r);
    return st;
}

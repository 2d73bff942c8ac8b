/* picture_bmp.c - Windows bitmaps: a header of one of several lengths, a palette or masks of the
 * colours, lines of pixels that fill up to four bytes, the last line first (unless the height is
 * negative). Own code, because that is all there is to it. Run-length coded ones are refused: they
 * have died out. Alpha counts only where a mask names it. */
#include <string.h>

#include "engine/vision/picture_impl.h"

enum {
    FILE_HEADER = 14,
    CORE_HEADER = 12,
    INFO_HEADER = 40,
    PLAIN = 0,
    MASKS = 3,
    ALPHA_MASKS = 6
};

struct bitmap {
    uint32_t header, w, h, depth, coding, offset;
    bool top_down;
    uint32_t mask[4];       /* red, green, blue, alpha; depths 16 and 32 */
    const uint8_t *palette; /* [n_colours][entry]: blue, green, red; depths up to 8 */
    uint32_t n_colours, entry;
};

static uint32_t u16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const uint8_t *p) { return u16(p) | u16(p + 2) << 16; }

static enum status too_short(struct err *e) {
    return err_set(e, ST_FORMAT, "the file ends too soon");
}

/* ---- headers ---- */

static enum status read_sizes(const struct decode *d, struct bitmap *b, struct err *e) {
    const uint8_t *p = d->data + FILE_HEADER;
    if (d->n < FILE_HEADER + CORE_HEADER) return too_short(e);
    b->offset = u32(d->data + 10);
    b->header = u32(p);
    if (b->header != CORE_HEADER && (b->header < INFO_HEADER || b->header > 256))
        return err_set(e, ST_FORMAT, "a header of %u bytes", b->header);
    if (d->n < FILE_HEADER + b->header) return too_short(e);
    if (b->header == CORE_HEADER) {
        b->w = u16(p + 4);
        b->h = u16(p + 6);
        b->depth = u16(p + 10);
        b->entry = 3;
        return ST_OK;
    }
    b->top_down = u32(p + 8) >> 31 != 0;
    b->w = u32(p + 4);
    b->h = b->top_down ? 0U - u32(p + 8) : u32(p + 8);
    b->depth = u16(p + 14);
    b->coding = u32(p + 16);
    b->n_colours = u32(p + 32);
    b->entry = 4;
    return ST_OK;
}

/* Masks are part of longer headers, and stand behind the plain one. */
static enum status read_masks(const struct decode *d, struct bitmap *b, struct err *e) {
    static const uint32_t usual[2][4] = {{0x7C00, 0x3E0, 0x1F, 0}, {0xFF0000, 0xFF00, 0xFF, 0}};
    if (b->depth != 16 && b->depth != 32) return ST_OK;
    memcpy(b->mask, usual[b->depth == 32], sizeof b->mask);
    if (b->coding == PLAIN) return ST_OK;
    const uint32_t n = b->coding == ALPHA_MASKS || b->header >= INFO_HEADER + 16 ? 4 : 3;
    const size_t at = FILE_HEADER + INFO_HEADER;
    if (d->n < at + n * 4) return too_short(e);
    for (uint32_t i = 0; i < n; i++) b->mask[i] = u32(d->data + at + i * 4);
    return ST_OK;
}

static enum status read_palette(const struct decode *d, struct bitmap *b, struct err *e) {
    const size_t at = FILE_HEADER + (size_t)b->header;
    if (b->depth > 8) return ST_OK;
    const uint32_t most = 1U << b->depth;
    if (b->n_colours == 0 || b->n_colours > most) b->n_colours = most;
    if (d->n < at + (size_t)b->n_colours * b->entry) return too_short(e);
    b->palette = d->data + at;
    return ST_OK;
}

static enum status read_headers(const struct decode *d, struct bitmap *b, struct err *e) {
    static const uint32_t depths[] = {1, 4, 8, 16, 24, 32};
    bool known = false;
    enum status st = read_sizes(d, b, e);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
        known = known || b->depth == depths[i];
    if (!known) return err_set(e, ST_FORMAT, "%u bits for a pixel", b->depth);
    const bool masked = b->coding == MASKS || b->coding == ALPHA_MASKS;
    if (b->coding != PLAIN && !(masked && (b->depth == 16 || b->depth == 32)))
        return err_set(e, ST_UNSUPPORTED, "coding %u of %u bits", b->coding, b->depth);
    st = read_masks(d, b, e);
    return st == ST_OK ? read_palette(d, b, e) : st;
}

/* ---- pixels ---- */

/* The bits of a mask as eight: their value in the proportion of the largest. */
static uint8_t masked(uint32_t pixel, uint32_t mask) {
    if (mask == 0) return 0;
    const uint32_t low = mask & (0U - mask), most = mask / low;
    return (uint8_t)((uint64_t)((pixel & mask) / low) * 255 / most); /* cut, as Pillow does */
}

static void put_masked(const struct bitmap *b, uint32_t pixel, uint8_t *rgb) {
    uint8_t rgba[4];
    for (int c = 0; c < 4; c++) rgba[c] = masked(pixel, b->mask[c]);
    if (b->mask[3] == 0) rgba[3] = 255;
    picture_over_white(rgb, rgba, 1);
}

static bool put_indexed(const struct bitmap *b, uint32_t colour, uint8_t *rgb) {
    if (colour >= b->n_colours) return false;
    const uint8_t *p = b->palette + (size_t)colour * b->entry;
    for (int c = 0; c < 3; c++) rgb[c] = p[2 - c];
    return true;
}

static bool put_line(const struct bitmap *b, const uint8_t *line, uint8_t *rgb) {
    for (uint32_t x = 0; x < b->w; x++, rgb += 3) {
        if (b->depth == 24) {
            for (int c = 0; c < 3; c++) rgb[c] = line[x * (size_t)3 + 2 - (size_t)c];
        } else if (b->depth == 16) {
            put_masked(b, u16(line + x * (size_t)2), rgb);
        } else if (b->depth == 32) {
            put_masked(b, u32(line + x * (size_t)4), rgb);
        } else {
            const uint64_t bit = (uint64_t)x * b->depth;
            const uint32_t shift = 8 - b->depth - (uint32_t)(bit % 8);
            if (!put_indexed(b, line[bit / 8] >> shift & ((1U << b->depth) - 1), rgb)) return false;
        }
    }
    return true;
}

enum status picture_bmp(struct decode *d, struct err *e) {
    struct bitmap b = {0};
    enum status st = read_headers(d, &b, e);
    if (st != ST_OK) return st;
    const uint64_t pitch = ((uint64_t)b.w * b.depth + 31) / 32 * 4; /* below 2^35 */
    uint64_t end;
    if (__builtin_mul_overflow(pitch, (uint64_t)b.h, &end)) end = UINT64_MAX - b.offset;
    st = picture_begin(d, b.w, b.h, end + b.offset, e);
    if (st != ST_OK) return st;
    for (uint32_t y = 0; y < b.h; y++) {
        const uint8_t *line = d->data + b.offset + (size_t)pitch * (b.top_down ? y : b.h - 1 - y);
        if (!put_line(&b, line, d->out.rgb + (size_t)y * b.w * 3))
            return err_set(e, ST_FORMAT, "line %u: a colour that the palette has not", y);
    }
    return ST_OK;
}

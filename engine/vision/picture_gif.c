/* picture_gif.c - the first picture of a GIF file (CompuServe's specification of 1989).
 *
 * Own code, because the file is small bytes around LZW: a screen of some size, blocks, a picture
 * with a palette and a list of codes. A code stands for a string of pixels: that of an earlier code
 * and one pixel more. What the picture does not cover, and its transparent colour, is white. */
#include <string.h>

#include "engine/vision/picture_impl.h"

enum { MAX_CODES = 4096, MAX_CODE_BITS = 12, NONE = -1 };

struct reader {
    const uint8_t *data;
    size_t n, at;
};

struct image { /* an image descriptor, and what it needs of the blocks before it */
    unsigned x, y, w, h;
    bool interlaced;
    const uint8_t *palette; /* [n_colours][3]; NULL: none */
    unsigned n_colours;
    int transparent; /* index; NONE */
};

static enum status too_short(struct err *e) {
    return err_set(e, ST_FORMAT, "the file ends too soon");
}

/* n bytes, or NULL. */
static const uint8_t *take(struct reader *r, size_t n) {
    if (n > r->n - r->at) return NULL;
    r->at += n;
    return r->data + r->at - n;
}

static unsigned u16(const uint8_t *p) { return p[0] | (unsigned)p[1] << 8; }

/* ---- pixels ---- */

/* Line i of the file is line y of the picture. */
static unsigned line_of(const struct image *im, unsigned i) {
    static const unsigned char first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    if (!im->interlaced) return i;
    for (int pass = 0; pass < 4; pass++) {
        const unsigned lines = im->h > first[pass] ? (im->h - first[pass] - 1) / step[pass] + 1 : 0;
        if (i < lines) return first[pass] + i * step[pass];
        i -= lines;
    }
    return 0; /* not reached: i < h */
}

struct canvas {
    struct picture *out;
    const struct image *im;
    unsigned column, line; /* of the next pixel, in the file's order */
    uint8_t *row;          /* where the line goes */
};

static void begin_line(struct canvas *c) {
    const size_t y = c->im->y + line_of(c->im, c->line);
    c->row = c->out->rgb + (y * (size_t)c->out->w + c->im->x) * 3;
}

static bool is_full(const struct canvas *c) { return c->line == c->im->h; }

static enum status put_pixel(struct canvas *c, unsigned colour, struct err *e) {
    if (colour >= c->im->n_colours)
        return err_set(e, ST_FORMAT, "colour %u of a palette of %u", colour, c->im->n_colours);
    if ((int)colour != c->im->transparent)
        memcpy(c->row + (size_t)c->column * 3, c->im->palette + (size_t)colour * 3, 3);
    if (++c->column < c->im->w) return ST_OK;
    c->column = 0;
    if (++c->line < c->im->h) begin_line(c);
    return ST_OK;
}

/* ---- codes ---- */

struct bits { /* codes cross the borders of bytes and of sub-blocks */
    struct reader *r;
    unsigned left; /* bytes of this sub-block */
    uint32_t value;
    unsigned n;
};

static int next_code(struct bits *b, unsigned width) {
    while (b->n < width) {
        if (b->left == 0) {
            const uint8_t *size = take(b->r, 1);
            if (size == NULL || *size == 0) return NONE;
            b->left = *size;
        }
        const uint8_t *byte = take(b->r, 1);
        if (byte == NULL) return NONE;
        b->left--;
        b->value |= (uint32_t)*byte << b->n;
        b->n += 8;
    }
    const int code = (int)(b->value & ((1U << width) - 1));
    b->value >>= width;
    b->n -= width;
    return code;
}

struct lzw {
    uint16_t before[MAX_CODES]; /* the string without its last pixel */
    uint8_t last[MAX_CODES];
    uint8_t stack[MAX_CODES];
    int clear, next, width; /* next: the code that is learned next */
    int first_width;
    int previous; /* NONE after a clear */
};

static void forget(struct lzw *z) {
    z->next = z->clear + 2;
    z->width = z->first_width + 1;
    z->previous = NONE;
}

/* The string of a code that is known: its pixels, the last one first; returns how many. */
static int unfold(struct lzw *z, int code, int n) {
    while (code >= z->clear) {
        z->stack[n++] = z->last[code];
        code = z->before[code];
    }
    z->stack[n++] = (uint8_t)code;
    return n;
}

static void learn(struct lzw *z, uint8_t pixel) {
    if (z->previous == NONE || z->next == MAX_CODES) return;
    z->before[z->next] = (uint16_t)z->previous;
    z->last[z->next] = pixel;
    if (++z->next == 1 << z->width && z->width < MAX_CODE_BITS) z->width++;
}

static enum status put_code(struct lzw *z, int code, struct canvas *c, struct err *e) {
    const bool itself = code == z->next && z->previous != NONE; /* the string being learned */
    if (code > z->clear + 1 && code >= z->next && !itself)
        return err_set(e, ST_FORMAT, "code %d before it is known", code);
    int n = itself ? unfold(z, z->previous, 1) : unfold(z, code, 0);
    const uint8_t first = z->stack[n - 1];
    if (itself) z->stack[0] = first; /* its last pixel is its first one */
    learn(z, first);
    z->previous = code;
    enum status st = ST_OK;
    while (n > 0 && st == ST_OK && !is_full(c)) st = put_pixel(c, z->stack[--n], e);
    return st;
}

static enum status read_pixels(struct reader *r, const struct image *im, struct picture *out,
                               struct err *e) {
    struct lzw z = {0};
    struct bits b = {.r = r};
    struct canvas c = {.out = out, .im = im};
    const uint8_t *size = take(r, 1);
    if (size == NULL) return too_short(e);
    if (*size < 1 || *size > 8)
        return err_set(e, ST_FORMAT, "pixels of %u bits in its codes", *size);
    z.first_width = *size;
    z.clear = 1 << *size;
    forget(&z);
    begin_line(&c);
    enum status st = ST_OK;
    while (st == ST_OK && !is_full(&c)) {
        const int code = next_code(&b, (unsigned)z.width);
        if (code == NONE) return too_short(e);
        if (code == z.clear)
            forget(&z);
        else if (code == z.clear + 1)
            return err_set(e, ST_FORMAT, "its codes end after %u of %u lines", c.line, im->h);
        else
            st = put_code(&z, code, &c, e);
    }
    return st;
}

/* ---- blocks ---- */

static bool skip_blocks(struct reader *r) {
    for (;;) {
        const uint8_t *size = take(r, 1);
        if (size == NULL) return false;
        if (*size == 0) return true;
        if (take(r, *size) == NULL) return false;
    }
}

/* Of the extensions only the graphic control one says something about pixels. */
static bool read_extension(struct reader *r, struct image *im) {
    const uint8_t *label = take(r, 1);
    if (label == NULL) return false;
    if (*label == 0xF9 && r->n - r->at >= 5 && r->data[r->at] >= 4) {
        const uint8_t *p = r->data + r->at + 1;
        im->transparent = (p[0] & 1) != 0 ? p[3] : NONE;
    }
    return skip_blocks(r);
}

static bool read_palette(struct reader *r, unsigned flags, struct image *im) {
    if ((flags & 0x80) == 0) return true;
    im->n_colours = 2U << (flags & 7);
    im->palette = take(r, (size_t)im->n_colours * 3);
    return im->palette != NULL;
}

static enum status read_image(struct reader *r, struct image *im, struct decode *d, struct err *e) {
    const uint8_t *p = take(r, 9);
    if (p == NULL || !read_palette(r, p[8], im)) return too_short(e);
    im->x = u16(p);
    im->y = u16(p + 2);
    im->w = u16(p + 4);
    im->h = u16(p + 6);
    im->interlaced = (p[8] & 0x40) != 0;
    if (im->w == 0 || im->h == 0 || im->x + im->w > (unsigned)d->out.w ||
        im->y + im->h > (unsigned)d->out.h)
        return err_set(e, ST_FORMAT, "a picture of %u x %u at %u, %u on a screen of %d x %d", im->w,
                       im->h, im->x, im->y, d->out.w, d->out.h);
    if (im->palette == NULL) return err_set(e, ST_FORMAT, "no palette");
    return read_pixels(r, im, &d->out, e);
}

enum status picture_gif(struct decode *d, struct err *e) {
    struct reader r = {d->data, d->n, 6}; /* behind the magic */
    struct image im = {.transparent = NONE};
    const uint8_t *screen = take(&r, 7);
    if (screen == NULL || !read_palette(&r, screen[4], &im)) return too_short(e);
    enum status st = picture_begin(d, u16(screen), u16(screen + 2), 0, e);
    if (st != ST_OK) return st;
    memset(d->out.rgb, 255, (size_t)d->out.w * (size_t)d->out.h * 3);
    for (;;) {
        const uint8_t *kind = take(&r, 1);
        if (kind == NULL) return too_short(e);
        if (*kind == 0x2C) return read_image(&r, &im, d, e);
        if (*kind == 0x3B) return err_set(e, ST_FORMAT, "no picture in it");
        if (*kind != 0x21) return err_set(e, ST_FORMAT, "a block of unknown kind 0x%02X", *kind);
        if (!read_extension(&r, &im)) return too_short(e);
    }
}

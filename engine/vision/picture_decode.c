/* picture_decode.c - which decoder a file needs, and the limits that all of them keep (rule S-PA-7
 * of spec/security.md). The decoders are in picture_png.c, picture_jpeg.c, picture_webp.c,
 * picture_gif.c and picture_bmp.c. */
#include <string.h>

#include "base/mem.h"
#include "engine/vision/picture_impl.h"

/* spec/security.md S-NET-7; the longest side is the longest that JPEG and GIF can tell. */
static const struct picture_limits defaults = {
    .max_bytes = (size_t)64 << 20, .max_side = 65535, .max_pixels = 100000000};

void picture_free(struct picture *p) {
    mem_free(p->rgb);
    *p = (struct picture){0};
}

enum status picture_begin(struct decode *d, uint64_t w, uint64_t h, uint64_t min_bytes,
                          struct err *e) {
    const struct picture_limits *l = &d->limits;
    if (w == 0 || h == 0)
        return err_set(e, ST_FORMAT, "a picture of %llu x %llu pixels", (unsigned long long)w,
                       (unsigned long long)h);
    if (w > l->max_side || h > l->max_side || w * h > l->max_pixels)
        return err_set(e, ST_LIMIT,
                       "%llu x %llu pixels; the limit is %u for a side and %llu for all",
                       (unsigned long long)w, (unsigned long long)h, l->max_side,
                       (unsigned long long)l->max_pixels);
    if (min_bytes > d->n)
        return err_set(e, ST_FORMAT, "%zu bytes are too few for %llu x %llu pixels: cut off?", d->n,
                       (unsigned long long)w, (unsigned long long)h);
    d->out.rgb = mem_array((size_t)(w * h), 3);
    if (d->out.rgb == NULL) return err_no_memory(e);
    d->out.w = (int)w;
    d->out.h = (int)h;
    return ST_OK;
}

void picture_over_white(uint8_t *rgb, const uint8_t *rgba, size_t n) {
    for (; n > 0; n--, rgb += 3, rgba += 4)
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)((rgba[c] * rgba[3] + 255 * (255 - rgba[3]) + 127) / 255);
}

/* ---- the formats ---- */

static const struct format {
    const char *name;
    picture_decoder *decode;
    struct {
        size_t at;
        const char *text;
    } magic[2]; /* both must be there; the second may be empty */
} formats[] = {
    {"PNG", picture_png, {{0, "\x89PNG\r\n\x1a\n"}, {0, ""}}},
    {"JPEG", picture_jpeg, {{0, "\xFF\xD8\xFF"}, {0, ""}}},
    {"WebP", picture_webp, {{0, "RIFF"}, {8, "WEBP"}}},
    {"GIF", picture_gif, {{0, "GIF87a"}, {0, ""}}},
    {"GIF", picture_gif, {{0, "GIF89a"}, {0, ""}}},
    {"BMP", picture_bmp, {{0, "BM"}, {0, ""}}},
};

static bool is_format(const struct format *f, const uint8_t *data, size_t n) {
    for (size_t i = 0; i < 2; i++) {
        const size_t at = f->magic[i].at, len = strlen(f->magic[i].text);
        if (n < at + len || memcmp(data + at, f->magic[i].text, len) != 0) return false;
    }
    return true;
}

static const struct format *format_of(const uint8_t *data, size_t n) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (is_format(&formats[i], data, n)) return &formats[i];
    return NULL;
}

/* Recordings come where pictures are expected: as parts of messages, from forms. */
static const char *recording(const uint8_t *data, size_t n) {
    if (n >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WAVE", 4) == 0) return "WAV";
    if (n >= 4 && memcmp(data, "fLaC", 4) == 0) return "FLAC";
    if (n >= 4 && memcmp(data, "OggS", 4) == 0) return "Ogg";
    if (n >= 3 && memcmp(data, "ID3", 3) == 0) return "MP3";
    return n >= 2 && data[0] == 0xFF && data[1] >= 0xE0 ? "MP3" : NULL;
}

static enum status unknown(const uint8_t *data, size_t n, struct err *e) {
    const char *sound = recording(data, n);
    if (sound != NULL)
        return err_set(e, ST_UNSUPPORTED, "a recording (%s); audio is not supported", sound);
    return err_set(e, ST_UNSUPPORTED, "neither PNG, JPEG, WebP, GIF nor BMP");
}

enum status picture_decode(const void *bytes, size_t n, const struct picture_limits *limits,
                           struct picture *p, struct err *e) {
    struct decode d = {.data = bytes, .n = n};
    const struct format *f = format_of(bytes, n);
    if (limits != NULL) d.limits = *limits;
    if (d.limits.max_bytes == 0) d.limits.max_bytes = defaults.max_bytes;
    if (d.limits.max_side == 0) d.limits.max_side = defaults.max_side;
    if (d.limits.max_pixels == 0) d.limits.max_pixels = defaults.max_pixels;
    if (n > d.limits.max_bytes)
        return err_set(e, ST_LIMIT, "a picture of %zu bytes; the limit is %zu", n,
                       d.limits.max_bytes);
    if (f == NULL) return unknown(bytes, n, e);
    enum status st = f->decode(&d, e);
    if (st == ST_OK)
        *p = d.out;
    else
        picture_free(&d.out);
    return st == ST_OK ? ST_OK : err_wrap(e, "%s", f->name);
}

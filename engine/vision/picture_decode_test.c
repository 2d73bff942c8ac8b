/* picture_decode_test.c - image files: every kind of PNG, sizes that lie, files cut off, failing
 * allocations. The pixels of other kinds are in golden/pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/vision/picture.h"

enum { W = 13, H = 11 };

/* ---- PNG files of our own ---- */

static void put_bytes(png_structp png, png_bytep data, size_t n) {
    buf_add(png_get_io_ptr(png), data, n);
}

static unsigned sample(unsigned x, unsigned y, unsigned c, unsigned depth) {
    return (x * 2579 + y * 977 + c * 12345 + 7) & ((1U << depth) - 1);
}

static void put_sample(uint8_t *row, unsigned i, unsigned depth, unsigned v) {
    if (depth == 16) {
        row[2 * i] = (uint8_t)(v >> 8);
        row[2 * i + 1] = (uint8_t)v;
    } else {
        const unsigned at = i * depth;
        row[at / 8] = (uint8_t)(row[at / 8] | v << (8 - depth - at % 8));
    }
}

static unsigned channels_of(int type) {
    return type == PNG_COLOR_TYPE_RGBA  ? 4
           : type == PNG_COLOR_TYPE_RGB ? 3
           : type == PNG_COLOR_TYPE_GA  ? 2
                                        : 1;
}

static void write_png(struct buf *out, int type, unsigned depth, bool interlaced) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[256] = {{0, 0, 0}};
    uint8_t row[H][W * 8] = {{0}}, *rows[H];
    png_set_write_fn(png, out, put_bytes, NULL);
    png_set_IHDR(png, info, W, H, (int)depth, type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE,
                 PNG_FILTER_TYPE_BASE);
    for (unsigned i = 0; i < 1U << (depth < 8 ? depth : 8); i++)
        palette[i] =
            (png_color){(png_byte)(i * 3), (png_byte)(255 - i), (png_byte)(i ^ (unsigned)0x5A)};
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 1 << depth);
    for (unsigned y = 0; y < H; y++) {
        rows[y] = row[y];
        for (unsigned x = 0; x < W; x++)
            for (unsigned c = 0; c < channels_of(type); c++)
                put_sample(row[y], x * channels_of(type) + c, depth, sample(x, y, c, depth));
    }
    png_write_info(png, info);
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
}

static unsigned eight_bits(unsigned v, unsigned depth) {
    return depth == 16 ? v >> 8 : v * 255 / ((1U << depth) - 1);
}

/* What the picture is at x, y; c: red, green, blue. */
static unsigned wanted(int type, unsigned depth, unsigned x, unsigned y, unsigned c) {
    const unsigned v = sample(x, y, 0, depth);
    if (type == PNG_COLOR_TYPE_PALETTE) return c == 0 ? (v * 3) & 255 : c == 1 ? 255 - v : v ^ 0x5A;
    const bool grey = type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GA;
    const unsigned colour = eight_bits(sample(x, y, grey ? 0 : c, depth), depth);
    if (type != PNG_COLOR_TYPE_GA && type != PNG_COLOR_TYPE_RGBA) return colour;
    const unsigned alpha = eight_bits(sample(x, y, grey ? 1 : 3, depth), depth);
    return (colour * alpha + 255 * (255 - alpha) + 127) / 255;
}

static void test_png_kinds(void **state) {
    (void)state;
    static const struct {
        int type;
        unsigned depth;
    } kind[] = {
        {PNG_COLOR_TYPE_GRAY, 1},    {PNG_COLOR_TYPE_GRAY, 2},    {PNG_COLOR_TYPE_GRAY, 4},
        {PNG_COLOR_TYPE_GRAY, 8},    {PNG_COLOR_TYPE_GRAY, 16},   {PNG_COLOR_TYPE_GA, 8},
        {PNG_COLOR_TYPE_GA, 16},     {PNG_COLOR_TYPE_PALETTE, 1}, {PNG_COLOR_TYPE_PALETTE, 2},
        {PNG_COLOR_TYPE_PALETTE, 4}, {PNG_COLOR_TYPE_PALETTE, 8}, {PNG_COLOR_TYPE_RGB, 8},
        {PNG_COLOR_TYPE_RGB, 16},    {PNG_COLOR_TYPE_RGBA, 8},    {PNG_COLOR_TYPE_RGBA, 16}};
    for (size_t k = 0; k < 2 * sizeof kind / sizeof *kind; k++) {
        struct buf file = {0};
        struct picture p;
        struct err e;
        const int type = kind[k / 2].type;
        const unsigned depth = kind[k / 2].depth;
        write_png(&file, type, depth, k % 2 == 1);
        assert_int_equal(picture_decode(file.data, file.len, NULL, &p, &e), ST_OK);
        assert_int_equal(p.w, W);
        assert_int_equal(p.h, H);
        for (unsigned i = 0; i < W * H * 3; i++)
            assert_int_equal(p.rgb[i], wanted(type, depth, i / 3 % W, i / 3 / W, i % 3));
        picture_free(&p);
        buf_free(&file);
    }
}

/* ---- the files of golden/pictures ---- */

typedef void each_file(const char *name, const uint8_t *data, size_t n);

static void for_each(const char *dir, each_file *f) {
    DIR *d = opendir(dir);
    unsigned n_files = 0;
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char path[600], *data;
        size_t n;
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || dot[1] == '\0' || strstr(".md .jsonl", dot) != NULL) continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        assert_int_equal(os_file_read(path, 1 << 20, &data, &n, NULL), ST_OK);
        f(entry->d_name, (const uint8_t *)data, n);
        mem_free(data);
        n_files++;
    }
    closedir(d);
    assert_true(n_files > 20);
}

/* A copy without a byte to spare, so that a sanitizer sees each read behind its end. */
static enum status decode_part(const uint8_t *data, size_t n, struct picture *p, struct err *e) {
    uint8_t *copy = mem_alloc(n);
    memcpy(copy, data, n);
    enum status st = picture_decode(copy, n, NULL, p, e);
    mem_free(copy);
    return st;
}

/* What is left of a file is refused, or all that matters was in it. */
static void cut_off(const char *name, const uint8_t *data, size_t n) {
    struct picture whole, part;
    const long live = mem_live();
    assert_int_equal(picture_decode(data, n, NULL, &whole, NULL), ST_OK);
    for (size_t len = 0; len<n; len += n> 4000 && len > 200 && len + 200 < n ? 37 : 1) {
        struct err e = {0};
        if (decode_part(data, len, &part, &e) == ST_OK) {
            assert_true(strstr(name, ".gif") != NULL); /* what follows the first picture */
            assert_int_equal(part.w, whole.w);
            assert_memory_equal(part.rgb, whole.rgb, (size_t)whole.w * (size_t)whole.h * 3);
            picture_free(&part);
        } else {
            assert_true(e.msg[0] != '\0');
            assert_true(e.code == ST_FORMAT || (e.code == ST_UNSUPPORTED && len < 12));
        }
    }
    picture_free(&whole);
    assert_int_equal(mem_live(), live);
}

static void sec_vLLM_CVE_2026_22773_cut_off(void **state) {
    (void)state;
    for_each("golden/pictures", cut_off);
}

/* Wherever a byte is wrong: an answer, and nothing lost. */
static void spoil(const char *name, const uint8_t *data, size_t n) {
    const long live = mem_live();
    uint32_t rng = 12345;
    (void)name;
    uint8_t *copy = mem_alloc(n);
    for (int k = 0; k < 60; k++) {
        struct picture p = {0};
        struct picture_limits limits = {.max_pixels = 1 << 20};
        memcpy(copy, data, n);
        for (int i = 0; i <= k % 3; i++) {
            rng = rng * 1664525 + 1013904223;
            copy[(rng >> 8) % (k < 30 && n > 64 ? 64 : n)] = (uint8_t)rng;
        }
        if (picture_decode(copy, n, &limits, &p, NULL) == ST_OK) picture_free(&p);
    }
    mem_free(copy);
    assert_int_equal(mem_live(), live);
}

static void sec_CVE_2025_15514_broken_image(void **state) {
    (void)state;
    for_each("golden/pictures", spoil);
}

static void without_memory(const char *name, const uint8_t *data, size_t n) {
    const long live = mem_live();
    (void)name;
    for (long nth = 1; nth < 1000; nth++) {
        struct picture p = {0};
        struct err e = {0};
        mem_fail_at(nth);
        const enum status st = picture_decode(data, n, NULL, &p, &e);
        mem_fail_at(0);
        if (st == ST_OK) {
            picture_free(&p);
            break;
        }
        assert_true(st == ST_NO_MEMORY || st == ST_FORMAT); /* libpng: "Out of memory" */
        assert_true(nth < 999);
    }
    assert_int_equal(mem_live(), live);
}

static void test_failing_allocations(void **state) {
    (void)state;
    for_each("golden/pictures", without_memory);
}

/* ---- sizes that a file only claims ---- */

static uint32_t crc32_of(const uint8_t *p, size_t n) {
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

static void put_be(uint8_t *p, uint32_t v, int bytes) {
    for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static void resize_png(uint8_t *f, size_t n, uint32_t w, uint32_t h) {
    (void)n;
    put_be(f + 16, w, 4);
    put_be(f + 20, h, 4);
    put_be(f + 29, crc32_of(f + 12, 17), 4);
}

static void resize_jpeg(uint8_t *f, size_t n, uint32_t w, uint32_t h) {
    for (size_t i = 2; i + 9 < n; i++) /* the frame header */
        if (f[i] == 0xFF && (f[i + 1] == 0xC0 || f[i + 1] == 0xC2)) {
            put_be(f + i + 5, h, 2);
            put_be(f + i + 7, w, 2);
            return;
        }
    fail();
}

static void resize_gif(uint8_t *f, size_t n, uint32_t w, uint32_t h) {
    (void)n;
    f[6] = (uint8_t)w, f[7] = (uint8_t)(w >> 8);
    f[8] = (uint8_t)h, f[9] = (uint8_t)(h >> 8);
}

static void resize_webp(uint8_t *f, size_t n, uint32_t w, uint32_t h) {
    (void)n; /* lossless: 14 bits each of width - 1 and height - 1 behind the signature */
    const uint32_t bits = ((w - 1) & 0x3FFF) | ((h - 1) & 0x3FFF) << 14;
    for (int i = 0; i < 4; i++) f[21 + i] = (uint8_t)(bits >> (8 * i));
}

static void put_le(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static void resize_bmp(uint8_t *f, size_t n, uint32_t w, uint32_t h) {
    (void)n;
    put_le(f + 18, w);
    put_le(f + 22, h);
}

static const struct {
    const char *file;
    void (*resize)(uint8_t *f, size_t n, uint32_t w, uint32_t h);
    uint32_t longest; /* side that the format can tell */
} claim[] = {{"rgb.png", resize_png, 0x7FFFFFFF},     {"jpeg444.jpg", resize_jpeg, 65500},
             {"progressive.jpg", resize_jpeg, 65500}, {"cmyk.jpg", resize_jpeg, 65500},
             {"plain.gif", resize_gif, 65535},        {"lossless.webp", resize_webp, 16383},
             {"rgb.bmp", resize_bmp, 0x7FFFFFFF}};

static enum status claims(size_t k, uint32_t w, uint32_t h, const struct picture_limits *limits,
                          struct err *e) {
    char path[200], *data;
    size_t n;
    struct picture p = {0};
    snprintf(path, sizeof path, "golden/pictures/%s", claim[k].file);
    assert_int_equal(os_file_read(path, 1 << 20, &data, &n, NULL), ST_OK);
    claim[k].resize((uint8_t *)data, n, w, h);
    enum status st = picture_decode(data, n, limits, &p, e);
    picture_free(&p);
    mem_free(data);
    return st;
}

static void sec_vLLM_CVE_2026_22773_sizes(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof claim / sizeof *claim; k++) {
        struct err e = {0};
        if (claim[k].longest > 16383) /* WebP cannot say 0 */
            assert_int_equal(claims(k, 0, 0, NULL, &e), ST_FORMAT);
        claims(k, 1, 1, NULL, &e); /* fine, or a picture that is too large for its screen */
        claims(k, claim[k].longest > 65535 ? 65535 : claim[k].longest, 1, NULL, &e);
        claims(k, 1, claim[k].longest > 65535 ? 65535 : claim[k].longest, NULL, &e);
        const uint32_t many = claim[k].longest < 30000 ? claim[k].longest : 30000;
        assert_int_equal(claims(k, many, many, NULL, &e), ST_LIMIT);
        assert_non_null(strstr(e.msg, "the limit is 65535 for a side and 100000000 for all"));
        if (claim[k].longest > 65535)
            assert_int_equal(claims(k, claim[k].longest, claim[k].longest, NULL, &e), ST_LIMIT);
    }
}

/* A size within the limits, for which the file is much too short: no memory is spent on it. */
static void sec_S_PA_7_no_room_for_a_claim(void **state) {
    (void)state;
    static const size_t has_least[] = {0, 1, 2, 3, 6};
    for (size_t i = 0; i < sizeof has_least / sizeof *has_least; i++) {
        struct err e = {0};
        assert_int_equal(claims(has_least[i], 9000, 9000, NULL, &e), ST_FORMAT);
        assert_non_null(strstr(e.msg, "too few for 9000 x 9000 pixels"));
    }
}

static void sec_S_PA_7_limits(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof claim / sizeof *claim; k++) { /* all are of 23 x 17 pixels */
        struct picture_limits fine = {.max_side = 23, .max_pixels = 23 * 17};
        struct picture_limits side = {.max_side = 22}, pixels = {.max_pixels = 23 * 17 - 1};
        struct picture_limits bytes = {.max_bytes = 100};
        struct err e = {0};
        assert_int_equal(claims(k, 23, 17, &fine, &e), ST_OK);
        assert_int_equal(claims(k, 23, 17, &side, &e), ST_LIMIT);
        assert_int_equal(claims(k, 23, 17, &pixels, &e), ST_LIMIT);
        assert_int_equal(claims(k, 23, 17, &bytes, &e), ST_LIMIT);
        assert_non_null(strstr(e.msg, "the limit is 100"));
    }
}

static void test_other_formats(void **state) {
    (void)state;
    static const char *const text[] = {"", "B", "<svg/>", "RIFF....WAV", "\x89PNG\n", "GIF88a"};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct picture p = {.w = 7};
        struct err e = {0};
        assert_int_equal(picture_decode(text[i], strlen(text[i]), NULL, &p, &e), ST_UNSUPPORTED);
        assert_string_equal(e.msg, "neither PNG, JPEG, WebP, GIF nor BMP");
        assert_int_equal(p.w, 7);
    }
}

static void test_recordings(void **state) {
    (void)state;
    static const struct {
        const char *text, *name;
    } sounds[] = {{"RIFF....WAVEfmt ", "WAV"}, {"ID3\4", "MP3"}, {"\xFF\xFB\x90", "MP3"},
                  {"\xFF\xF3", "MP3"},         {"fLaC", "FLAC"}, {"OggS", "Ogg"}};
    for (size_t i = 0; i < sizeof sounds / sizeof *sounds; i++) {
        struct picture p = {.w = 7};
        struct err e = {0};
        char want[64];
        snprintf(want, sizeof want, "a recording (%s); audio is not supported", sounds[i].name);
        assert_int_equal(picture_decode(sounds[i].text, strlen(sounds[i].text), NULL, &p, &e),
                         ST_UNSUPPORTED);
        assert_string_equal(e.msg, want);
        assert_int_equal(p.w, 7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recordings),
        cmocka_unit_test(test_png_kinds),
        cmocka_unit_test(sec_vLLM_CVE_2026_22773_cut_off),
        cmocka_unit_test(sec_CVE_2025_15514_broken_image),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(sec_vLLM_CVE_2026_22773_sizes),
        cmocka_unit_test(sec_S_PA_7_no_room_for_a_claim),
        cmocka_unit_test(sec_S_PA_7_limits),
        cmocka_unit_test(test_other_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

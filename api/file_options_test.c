/* file_options_test.c - general.sampling keys of a file become options; nonsense is left out. */
#include "api/file_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "api/options.h"
#include "base/buf.h"
#include "base/mem.h"
#include "engine/file/gguf_write.h"

static enum status add_bytes(void *arg, const void *data, size_t n, struct err *e) {
    (void)e;
    buf_add(arg, data, n);
    return ST_OK;
}

/* The options of a file with what `put` writes; default ones where it says nothing. */
static struct options options_of(void (*put)(struct gguf_writer *w), struct arena *a, json **own) {
    struct gguf_writer *w;
    struct gguf *g;
    struct buf file = {0};
    struct err e;
    assert_int_equal(gguf_writer_new(&w, &e), ST_OK);
    gguf_put_text(w, "general.architecture", "llama");
    put(w);
    assert_int_equal(gguf_write_to(w, add_bytes, &file, &e), ST_OK);
    assert_int_equal(gguf_write_finish(w, &e), ST_OK);
    gguf_writer_free(w);
    assert_int_equal(gguf_open_memory(&g, file.data, file.len, "test", &e), ST_OK);
    struct options o = options_default();
    *own = file_options(g);
    assert_int_equal(options_apply(&o, *own, a, &e), ST_OK);
    gguf_close(g);
    buf_free(&file);
    return o;
}

static void put_int(struct gguf_writer *w, const char *key, int32_t v) {
    gguf_put_scalar(w, key, GGUF_I32, &v);
}

static void put_all(struct gguf_writer *w) {
    gguf_put_text(w, "general.sampling.sequence", "penalties;top_k;;nonsense;temperature");
    put_int(w, "general.sampling.top_k", 7);
    gguf_put_f32(w, "general.sampling.top_p", 0.5F);
    gguf_put_f32(w, "general.sampling.min_p", 0.25F);
    gguf_put_f32(w, "general.sampling.xtc_probability", 0.75F);
    gguf_put_f32(w, "general.sampling.xtc_threshold", 0.125F);
    gguf_put_f32(w, "general.sampling.temp", 0.1F);
    put_int(w, "general.sampling.penalty_last_n", -1);
    gguf_put_f32(w, "general.sampling.penalty_repeat", 1.5F);
    put_int(w, "general.sampling.mirostat", 2);
    gguf_put_f32(w, "general.sampling.mirostat_tau", 4.0F);
    gguf_put_f32(w, "general.sampling.mirostat_eta", 0.5F);
}

static void every_key(void **state) {
    (void)state;
    struct arena a = {0};
    json *own;
    const struct options o = options_of(put_all, &a, &own);
    assert_int_equal(o.top_k, 7);
    assert_int_equal(o.repeat_last_n, -1);
    assert_int_equal(o.mirostat, 2);
    const float got[] = {o.top_p,       o.min_p,        o.xtc_probability, o.xtc_threshold,
                         o.temperature, o.mirostat_tau, o.mirostat_eta,    o.repeat_penalty};
    const float want[] = {0.5F, 0.25F, 0.75F, 0.125F, 0.1F, 4.0F, 0.5F, 1.5F};
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(json_len(o.samplers), 3); /* "" and what nobody knows are left out */
    assert_string_equal(json_string(json_first(o.samplers)), "penalties");
    json_free(own);
    arena_free(&a);
}

static void put_nonsense(struct gguf_writer *w) {
    gguf_put_u32(w, "general.sampling.sequence", 1);
    gguf_put_text(w, "general.sampling.top_k", "7");
    gguf_put_bool(w, "general.sampling.min_p", true);
    gguf_put_f32(w, "general.sampling.top_p", NAN);
    gguf_put_f32(w, "general.sampling.temp", INFINITY);
    gguf_put_f32(w, "general.sampling.penalty_repeat", 0.0F);
    put_int(w, "general.sampling.penalty_last_n", -2);
    put_int(w, "general.sampling.mirostat", 3);
    gguf_put_array(w, "general.sampling.mirostat_tau", GGUF_F32, 1, &(float){1.0F});
}

static void put_nothing(struct gguf_writer *w) { gguf_put_u32(w, "general.file_type", 1); }

static void nonsense_is_left_out(void **state) {
    (void)state;
    struct arena a = {0};
    json *own;
    const struct options plain = options_default();
    struct options o = options_of(put_nonsense, &a, &own);
    assert_null(own);
    assert_memory_equal(&o, &plain, sizeof o);
    o = options_of(put_nothing, &a, &own);
    assert_null(own);
    assert_memory_equal(&o, &plain, sizeof o);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key),
        cmocka_unit_test(nonsense_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tests of pictures in requests: the same rows for the same pixels, a prefix that ends before
 * another picture, context shifts, projectors that do not fit, failing allocations, files that lie.
 */
#include "engine/engine_impl.h"
#include "engine/vision/testing.h"
#include "engine/vision/vision.h"

#define GOLDEN "golden/vision/"
static const char gemma3[] = "golden/models/gemma3/model.gguf";
static const char llama[] = "golden/models/llama-base/model.gguf";
static const char qwen3vl[] = GOLDEN "text-qwen3vl-deepstack/model.gguf";

static struct cria_engine *open_engine(const char *path, uint32_t n_ctx, uint32_t n_batch) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct err e = {0};
    p.n_threads = 2;
    p.n_ctx = n_ctx;
    p.n_batch = n_batch;
    p.n_parallel = 3;
    if (cria_engine_open(&eng, path, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    return eng;
}

static struct cria_vision *open_vision(struct cria_engine *eng, const char *name) {
    struct cria_vision *v;
    struct err e = {0};
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s/mmproj.gguf", name);
    if (cria_vision_open(&v, eng, path, NULL, &e) != ST_OK) fail_msg("%s", e.msg);
    return v;
}

static const struct cria_encoded *encode(struct cria_vision *v, int w, int h, unsigned seed) {
    struct picture p = make_picture(w, h, seed);
    const struct cria_encoded *enc;
    struct err e = {0};
    if (cria_vision_encode(v, &p, 0, NULL, &enc, &e) != ST_OK) fail_msg("%s", e.msg);
    picture_free(&p);
    return enc;
}

static const struct cria_image *first_image(const struct cria_encoded *enc) {
    for (size_t i = 0; i < enc->n_parts; i++)
        if (enc->parts[i].image != NULL) return enc->parts[i].image;
    fail();
    return NULL;
}

/* Five tokens, the picture, five tokens. */
enum { N_PROMPT = 11 };
static struct cria_generation *start(struct cria_engine *eng, const struct cria_image *const *image,
                                     int64_t n_predict) {
    static const token_id prompt[N_PROMPT] = {5, 6, 7, 8, 9, CRIA_TOKEN_IMAGE, 10, 11, 12, 13, 14};
    struct cria_request r = {.prompt = prompt,
                             .n_prompt = N_PROMPT,
                             .images = image,
                             .n_images = 1,
                             .sampler = sampler_default_params(),
                             .n_predict = n_predict,
                             .shift = true,
                             .n_keep = 2};
    struct cria_generation *g;
    struct err e = {0};
    r.sampler.temperature = 0;
    if (cria_generation_start(&g, eng, &r, &e) != ST_OK) fail_msg("%s", e.msg);
    return g;
}

struct answer {
    token_id ids[512];
    size_t n;
    struct cria_stats stats;
};
static struct answer finish(struct cria_generation *g) {
    struct answer a = {.n = 0};
    struct cria_chunk c = {0};
    struct err e = {0};
    while (c.done == CRIA_RUNNING)
        if (cria_generation_next(g, &c, &e) != ST_OK) fail_msg("%s", e.msg);
    const token_id *ids = cria_generation_tokens(g, &a.n);
    assert_true(a.n <= 512);
    memcpy(a.ids, ids, a.n * sizeof *ids);
    a.stats = *cria_generation_stats(g);
    cria_generation_free(g);
    return a;
}

static void assert_same(const struct answer *a, const struct answer *b) {
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, a->n * sizeof a->ids[0]);
}

/* A projector for each kind of text model: causal, rows that see each other, M-RoPE and DeepStack.
 */
static const struct {
    const char *model, *projector;
} pairs[] = {{llama, "llava-mlp"}, {gemma3, "gemma3"}, {qwen3vl, "qwen3vl"}};

/* ---- company while a picture is encoded --------------------------------------------------------
 */

struct watched { /* a generation, begun in the first turn and looked at whenever it has the device
                  */
    struct cria_engine *eng;
    const struct cria_request *r;
    struct cria_generation *g;
    size_t first, last, n_turns;
};
static bool take_and_look(void *arg) {
    struct watched *w = arg;
    struct err e;
    if (w->n_turns == 1) assert_true(cria_generation_wait(w->g, (int64_t)20e9));
    step_enter(w->eng);
    if (w->n_turns == 0) OK(cria_generation_start(&w->g, w->eng, w->r, &e));
    cria_generation_tokens(w->g, &w->last); /* no step runs now */
    if (w->n_turns++ == 0) w->first = w->last;
    return true;
}
static void give_back(void *arg) {
    struct watched *w = arg;
    pthread_mutex_unlock(&w->eng->step_lock);
}

/* A text goes on between the first and the last piece of a picture's encoding, and neither of them
 * changes the other. */
static void test_text_goes_on(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(llama, 512, 16);
    struct gguf *file = open_golden("qwen3vl");
    struct projector *p;
    struct err e = {0};
    struct cria_request r = {.prompt = (const token_id[]){5, 6, 7},
                             .n_prompt = 3,
                             .sampler = sampler_default_params(),
                             .n_predict = 400};
    r.sampler.temperature = 0;
    struct cria_generation *g;
    OK(cria_generation_start(&g, eng, &r, &e));
    const struct answer alone = finish(g);
    assert_true(alone.n > 100);
    OK(projector_load(&p, file, &eng->dev, NULL, &e));
    struct picture picture = make_picture(256, 256, 5);
    float *rows[2];
    uint32_t n[2];
    OK(encode_tile(p, &picture, NULL, &rows[0], &n[0], &e));
    struct watched w = {.eng = eng, .r = &r};
    const struct device_turns turns = {take_and_look, give_back, &w};
    OK(encode_tile(p, &picture, &turns, &rows[1], &n[1], &e));
    assert_true(w.n_turns > 3);
    assert_true(w.last > w.first);
    const struct answer meanwhile = finish(w.g);
    assert_same(&meanwhile, &alone);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(rows[0], rows[1], n[0] * p->n_out * sizeof(float));
    mem_free(rows[0]);
    mem_free(rows[1]);
    picture_free(&picture);
    projector_free(p);
    cria_engine_close(eng);
}

static bool out_of_patience(void *arg) { return (*(int *)arg)-- == 0; }

/* A picture that nobody wants any more is given up at any turn; the next one knows nothing of it.
 */
static void test_given_up(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(qwen3vl, 64, 16);
    struct cria_vision *v = open_vision(eng, "qwen3vl"), *fresh = open_vision(eng, "qwen3vl");
    const struct cria_encoded *enc = NULL, *want = encode(fresh, 256, 256, 5);
    struct picture p = make_picture(256, 256, 5);
    struct err e = {0};
    const long live = mem_live();
    enum status st = ST_CANCELLED;
    int turns = 0;
    for (; st == ST_CANCELLED; turns++) {
        int patience = turns;
        st = cria_vision_encode(v, &p, 0, &(struct cria_vision_stop){out_of_patience, &patience},
                                &enc, &e);
        if (st != ST_CANCELLED) continue;
        assert_int_equal(mem_live(), live);
        assert_int_equal(patience, -1); /* not asked again */
    }
    assert_int_equal(st, ST_OK);
    assert_true(turns > 4);
    const struct cria_image *a = first_image(enc), *b = first_image(want);
    assert_int_equal(a->n_rows, b->n_rows);
    assert_memory_equal(a->rows, b->rows, (size_t)a->n_rows * a->n_out * sizeof *a->rows);
    picture_free(&p);
    cria_encoded_release(v, enc);
    cria_encoded_release(fresh, want);
    cria_vision_close(v);
    cria_vision_close(fresh);
    cria_engine_close(eng);
}

/* The same picture is a shared prefix, another one is none; company changes nothing. */
static void test_prefix_and_company(void **state) {
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct cria_engine *eng = open_engine(pairs[k].model, 256, 5);
        struct cria_vision *v = open_vision(eng, pairs[k].projector);
        const struct cria_encoded *a = encode(v, 61, 43, 1), *b = encode(v, 61, 43, 2);
        const struct cria_image *ia = first_image(a), *ib = first_image(b);
        const struct answer first = finish(start(eng, &ia, 12));
        assert_int_equal(first.stats.n_prompt, N_PROMPT - 1 + ia->n_rows);
        assert_int_equal(first.stats.n_cached, 0);
        const struct answer again = finish(start(eng, &ia, 12));
        assert_same(&first, &again);
        assert_int_equal(again.stats.n_cached, N_PROMPT - 2 + ia->n_rows); /* all but the last */
        const struct answer other = finish(start(eng, &ib, 12));
        assert_int_equal(other.stats.n_cached, 5); /* what is before the picture */
        struct cria_generation *g[3];
        for (int i = 0; i < 3; i++) g[i] = start(eng, i == 1 ? &ib : &ia, 12);
        for (int i = 0; i < 3; i++) {
            const struct answer x = finish(g[i]);
            assert_same(&x, i == 1 ? &other : &first);
        }
        cria_encoded_release(v, a);
        cria_encoded_release(v, b);
        cria_vision_close(v);
        cria_engine_close(eng);
        eng = open_engine(pairs[k].model, 256, 300); /* all rows in one step: the same answer */
        v = open_vision(eng, pairs[k].projector);
        a = encode(v, 61, 43, 1);
        ia = first_image(a);
        const struct answer wide = finish(start(eng, &ia, 12));
        assert_same(&first, &wide);
        cria_encoded_release(v, a);
        cria_vision_close(v);
        cria_engine_close(eng);
    }
}

/* A full context goes on without the picture, which is dropped as a whole. */
static void test_shift(void **state) {
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct cria_engine *eng = open_engine(pairs[k].model, 48, 64);
        struct cria_vision *v = open_vision(eng, pairs[k].projector);
        const struct cria_encoded *a = encode(v, 32, 32, 1);
        const struct cria_image *image = first_image(a);
        const struct answer x = finish(start(eng, &image, 60));
        assert_true(x.stats.n_generated == 60 || x.n < N_PROMPT - 1 + 60);
        const struct answer y = finish(start(eng, &image, 60)); /* with a warm prefix */
        assert_same(&x, &y);
        cria_encoded_release(v, a);
        cria_vision_close(v);
        cria_engine_close(eng);
    }
}

/* What one has sent is not found kept by another. */
static void sec_S_LC_8_pictures_of_another_domain(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(gemma3, 128, 64);
    struct cria_vision *v = open_vision(eng, "gemma3");
    struct picture p = make_picture(40, 30, 1);
    const uint64_t domain[] = {7, 8, 7, 8};
    const struct cria_encoded *x[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(cria_vision_encode(v, &p, domain[i], NULL, &x[i], NULL), ST_OK);
    assert_ptr_not_equal(x[0], x[1]);
    assert_ptr_equal(x[0], x[2]);
    assert_ptr_equal(x[1], x[3]);
    for (int i = 0; i < 4; i++) cria_encoded_release(v, x[i]);
    picture_free(&p);
    cria_vision_close(v);
    cria_engine_close(eng);
}

static void test_encoding_repeats(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(gemma3, 128, 64);
    struct cria_vision *v = open_vision(eng, "gemma3"), *w = open_vision(eng, "gemma3");
    const struct cria_encoded *a = encode(v, 40, 30, 1), *b = encode(v, 40, 30, 1);
    assert_ptr_equal(a, b); /* kept */
    const struct cria_encoded *c = encode(w, 40, 30, 1);
    const struct cria_image *ia = first_image(a), *ic = first_image(c);
    assert_memory_equal(ia->rows, ic->rows, ia->n_rows * ia->n_out * sizeof(float));
    assert_memory_not_equal(ia->key, ic->key, sizeof ia->key); /* another projector */
    for (unsigned i = 0; i < 9; i++) cria_encoded_release(v, encode(v, 8, 8, i)); /* a is held */
    assert_int_equal(first_image(a)->n_rows, ia->n_rows);
    cria_encoded_release(v, a);
    cria_encoded_release(v, b);
    cria_encoded_release(w, c);
    cria_vision_close(v);
    cria_vision_close(w);
    cria_engine_close(eng);
}

static void assert_unopened(struct cria_engine *eng, const char *path, const char *why) {
    struct cria_vision *v;
    struct err e = {0};
    assert_int_not_equal(cria_vision_open(&v, eng, path, NULL, &e), ST_OK);
    if (strstr(e.msg, why) == NULL) fail_msg("'%s' does not say '%s'", e.msg, why);
}

static void test_refused(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(llama, 64, 16);
    assert_unopened(eng, GOLDEN "gemma3/mmproj.gguf", "rows of 48 values, the model takes 64");
    assert_unopened(eng, llama, "architecture 'llama' is no projector");
    assert_unopened(eng, GOLDEN "qwen3vl/mmproj.gguf", "rows of 128 values");
    struct cria_vision *v = open_vision(eng, "llava-mlp");
    const struct cria_encoded *a = encode(v, 9, 9, 1);
    const struct cria_image *image[] = {first_image(a), first_image(a)};
    const token_id ids[] = {5, CRIA_TOKEN_IMAGE, 6, CRIA_TOKEN_IMAGE};
    struct cria_request r = {.prompt = ids,
                             .n_prompt = 3,
                             .images = image,
                             .n_images = 2,
                             .sampler = sampler_default_params()};
    struct cria_generation *g;
    struct err e = {0};
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_INVALID);
    assert_string_equal(e.msg, "the prompt has places for 1 images; 2 were given");
    r.n_prompt = 4;
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_INVALID);
    assert_string_equal(e.msg, "the prompt ends with an image");
    token_id many[64];
    const struct cria_image *images[8];
    for (int i = 0; i < 8; i++) {
        images[i] = image[0];
        many[i] = CRIA_TOKEN_IMAGE;
    }
    many[8] = 7;
    r = (struct cria_request){.prompt = many,
                              .n_prompt = 9,
                              .images = images,
                              .n_images = 8,
                              .sampler = sampler_default_params()};
    assert_int_equal(cria_generation_start(&g, eng, &r, &e), ST_LIMIT);
    assert_string_equal(e.msg,
                        "request (129 tokens) exceeds the available context size (64 tokens), "
                        "try increasing it");
    cria_encoded_release(v, a);
    cria_vision_close(v);
    cria_engine_close(eng);
}

/* Opening and encoding with the n-th allocation failing, for each n. */
static void test_failing_allocations(void **state) {
    (void)state;
    struct cria_engine *eng = open_engine(qwen3vl, 64, 16);
    struct picture p = make_picture(33, 21, 4);
    struct cria_vision *warm = open_vision(eng, "qwen3vl"); /* the device's memory grows once */
    cria_encoded_release(warm, encode(warm, 33, 21, 4));
    cria_vision_close(warm);
    const long live = mem_live();
    bool done = false;
    for (long n = 1; !done; n++) {
        struct cria_vision *v = NULL;
        const struct cria_encoded *enc = NULL;
        struct err e = {0};
        mem_fail_at(n);
        enum status st = cria_vision_open(&v, eng, GOLDEN "qwen3vl/mmproj.gguf", NULL, &e);
        if (st == ST_OK) st = cria_vision_encode(v, &p, 0, NULL, &enc, &e);
        mem_fail_at(0);
        done = st == ST_OK;
        if (!done) assert_int_equal(st, ST_NO_MEMORY);
        cria_encoded_release(v, enc);
        cria_vision_close(v);
        assert_int_equal(mem_live(), live);
        assert_true(n < 2000);
    }
    picture_free(&p);
    cria_engine_close(eng);
}

/* ---- sizes ------------------------------------------------------------------------------------
 */

static void test_dynamic_size(void **state) {
    (void)state;
    static const struct {
        int w, h, want_w, want_h;
    } cases[] = {{56, 56, 84, 84},     {70, 42, 112, 84},      {13, 13, 84, 84},
                 {1, 1, 84, 84},       {1000, 1000, 224, 224}, {300, 100, 308, 112},
                 {1, 65535, 28, 1792}, {65535, 1, 1792, 28}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int w, h;
        dynamic_size(cases[i].w, cases[i].h, 28, 8 * 784, 64 * 784, &w, &h);
        assert_int_equal(w, cases[i].want_w);
        assert_int_equal(h, cases[i].want_h);
    }
}

static void test_best_resolution(void **state) {
    (void)state;
    static const uint32_t grid[] = {336, 672, 672, 336, 672, 672, 1008, 336};
    assert_int_equal(best_resolution(300, 900, grid, 4), 0);
    assert_int_equal(best_resolution(900, 300, grid, 4), 3);
    assert_int_equal(best_resolution(900, 900, grid, 4), 2);
    assert_int_equal(best_resolution(1, 100000, grid, 4), 4); /* nothing would be seen */
}

/* Pictures of one pixel, of one line, and very long ones, with every encoder. */
static void sec_CVE_2026_22773(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 7}, {3000, 1}, {1, 65535}, {65535, 1}, {2, 999}};
    static const struct {
        const char *model, *projector;
    } all[] = {{llama, "llava-mlp"},
               {gemma3, "gemma3"},
               {qwen3vl, "qwen3vl"},
               {"golden/models/gemma4/model.gguf", "gemma4v"},
               {"golden/models/qwen2/model.gguf", "internvl"},
               {"golden/models/qwen2/model.gguf", "llama4"}};
    const struct cria_vision_params few = {1, 24}; /* rows: the long ones are quick then */
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        struct cria_engine *eng = open_engine(all[k].model, 64, 16);
        struct cria_vision *v;
        struct err e = {0};
        char path[128];
        snprintf(path, sizeof path, GOLDEN "%s/mmproj.gguf", all[k].projector);
        if (cria_vision_open(&v, eng, path, &few, &e) != ST_OK) fail_msg("%s", e.msg);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            const struct cria_encoded *enc = encode(v, sizes[i][0], sizes[i][1], 3);
            assert_true(enc->n_rows > 0 &&
                        first_image(enc)->n_rows <= cria_vision_info(v)->max_rows);
            cria_encoded_release(v, enc);
        }
        cria_vision_close(v);
        cria_engine_close(eng);
    }
}

/* ---- files that lie ---------------------------------------------------------------------------
 */

static void try_value(const char *name, const char *key, uint32_t x, bool as_text) {
    struct device dev;
    struct gguf *g;
    struct projector *p;
    struct err e = {0};
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s/mmproj.gguf", name);
    assert_int_equal(device_open(&dev, "cpu", &(struct device_params){1, NULL}, &e), ST_OK);
    assert_int_equal(gguf_open(&g, path, &e), ST_OK);
    if (as_text)
        assert_int_equal(gguf_edit_str(g, key, "12", &e), ST_OK);
    else
        assert_int_equal(gguf_edit_u32(g, key, x, &e), ST_OK);
    if (projector_load(&p, g, &dev, NULL, &e) == ST_OK)
        projector_free(p);
    else if (strstr(e.msg, "clip.") == NULL && strstr(e.msg, "tensor '") == NULL &&
             strstr(e.msg, "images of up to") == NULL && strstr(e.msg, "projector type") == NULL)
        fail_msg("%s = %u: '%s' names neither key nor tensor", key, x, e.msg);
    device_close(&dev);
}

/* Each number of each projector: 0, 1, odd, huge, of another type. */
static void sec_lmstudio_2289(void **state) {
    (void)state;
    static const char *const names[] = {"gemma3", "qwen3vl", "llava-mlp", "gemma4v", "llama4"};
    static const uint32_t values[] = {0, 1, 3, 65537, 0x7FFFFFFF, 0xFFFFFFFF};
    const long live = mem_live();
    for (size_t k = 0; k < 5; k++) {
        struct gguf *g;
        char path[128], key[128];
        snprintf(path, sizeof path, GOLDEN "%s/mmproj.gguf", names[k]);
        assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
        for (size_t i = 0; i < gguf_n_kv(g); i++) {
            const struct gguf_kv *kv = gguf_kv_at(g, i);
            if (kv->key.len < 5 || memcmp(kv->key.ptr, "clip.", 5) != 0) continue;
            snprintf(key, sizeof key, "%.*s", (int)kv->key.len, kv->key.ptr);
            for (size_t j = 0; j < 6; j++) try_value(names[k], key, values[j], false);
            try_value(names[k], key, 0, true);
        }
        gguf_close(g);
    }
    assert_int_equal(mem_live(), live);
}

static void assert_message(const char *name, const char *key, uint32_t x, const char *want) {
    struct device dev;
    struct gguf *g;
    struct projector *p;
    struct err e = {0};
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s/mmproj.gguf", name);
    assert_int_equal(device_open(&dev, "cpu", &(struct device_params){1, NULL}, &e), ST_OK);
    assert_int_equal(gguf_open(&g, path, &e), ST_OK);
    if (want[0] == 'p')
        assert_int_equal(gguf_edit_str(g, key, "cogvlm", &e), ST_OK);
    else
        assert_int_equal(gguf_edit_u32(g, key, x, &e), ST_OK);
    assert_int_not_equal(projector_load(&p, g, &dev, NULL, &e), ST_OK);
    if (strstr(e.msg, want) == NULL) fail_msg("'%s' does not say '%s'", e.msg, want);
    device_close(&dev);
}

static void test_messages(void **state) {
    (void)state;
    assert_message("gemma3", "clip.projector_type", 0, "projector type 'cogvlm' is not supported");
    assert_message("gemma3", "clip.vision.patch_size", 0,
                   "key clip.vision.patch_size is 0, expected 1 to 256");
    assert_message("gemma3", "clip.vision.feed_forward_length", 63,
                   "tensor 'v.blk.0.ffn_up.weight' has wrong shape {32,64,1,1}, expected {32,63}");
    assert_message("gemma3", "clip.vision.block_count", 3,
                   "missing tensor 'v.blk.2.attn_q.weight'");
}

/* Lists of layers: out of range, out of order. Types without such a list do not look at it. */
static void sec_mllama_arrays(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int32_t layers[2];
        const char *want; /* NULL: it loads */
    } cases[] = {{"llava-mlp", {1, 4}, "key clip.vision.feature_layer is 4, expected 0 to 3"},
                 {"llava-mlp", {-1, 2}, "key clip.vision.feature_layer is -1, expected 0 to 3"},
                 {"llava-mlp", {2, 1}, "key clip.vision.feature_layer is not in rising order"},
                 {"llava-mlp", {1, 2}, "tensor 'mm.0.weight' has wrong shape"},
                 {"gemma3", {2, 1}, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct device dev;
        struct gguf *g;
        struct projector *p = NULL;
        struct err e = {0};
        char path[128];
        snprintf(path, sizeof path, GOLDEN "%s/mmproj.gguf", cases[i].name);
        assert_int_equal(device_open(&dev, "cpu", &(struct device_params){1, NULL}, &e), ST_OK);
        assert_int_equal(gguf_open(&g, path, &e), ST_OK);
        assert_int_equal(gguf_edit_i32s(g, "clip.vision.feature_layer", cases[i].layers, 2, &e),
                         ST_OK);
        assert_int_equal(projector_load(&p, g, &dev, NULL, &e) == ST_OK, cases[i].want == NULL);
        if (cases[i].want != NULL && strstr(e.msg, cases[i].want) == NULL)
            fail_msg("'%s' does not say '%s'", e.msg, cases[i].want);
        if (cases[i].want == NULL) projector_free(p);
        device_close(&dev);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_goes_on),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_prefix_and_company),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_encoding_repeats),
        cmocka_unit_test(sec_S_LC_8_pictures_of_another_domain),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_dynamic_size),
        cmocka_unit_test(test_best_resolution),
        cmocka_unit_test(sec_CVE_2026_22773),
        cmocka_unit_test(sec_lmstudio_2289),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(sec_mllama_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

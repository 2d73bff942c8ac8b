/* Tests of adapters: files that are wrong, several at once, requests with different ones in one
 * step, the prefix cache, adapters that begin in the middle of a prompt. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/cria.h"
#include "engine/file/gguf_write.h"
#include "engine/model.h"

static const char base_path[] = "golden/models/llama-base/model.gguf";
enum { N_EMBD = 64, N_VOCAB = 320, MAX_TENSORS = 8, N_PROMPT = 40 };

/* ---- adapters made here ---- */

struct spec {
    const char *name;
    uint32_t n_dims;
    int64_t dim[4];
    enum dtype type; /* DT_F32 = 0 */
};
struct file {
    const char *type, *arch, *kind; /* NULL: absent */
    float alpha;
    struct spec tensor[MAX_TENSORS]; /* ends with name NULL */
    float value;                     /* NAN and the like in place of the first number */
    const int32_t *invocation;
    size_t n_invocation;
};
#define GOOD .type = "adapter", .arch = "llama", .kind = "lora"

/* Small numbers that depend on the seed, as the type stores them. */
static void put_data(struct gguf_writer *w, const struct spec *s, uint32_t *seed, float first) {
    const struct dtype_info *type = dtype_info(s->type);
    const int64_t rows = s->dim[1] * (s->n_dims > 2 ? s->dim[2] : 1);
    float row[512];
    unsigned char out[2048];
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < s->dim[0]; i++) {
            *seed = *seed * 1664525u + 1013904223u;
            row[i] = ((float)(*seed >> 8) / (float)(1 << 24) - 0.5f) * 0.5f;
        }
        if (r == 0 && first != 0) row[0] = first;
        dtype_encode_fast(s->type, row, out, (size_t)s->dim[0]);
        assert_int_equal(
            gguf_write_data(w, out, (size_t)s->dim[0] / (size_t)type->elems * (size_t)type->bytes,
                            NULL),
            ST_OK);
    }
}

static struct buf make(const struct file *f, uint32_t seed) {
    struct gguf_writer *w;
    struct buf b = {0};
    assert_int_equal(gguf_writer_new(&w, NULL), ST_OK);
    if (f->type != NULL) gguf_put_text(w, "general.type", f->type);
    if (f->arch != NULL) gguf_put_text(w, "general.architecture", f->arch);
    if (f->kind != NULL) gguf_put_text(w, "adapter.type", f->kind);
    if (f->alpha != 0) gguf_put_f32(w, "adapter.lora.alpha", f->alpha);
    if (f->n_invocation != 0)
        gguf_put_array(w, "adapter.alora.invocation_tokens", GGUF_I32, f->n_invocation,
                       f->invocation);
    for (const struct spec *s = f->tensor; s->name != NULL; s++)
        gguf_add_tensor(w, gguf_str_of(s->name), s->type, s->n_dims, s->dim);
    assert_int_equal(gguf_write_to(w, gguf_to_buf, &b, NULL), ST_OK);
    for (const struct spec *s = f->tensor; s->name != NULL; s++)
        put_data(w, s, &seed, s == f->tensor ? f->value : 0);
    assert_int_equal(gguf_write_finish(w, NULL), ST_OK);
    gguf_writer_free(w);
    return b;
}

/* A file of it; removed by the test. */
static void save(const struct file *f, uint32_t seed, char path[64]) {
    struct buf b = make(f, seed);
    strcpy(path, "/tmp/cria-adapter-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.data, b.len), b.len);
    close(fd);
    buf_free(&b);
}

#define PAIR(name, in, rank, out, type)                                                            \
    {name ".lora_a", 2, {in, rank}, type}, { name ".lora_b", 2, {rank, out}, type }

/* ---- files that are wrong ---- */

static enum status try_file(struct device *dev, const char *base, const struct file *f,
                            struct err *e) {
    struct buf b = make(f, 1);
    struct gguf *g;
    struct model *m;
    assert_int_equal(gguf_open(&g, base, e), ST_OK);
    assert_int_equal(model_load(&m, g, dev, e), ST_OK);
    enum status st = gguf_open_memory(&g, b.data, b.len, "a.gguf", e);
    if (st == ST_OK) st = adapter_add(m, g, e);
    if (st == ST_OK) { /* recorded: what it changes is there */
        struct program prog = {.n_ops = 0};
        struct recorder r = {.prog = &prog};
        val output;
        model_record(m, &r, PROGRAM_LOGITS, 64, &output);
        assert_int_equal(program_seal(&r, output, (const uint32_t[]){4, 4}, e), ST_OK);
        st = adapters_check_used(m, e);
        program_free(&prog);
    }
    model_free(m);
    buf_free(&b);
    return st;
}

static void test_wrong_files(void **state) {
    (void)state;
    static const int32_t not_all_tokens[] = {1, N_VOCAB};
    static const struct {
        struct file f;
        const char *text;
    } cases[] = {
        {{.arch = "llama", .kind = "lora"}, "expect general.type to be 'adapter', but got: "},
        {{.type = "model", .arch = "llama", .kind = "lora"},
         "expect general.type to be 'adapter', but got: model"},
        {{.type = "adapter", .arch = "qwen2", .kind = "lora"}, "model arch and LoRA arch mismatch"},
        {{.type = "adapter", .kind = "lora"}, "model arch and LoRA arch mismatch"},
        {{.type = "adapter", .arch = "llama", .kind = "dora"},
         "expect adapter.type to be 'lora', but got: dora"},
        {{GOOD, .alpha = NAN}, "key adapter.lora.alpha is not a finite number"},
        {{GOOD, .tensor = {{"blk.0.attn_q.weight", 2, {64, 64}, DT_F32}}},
         "LoRA tensor 'blk.0.attn_q.weight' has unexpected suffix"},
        {{GOOD, .tensor = {{"blk.0.attn_q.weight.lora_a", 2, {64, 2}, DT_F32}}},
         "LoRA tensor pair for 'blk.0.attn_q.weight' is missing one component"},
        {{GOOD, .tensor = {{"blk.0.attn_q.weight.lora_b", 2, {2, 64}, DT_F32}}},
         "LoRA tensor pair for 'blk.0.attn_q.weight' is missing one component"},
        {{GOOD, .tensor = {PAIR("blk.9.attn_q.weight", 64, 2, 64, DT_F32)}},
         "LoRA tensor 'blk.9.attn_q.weight' does not exist in base model (hint: maybe wrong base "
         "model?)"},
        {{GOOD, .tensor = {PAIR("blk.0.attn_q.weight", 32, 2, 64, DT_F32)}},
         "tensor 'blk.0.attn_q.weight' has incorrect shape (hint: maybe wrong base model?)"},
        {{GOOD, .tensor = {PAIR("blk.0.attn_q.weight", 64, 2, 65, DT_F32)}},
         "tensor 'blk.0.attn_q.weight' has incorrect shape (hint: maybe wrong base model?)"},
        {{GOOD, .tensor = {PAIR("blk.0.attn_norm.weight", 64, 2, 1, DT_F32)}},
         "tensor 'blk.0.attn_norm.weight' has incorrect shape (hint: maybe wrong base model?)"},
        {{GOOD, .tensor = {{"blk.0.attn_q.weight.lora_a", 2, {64, 3}, DT_F32},
                           {"blk.0.attn_q.weight.lora_b", 2, {2, 64}, DT_F32}}},
         "lora_a tensor is not transposed (hint: adapter from \"finetune\" example is no longer "
         "supported)"},
        {{GOOD, .tensor = {{"blk.0.attn_q.weight.lora_a", 3, {64, 2, 2}, DT_F32},
                           {"blk.0.attn_q.weight.lora_b", 3, {2, 64, 2}, DT_F32}}},
         "tensor 'blk.0.attn_q.weight' has incorrect shape (hint: maybe wrong base model?)"},
        {{GOOD, .tensor = {PAIR("token_embd.weight", 64, 2, 320, DT_F32)}},
         "tensor 'token_embd.weight' has incorrect shape (hint: maybe wrong base model?)"},
        {{GOOD, .tensor = {PAIR("blk.0.attn_q.weight", 64, 2, 64, DT_F32)}, .value = INFINITY},
         "not finite"},
        {{GOOD, .tensor = {PAIR("blk.0.attn_q.weight", 64, 2, 64, DT_F32)},
          .invocation = not_all_tokens, .n_invocation = 2},
         "key adapter.alora.invocation_tokens: token 320 is not in the vocabulary"},
    };
    struct device dev;
    struct err e = {0};
    assert_int_equal(device_open(&dev, "ref", NULL, &e), ST_OK);
    const long live = mem_live();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e.msg[0] = '\0';
        const enum status st = try_file(&dev, base_path, &cases[i].f, &e);
        assert_int_equal(st, ST_FORMAT);
        if (strstr(e.msg, cases[i].text) == NULL) fail_msg("%s, not %s", e.msg, cases[i].text);
        assert_non_null(strstr(e.msg, "a.gguf: ")); /* which file */
        assert_int_equal(mem_live(), live);
    }
    device_close(&dev);
}

static void test_norms_are_ignored(void **state) {
    (void)state;
    const struct file f = {GOOD, .tensor = {{"blk.0.attn_norm.weight", 1, {64, 1}, DT_F32},
                                            PAIR("blk.0.attn_q.weight", 64, 2, 64, DT_F32)}};
    struct device dev;
    struct err e = {0};
    assert_int_equal(device_open(&dev, "ref", NULL, &e), ST_OK);
    assert_int_equal(try_file(&dev, base_path, &f, &e), ST_OK);
    device_close(&dev);
}

/* What try_file says to the log, too. */
static enum status try_listening(struct device *dev, const char *base, const struct file *f,
                                 char *out, size_t room, struct err *e) {
    int end[2];
    assert_int_equal(pipe(end), 0);
    const int saved = dup(STDERR_FILENO);
    dup2(end[1], STDERR_FILENO);
    close(end[1]);
    const enum status st = try_file(dev, base, f, e);
    dup2(saved, STDERR_FILENO); /* nobody writes any more */
    close(saved);
    const ssize_t n = read(end[0], out, room - 1);
    out[n > 0 ? n : 0] = '\0';
    close(end[0]);
    return st;
}

/* A change that has no effect is told: whoever trains all of a kind trains these, too. */
static void test_weights_that_nothing_is_multiplied_with(void **state) {
    (void)state;
    const struct file f = {.type = "adapter",
                           .arch = "mamba",
                           .kind = "lora",
                           .tensor = {PAIR("blk.0.ssm_conv1d.weight", 4, 2, 128, DT_F32),
                                      PAIR("blk.1.ssm_conv1d.weight", 4, 2, 128, DT_F32),
                                      PAIR("blk.1.ssm_out.weight", 128, 2, 64, DT_F32)}};
    const struct file used = {GOOD, .tensor = {PAIR("blk.0.attn_q.weight", 64, 2, 64, DT_F32)}};
    char said[512];
    struct device dev;
    struct err e = {0};
    assert_int_equal(device_open(&dev, "ref", NULL, &e), ST_OK);
    const enum status st =
        try_listening(&dev, "golden/models/mamba/model.gguf", &f, said, sizeof said, &e);
    if (st != ST_OK) fail_msg("%s", e.msg);
    if (strstr(said, "level=WARN") == NULL ||
        strstr(said, "a.gguf: LoRA tensor 'blk.0.ssm_conv1d.weight' (and 1 more)") == NULL)
        fail_msg("%s", said);
    assert_int_equal(try_listening(&dev, base_path, &used, said, sizeof said, &e), ST_OK);
    assert_string_equal(said, "");
    device_close(&dev);
}

/* A product that would go without its change is an error. */
static void test_products_that_cannot_be_changed(void **state) {
    (void)state;
    const struct file f = {.type = "adapter",
                           .arch = "deepseek2",
                           .kind = "lora",
                           .tensor = {{"blk.0.attn_k_b.weight.lora_a", 3, {16, 2, 4}, DT_F32},
                                      {"blk.0.attn_k_b.weight.lora_b", 3, {2, 32, 4}, DT_F32}}};
    struct device dev;
    struct err e = {0};
    assert_int_equal(device_open(&dev, "ref", NULL, &e), ST_OK);
    assert_int_equal(try_file(&dev, "golden/models/deepseek2-v3/model.gguf", &f, &e),
                     ST_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "a.gguf: LoRA tensor 'blk.0.attn_k_b.weight'"));
    device_close(&dev);
}

static void test_without_memory(void **state) {
    (void)state;
    const struct file f = {GOOD,
                           .tensor = {PAIR("blk.0.attn_q.weight", 64, 2, 64, DT_F32),
                                      {"token_embd.weight.lora_a", 2, {2, 320}, DT_F32},
                                      {"token_embd.weight.lora_b", 2, {2, 64}, DT_F32}},
                           .invocation = (const int32_t[]){5}, .n_invocation = 1};
    struct buf b = make(&f, 1);
    struct device dev;
    struct err e = {0};
    assert_int_equal(device_open(&dev, "ref", NULL, &e), ST_OK);
    const long live = mem_live();
    enum status st = ST_NO_MEMORY;
    for (long n = 1; st != ST_OK; n++) {
        struct gguf *file;
        struct model *m;
        assert_int_equal(gguf_open(&file, base_path, &e), ST_OK);
        assert_int_equal(model_load(&m, file, &dev, &e), ST_OK);
        assert_int_equal(gguf_open_memory(&file, b.data, b.len, "a", &e), ST_OK);
        mem_fail_at(n);
        st = adapter_add(m, file, &e);
        mem_fail_at(0);
        if (st != ST_OK) assert_int_equal(st, ST_NO_MEMORY);
        model_free(m);
        assert_int_equal(mem_live(), live);
    }
    buf_free(&b);
    device_close(&dev);
}

/* ---- engines with adapters ---- */

static const struct file tuned = {GOOD, .alpha = 4,
                                  .tensor = {PAIR("blk.0.attn_q.weight", 64, 2, 64, DT_F32),
                                             PAIR("blk.1.ffn_down.weight", 64, 2, 64, DT_F32)}};
static const struct file other = {GOOD, .tensor = {PAIR("blk.0.attn_q.weight", 64, 3, 64, DT_F16),
                                                   PAIR("output.weight", 64, 32, 320, DT_Q8_0)}};

static struct cria_engine *open_with(const char *const *paths, size_t n, uint32_t n_parallel,
                                     uint32_t n_batch) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct err e = {0};
    p.n_threads = 2;
    p.n_ctx = 128;
    p.n_parallel = n_parallel;
    p.n_batch = n_batch;
    p.n_outputs = n_batch;
    p.adapters = paths;
    p.n_adapters = n;
    if (cria_engine_open(&eng, base_path, &p, &e) != ST_OK) fail_msg("%s", e.msg);
    return eng;
}

static void make_prompt(token_id *ids, unsigned seed) {
    for (size_t i = 0; i < N_PROMPT; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = 3 + (token_id)(seed >> 8) % (N_VOCAB - 3);
    }
}

static void eval(struct cria_engine *eng, const struct cria_adapter *list, size_t n,
                 const token_id *ids, float *logits) {
    struct cria_timeline *tl;
    struct err e = {0};
    assert_int_equal(cria_timeline_open(&tl, eng, &e), ST_OK);
    if (list != NULL) assert_int_equal(cria_timeline_adapt(tl, list, n, &e), ST_OK);
    assert_int_equal(cria_timeline_eval(tl, ids, N_PROMPT, 1, logits, &e), ST_OK);
    cria_timeline_close(tl);
}

static double distance(const float *a, const float *b) {
    double sum = 0, size = 0;
    for (size_t i = 0; i < N_VOCAB; i++) {
        sum += pow((double)a[i] - (double)b[i], 2);
        size += pow((double)b[i], 2);
    }
    return sum / size;
}

/* Two of the same, half each, are one; the order of loading does not matter. */
static void test_several_add_up(void **state) {
    (void)state;
    static float one[N_VOCAB], two[N_VOCAB], both[N_VOCAB], swapped[N_VOCAB], none[N_VOCAB];
    char a[64], b[64];
    token_id ids[N_PROMPT];
    make_prompt(ids, 3);
    save(&tuned, 1, a);
    save(&other, 2, b);
    struct cria_engine *same = open_with((const char *const[]){a, a}, 2, 1, 64);
    struct cria_engine *ab = open_with((const char *const[]){a, b}, 2, 1, 64);
    struct cria_engine *ba = open_with((const char *const[]){b, a}, 2, 1, 64);
    assert_int_equal(cria_engine_info(same)->n_adapters, 2);
    eval(same, (struct cria_adapter[]){{1, 1.0f}}, 1, ids, one);
    eval(same, (struct cria_adapter[]){{0, 0.5f}, {1, 0.5f}}, 2, ids, two);
    eval(same, (struct cria_adapter[]){{0, 0}}, 0, ids, none);
    assert_true(distance(two, one) < 1e-4);
    assert_true(distance(none, one) > 1e-4);
    eval(ab, NULL, 0, ids, both);
    eval(ba, (struct cria_adapter[]){{0, 1}, {1, 1}}, 2, ids, swapped);
    assert_true(distance(both, swapped) < 1e-8);
    eval(ab, (struct cria_adapter[]){{1, 1}}, 1, ids, two);
    assert_true(distance(both, two) > 1e-5 && distance(both, none) > 1e-5);
    cria_engine_close(same);
    cria_engine_close(ab);
    cria_engine_close(ba);
    unlink(a);
    unlink(b);
}

struct result {
    token_id ids[N_PROMPT + 32];
    size_t n;
    uint32_t n_cached;
};

static struct cria_generation *start(struct cria_engine *eng, const token_id *ids,
                                     const struct cria_adapter *list, size_t n) {
    struct cria_request r = {.prompt = ids,
                             .n_prompt = N_PROMPT,
                             .sampler = sampler_default_params(),
                             .n_predict = 16,
                             .adapters = list,
                             .n_adapters = n};
    struct cria_generation *g;
    struct err e = {0};
    r.sampler.temperature = 0.8f;
    r.sampler.seed = 7;
    if (cria_generation_start(&g, eng, &r, &e) != ST_OK) fail_msg("%s", e.msg);
    return g;
}

static struct result collect(struct cria_generation *g) {
    struct result r;
    struct cria_chunk c;
    do assert_int_equal(cria_generation_next(g, &c, NULL), ST_OK);
    while (c.done == CRIA_RUNNING);
    const token_id *ids = cria_generation_tokens(g, &r.n);
    memcpy(r.ids, ids, r.n * sizeof *ids);
    r.n_cached = cria_generation_stats(g)->n_cached;
    cria_generation_free(g);
    return r;
}

/* One prompt, four ways, in one engine at once and again from the cache: each is what it is alone.
 */
static void test_requests_with_different_adapters(void **state) {
    (void)state;
    static const struct cria_adapter full[] = {{0, 1}, {1, 1}}, half[] = {{0, 0.5f}, {1, 2}};
    static const struct {
        const struct cria_adapter *list;
        size_t n;
    } use[] = {{full, 2}, {full, 0}, {half, 2}, {half, 1}};
    char a[64], b[64];
    token_id ids[N_PROMPT];
    struct result want[4];
    bool differ = false;
    make_prompt(ids, 5);
    save(&tuned, 1, a);
    save(&other, 2, b);
    for (int i = 0; i < 4; i++) {
        struct cria_engine *alone = open_with((const char *const[]){a, b}, 2, 1, 64);
        want[i] = collect(start(alone, ids, use[i].list, use[i].n));
        cria_engine_close(alone);
        differ = differ || want[i].n != want[0].n ||
                 memcmp(want[i].ids, want[0].ids, want[0].n * sizeof *ids) != 0;
    }
    assert_true(differ); /* else the test says nothing */
    struct cria_engine *eng = open_with((const char *const[]){a, b}, 2, 4, 11);
    for (int round = 0; round < 2; round++) {
        struct cria_generation *g[4];
        for (int i = 0; i < 4; i++) g[i] = start(eng, ids, use[i].list, use[i].n);
        for (int i = 0; i < 4; i++) {
            const struct result got = collect(g[i]);
            assert_int_equal(got.n, want[i].n);
            assert_memory_equal(got.ids, want[i].ids, got.n * sizeof *ids);
            /* Cells are for those with the same adapters only. */
            assert_int_equal(got.n_cached, round == 0 ? 0 : N_PROMPT - 1);
        }
    }
    cria_engine_close(eng);
    unlink(a);
    unlink(b);
}

static void test_refused_scales(void **state) {
    (void)state;
    char a[64];
    struct err e = {0};
    struct cria_timeline *tl;
    save(&tuned, 1, a);
    struct cria_engine *eng = open_with((const char *const[]){a}, 1, 1, 64);
    assert_int_equal(cria_timeline_open(&tl, eng, &e), ST_OK);
    assert_int_equal(cria_timeline_adapt(tl, (struct cria_adapter[]){{1, 1}}, 1, &e), ST_INVALID);
    assert_string_equal(e.msg, "adapter 1 does not exist: the model has 1");
    assert_int_equal(cria_timeline_adapt(tl, (struct cria_adapter[]){{0, NAN}}, 1, &e), ST_INVALID);
    cria_timeline_close(tl);
    cria_engine_close(eng);
    const char *many[MAX_ADAPTERS + 1];
    for (int i = 0; i <= MAX_ADAPTERS; i++) many[i] = a;
    struct cria_engine_params p = cria_engine_default_params();
    p.n_ctx = 16;
    p.n_threads = 1;
    p.adapters = many;
    p.n_adapters = MAX_ADAPTERS + 1;
    assert_int_equal(cria_engine_open(&eng, base_path, &p, &e), ST_LIMIT);
    unlink(a);
}

/* ---- activated adapters ---- */

/* Cells before the tokens that activate it are those of the base model, and shared with it. */
static void test_activated_in_the_middle(void **state) {
    (void)state;
    static float base[N_VOCAB], late[N_VOCAB];
    const int32_t call[] = {7, 8};
    struct file f = tuned;
    char a[64], plain[64];
    token_id ids[N_PROMPT];
    make_prompt(ids, 9);
    f.invocation = call;
    f.n_invocation = 2;
    save(&f, 1, a);
    save(&tuned, 1, plain);
    struct cria_engine *eng = open_with((const char *const[]){a}, 1, 2, 64);
    struct cria_engine *whole = open_with((const char *const[]){plain}, 1, 2, 64);
    struct result off = collect(start(eng, ids, NULL, 0)); /* its tokens are not there */
    struct result none = collect(start(eng, ids, (struct cria_adapter[]){{0, 1}}, 0));
    assert_int_equal(off.n, none.n);
    assert_memory_equal(off.ids, none.ids, off.n * sizeof *ids);
    assert_int_equal(none.n_cached, N_PROMPT - 1);
    memcpy(ids + 5, call, sizeof call);
    memcpy(ids + 30, call, sizeof call); /* the last place counts */
    struct result last = collect(start(eng, ids, NULL, 0));
    assert_int_equal(last.n_cached, 5);
    struct result again = collect(start(eng, ids, (struct cria_adapter[]){{0, 1}}, 0));
    assert_int_equal(again.n_cached, 30);
    assert_int_equal(collect(start(eng, ids, NULL, 0)).n_cached, N_PROMPT - 1);
    /* By hand: base cells, then the adapter. */
    struct adapt x = {.scale = {1}}, y = {.scale = {1}};
    y.from[0] = 30;
    assert_int_equal(adapt_common(&x, &y, 1, 100), 0);
    x.from[0] = 40;
    assert_int_equal(adapt_common(&x, &y, 1, 100), 30);
    x.scale[0] = 0;
    assert_int_equal(adapt_common(&x, &y, 1, 100), 30);
    y.scale[0] = 0;
    assert_int_equal(adapt_common(&x, &y, 1, 100), 100);
    adapt_shift(&x, 1, 4, 10);
    assert_int_equal(x.from[0], 30);
    adapt_shift(&x, 1, 25, 10);
    assert_int_equal(x.from[0], 25);
    eval(whole, NULL, 0, ids, base);
    eval(whole, (struct cria_adapter[]){{0, 1}}, 0, ids, late);
    assert_true(distance(base, late) > 1e-6);
    cria_engine_close(whole);
    cria_engine_close(eng);
    unlink(a);
    unlink(plain);
}

/* ---- embeddings ---- */

static void test_embeddings(void **state) {
    (void)state;
    static float with[N_EMBD], none[N_EMBD], again[2 * N_EMBD];
    static const struct cria_adapter off[1];
    char a[64];
    token_id ids[N_PROMPT];
    struct err e = {0};
    make_prompt(ids, 11);
    save(&tuned, 1, a);
    struct cria_engine *eng = open_with((const char *const[]){a}, 1, 1, 64);
    const struct cria_text text[] = {{ids, 12}, {ids, 12}};
    struct cria_embed_request r = {.texts = text, .n_texts = 1, .pooling = CRIA_POOL_MEAN};
    assert_int_equal(cria_embed(eng, &r, with, &e), ST_OK);
    r.adapters = off;
    assert_int_equal(cria_embed(eng, &r, none, &e), ST_OK);
    assert_memory_not_equal(with, none, sizeof none);
    r.adapters = NULL;
    r.n_texts = 2;
    assert_int_equal(cria_embed(eng, &r, again, &e), ST_OK);
    assert_memory_equal(again, with, sizeof with);
    assert_memory_equal(again + N_EMBD, with, sizeof with);
    cria_engine_close(eng);
    unlink(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_norms_are_ignored),
        cmocka_unit_test(test_weights_that_nothing_is_multiplied_with),
        cmocka_unit_test(test_products_that_cannot_be_changed),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_several_add_up),
        cmocka_unit_test(test_requests_with_different_adapters),
        cmocka_unit_test(test_refused_scales),
        cmocka_unit_test(test_activated_in_the_middle),
        cmocka_unit_test(test_embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

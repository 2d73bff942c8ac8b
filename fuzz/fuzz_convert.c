/* fuzz_convert.c - any bytes as the files of a model folder.
 *
 * The input is a list of files: a byte that says which, two bytes of length, the content. Whatever
 * is missing comes from a small folder of our own, so that inputs get far with one file of theirs.
 * Refused: a message, and nothing is left. Converted: the bytes are a GGUF that the reader takes,
 * (of some inputs) twice the same, and no larger than what the input can hold. */
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/convert/convert.h"
#include "fuzz/fuzz.h"

/* ---- the small folder ---- */

static const char config[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":4,\"intermediate_size\":4,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":1,\"num_key_value_heads\":1,"
    "\"rms_norm_eps\":1e-5,\"vocab_size\":3}";
static const char tokenizer[] =
    "{\"added_tokens\":[{\"id\":2,\"content\":\"<s>\",\"special\":true}],\"model\":{\"type\":"
    "\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}";
static const char tokenizer_config[] = "{\"bos_token\":\"<s>\"}";
/* One F32 tensor of 4 rows and 4 columns that is permuted; the header is padded to 128. */
static unsigned char weights[8 + 128 + 64];

static const char *const names[] = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "modules.json",
    "1_Pooling/config.json",
    "preprocessor_config.json",
    "vocab.txt",
    "chat_template.jinja",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "3_Dense/config.json",
    "3_Dense/model.safetensors",
    "model-2.safetensors",
    "adapter_config.json",
};
enum { N_NAMES = sizeof names / sizeof *names, MAX_OUT = 8 << 20 };

static void make_weights(void) {
    static const char header[] = "{\"model.layers.0.self_attn.q_proj.weight\":{\"dtype\":\"F32\","
                                 "\"shape\":[4,4],\"data_offsets\":[0,64]}}";
    memset(weights + 8, ' ', 128);
    memcpy(weights + 8, header, sizeof header - 1);
    weights[0] = 128;
    for (int i = 0; i < 64; i++) weights[136 + i] = (unsigned char)i;
}

struct folder {
    struct convert_file files[N_NAMES];
    size_t n;
    bool has[N_NAMES];
};

static void add(struct folder *d, unsigned which, const void *data, size_t size) {
    if (d->has[which]) return;
    d->has[which] = true;
    d->files[d->n++] = (struct convert_file){.name = names[which], .data = data, .size = size};
}

static void fill(struct folder *d, const uint8_t *p, size_t left) {
    while (left >= 3) {
        const unsigned which = p[0] % N_NAMES;
        size_t n = (size_t)p[1] | (size_t)p[2] << 8;
        if (n > left - 3) n = left - 3;
        add(d, which, p + 3, n);
        p += 3 + n;
        left -= 3 + n;
    }
    add(d, 0, config, sizeof config - 1);
    add(d, 1, weights, sizeof weights);
    if (!d->has[3] && !d->has[12]) add(d, 2, tokenizer, sizeof tokenizer - 1);
    add(d, 4, tokenizer_config, sizeof tokenizer_config - 1);
}

/* ---- conversion ---- */

static enum status collect(void *arg, const void *data, size_t n, struct err *e) {
    struct buf *b = arg;
    if (b->len + n > MAX_OUT) return err_set(e, ST_LIMIT, "too much");
    buf_add(b, data, n);
    return b->failed ? err_no_memory(e) : ST_OK;
}

static enum status write_part(struct conversion *c, enum convert_part part, struct buf *b) {
    struct gguf *g = NULL;
    struct err e = {0};
    const enum status st = convert_write(c, part, collect, b, &e);
    if (st != ST_OK) {
        must(e.code == st && e.msg[0] != '\0');
        return st;
    }
    if (gguf_open_memory(&g, b->data, b->len, "output", &e) != ST_OK) {
        fprintf(stderr, "%s\n", e.msg);
        must(false);
    }
    gguf_close(g);
    return st;
}

static void run(const struct folder *d, struct buf *out, const struct gguf *base) {
    const struct convert_spec spec = {.files = d->files, .n_files = d->n, .base = base};
    struct conversion *c = NULL;
    struct err e = {0};
    const enum status st =
        base != NULL ? convert_open_adapter(&c, &spec, &e) : convert_open_model(&c, &spec, &e);
    if (st != ST_OK) {
        must(c == NULL && e.code == st && e.msg[0] != '\0');
        return;
    }
    must(convert_has(c, CONVERT_MODEL));
    write_part(c, CONVERT_MODEL, out);
    if (convert_has(c, CONVERT_PROJECTOR)) {
        struct buf second = {0};
        write_part(c, CONVERT_PROJECTOR, &second);
        buf_free(&second);
    }
    convert_free(c);
}

/* The small folder as a model is the base of adapters. */
static struct gguf *open_base(void) {
    static struct buf bytes;
    struct folder d = {0};
    struct gguf *g = NULL;
    fill(&d, NULL, 0);
    run(&d, &bytes, NULL);
    must(gguf_open_memory(&g, bytes.data, bytes.len, "base", NULL) == ST_OK);
    return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct gguf *base;
    struct folder d = {0};
    struct buf first = {0}, again = {0};
    if (weights[0] == 0) {
        log_set_level(LOG_ERROR);
        make_weights();
        base = open_base();
    }
    const long live = mem_live();
    fill(&d, data, size);
    run(&d, &first, d.has[19] ? base : NULL);
    if (size % 16 == 0) {
        run(&d, &again, d.has[19] ? base : NULL);
        must(first.len == again.len &&
             (first.len == 0 || memcmp(first.data, again.data, first.len) == 0));
    }
    buf_free(&first);
    buf_free(&again);
    must(mem_live() == live);
    return 0;
}

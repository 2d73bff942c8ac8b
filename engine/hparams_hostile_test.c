/* Every key that a model's tables or files have, set to senseless values, for every architecture:
 * a model either loads and can be recorded, or is refused with a message that names the key.
 *
 * The models are the seeds of the fuzz target `model`: beginnings of files, whose data is zeros. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/block.h"
#include "engine/file/gguf_edit.h"

#define SEEDS "fuzz/corpus/model"
enum { DATA = 2 << 20, MAX_KEYS = 128, KEY = 96 };

/* Keys of all architectures (spec/models/common.md 1); the others are in tables. */
static const char *const common[] = {
    "context_length",
    "embedding_length",
    "block_count",
    "nextn_predict_layers",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.sliding_window_pattern",
    "rope.dimension_count",
    "rope.dimension_count_swa",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "pooling_type",
    "expert_count",
    "expert_used_count",
    "expert_group_count",
    "expert_group_used_count",
    "expert_weights_scale",
};

struct seed {
    const char *name;
    unsigned char *file; /* the head, then DATA zeros */
    size_t size, head;
    const struct arch *arch;
    uint32_t n_block;
    char key[MAX_KEYS][KEY]; /* behind "<arch>." */
    size_t n_keys;
};

/* ---- one change ---- */

enum change {
    U32_0,
    U32_1,
    U32_PRIME,
    I32_MAX,
    U32_MAX,
    I32_MINUS,
    F32_MINUS,
    F32_NAN,
    F32_HUGE,
    TEXT,
    ARRAY_ONE,
    ARRAY_LONG,
    ARRAY_ZERO,
    ARRAY_MINUS,
    ARRAY_MAX,
    N_CHANGES
};

static enum status set(struct gguf *g, const struct seed *s, const char *key, enum change c,
                       struct err *e) {
    int32_t list[MAX_LAYER + 1];
    const size_t n = c == ARRAY_ONE ? 1 : c == ARRAY_LONG ? s->n_block + 1 : s->n_block;
    for (size_t i = 0; i < n; i++)
        list[i] = c == ARRAY_MINUS ? -1 : c == ARRAY_MAX ? INT32_MAX : c == ARRAY_ZERO ? 0 : 1;
    switch (c) {
    case U32_0:
    case U32_1:
        return gguf_edit_u32(g, key, c == U32_1, e);
    case U32_PRIME:
        return gguf_edit_u32(g, key, 997, e);
    case I32_MAX:
        return gguf_edit_u32(g, key, INT32_MAX, e);
    case U32_MAX:
    case I32_MINUS: /* see patch_minus */
        return gguf_edit_u32(g, key, UINT32_MAX, e);
    case F32_MINUS:
        return gguf_edit_f32(g, key, -1, e);
    case F32_NAN:
        return gguf_edit_f32(g, key, strtof("nan", NULL), e);
    case F32_HUGE:
        return gguf_edit_f32(g, key, 3e38f, e);
    case TEXT:
        return gguf_edit_str(g, key, "x", e);
    default:
        return gguf_edit_i32s(g, key, list, n, e);
    }
}

static void record(const struct model *m) {
    for (int k = 0; k < 3; k++) {
        struct program g = {0};
        struct recorder r = {.prog = &g};
        struct err e = {0};
        val output;
        if (k == 2 && m->hp.n_mtp == 0) break;
        if (k == 2)
            model_record_mtp(m, &r, 64, &output);
        else
            model_record(m, &r, k == 0 ? PROGRAM_LOGITS : PROGRAM_EMBEDDING, 64, &output);
        if (program_seal(&r, output, (const uint32_t[ROWS_KINDS]){4, 2}, &e) != ST_OK)
            assert_true(e.msg[0] != '\0');
        program_free(&g);
    }
}

/* Scalars u32 in the file become i32 of -1. */
static bool patch_minus(struct seed *s, const char *key, bool minus) {
    static unsigned char *at;
    static unsigned char old[8];
    const size_t n = strlen(key);
    if (!minus) {
        memcpy(at, old, 8);
        return true;
    }
    for (at = s->file; at + n + 8 <= s->file + s->head; at++) {
        if (memcmp(at, key, n) != 0 || at[n] != 4) continue;
        at += n;
        memcpy(old, at, 8);
        memcpy(at, "\5\0\0\0\377\377\377\377", 8);
        return true;
    }
    return false;
}

static struct device dev;
static size_t n_loaded, n_refused, n_silent;

static void try(struct seed *s, const char *suffix, enum change c) {
    char key[2 * KEY];
    struct gguf *g;
    struct model *m;
    struct err e = {0};
    const long live = mem_live();
    snprintf(key, sizeof key, "%s.%s", s->arch->name, suffix);
    if (c == I32_MINUS && !patch_minus(s, key, true)) return;
    assert_int_equal(gguf_open_memory(&g, s->file, s->size, s->name, &e), ST_OK);
    if (c != I32_MINUS) assert_int_equal(set(g, s, key, c, &e), ST_OK);
    if (model_load_mtp(&m, g, &dev, &e) == ST_OK) {
        n_loaded++;
        record(m);
        model_free(m);
    } else {
        n_refused++;
        if (strstr(e.msg, key) == NULL) {
            print_error("%s, change %d: '%s' does not name it\n", key, (int)c, e.msg);
            n_silent++;
        }
    }
    if (c == I32_MINUS) patch_minus(s, key, false);
    assert_int_equal(mem_live(), live);
}

/* ---- the models ---- */

static void add_key(struct seed *s, const char *key, size_t n) {
    for (size_t i = 0; i < s->n_keys; i++)
        if (strlen(s->key[i]) == n && memcmp(s->key[i], key, n) == 0) return;
    assert_true(s->n_keys < MAX_KEYS && n < KEY);
    memcpy(s->key[s->n_keys], key, n);
    s->key[s->n_keys++][n] = '\0';
}

static void add_table(struct seed *s, const struct hparam_spec *table) {
    for (; table != NULL && table->key != NULL; table++) add_key(s, table->key, strlen(table->key));
}

static void find_keys(struct seed *s, const struct gguf *g) {
    const size_t n = strlen(s->arch->name);
    s->n_keys = 0;
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        add_key(s, common[i], strlen(common[i]));
    add_table(s, s->arch->hparams);
    add_table(s, s->arch->layer_hparams);
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_str key = gguf_kv_at(g, i)->key;
        if (key.len > n && memcmp(key.ptr, s->arch->name, n) == 0 && key.ptr[n] == '.')
            add_key(s, key.ptr + n + 1, key.len - n - 1);
    }
}

/* A seed as it is loads; false if it does not. */
static bool open_seed(struct seed *s, const char *name) {
    char path[256], *text;
    struct gguf *g;
    struct model *m;
    struct err e = {0};
    snprintf(path, sizeof path, SEEDS "/%s", name);
    assert_int_equal(os_file_read(path, 1 << 20, &text, &s->head, &e), ST_OK);
    s->name = name;
    s->size = s->head + DATA;
    s->file = mem_zalloc(s->size, 1);
    memcpy(s->file, text, s->head);
    mem_free(text);
    if (gguf_open_memory(&g, s->file, s->size, name, &e) == ST_OK &&
        model_load_mtp(&m, g, &dev, &e) == ST_OK) {
        s->arch = m->arch;
        s->n_block = m->hp.n_block;
        find_keys(s, m->gguf);
        model_free(m);
        return true;
    }
    print_message("%s: %s\n", name, e.msg);
    mem_free(s->file);
    return false;
}

static void test_every_key(void **state) {
    (void)state;
    static bool seen[256];
    static struct seed s;
    struct err e = {0};
    struct dirent *d;
    DIR *dir = opendir(SEEDS);
    assert_non_null(dir);
    assert_int_equal(device_open(&dev, "ref", &(struct device_params){0}, &e), ST_OK);
    while ((d = readdir(dir)) != NULL) {
        if (d->d_name[0] == '.' || !open_seed(&s, d->d_name)) continue;
        for (size_t i = 0; archs[i] != NULL; i++) seen[i] = seen[i] || archs[i] == s.arch;
        for (size_t k = 0; k < s.n_keys; k++)
            for (enum change c = 0; c < N_CHANGES; c++) try(&s, s.key[k], c);
        mem_free(s.file);
    }
    closedir(dir);
    device_close(&dev);
    for (size_t i = 0; archs[i] != NULL; i++)
        if (!seen[i]) fail_msg("no seed of %s in " SEEDS, archs[i]->name);
    assert_int_equal(n_silent, 0);
    assert_true(n_loaded > 1000 && n_refused > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

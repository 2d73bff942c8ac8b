/* file_options.c - see file_options.h. */
#include "api/file_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "engine/cria.h"
#include "engine/file/gguf.h"

static const struct {
    const char *key, *option;
    float least, most;
} NUMBERS[] = {
    {"top_k", "top_k", -INFINITY, INFINITY},
    {"top_p", "top_p", -INFINITY, INFINITY},
    {"min_p", "min_p", -INFINITY, INFINITY},
    {"xtc_probability", "xtc_probability", -INFINITY, INFINITY},
    {"xtc_threshold", "xtc_threshold", -INFINITY, INFINITY},
    {"temp", "temperature", -INFINITY, INFINITY},
    {"penalty_last_n", "repeat_last_n", -1, INFINITY},
    {"penalty_repeat", "repeat_penalty", 1e-6F, INFINITY},
    {"mirostat", "mirostat", 0, 2},
    {"mirostat_tau", "mirostat_tau", -INFINITY, INFINITY},
    {"mirostat_eta", "mirostat_eta", -INFINITY, INFINITY},
};

static void left_out(const char *key, const char *why) {
    log_warn("model", "general.sampling.%s is ignored: %s", key, why);
}

static void put_number(struct buf *b, const struct gguf_kv *kv, size_t row) {
    if (kv->type == GGUF_ARRAY || kv->elem == GGUF_STRING || kv->elem == GGUF_BOOL) {
        left_out(NUMBERS[row].key, "it is no number");
        return;
    }
    const bool is_float = gguf_is_float(kv->elem);
    const double x = is_float ? gguf_elem_float(kv, 0) : (double)gguf_elem_int(kv, 0);
    if (!isfinite(x) || x < (double)NUMBERS[row].least || x > (double)NUMBERS[row].most) {
        left_out(NUMBERS[row].key, "its value is out of range");
        return;
    }
    json_put_key(b, NUMBERS[row].option);
    if (is_float)
        json_put_float(b, (float)x);
    else
        buf_printf(b, "%lld", (long long)gguf_elem_int(kv, 0));
}

/* "top_k;temperature" */
static void put_sequence(struct buf *b, const struct gguf *g, const struct gguf_kv *kv) {
    struct gguf_str s;
    unsigned n = 0;
    if (kv->type == GGUF_ARRAY || kv->elem != GGUF_STRING) {
        left_out("sequence", "it is no text");
        return;
    }
    s = gguf_elem_str(g, kv, 0);
    struct buf list = {0};
    for (size_t i = 0; i < s.len;) {
        const char *name = s.ptr + i, *end = memchr(name, ';', s.len - i);
        const size_t len = end != NULL ? (size_t)(end - name) : s.len - i;
        i += len + 1;
        if (sampler_letter(name, len) == 0) {
            if (len > 0) left_out("sequence", "it names an unknown sampler");
            continue;
        }
        buf_chr(&list, n++ > 0 ? ',' : '[');
        json_put_string(&list, name, len);
    }
    if (n > 0) {
        json_put_key(b, "samplers");
        buf_add(b, list.data, list.len);
        buf_chr(b, ']');
        b->failed = b->failed || list.failed;
    }
    buf_free(&list);
}

json *file_options(const struct gguf *g) {
    static const char prefix[] = "general.sampling.";
    struct buf b = {0};
    json *options = NULL;
    buf_chr(&b, '{');
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", prefix, NUMBERS[i].key);
        const struct gguf_kv *kv = gguf_find(g, key);
        if (kv != NULL) put_number(&b, kv, i);
    }
    const struct gguf_kv *order = gguf_find(g, "general.sampling.sequence");
    if (order != NULL) put_sequence(&b, g, order);
    if (b.len > 1) {
        buf_chr(&b, '}');
        if (!b.failed) options = json_parse(b.data, b.len, &json_default_limits, NULL, NULL);
    }
    buf_free(&b);
    return options;
}

/* vocab_spm.c - SentencePiece models: a protobuf message whose repeated field 1 holds the pieces
 * (spec/safetensors.md 4.1). Only the wire format is needed: tags, varints, lengths. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/convert/vocab.h"

/* ---- protobuf ---- */

struct wire {
    const unsigned char *p, *end;
};
enum { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };
struct field {
    uint64_t number;
    unsigned kind;
    uint64_t value;    /* a varint or a fixed one */
    struct wire bytes; /* WIRE_BYTES */
};

static bool read_varint(struct wire *w, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64 && w->p < w->end; shift += 7) {
        const unsigned char b = *w->p++;
        *out |= (uint64_t)(b & 127) << shift;
        if (b < 128) return true;
    }
    return false;
}

static bool read_fixed(struct wire *w, unsigned n, uint64_t *out) {
    *out = 0;
    if ((size_t)(w->end - w->p) < n) return false;
    for (unsigned i = 0; i < n; i++) *out |= (uint64_t)w->p[i] << (8 * i);
    w->p += n;
    return true;
}

static bool read_field(struct wire *w, struct field *f) {
    uint64_t tag, n;
    if (!read_varint(w, &tag)) return false;
    f->number = tag >> 3;
    f->kind = (unsigned)(tag & 7);
    switch (f->kind) {
    case WIRE_VARINT:
        return read_varint(w, &f->value);
    case WIRE_FIXED64:
        return read_fixed(w, 8, &f->value);
    case WIRE_FIXED32:
        return read_fixed(w, 4, &f->value);
    case WIRE_BYTES:
        if (!read_varint(w, &n) || n > (size_t)(w->end - w->p)) return false;
        f->bytes = (struct wire){w->p, w->p + n};
        w->p += n;
        return true;
    default: /* groups: not in these messages */
        return false;
    }
}

/* SentencePiece { 1: text, 2: score, 3: type = 1 }. */
static bool read_piece(struct conversion *c, struct vocab_in *v, struct wire w) {
    struct wire text = {0};
    float score = 0;
    uint64_t type = TOKEN_NORMAL;
    struct field f;
    while (w.p < w.end) {
        if (!read_field(&w, &f)) return false;
        if (f.number == 1 && f.kind == WIRE_BYTES) text = f.bytes;
        if (f.number == 3 && f.kind == WIRE_VARINT) type = f.value;
        if (f.number == 2 && f.kind == WIRE_FIXED32) {
            const uint32_t bits = (uint32_t)f.value;
            memcpy(&score, &bits, sizeof score);
        }
    }
    if (type < TOKEN_NORMAL || type > TOKEN_BYTE) return false;
    vocab_add(c, v, text.p != NULL ? (const char *)text.p : "", (size_t)(text.end - text.p),
              (double)score, (enum token_type)type);
    return !convert_failed(c);
}

bool spm_parse(struct conversion *c, struct vocab_in *v, const unsigned char *data, size_t size) {
    struct wire w = {data, data + size};
    struct field f;
    while (w.p < w.end) {
        bool ok = read_field(&w, &f);
        if (ok && f.number == 1 && f.kind == WIRE_BYTES) ok = read_piece(c, v, f.bytes);
        if (ok) continue;
        convert_fail(c, ST_FORMAT, "tokenizer.model: not a SentencePiece model (byte %zu)",
                     (size_t)(w.p - data));
        return false;
    }
    if (v->n == 0) convert_fail(c, ST_FORMAT, "tokenizer.model: no pieces");
    return v->n != 0;
}

/* ---- types ---- */

static const char *const control_words[] = {
    "<end_of_turn>",
    "<start_of_turn>",
    "<start_function_declaration>",
    "<end_function_declaration>",
    "<start_function_call>",
    "<end_function_call>",
    "<start_function_response>",
    "<end_function_response>",
    "<escape>",
};

/* additional_special_tokens: a list of texts or of objects with `content`. */
static bool index_specials(struct map *m, const json *list) {
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        const char *text = json_string(v);
        if (text == NULL) text = json_string(json_get(v, "content"));
        if (text != NULL && !map_put(m, text, strlen(text), 0, NULL)) return false;
    }
    for (size_t i = 0; i < sizeof control_words / sizeof *control_words; i++)
        if (!map_put(m, control_words[i], strlen(control_words[i]), 0, NULL)) return false;
    return true;
}

static void set_types(struct conversion *c, struct vocab_in *v) {
    json *map = files_json(c, "special_tokens_map.json");
    struct map specials = {0};
    uint32_t ignored;
    if (!index_specials(&specials, json_get(map, "additional_special_tokens")))
        convert_fail(c, ST_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < v->n && !convert_failed(c); i++) {
        if (v->type[i] != TOKEN_NORMAL && v->type[i] != TOKEN_USER) continue;
        const bool special = map_get(&specials, v->text[i].ptr, v->text[i].len, &ignored);
        v->type[i] = special ? TOKEN_CONTROL : TOKEN_NORMAL;
    }
    map_free(&specials);
    json_free(map);
}

/* ---- added_tokens.json: text -> id ---- */

struct added {
    int64_t id;
    const char *text;
};

static int by_id(const void *a, const void *b) {
    const struct added *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Below the end: the same text has to be there. From the end on: without a gap. */
static void add_added(struct conversion *c, struct vocab_in *v, const struct added *a) {
    const size_t len = strlen(a->text);
    if (a->id >= 0 && (uint64_t)a->id < v->n) {
        const struct gguf_str have = v->text[a->id];
        if (have.len != len || memcmp(have.ptr, a->text, len) != 0)
            convert_fail(c, ST_FORMAT, "token mismatch: %.*s != %s at pos [%lld]",
                         (int)(have.len < 100 ? have.len : 100), have.ptr, a->text,
                         (long long)a->id);
    } else if (a->id < 0 || (uint64_t)a->id != v->n) {
        convert_fail(c, ST_FORMAT, "invalid token id: [%lld] as pos [%zu]", (long long)a->id, v->n);
    } else {
        vocab_add(c, v, a->text, len, -1000, TOKEN_USER);
    }
}

static void read_added(struct conversion *c, struct vocab_in *v) {
    json *root = files_json(c, "added_tokens.json");
    const size_t n = json_len(root);
    struct added *list = mem_zalloc(n + 1, sizeof *list);
    size_t k = 0;
    if (list == NULL) convert_fail(c, ST_NO_MEMORY, "out of memory");
    for (const json *m = json_first(root); m != NULL && list != NULL; m = json_next(m)) {
        list[k].text = json_key(m) != NULL ? json_key(m) : "";
        if (json_kind(m) != JSON_NUMBER || !json_int(m, &list[k].id))
            convert_fail(c, ST_FORMAT, "added_tokens.json: the id of \"%.100s\" is no integer",
                         list[k].text);
        k++;
    }
    if (list != NULL) qsort(list, k, sizeof *list, by_id);
    for (size_t i = 0; i < k && !convert_failed(c); i++) add_added(c, v, &list[i]);
    mem_free(list);
    json_free(root);
}

void vocab_read_spm(struct conversion *c, struct vocab_in *v) {
    const struct convert_file *f = files_find(c, "tokenizer.model");
    struct os_map map = {0};
    v->model = "llama";
    if (!files_map(c, f, &map)) return;
    if (spm_parse(c, v, map.data, map.size)) {
        set_types(c, v);
        read_added(c, v);
    }
    os_map_close(&map);
}

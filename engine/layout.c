/* layout.c - see layout.h. */
#include "engine/layout.h"

#include <stdio.h>
#include <string.h>

#include "engine/file/gguf_edit.h"

const char *layout_key(const char *arch, const char *key, char out[LAYOUT_KEY_SIZE]) {
    static const char *const whole[] = {"tokenizer.", "general.", "clip."};
    bool own = true;
    for (int i = 0; i < 3; i++) own = own && strncmp(key, whole[i], strlen(whole[i])) != 0;
    snprintf(out, LAYOUT_KEY_SIZE, "%s%s%s", own ? arch : "", own ? "." : "", key);
    return out;
}

bool layout_has(const struct gguf *g, const char *arch, const char *key) {
    char full[LAYOUT_KEY_SIZE];
    return gguf_find(g, layout_key(arch, key, full)) != NULL;
}

uint32_t layout_number(const struct gguf *g, const char *arch, const char *key) {
    char full[LAYOUT_KEY_SIZE];
    uint32_t x = 0;
    return gguf_get_u32(g, layout_key(arch, key, full), &x, NULL) == ST_OK ? x : 0;
}

bool layout_text_is(const struct gguf *g, const char *key, const char *want) {
    struct gguf_str s;
    return gguf_get_str(g, key, &s, NULL) == ST_OK && gguf_str_is(s, want);
}

bool layout_has_tensors(const struct gguf *g, const char *prefix) {
    const size_t n = strlen(prefix);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_str s = gguf_tensor_at(g, i)->name;
        if (s.len >= n && memcmp(s.ptr, prefix, n) == 0) return true;
    }
    return false;
}

int64_t layout_rows(const struct gguf *g, const char *tensor) {
    const struct gguf_tensor *t = gguf_find_tensor(g, tensor);
    return t != NULL ? t->dim[1] : 0;
}

/* What is set only where it is missing. */
static enum status add_value(struct gguf *g, const char *key, const struct edit *d, struct err *e) {
    const float x = (float)d->x, colour[] = {x, x, x};
    if (gguf_find(g, key) != NULL) return ST_OK;
    if (d->kind == EDIT_U32) return gguf_edit_u32(g, key, (uint32_t)d->x, e);
    if (d->kind == EDIT_F32) return gguf_edit_f32(g, key, x, e);
    if (d->kind == EDIT_COLOUR) return gguf_edit_f32s(g, key, colour, 3, e);
    if (d->kind == EDIT_BOOL) return gguf_edit_bool(g, key, d->x != 0, e);
    return gguf_edit_str(g, key, d->text, e);
}

static enum status make_edit(struct gguf *g, const char **arch, const struct edit *d,
                             struct err *e) {
    char key[LAYOUT_KEY_SIZE] = "", other[LAYOUT_KEY_SIZE];
    if (d->key != NULL) layout_key(*arch, d->key, key);
    switch (d->kind) {
    case EDIT_ARCH: {
        const enum status st = gguf_edit_arch(g, *arch, d->text, e);
        *arch = d->text;
        return st;
    }
    case EDIT_COPY:
        return gguf_edit_copy(g, key, layout_key(*arch, d->text, other), e);
    case EDIT_SET_STR:
        return gguf_edit_str(g, key, d->text, e);
    case EDIT_TENSOR:
        return gguf_edit_tensor_names(g, d->key, d->text, e);
    default:
        return add_value(g, key, d, e);
    }
}

enum status layout_edit(struct gguf *g, const char *arch, const struct edit *list, struct err *e) {
    enum status st = ST_OK;
    for (; st == ST_OK && list != NULL && list->kind != 0; list++)
        st = make_edit(g, &arch, list, e);
    return st;
}

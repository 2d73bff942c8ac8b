/* layout.h - what the rules for older layouts of GGUF files are made of (engine/legacy.c for text
 * models, engine/vision/combined.c for image encoders inside of them; spec/models/
 * legacy-ollama-gguf.md): questions about a file, and lists of edits.
 *
 * A key of a rule belongs to the architecture ("rope.freq_base" is "<arch>.rope.freq_base") unless
 * it begins with "tokenizer.", "general." or "clip.". Nothing here writes a file. */
#ifndef CRIA_ENGINE_LAYOUT_H
#define CRIA_ENGINE_LAYOUT_H

#include "engine/file/gguf.h"

enum { LAYOUT_KEY_SIZE = 160 };
const char *layout_key(const char *arch, const char *key, char out[LAYOUT_KEY_SIZE]);

bool layout_has(const struct gguf *g, const char *arch, const char *key);
/* 0 if there is no such number. */
uint32_t layout_number(const struct gguf *g, const char *arch, const char *key);
bool layout_text_is(const struct gguf *g, const char *key, const char *want); /* key in full */
bool layout_has_tensors(const struct gguf *g, const char *prefix);
int64_t layout_rows(const struct gguf *g, const char *tensor); /* dim[1]; 0 if there is none */

enum edit_kind {
    EDIT_ARCH = 1, /* text: the new architecture; later keys are its own */
    EDIT_COPY,     /* key gets the value of text, if that is there */
    EDIT_U32,      /* key is x unless it is there */
    EDIT_F32,
    EDIT_COLOUR, /* key is {x, x, x} unless it is there */
    EDIT_STR,    /* key is text unless it is there */
    EDIT_BOOL,
    EDIT_SET_STR, /* key is text */
    EDIT_TENSOR   /* in tensor names key becomes text */
};
struct edit {
    enum edit_kind kind;
    const char *key, *text;
    double x;
};

/* In order, up to a row of kind 0. list NULL: nothing. */
enum status layout_edit(struct gguf *g, const char *arch, const struct edit *list, struct err *e);

#endif

/* vision.h - pictures for language models: a projector file beside a loaded model, and what it
 * makes of a picture (spec/models/vision.md).
 *
 * A *projector* (GGUF of architecture "clip", "mmproj") holds an image encoder and the matrices
 * that lead from it to rows of the text model's width. Encoding gives a list of parts in their
 * order: texts to tokenise (markers, with special tokens parsed) and images (rows that stand where
 * tokens would). A prompt is then
 *
 *     tokens of the text before | tokens of part 0 | CRIA_TOKEN_IMAGE | tokens of part 2 | ...
 *
 * with the images of the parts, in order, in cria_request.images (engine/cria.h). Each piece of
 * text is tokenised on its own; the vocabulary's BOS stands at the very beginning only.
 *
 *     cria_vision_open(&v, eng, "mmproj.gguf", NULL, &e);
 *     cria_vision_encode(v, &picture, 0, NULL, &enc, &e); // from any thread
 *     for (size_t i = 0; i < enc->n_parts; i++)
 *         if (enc->parts[i].text != NULL) vocab_encode(... with specials ...);
 *         else { ids += CRIA_TOKEN_IMAGE; images += enc->parts[i].image; }
 *     cria_generation_start(... .images, .n_images ...);
 *     ... cria_generation_free(g);
 *     cria_encoded_release(v, enc);
 *     cria_vision_close(v);                              // before cria_engine_close
 *
 * Threads: all functions may be called from any thread, but open and close only while nobody else
 * uses the projector. Encoding runs on the engine's device between the steps of generations, a few
 * operations at a time, so that text of other requests goes on meanwhile; one tile at a time. The
 * last pictures are kept: a chat that sends the same one again does not encode it again. */
#ifndef CRIA_ENGINE_VISION_VISION_H
#define CRIA_ENGINE_VISION_VISION_H

#include "engine/cria.h"
#include "engine/vision/picture.h"

struct cria_vision;

struct cria_vision_params { /* of types whose pictures keep their shape; else ignored */
    uint32_t image_min_tokens, image_max_tokens; /* rows of an image; 0: as file and type say */
};

struct cria_vision_info { /* borrowed from the projector */
    const char *type;     /* clip.projector_type: "gemma3", "qwen2vl_merger", ... */
    bool experimental;    /* the encoder was never compared with another implementation */
    bool non_causal;      /* rows of an image see each other: such an image takes one step */
    uint32_t max_rows;    /* of an image, at most */
    uint32_t n_out;       /* floats of a row: n_embd of the model, times 1 + its deepstack layers */
    uint64_t n_params;    /* elements of all tensors */
    size_t weights_bytes;
};

/* Loads the projector of a model: a "clip" file, or the model's own, where an older layout has the
 * encoder inside (combined.h). The engine must outlive it. ST_UNSUPPORTED:
 * "projector type 'x' is not supported", or a text model that this projector does not fit;
 * ST_FORMAT names the key or tensor; ST_BUSY: rows that see each other need more room, and the
 * engine has sequences. p NULL: all defaults. */
enum status cria_vision_open(struct cria_vision **out, struct cria_engine *eng, const char *path,
                             const struct cria_vision_params *p, struct err *e);
/* The same over memory that outlives the projector; label stands for the file's name. */
enum status cria_vision_open_memory(struct cria_vision **out, struct cria_engine *eng,
                                    const void *data, size_t size, const char *label,
                                    const struct cria_vision_params *p, struct err *e);
/* All encoded pictures must have been released. NULL is fine. */
void cria_vision_close(struct cria_vision *v);
const struct cria_vision_info *cria_vision_info(const struct cria_vision *v);

/* Whether a file has an image encoder: a projector with one, or a text model's file that says it
 * has one inside. */
bool cria_vision_in(const struct gguf *g);

/* Of a file with an image encoder: what somebody should know who uses it, or NULL. Where an encoder
 * is implemented from an unverified description, this says so. A text that stays. */
const char *cria_vision_notice(const struct gguf *g);

struct cria_picture_part { /* one of the two is NULL */
    const char *text;      /* UTF-8, special tokens in it are to be parsed */
    const struct cria_image *image;
};
struct cria_encoded { /* immutable; counted: released by whoever got it */
    const struct cria_picture_part *parts;
    size_t n_parts;
    uint32_t n_rows; /* of all images: tokens of the context that they take */
};
/* Encodes a picture for a domain (cria.h: only who is of the same finds it kept); *out is to be
 * released, and stays valid until then (also for generations that use its images: release after
 * cria_generation_free). Same pixels, same rows, to the bit.
 * stop: asked every few milliseconds, in the caller's thread, whether somebody still wants it;
 * NULL: it is never given up. ST_CANCELLED: given up, and nothing is left of it. */
struct cria_vision_stop {
    bool (*cancelled)(void *arg);
    void *arg;
};
enum status cria_vision_encode(struct cria_vision *v, const struct picture *p, uint64_t domain,
                               const struct cria_vision_stop *stop, const struct cria_encoded **out,
                               struct err *e);
void cria_encoded_release(struct cria_vision *v, const struct cria_encoded *enc); /* NULL is fine */

#endif

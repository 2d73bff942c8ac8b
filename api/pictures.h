/* pictures.h - the images of a request: from base64 in its JSON to rows inside of its prompt.
 *
 * The prompt's text tells with "[img-N]" where image N goes (spec/templates.md 4); an image without
 * a place stands in front of everything but BOS. The text between the images is tokenised piece by
 * piece, and in place of a tag stands what the encoder made of the picture: the texts that the
 * model wants around it, and CRIA_TOKEN_IMAGE with the image in the list. */
#ifndef CRIA_API_PICTURES_H
#define CRIA_API_PICTURES_H

#include <stddef.h>

#include "api/cancel.h"
#include "api/limits.h"
#include "base/json.h"
#include "engine/vision/vision.h"

enum { PICTURES_MAX = LIMIT_IMAGES }; /* of a prompt, the model's own messages included */

struct pictures {
    struct cria_vision *vision;          /* borrowed until pictures_release */
    const struct cria_encoded **encoded; /* of image N; owned */
    size_t n;
    const struct cria_image **images; /* one for each CRIA_TOKEN_IMAGE; the list is owned */
    size_t n_images;
};

/* Decodes and encodes base64 texts, for a domain (engine/cria.h). Errors name the image, counted
 * from 1: ST_INVALID for whatever is wrong with it, ST_LIMIT for too many; ST_CANCELLED soon after
 * c (NULL: none) has fired. *p is to be released in every case. */
enum status pictures_read(struct pictures *p, struct cria_vision *v, const json *const *source,
                          size_t n, uint64_t domain, struct cancel *c, struct err *e);
/* The prompt's tokens; once per pictures_read. own_bos: as prompt_tokenize. */
enum status pictures_tokenize(struct pictures *p, const struct vocab *v, const char *text,
                              size_t len, bool own_bos, struct token_list *out, struct err *e);
/* Tokens of the context that these images take, beside what is in the list of tokens. */
size_t pictures_extra(const struct pictures *p);
/* After the generation that uses them was freed. A zeroed one is fine; zeroes it. */
void pictures_release(struct pictures *p);

#endif

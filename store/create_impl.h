/* create_impl.h - the parts of a create, in the order in which create.c asks for them. Their common
 * state is that of create_layers.h. Nobody but create*.c includes it. */
#ifndef CRIA_STORE_CREATE_IMPL_H
#define CRIA_STORE_CREATE_IMPL_H

#include "store/create_layers.h"

/* create_split.c: the parts of a split set among the n files, of which f[first] is one, as one new
 * blob; marks them in used[n]. */
enum status create_merge(struct creation *c, const struct store_file *f, size_t n, size_t first,
                         bool *used, char digest[STORE_DIGEST_TEXT]);
/* create_convert.c: the n files, of which some are safetensors, as new layers: a model, or what
 * forced says. */
enum status create_convert(struct creation *c, const struct store_file *f, size_t n,
                           enum layer_kind forced);
/* create_quantize.c: layers in other tensor types, as the request wants it; after create_sources.
 */
enum status create_quantize(struct creation *c);

/* create_source.c: layers, inherited or of files; also fills the config from the GGUFs. */
enum status create_sources(struct creation *c);

/* create_text.c: what the request says besides the weights. */
enum status create_check_values(const struct store_create_spec *spec, struct err *e);
enum status create_apply_info(struct creation *c); /* before create_sources */
enum status create_texts(struct creation *c);      /* after it */

#endif

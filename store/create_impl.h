/* create_impl.h - the state of one create, shared by create*.c. Nobody else includes it.
 *
 * The work has two phases. First everything is composed in memory, in the arena, without the
 * store's lock: layers that exist already are only named, new ones have their bytes at hand. Status
 * items are sent here, so a slow reader of them holds up nobody. Then create_publish() takes the
 * lock and writes: new blobs, the config, and last the manifest. */
#ifndef CRIA_STORE_CREATE_IMPL_H
#define CRIA_STORE_CREATE_IMPL_H

#include "store/store_impl.h"

struct new_layer {
    struct store_layer info;
    enum layer_kind kind;
    const void *data;  /* NULL: the blob has to be in the store */
    bool made;         /* this creation wrote the blob: it goes again if that fails */
    const char *level; /* it is quantized to this if the request says nothing; NULL: it stays */
};

struct creation {
    struct store *store;
    const struct store_create_spec *spec;
    store_progress *progress; /* may be NULL */
    void *progress_arg;
    struct arena arena;
    struct new_layer *layers; /* owned */
    size_t n_layers, cap;
    struct store_config config;
    struct holds holds;  /* blobs that it needs stay, though no manifest names them yet */
    const char *arch;    /* of the model layer; "" until it has been seen */
    json *params;        /* inherited or detected; owned, may be NULL */
    bool params_changed; /* they are not what the params layer says */
    struct err *e;       /* never NULL */
};

/* A status item; ST_CANCELLED if nobody wants to hear more. */
enum status create_say(struct creation *c, const char *status);

/* Appends a layer of known digest, or one for n bytes that outlive the creation. */
enum status create_add(struct creation *c, enum layer_kind kind, const char *media_type,
                       const struct store_layer *info, const void *data);
enum status create_add_data(struct creation *c, enum layer_kind kind, const void *data, size_t n);
void create_remove(struct creation *c, enum layer_kind kind); /* all layers of a kind */

/* Removes a blob that this creation made, unless a manifest names it. */
void create_drop_blob(struct creation *c, const struct store_layer *layer);

/* create_split.c: the parts of a split set among the n files, of which f[first] is one, as one new
 * blob; marks them in used[n]. */
enum status create_merge(struct creation *c, const struct store_file *f, size_t n, size_t first,
                         bool *used, char digest[STORE_DIGEST_TEXT]);
/* create_convert.c: the n files, of which some are safetensors, as new layers: a model, or what
 * forced says. */
enum status create_convert(struct creation *c, const struct store_file *f, size_t n,
                           enum layer_kind forced);
/* A layer for a GGUF that this creation has put into the store. */
enum status create_use_blob(struct creation *c, const char *digest, const char *label,
                            enum layer_kind forced);

/* create_quantize.c: layers in other tensor types, as the request wants it; after create_sources.
 */
enum status create_quantize(struct creation *c);

/* create_source.c: layers, inherited or of files; also fills the config from the GGUFs. */
enum status create_sources(struct creation *c);

/* Merging compares each with each. */
enum { CREATE_MAX_PARAMS = 1000 };
enum status create_check_params(const json *params, struct err *e);

/* create_text.c: what the request says besides the weights. */
enum status create_check_values(const struct store_create_spec *spec, struct err *e);
enum status create_apply_info(struct creation *c); /* before create_sources */
enum status create_texts(struct creation *c);      /* after it */

#endif

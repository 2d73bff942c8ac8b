/* create_layers.h - the state of one create, and what its parts do with it: status items, layers,
 * and GGUF files that become layers. The bottom of create*.c: nothing here calls the other files.
 *
 * The work has two phases. First everything is composed in memory, in the arena, without the
 * store's lock: layers that exist already are only named, new ones have their bytes at hand. Status
 * items are sent here, so a slow reader of them holds up nobody. Then create.c takes the lock and
 * writes: new blobs, the config, and last the manifest. */
#ifndef CRIA_STORE_CREATE_LAYERS_H
#define CRIA_STORE_CREATE_LAYERS_H

#include "base/os.h"
#include "engine/file/gguf.h"
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

/* Merging compares each with each. */
enum { CREATE_MAX_PARAMS = 1000 };
enum status create_check_params(const json *params, struct err *e);
/* c->params becomes what the JSON says. */
enum status create_set_params(struct creation *c, const char *text, size_t n);

/* `open PATH: no such file or directory` of a blob is a failure of the store, not of a look-up. */
enum status create_missing_blob(struct err *e, enum status st);
/* Opens the GGUF of a blob; label is how messages call it. On failure, too, the caller closes. */
enum status create_open_blob(struct creation *c, const char *digest, const char *label,
                             struct os_map *map, struct gguf **g);
/* Notes in the config what a model's GGUF says; of a projector's only the family. */
enum status create_note_gguf(struct creation *c, enum layer_kind kind, const struct gguf *g);
/* A layer for one opened GGUF: as what it is, or as `forced` if that is not LAYER_UNKNOWN. made:
 * this creation has put it into the store. */
enum status create_use_gguf(struct creation *c, const char *digest, enum layer_kind forced,
                            bool made, const struct gguf *g);
/* The same for a blob that this creation has made. */
enum status create_use_blob(struct creation *c, const char *digest, const char *label,
                            enum layer_kind forced);

#endif

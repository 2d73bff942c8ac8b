/* store_impl.h - what the files of store/ share: the open store, the walk over stored names,
 * manifests, and the upkeep of blobs. Nothing outside this folder includes it.
 *
 * Lock: store_lock() is held around every change of what manifests name. Who reads (list, resolve)
 * takes none: a manifest is replaced by rename, so a reader sees the old or the new one, and one
 * that vanishes under a reader counts as never seen. */
#ifndef CRIA_STORE_STORE_IMPL_H
#define CRIA_STORE_STORE_IMPL_H

#include <pthread.h>

#include "base/buf.h"
#include "store/hold.h"
#include "store/place.h"
#include "store/store.h"
#include "store/verified.h"

enum {
    MANIFEST_MAX_BYTES = 4 << 20,
    TEXT_MAX_BYTES = 64 << 20, /* a template, licence, list of messages ... */
};

/* ---- manifests (manifest.c) ---- */

enum layer_kind {
    LAYER_UNKNOWN,
    LAYER_MODEL,
    LAYER_PROJECTOR,
    LAYER_ADAPTER,
    LAYER_DRAFT,
    LAYER_TEMPLATE,
    LAYER_SYSTEM,
    LAYER_LICENSE,
    LAYER_PARAMS,
    LAYER_MESSAGES,
    LAYER_EMBED,
    LAYER_TENSOR,
    LAYER_JSON,
    LAYER_KINDS
};
enum layer_kind layer_kind_of(const char *media_type);
const char *layer_media_type(enum layer_kind kind); /* not for LAYER_UNKNOWN */

struct manifest {              /* texts and lists live in the arena given to the reader */
    struct store_layer config; /* digest "": none */
    struct store_layer *layers;
    size_t n_layers;
    char digest[65]; /* of the bytes */
    uint64_t size;   /* layers and config */
    int64_t modified_ns;
};

/* Every digest of a manifest has been checked when this returns ST_OK. */
enum status manifest_parse(struct manifest *m, const char *text, size_t len, struct arena *a,
                           struct err *e);
void manifest_put(struct buf *b, const struct store_layer *config, const struct store_layer *layers,
                  size_t n_layers);
/* The model that this one was made from: `from` of the model layer, "" if none. */
const char *manifest_parent(const struct manifest *m);

/* The config blob's JSON, both ways. Parsing copies into the arena and wants an object. */
enum status config_parse(struct store_config *c, const char *text, size_t len, struct arena *a,
                         struct err *e);
void config_put(struct buf *b, const struct store_config *c);
extern const struct store_config config_empty; /* all texts "" */
#define CONFIG_MEDIA_TYPE "application/vnd.docker.container.image.v1+json"
/* Family, size and type of a model or projector, put where the config has none yet; its family is
 * added to the list of families. (config_gguf.c) */
enum status config_from_gguf(struct store_config *c, const struct gguf *g, struct arena *a,
                             struct err *e);
/* Adds to the list of families what is not in it; family is borrowed. */
enum status config_add_family(struct store_config *c, const char *family, struct arena *a,
                              struct err *e);

/* ---- built-in models (builtin.c) ---- */

enum { BUILTIN_LAYERS = 5 }; /* model, template, system, license, params */

struct builtin {
    struct store_builtin source;
    struct model_name name;
    /* Composed at the first use, under store.builtin_lock; does not change after that. */
    bool ready;
    struct store_layer layers[BUILTIN_LAYERS];
    const void *data[BUILTIN_LAYERS];  /* contents of the layers */
    struct manifest manifest;          /* its layers are those above */
    char *config_text, *manifest_text; /* owned by the arena */
    struct store_config config;
    struct arena arena;
};

struct verified_blob;
struct verified_list { /* verified.c */
    pthread_mutex_t lock;
    struct verified_blob *blobs; /* owned */
    size_t n;
    bool loaded;
};

enum { USED_MARKS = 16 };
struct used_mark { /* a model whose use was written down lately (usage.c) */
    uint64_t name;
    int64_t at; /* monotonic ns; 0: none */
};

struct store {
    char *dir, *blobs, *manifests; /* owned */
    pthread_mutex_t lock;          /* changes inside this process; see store_lock */
    pthread_mutex_t builtin_lock;
    struct builtin *builtins; /* owned; fixed after the start */
    size_t n_builtins;
    bool show_builtins;
    struct verified_list verified;
    struct used_mark used[USED_MARKS]; /* under usage.c's lock */
    struct store **more; /* owned: stores that are only read; searched behind this one */
    size_t n_more;
};

/* The built-in model of that name, composed; *out NULL: there is none (or they are hidden). */
enum status builtin_find(struct store *s, const struct model_name *name, const struct builtin **out,
                         struct err *e);
/* Writes its blobs into the store. The caller holds the lock. */
enum status builtin_write(struct store *s, const struct builtin *b, struct err *e);
void builtin_free(struct builtin *b);

/* ---- names on disk (names.c) ---- */

struct name_list {
    struct model_name *names; /* owned; sorted by path */
    size_t n, cap;
    bool incomplete;    /* a folder could not be read, or a file there has no valid name */
    struct buf strange; /* paths of such files below manifests/, a NUL behind each; owned */
    size_t n_strange;
};
enum status names_scan(const struct store *s, struct name_list *out, struct err *e);
void names_free(struct name_list *l);
/* The index of the stored name that equals *name, the same spelling before another; n if none. */
size_t names_find(const struct name_list *l, const struct model_name *name);

/* ST_NOT_FOUND if there is none. */
enum status manifest_read(const struct store *s, const struct model_name *name, struct manifest *m,
                          struct arena *a, struct err *e);
enum status manifest_read_text(const struct store *s, const struct model_name *name, char **text,
                               size_t *len, int64_t *modified_ns, struct err *e);
/* The caller holds the lock. Atomic: see store.h. */
enum status manifest_write(struct store *s, const struct model_name *name, const char *text,
                           size_t len, struct err *e);
enum status manifest_remove(struct store *s, const struct model_name *name, struct err *e);
void manifest_remove_empty_dirs(struct store *s); /* all of them */

/* ---- blobs (blob.c) and upkeep (prune.c) ---- */

/* Path of a blob; whoever opens it comes through place.h. ST_INVALID if it is too long. */
enum status blob_path(const struct store *s, const char *digest, char out[PATH_ROOM],
                      struct err *e);
/* store_blob_write() as the sink of a writer; arg: the struct store_upload. */
enum status blob_sink(void *arg, const void *data, size_t n, struct err *e);
/* Stores a small blob, or renews the time of the one that is there. */
enum status blob_put(struct store *s, const char *digest, const void *data, size_t size,
                     bool *created, struct err *e);
/* Sets the time to now, so that pruning leaves it alone. ST_IO `open PATH: no such file ...`. */
enum status blob_touch(struct store *s, const char *digest, struct err *e);
/* Contents of a text blob, in the arena. */
enum status blob_read(const struct store *s, const char *digest, struct arena *a,
                      struct store_text *out, struct err *e);
/* Opens it for reading; -1: e is set. ST_IO and not ST_NOT_FOUND if it is not there: a model that
 * names it is damaged. info may be NULL. */
int blob_open(const struct store *s, const char *digest, struct stat *info, struct err *e);
bool blob_is_digest_file(const char *name); /* "sha256-" + 64 hex digits */

/* Removes those of the blobs that no readable manifest names. The caller holds the lock. */
void prune_layers(struct store *s, const struct store_layer *layers, size_t n);
void prune_manifest(struct store *s, const struct manifest *m); /* its layers and its config */
bool prune_allowed(void);                                       /* NOPRUNE is not set */

/* ---- further stores (more.c) ---- */

/* Opens those of the setting more_models; what cannot be opened is warned about. */
void more_open(struct store *s);
void more_close(struct store *s);
/* The further store that has this model; NULL: none. */
struct store *more_find(const struct store *s, const struct model_name *name);
/* Adds their names that are not in the list yet. */
enum status more_names(const struct store *s, struct name_list *out, struct err *e);
/* Copies the blobs of a model there into this store (clones where the disk can), and holds them;
 * *text is its manifest, byte for byte (mem_free). */
enum status more_bring(struct store *s, struct store *from, const struct model_name *name,
                       struct holds *h, char **text, size_t *len, struct err *e);

/* A struct store for that folder, which must be there: nothing is made or changed. takes dir. */
enum status store_open_plain(struct store **out, char *dir, struct err *e);

/* ---- finding a model (store.c) ---- */

/* Gives *name its stored spelling and reads what is there: a manifest into the arena, or that of a
 * built-in model (*builtin not NULL, lives as long as the store). Errors as store_resolve. */
enum status store_find(struct store *s, struct model_name *name, struct manifest *m,
                       const struct builtin **builtin, struct arena *a, struct err *e);
enum status store_fill_entry(struct store *s, const struct model_name *name,
                             const struct manifest *m, const struct builtin *builtin,
                             struct store_entry *out, struct arena *a, struct err *e);

enum status store_lock(struct store *s, int *token, struct err *e);
void store_unlock(struct store *s, int token);

#endif

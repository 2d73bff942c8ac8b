/* store.h - the model store: named manifests over content-addressed blobs (spec/store.md).
 *
 *   DIR/blobs/sha256-<64 hex>                        content
 *   DIR/manifests/<host>/<namespace>/<model>/<tag>   JSON: which blobs make a model
 *
 * The layout is Ollama's, and a store may be shared with it. A manifest becomes visible only after
 * all its blobs are on the disk: blobs and manifests are written to a temporary file, synced and
 * renamed. So after a crash every listed model is whole; what may be left is an unnamed blob, which
 * a later store_prune() removes.
 *
 * Built-in models live in the binary (store_add_builtin). They are listed and resolved like stored
 * ones until something is stored under their name; CRIA_BUILTIN=0 hides them.
 *
 * Names are found without regard to case and keep their first spelling. All functions may be called
 * from several threads at once (store_add_builtin: before the others); changes to the store exclude
 * each other, also between processes (flock on DIR). Readers take no lock.
 *
 * Digests: texts "sha256:<64 hex>" in struct members; parameters also take "sha256-<64 hex>";
 * anything else is ST_INVALID "invalid digest format". */
#ifndef CRIA_STORE_STORE_H
#define CRIA_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "store/name.h"

struct store;
struct gguf;

/* ---- opening ---- */

/* dir NULL: the setting models, else ~/.ollama/models if it exists, else ~/.cria/models.
 * Missing folders are made; a store that cannot be written can still be read (a warning is logged).
 * Renames blobs of the old form "sha256:X". */
enum status store_open(struct store **out, const char *dir, struct err *e);
void store_close(struct store *s); /* NULL is fine */
const char *store_dir(const struct store *s);
/* What a server does once at its start: unless the setting noprune is on, removes blobs
 * that no manifest names and stray files (both older than an hour), partial downloads older than a
 * week, and empty manifest folders. One unreadable manifest: nothing is removed, a warning. */
enum status store_prune(struct store *s, struct err *e);

/* A model inside the binary. Everything is borrowed for the life of the store. */
struct store_builtin {
    const char *name; /* "cria-tiny" */
    const void *gguf;
    size_t size;
    const char *template, *system, *license; /* NULL or "": absent */
    const char *params;                      /* JSON object text; NULL: absent */
    int64_t modified_ns;                     /* 0: that of the running binary */
    const char *path; /* where the weights are a file; NULL: in memory only */
    bool in_place; /* a file run where it is: its ID comes from its first MiB and its size, so that
                    * nobody waits for gigabytes to be hashed; it is never written into the store */
};
enum status store_add_builtin(struct store *s, const struct store_builtin *model, struct err *e);

/* ---- models ---- */

struct store_layer {
    const char *media_type; /* full: "application/vnd.ollama.image.model", ... */
    const char *digest;     /* "sha256:..." */
    uint64_t size;
    const char *from, *name; /* "" if absent */
};

struct store_config { /* texts are "" where the config has none, never NULL */
    const char *model_format, *model_family, *model_type, *file_type;
    const char *const *model_families;
    size_t n_model_families;
    const char *renderer, *parser,
        *
            requires;
    const char *remote_host, *remote_model;
    const char *const *capabilities; /* only where given by `info` or the registry */
    size_t n_capabilities;
    int64_t context_length, embedding_length; /* 0: not in the config (see the GGUF) */
    const char *base_name;
};

struct store_entry {        /* a line of /api/tags */
    struct model_name name; /* stored spelling */
    bool builtin;
    char digest[65];          /* SHA-256 of the manifest, hex without prefix: the model's ID */
    uint64_t size;            /* layers and config */
    int64_t modified_ns;      /* unix time of the manifest */
    const char *parent_model; /* `from` of the model layer, "" if none */
    struct store_config config;
};

struct store_list {
    struct store_entry *entries; /* newest first, then by name */
    size_t n_entries;
    struct arena arena; /* owns all of it */
};

/* Models whose manifest or config cannot be read are left out. */
enum status store_list(struct store *s, struct store_list *out, struct err *e);
void store_list_free(struct store_list *l);

struct store_text { /* contents of a text blob; NUL-terminated behind len bytes */
    const char *ptr;
    size_t len;
};

struct store_model { /* everything that is borrowed from it lives until store_model_free */
    struct store_entry entry;
    const struct store_layer *layers;
    size_t n_layers;
    struct store_layer config_layer; /* digest and size of the config blob */

    /* Weights: the path of the GGUF blob, or for a built-in model model_path is NULL and the bytes
     * are in memory. Both NULL: the model has no model layer. */
    const char *model_path;
    const void *model_data;
    size_t model_size;
    const char *const *adapters; /* blob paths */
    size_t n_adapters;
    const char *const *projectors;
    size_t n_projectors;
    const char *const *drafts;
    size_t n_drafts;
    bool tensor_layers; /* safetensors for another runner: cria cannot run it */

    bool has_template; /* false: template is {"", 0} and the GGUF decides */
    struct store_text template, system;
    const struct store_text *licenses;
    size_t n_licenses;
    json *params;   /* object; NULL: none. owned */
    json *messages; /* array of {role, content}; NULL: none. owned */
    struct arena arena;
};

/* Without regard to case. ST_NOT_FOUND: `model 'SHORTEST' not found`; ST_FORMAT, ST_IO: a damaged
 * model (messages name the file); ST_INVALID: "invalid model name". */
enum status store_resolve(struct store *s, const struct model_name *name, struct store_model *out,
                          struct err *e);
void store_model_free(struct store_model *m); /* a zeroed one is fine */
bool store_has(struct store *s, const struct model_name *name);
/* Remembers that a model is being used, so that df and the quota know which is used least; written
 * every ten minutes at most. */
void store_mark_used(struct store *s, const struct model_name *name);
/* Gives every part that equals, without case, the same part of a stored name its stored spelling.
 */
enum status store_spell(struct store *s, struct model_name *name, struct err *e);

/* ST_NOT_FOUND: `model 'SHORTEST' not found` (api words it per route). The target is overwritten.
 * A built-in source is written into the store. */
enum status store_copy(struct store *s, const struct model_name *from, const struct model_name *to,
                       struct err *e);
/* Removes the manifest, blobs that no other manifest names, and empty folders. A built-in model:
 * ST_INVALID "model 'X' is built in and cannot be deleted". */
enum status store_delete(struct store *s, const struct model_name *name, struct err *e);

/* Aliases: names that stand for other names. What is used by name (generate, show, cp and create
 * from it) follows them; a model that is stored under the name hides the alias. */

/* Replaces *name by what it stands for, at most eight times; false: it is no alias. */
bool store_alias(struct store *s, struct model_name *name);
/* target NULL: removes it; ST_NOT_FOUND: there is none. ST_INVALID: bad names, or a circle. */
enum status store_alias_set(struct store *s, const struct model_name *alias,
                            const struct model_name *target, struct err *e);
/* Calls put() for each. */
void store_alias_list(struct store *s,
                      void (*put)(void *arg, const struct model_name *alias,
                                  const struct model_name *target),
                      void *arg);

/* ---- blobs ---- */

enum { STORE_DIGEST_TEXT = 72 }; /* "sha256:" + 64 + NUL */

/* Checks `^sha256[:-][0-9a-fA-F]{64}$` and writes the form with ':'. */
enum status store_digest_parse(const char *text, char out[STORE_DIGEST_TEXT], struct err *e);
/* Path of a blob, whether it is there or not; returns a text freed with mem_free. NULL: no memory
 * or bad digest (e set). */
char *store_blob_path(const struct store *s, const char *digest, struct err *e);
/* ST_OK: it is there; ST_NOT_FOUND `blob "sha256:X" not found`; ST_INVALID. size may be NULL. */
enum status store_blob_stat(const struct store *s, const char *digest, uint64_t *size,
                            struct err *e);

/* A blob being written, hashed on the way; it has no name before the commit. */
struct store_upload;
enum status store_blob_begin(struct store *s, struct store_upload **out, struct err *e);
enum status store_blob_write(struct store_upload *u, const void *data, size_t n, struct err *e);
/* Syncs the data and gives it its name. takes u, also on failure. expected (may be NULL) differs:
 * the data is kept under its real digest and the result is ST_INVALID `digest mismatch, expected
 * "sha256:A", got "sha256:B"`. digest (may be NULL) gets the real one. */
enum status store_blob_commit(struct store_upload *u, const char *expected,
                              char digest[STORE_DIGEST_TEXT], struct err *e);
void store_blob_abort(struct store_upload *u); /* takes u; NULL is fine */
/* A file of this disk as a blob without copying it: a clone where the file system can (the blocks
 * are shared until one of them is written), or with `link` another name for the same file. Who then
 * writes into the file damages the blob. ST_UNSUPPORTED: neither is possible. */
enum status store_blob_adopt(struct store *s, const char *path, bool link,
                             char digest[STORE_DIGEST_TEXT], struct err *e);

/* ---- create (spec/store.md 4, spec/api.md 5.8) ---- */

struct store_file { /* a file of the request; its content is a blob */
    const char *path, *digest;
};

/* Called for each status item; digest "" and total 0 where the item has none. False: cancel. */
typedef bool store_progress(void *arg, const char *status, const char *digest, uint64_t total,
                            uint64_t completed);

struct store_create_spec {
    const struct model_name *name; /* target; invalid: "invalid model name" */
    const struct model_name *from; /* NULL: the request has no `from` */
    bool has_files;                /* the request has `files` (perhaps empty) */
    const struct store_file *files, *adapters, *drafts;
    size_t n_files, n_adapters, n_drafts;
    const char *template, *system; /* NULL or "": keep what `from` has */
    const char *const *licenses;   /* added */
    size_t n_licenses;
    const json *parameters; /* object or NULL: merged over those of `from` */
    const json *messages;   /* array or NULL: replace those of `from` if not empty */
    const char *renderer, *parser,
        *
            requires,
                    *
                    quantize,
        *draft_quantize, *remote_host; /* or NULL */
    const json *info;                  /* object or NULL: overrides config fields */

    /* Hooks, each may be NULL. check_template: template_parse's verdict on the text; its message is
     * given as "template error: MESSAGE". detect_template: the Go template that fits the GGUF's
     * chat template (NULL: none); sets *name (shown) and *params (JSON object text, or NULL).
     * pull: fetches `from` when it is not stored. */
    enum status (*check_template)(void *arg, const char *text, size_t len, struct err *e);
    const char *(*detect_template)(void *arg, const struct gguf *g, const char **name,
                                   const char **params);
    enum status (*pull)(void *arg, const struct model_name *name, struct err *e);
    void *hook_arg;
};

/* The checks that come before any status item (plain 400s): all ST_INVALID. */
enum status store_create_check(const struct store_create_spec *spec, struct err *e);
/* Does them, too, then the work. What the request got wrong is ST_INVALID or ST_FORMAT (400); a
 * missing blob is ST_IO (500: `open PATH: no such file or directory`); safetensors
 * that cannot be converted are ST_INVALID, ST_FORMAT or ST_UNSUPPORTED; progress said no:
 * ST_CANCELLED. Nothing is named in the store unless the result is ST_OK. */
enum status store_create(struct store *s, const struct store_create_spec *spec,
                         store_progress *progress, void *progress_arg, struct err *e);

#endif

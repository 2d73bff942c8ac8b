/* catalog.h - stored models as the API sees them: which template renders their prompts, and what
 * they can do (spec/templates.md 1 and 5.4).
 *
 * What a GGUF says never changes (blobs are named by their content), so it is read once per file
 * and kept: listing a hundred models does not open a hundred files again and again. Thread-safe. */
#ifndef CRIA_API_CATALOG_H
#define CRIA_API_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/jinja/jinja.h"
#include "api/options.h"
#include "api/template/template.h"
#include "base/buf.h"
#include "store/store.h"

struct catalog;
enum status catalog_open(struct catalog **out, struct store *store, struct err *e);
void catalog_close(struct catalog *c);

struct model_facts {   /* of a GGUF file; owned by the catalog, never freed before it */
    const char *key;   /* path, or "builtin:NAME" */
    const char *jinja; /* chat template; NULL: none */
    size_t jinja_len;
    struct jinja *tree; /* of it, repaired; NULL: none, or it cannot be parsed */
    bool readable, pooling, vision, audio;
    bool hears; /* a projector with an encoder of recordings */
    int64_t context_length, embedding_length;
    json *sampling; /* what its general.sampling keys say, as options; NULL: nothing */
    struct model_facts *next;
};

enum capability { /* in the order of the spec's list */
                  CAN_COMPLETION,
                  CAN_TOOLS,
                  CAN_INSERT,
                  CAN_VISION,
                  CAN_AUDIO,
                  CAN_EMBEDDING,
                  CAN_THINKING,
                  CAN_IMAGE,
                  CAN_COUNT
};
const char *capability_name(enum capability c); /* "completion", ... */

enum prompt_way {            /* how prompts are made (spec/templates.md 1) */
                  WAY_PLAIN, /* no template: chat is ChatML, generate the prompt alone */
                  WAY_RENDERER,
                  WAY_GO,
                  WAY_JINJA
};

struct catalog_model { /* owns all of it; freed with catalog_model_free */
    struct store_model stored;
    const struct model_facts *facts;
    bool hears; /* one of its projectors does */
    enum prompt_way way;
    const char *renderer,
        *parser;               /* names; "": none. parser: also harmony's, found by its family */
    struct template *template; /* NULL: none */
    const char *template_text; /* what show prints: Go text, or the GGUF's Jinja text */
    bool go_selected;          /* its Go template counts (spec/templates.md 1) */
    bool can[CAN_COUNT];
    const char *can_list[2 * CAN_COUNT]; /* in the order to show them */
    size_t n_can;
};
/* Errors as store_resolve; ST_FORMAT: the stored template is broken. */
enum status catalog_find(struct catalog *c, const struct model_name *name, struct catalog_model *m,
                         struct err *e);
void catalog_model_free(struct catalog_model *m); /* a zeroed one is fine */
bool catalog_is_family(const struct catalog_model *m, const char *family);
bool catalog_is_gptoss(const struct catalog_model *m);

/* Options in layers: what is built in, the file's general.sampling, the model's parameters, those
 * of the request (may be NULL). Errors as options_apply. */
enum status catalog_options(const struct catalog_model *m, const json *request, struct options *o,
                            struct arena *a, struct err *e);

/* `{"parent_model":..., ...}` of tags and show; with_sizes adds context_length, embedding_length.
 */
void catalog_put_details(struct buf *b, const struct catalog_model *m, const char *parent,
                         bool with_sizes);
void catalog_put_capabilities(struct buf *b, const struct catalog_model *m); /* a JSON list */

#endif

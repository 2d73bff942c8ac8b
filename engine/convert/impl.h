/* impl.h - what the files of convert/ share; nothing outside includes it.
 *
 * A conversion is three lists. *Sources* are the tensors of the safetensors files, with their new
 * names. *Outs* are the tensors of the GGUF; each is a sequence of *views*, and a view is a source
 * read in another order: dimensions, strides and an offset, all in elements. Reshaping, permuting
 * heads, transposing, slicing, stacking experts and taking every second row are nothing else than
 * other strides, so no code moves data before it is written. Pairs go straight into GGUF writers.
 *
 * Errors are sticky: convert_fail() keeps the first one; after it everything still runs safely on
 * zeros and NULLs, and whoever drives asks once per stage. So tables and hooks of the architectures
 * read like the specification. */
#ifndef CRIA_ENGINE_CONVERT_IMPL_H
#define CRIA_ENGINE_CONVERT_IMPL_H

#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
#include "base/os.h"
#include "base/unused.h"
#include "engine/convert/convert.h"
#include "engine/file/gguf_write.h"
#include "engine/file/safetensors.h"

/* ---- sources: tensors of the files (sources.c, fp8.c) ---- */

struct source {
    const char *orig, *name; /* as in the file; renamed */
    const struct sft_tensor *t;
    const float *made; /* values of a tensor that is in no file, t is then NULL */
    uint32_t n_dims;   /* of the file; 0: a scalar */
    int64_t dim[SFT_MAX_DIMS];
    int64_t n_elems;
    const struct source *scale; /* of 8-bit weights, else NULL */
    int64_t block[2];           /* rows and columns that share a scale */
    bool used;                  /* as part of another one: it has no own place in the output */
};

/* ---- views and outs (view.c) ---- */

enum { VIEW_DIMS = 6 };

enum map_fn {
    MAP_NONE,
    MAP_ADD,
    MAP_NEG_EXP,
    MAP_CLAMP,
    MAP_TANH,
    MAP_ONE_MINUS_TANH,
    MAP_SOFTPLUS
};

struct view {
    const struct source *src;
    uint32_t n_dims;
    int64_t dim[VIEW_DIMS], stride[VIEW_DIMS], offset;
    enum map_fn fn; /* applied to each value */
    float arg;
};

struct out {
    const char *name;
    enum convert_part part;
    uint32_t n_dims;
    int64_t dim[4]; /* C order: the last one is contiguous */
    enum dtype type;
    struct view *views; /* one after the other along the first dimension; in the arena */
    size_t n_views, cap_views;
    const struct source *scales; /* MXFP4: the blocks are the only view, these are their scales */
};

struct rule;
struct stack; /* experts of one kind in one layer, until all have been seen (stack.c) */

struct conversion {
    struct arena arena;
    struct err first; /* code ST_OK: nothing is wrong */

    /* files.c */
    const struct convert_file *files; /* copies in the arena, sorted by name */
    size_t n_files;
    const char *folder_name; /* NULL: none */
    json *config;            /* owned */
    struct {                 /* numbers that cfg_num() found, by the address of their path */
        const char *paths;
        double value;
    } known[64];
    const json *text; /* where the fields of the text model are; borrowed from config */

    /* sources.c */
    struct sft_file **shards; /* owned */
    size_t n_shards;
    struct source *sources; /* in the arena */
    size_t n_sources;
    struct map source_names; /* by name in the files */
    uint32_t n_fp8;

    /* what comes out */
    const struct arch_table *arch;
    const char *arch_name; /* general.architecture of the model */
    const struct gguf *base;
    struct gguf_writer *writer[2]; /* owned; by part; the projector's may be NULL */
    enum convert_part target;      /* where put_*() write */
    struct out **outs;             /* owned list of outs in the arena */
    size_t n_outs, cap_outs;
    struct stack *stacks; /* owned */
    size_t n_stacks, cap_stacks;
    struct map stack_names;
    uint32_t n_tokens;     /* of the vocabulary that was written */
    uint32_t n_mtp_layers; /* qwen35.c */
};

/* ---- errors (convert.c) ---- */

void convert_fail(struct conversion *c, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool convert_failed(const struct conversion *c) { return c->first.code != ST_OK; }
/* Memory of the conversion's life, zeroed; NULL (and failed) if there is none or n is silly. */
void *convert_zalloc(struct conversion *c, size_t n, size_t size);
const char *convert_text(struct conversion *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* "" on failure */

void convert_open_projector(struct conversion *c); /* the second writer, if it is not there */
void convert_adapter(struct conversion *c);        /* adapter.c */

/* ---- files (files.c) ---- */

const struct convert_file *files_find(const struct conversion *c, const char *name);
/* A view of a file, os_map_close; false: failed. */
bool files_map(struct conversion *c, const struct convert_file *f, struct os_map *map);
/* A copy with a NUL behind it, mem_free; NULL: failed. */
char *files_text(struct conversion *c, const struct convert_file *f, size_t max, size_t *len);
/* The whole file as JSON with the words NaN, Infinity, -Infinity as 0; NULL: absent, or failed.
 * json_free. */
json *files_json(struct conversion *c, const char *name);
void files_open_config(struct conversion *c, const char *name); /* sets config and text */

/* ---- config fields (config.c) ----
 *
 * A path is a field name, or several joined by dots; paths joined by '|' are alternatives, of which
 * the first one counts that is there, not null, and (for numbers) not 0. They begin at c->text, or
 * with '@' at the top of config.json. A last alternative that is a number is the default. */

const json *cfg(struct conversion *c, const char *paths); /* NULL: none is there */
uint32_t cfg_u32(struct conversion *c, const char *paths);
double cfg_num(struct conversion *c, const char *paths);
bool cfg_bool(struct conversion *c, const char *paths);
const char *cfg_str(struct conversion *c, const char *paths); /* "" if absent */
/* Element i of a list that is optional or has to have n elements: "sliding_attention" ... */
const char *cfg_list_str(struct conversion *c, const char *paths, uint32_t i);
/* num_hidden_layers, bounded: arrays are made of it. */
uint32_t cfg_layers(struct conversion *c);

/* ---- keys (keys.c) ---- */

enum key_kind {
    K_U32, /* always written */
    K_F32,
    K_BOOL,
    K_STR,
    K_U32_IF, /* only if present and not 0 or "" */
    K_F32_IF,
    K_STR_IF,
    K_BOOL_IF, /* only if present */
    K_U32_HAS, /* if present, be it 0 */
    K_F32_HAS,
    K_I32S_IF, /* a list of integers, if present */
    K_F32S_IF,
};
struct key_row {
    const char
        *key; /* "X" is "ARCH.X" unless it begins with general., tokenizer., adapter., clip. */
    enum key_kind kind;
    const char *from;
};
void keys_put(struct conversion *c, const struct key_row *rows);
void put_u32(struct conversion *c, const char *key, uint32_t v);
void put_f32(struct conversion *c, const char *key, double v);
void put_bool(struct conversion *c, const char *key, bool v);
void put_str(struct conversion *c, const char *key, const char *v);
void put_array(struct conversion *c, const char *key, enum gguf_type elem, size_t n,
               const void *elems);
/* attention.sliding_window_pattern: true where layer_types says "sliding_attention". */
void put_layer_types(struct conversion *c);

/* ---- tensors ---- */

/* Names (names.c): pairs (old, new) applied as spec/safetensors.md 3.1 says. */
struct rename {
    const char *old, *new;
};
const char *names_rename(struct conversion *c, const struct rename *pairs, const char *name);
/* '*' stands for any text, '#' for a number; the numbers found go to num[0..1]. */
bool names_match(const char *pattern, const char *name, uint32_t num[2]);
const char *names_fill(struct conversion *c, const char *pattern, const uint32_t num[2]);
const char *names_replace(struct conversion *c, const char *name, const char *what,
                          const char *with); /* the first occurrence */
bool ends_with(const char *s, const char *end);
bool starts_with(const char *s, const char *start);

/* A row of an architecture's table: what is done with the tensors whose new name fits. The first
 * row that fits counts; a tensor that fits none is kept as it is. */
struct rule {
    const char *pattern;
    void (*fn)(struct conversion *c, struct source *s, const struct rule *r, const uint32_t num[2]);
    const char *arg; /* of the function: a new name, config paths ... */
};
typedef void rule_fn(struct conversion *c, struct source *s, const struct rule *r,
                     const uint32_t num[2]);
/* The head of such a function; hardly one uses all four. */
#define RULE(name)                                                                                 \
    void name(struct conversion *c MAYBE_UNUSED, struct source *s MAYBE_UNUSED,                    \
              const struct rule *r MAYBE_UNUSED, const uint32_t num[2] MAYBE_UNUSED)

rule_fn rule_keep;
rule_fn rule_drop;      /* no output */
rule_fn rule_rename;    /* arg: the new name, '#' as in the pattern */
rule_fn rule_heads;     /* rows of each head interleaved (3.5); arg: paths of the number of heads */
rule_fn rule_add_one;   /* norms that compute with 1 + w */
rule_fn rule_stack;     /* arg: name of the stacked tensor; the last '#' is the expert */
rule_fn rule_squeeze;   /* [C, 1, K] -> [C, K] */
rule_fn rule_neg_exp;   /* A_log -> -exp(A_log) */
rule_fn rule_third;     /* rows in thirds: arg "a|b|c" replaces "attn.qkv" or "attn_qkv" */
rule_fn rule_transpose; /* the last two of three dimensions */
rule_fn rule_split_cols; /* [E, n, 2f] -> two of [E, f, n]; gate_up in the name -> gate, up */
rule_fn rule_split_rows; /* [E, 2f, n] -> two of [E, f, n]; arg "from|gate|up": parts of the name */

/* Views. All check what they are given and fail the conversion. */
struct view view_of(const struct source *s);
void view_reshape(struct conversion *c, struct view *v, uint32_t axis, int64_t n); /* d -> n, d/n */
void view_swap(struct view *v, uint32_t a, uint32_t b);
void view_slice(struct conversion *c, struct view *v, uint32_t axis, int64_t from, int64_t n,
                int64_t step);
/* A new output; its shape is dim[0..n_dims). NULL: failed. The type is that of 3.2. */
struct out *out_new(struct conversion *c, const struct source *s, const char *name, uint32_t n_dims,
                    const int64_t *dim);
struct out *out_new_typed(struct conversion *c, const struct source *s, const char *name,
                          uint32_t n_dims, const int64_t *dim, enum dtype type);
void out_add(struct conversion *c, struct out *o, const struct view *v);
struct out *out_of(struct conversion *c, const struct view *v, const char *name, uint32_t n_dims,
                   const int64_t *dim);                                         /* both in one */
struct out *out_keep(struct conversion *c, struct source *s, const char *name); /* as it is */
struct out *out_mapped(struct conversion *c, struct source *s, const char *name, enum map_fn fn,
                       float arg);                               /* each value by fn */
struct out *out_patches(struct conversion *c, struct source *s); /* [C, p*p*3] -> [C, 3, p, p] */
/* [C, 3, 2, p, p]: a tensor of four dimensions for each of two frames; false: it is none such. */
bool out_frames(struct conversion *c, struct source *s, const char *first, const char *second);
void out_values(struct conversion *c, const char *name, const float *values, size_t n); /* F32 */
void stacks_finish(struct conversion *c);
void stacks_free(struct conversion *c);
/* Sorts, checks names and shapes, and hands the list to the writers. */
void outs_finish(struct conversion *c);
enum status out_write(const struct conversion *c, const struct out *o, struct err *e); /* write.c */
bool out_overflows_f16(struct conversion *c, const struct out *o);

/* ---- sources ---- */

void sources_open(struct conversion *c); /* the *.safetensors of the top folder, in name order */
/* One tensor of another file (2_Dense/model.safetensors) as a source; NULL: failed. */
struct source *sources_open_one(struct conversion *c, const char *file, const char *name);
void source_forget(const struct conversion *c, const struct source *s); /* its pages */
void sources_rename(struct conversion *c, const struct rename *pairs);
void sources_close(struct conversion *c);
void fp8_attach(struct conversion *c);   /* before the renaming */
void fp8_put_keys(struct conversion *c); /* after the outs are known */

/* ---- vocabulary (vocab.c) ---- */

struct vocab_style {
    const char *model, *pre;    /* NULL: as found */
    const char *pre_if_unknown; /* of BPE vocabularies whose expression nobody knows */
    bool words;                 /* BERT: "##x" -> "x", else U+2581 in front */
    bool cut;                   /* to vocab_size */
    bool no_template;           /* its chat template is not written */
    bool few_specials;          /* only bos, eos, unk and pad */
};
void vocab_put(struct conversion *c);

/* ---- architectures (arch/) ---- */

struct arch_table {
    const char *classes; /* names of architectures[0], joined by '|' */
    const char *arch;    /* general.architecture */
    bool text_config;    /* fields are in text_config if there is one */
    const struct rename *names;
    const struct key_row *keys;
    const struct rule *rules;
    void (*prepare)(struct conversion *c); /* before everything: may change arch_name */
    void (*meta)(struct conversion *c);    /* keys that no row can say */
    void (*tensors)(struct conversion *c); /* tensors that no rule can make */
    struct vocab_style vocab;
    const char *if_field; /* the table counts only if this config field is there and not 0 */
};
const struct arch_table *arch_find(struct conversion *c, const char *class);
/* Names of adapters of models of that architecture; NULL: unknown. */
const struct arch_table *arch_find_gguf(const char *arch);

/* What ends the three kinds of tables. */
#define RENAMES_END                                                                                \
    { NULL, NULL }
#define KEYS_END                                                                                   \
    { NULL, K_U32, NULL }
#define RULES_END                                                                                  \
    { NULL, NULL, NULL }

#endif

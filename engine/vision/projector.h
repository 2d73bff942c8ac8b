/* projector.h - a loaded projector: hyper-parameters, tensors, and the table that says how a type
 * works (spec/models/vision.md).
 *
 * Encoding a tile goes in four steps: the picture is brought to a size (preprocess.c); patches
 * become rows of the *body* program, the vision transformer (vit.c); the rows of neighbouring
 * patches are put together on the host (encode.c); the *head* program leads from there to rows of
 * the text model. A type is a row of data and a few short functions: engine/vision/<type>.c. */
#ifndef CRIA_ENGINE_VISION_PROJECTOR_H
#define CRIA_ENGINE_VISION_PROJECTOR_H

#include "base/arena.h"
#include "engine/file/gguf.h"
#include "engine/program.h"
#include "engine/vision/resize.h"
#include "engine/vision/vision.h"
#include "kernels/device.h"

enum { VIT_MAX_ROWS = 1 << 16 }; /* patches of a tile */
enum { WINDOW_PIXELS = 112 };    /* whatever clip.vision.window_size says (note C) */
enum { VIT_MAX_FEATURES = 5 };   /* hidden states side by side */
enum { MAX_TILES = 64 };         /* of a picture, the overview not counted */
enum { MAX_DEEP = 16 };          /* layers with DeepStack rows */

struct vit_hparams {
    uint32_t n_embd, n_ff, n_layer, n_head, n_head_kv, head_dim, n_proj;
    uint32_t image_size, patch, merge; /* pixels, pixels, patches a side of a row of the result */
    float eps;
    float mean[3], std[3];
    uint32_t full_every;             /* window attention: layers that see everything; 0: all */
    uint32_t min_pixels, max_pixels; /* 0: as the type says */
    uint32_t min_tiles, max_tiles;
    uint32_t long_side; /* split: pixels of a picture's longer side before it is cut */
    uint32_t feature[VIT_MAX_FEATURES], n_feature; /* llava: states entering these layers */
    uint32_t n_grid;                               /* llava: resolutions of tiles */
    uint32_t grid[2 * MAX_TILES];                  /* width, height, ... */
};

/* A matrix that may be limited on both sides (gemma4v). */
struct vit_weight {
    struct weight m;
    bool limited;
    float in_low, in_high, out_low, out_high;
};
struct vit_layer { /* what the file does not have is NULL */
    struct weight ln1, ln2, attn_post, ffn_post, q_norm, k_norm;
    struct vit_weight q, k, v, qkv, out, up, gate, down;
    const struct tensor *ls1, *ls2, *out_scale;
    /* DeepStack: what leads from the rows behind this layer to the text model. */
    struct weight deep_norm, deep_fc1, deep_fc2;
};

enum preprocess {
    PRE_FIXED,   /* one size, with a border */
    PRE_DYNAMIC, /* a size that keeps the shape */
    PRE_TILES,   /* the grid of tiles that shows most, and an overview */
    PRE_SPLIT    /* scaled to a long side, cut into tiles, and an overview */
};
enum positions {
    POS_NONE,
    POS_TABLE,    /* a row for each patch */
    POS_BILINEAR, /* a square table, resized to the grid */
    POS_BICUBIC,  /* the same by another filter; there may be no table */
    POS_XY        /* a row by column and one by row */
};
enum class_token { CLASS_NONE, CLASS_FIRST, CLASS_LAST }; /* where in the table of positions */
enum gather {
    GATHER_ROWS,     /* the rows of a block side by side, row by row */
    GATHER_CHANNELS, /* for each channel the block's values */
    GATHER_MEAN
};
enum vit_rope {
    VIT_ROPE_NONE,
    VIT_ROPE_VISION,
    VIT_ROPE_PIXTRAL,
    VIT_ROPE_LLAMA4,
    VIT_ROPE_GEMMA4
};

struct projector;
struct tiles;
enum { MARK_SIZE = 96 };
struct vision_type {
    const char *name;           /* clip.projector_type */
    const char *before, *after; /* text around all images of a picture; NULL */
    /* The text in front of tile i, or behind the last one (i == t->n), in the place of these two.
     */
    void (*mark)(const struct tiles *t, size_t i, char out[MARK_SIZE]);
    enum preprocess pre;
    enum resize_filter filter;
    uint8_t border[3];               /* fixed */
    uint32_t min_tokens, max_tokens; /* dynamic */
    const char *merge_key;           /* behind "clip.vision."; NULL: 1 */
    uint32_t merge;                  /* by default */
    uint32_t max_side_tiles; /* tiles: grids up to so many a side, but 1 x 1; 0: by their number */
    enum norm_kind norm;
    enum positions positions;
    enum class_token class_token;
    enum vit_rope rope;
    enum gather gather;
    bool two_frames;  /* a second kernel, for the frame that a picture does not have */
    bool blocks;      /* patches in the order of blocks (their rows are then merged) */
    bool windows;     /* of 112 pixels, in layers that hparams.full_every says */
    bool swapped_ffn; /* old files have up and down the other way round */
    bool v_norm;      /* values are normed, scores not scaled */
    bool unit_range;  /* pixels from -1 to 1 behind the normalisation */
    bool mrope;       /* two-dimensional positions in the text model */
    bool non_causal;
    bool features;     /* the file may name states of several layers, side by side */
    bool pinpoints;    /* the file may have resolutions of tiles; the overview then comes first */
    bool patch_norm;   /* the file may have a norm between the kernel and the positions */
    bool experimental; /* from descriptions; never compared with another implementation */
    /* Loads what is not in every encoder; sets p->n_out. */
    enum status (*load)(struct projector *p, struct err *e);
    /* Each NULL for nothing: behind the last layer's norm, in the body; behind the gathering, on
     * the host; the head itself; rows of the result between others. */
    val (*tail)(const struct projector *p, struct recorder *r, val x);
    void (*gathered)(const struct projector *p, float *row, size_t n);
    val (*head)(const struct projector *p, struct recorder *r, val x);
};
extern const struct vision_type *const vision_types[]; /* ends with NULL */

struct projector {
    struct gguf *gguf; /* owned */
    const struct vision_type *type;
    struct vit_hparams hp;
    enum act act;
    enum norm_kind norm;
    uint32_t n_run;                             /* layers that are run */
    struct vit_layer *layers;                   /* [n_layer] */
    const struct tensor *patch[2], *patch_bias; /* patch_bias: where a norm follows at once */
    struct weight patch_norm, pre_ln, post_ln;
    struct weight mm[5];               /* the head's matrices, as its type counts them */
    struct weight mm_norm;             /* and its norm */
    struct vit_weight mm_limited;      /* gemma4v: its matrix */
    const float *patch_b, *class_embd; /* [n_embd] on the host; NULL */
    const float *pos;                  /* [n_pos][n_embd], or [2][n_pos][n_embd]; NULL */
    uint32_t n_pos;
    const float *break_row; /* pixtral: [n_out] behind each row of the grid but the last */
    const float *std_bias, *std_scale; /* gemma4v: [n_embd] */
    uint32_t n_deep;                   /* layers with DeepStack rows */
    uint32_t n_out;                    /* floats of a result row */
    uint64_t min_pixels, max_pixels;   /* dynamic: of a picture */
    struct arena arena;
    struct device *dev; /* borrowed */
    void **dev_mem;
    size_t n_dev_mem, weights_bytes;
};

/* Takes g (closed on failure too). min_tokens, max_tokens: 0 for what file and type say. */
enum status projector_load(struct projector **out, struct gguf *g, struct device *dev,
                           const struct cria_vision_params *params, struct err *e);
void projector_free(struct projector *p); /* NULL is fine */
uint32_t projector_max_rows(const struct projector *p);

/* projector_tensors.c: everything that the type's body and head need. Part of projector_load. */
enum status projector_load_tensors(struct projector *p, struct err *e);
/* Tensors, for the types' `load`. Missing: an error, or nothing if optional. `name` is without
 * ".weight"; a bias is taken if it is there. */
enum status proj_norm(struct projector *p, const char *name, uint32_t n, bool optional,
                      struct weight *out, struct err *e);
/* *n_out: what the matrix gives; 0 on entry if it may be anything. */
enum status proj_matrix(struct projector *p, const char *name, uint32_t n_in, uint32_t *n_out,
                        bool optional, struct weight *out, struct err *e);
/* The scalars around a matrix that limit what goes in and comes out, if the file has them. */
enum status proj_limits(struct projector *p, const char *name, struct vit_weight *w, struct err *e);
/* A matrix stored the other way round: {n_out, n_in}. */
enum status proj_transposed(struct projector *p, const char *name, uint32_t n_in, uint32_t *n_out,
                            struct weight *out, struct err *e);
/* A convolution of side x side over n_in channels as a matrix over the values that it covers, each
 * channel's together: {side,side,n_in,n_out}, or as such. *n_out as above; no bias. */
enum status proj_kernel(struct projector *p, const char *name, uint32_t side, uint32_t n_in,
                        uint32_t *n_out, const struct tensor **out, struct err *e);
/* A vector on the device, as floats, by its full name; NULL if there is none. */
enum status proj_vector(struct projector *p, const char *name, uint64_t n,
                        const struct tensor **out, struct err *e);
/* n floats for the host, of a tensor with exactly its full name; NULL if there is none. */
enum status proj_floats(struct projector *p, const char *name, uint64_t n, const float **out,
                        struct err *e);

/* preprocess.c: the tiles of a picture, in order. *tiles is freed with tiles_free. */
struct tiles {
    struct picture *at;
    size_t n;
    uint32_t nx, ny; /* split: tiles across and down, the overview not among them; else 0 */
};
enum status preprocess(const struct projector *p, const struct picture *in, struct tiles *out,
                       struct err *e);
void tiles_free(struct tiles *t);
/* Width and height of a picture that keeps its shape, multiples of `a`, within the limits. */
void dynamic_size(int w, int h, uint32_t a, uint64_t min, uint64_t max, int *out_w, int *out_h);
/* The candidate {w, h} that shows most of the picture, of these the one with the least border; its
 * index, or n if none shows anything. */
size_t best_resolution(int w, int h, const uint32_t *candidates, size_t n);

/* vit.c: the body, on rows [pixels | offset | cells]; n_cells 0: all layers see everything. */
struct vit_inputs { /* columns of the given rows */
    uint32_t n_pixels, n_offset, n_cells, width;
};
struct vit_inputs vit_inputs(const struct projector *p, uint32_t n_cells);
val vit_record(const struct projector *p, struct recorder *r, uint32_t n_cells);
val vit_norm(const struct projector *p, struct recorder *r, const char *name, val x,
             struct weight n);
val vit_linear(struct recorder *r, const char *name, val x, const struct vit_weight *w);
/* a, activation, b: what most heads are. */
val vit_mlp(struct recorder *r, val x, enum act act, struct weight a, struct weight b);

/* Somebody else uses the device, too: it is taken for each part of the work and given back. */
struct device_turns {
    bool (*take)(void *arg); /* false: nothing was taken, the work is to be given up */
    void (*give)(void *arg);
    void *arg;
};
/* encode.c: the rows of a tile. *rows [*n_rows][n_out] is freed with mem_free. turns NULL: the
 * device is the caller's until the end. ST_CANCELLED: given up. */
enum status encode_tile(const struct projector *p, const struct picture *tile,
                        const struct device_turns *turns, float **rows, uint32_t *n_rows,
                        struct err *e);

#endif

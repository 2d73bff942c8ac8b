/* vision.c - see vision.h: opening a projector beside an engine, encoding pictures, the last few of
 * which are kept. */
#include "engine/vision/vision.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine_impl.h"
#include "engine/vision/projector.h"

enum { N_KEPT = 4 }; /* encoded pictures */

struct encoded { /* parts, images and rows are its own */
    struct cria_encoded pub;
    struct cria_picture_part *parts;
    struct cria_image *images;
    char (*marks)[MARK_SIZE]; /* texts between the images, of types that have some */
    size_t n_images;
    unsigned char key[DIGEST_BYTES];
    uint64_t domain; /* of who sent it first */
    unsigned users;  /* the list of kept ones is one */
};

struct cria_vision {
    struct cria_engine *eng;
    struct projector *p;
    struct cria_vision_info info;
    uint64_t serial;              /* of this projector with these settings, in this process */
    pthread_mutex_t encoding;     /* held by who encodes: one tile's memory at a time */
    pthread_mutex_t lock;         /* of kept and of all `users` */
    struct encoded *kept[N_KEPT]; /* the newest first */
};

/* ---- opening ----------------------------------------------------------------------------------
 */

bool cria_vision_in(const struct gguf *g) {
    struct gguf_str arch;
    bool vision = false;
    char key[128];
    if (gguf_get_bool(g, "clip.has_vision_encoder", &vision, NULL) == ST_OK && vision) return true;
    if (gguf_get_str(g, "general.architecture", &arch, NULL) != ST_OK || arch.len > 64)
        return false;
    snprintf(key, sizeof key, "%.*s.vision.block_count", (int)arch.len, arch.ptr);
    return gguf_find(g, key) != NULL;
}

/* Gemma 4's two small models were trained without. */
static bool rows_see_each_other(const struct cria_vision *v) {
    const uint32_t n_embd = v->eng->info.n_embd;
    const bool small =
        v->eng->model->arch->style.images_in_windows && (n_embd == 1536 || n_embd == 2560);
    return v->p->type->non_causal && !small;
}

static enum status fits_model(const struct cria_vision *v, struct err *e) {
    const struct projector *p = v->p;
    if (v->eng->info.n_mtp != 0)
        return err_set(e, ST_UNSUPPORTED, "an engine that predicts further tokens takes no images");
    if (p->n_out != v->eng->n_given)
        return err_set(e, ST_UNSUPPORTED,
                       "the projector gives rows of %u values, the model takes %u", p->n_out,
                       v->eng->n_given);
    if (p->type->mrope != model_has_axes(v->eng->model))
        return err_set(e, ST_UNSUPPORTED, "projector type '%s' does not go with a model of '%s'",
                       p->type->name, v->eng->info.arch);
    return ST_OK;
}

static enum status open_parts(struct cria_vision *v, struct gguf *g,
                              const struct cria_vision_params *params, struct err *e) {
    static atomic_uint_fast64_t serial;
    v->serial = atomic_fetch_add(&serial, 1);
    enum status st = projector_load(&v->p, g, &v->eng->dev, params, e);
    if (st == ST_OK) st = fits_model(v, e);
    if (st != ST_OK) return st;
    v->info = (struct cria_vision_info){.type = v->p->type->name,
                                        .experimental = v->p->type->experimental,
                                        .non_causal = rows_see_each_other(v),
                                        .max_rows = projector_max_rows(v->p),
                                        .n_out = v->p->n_out,
                                        .n_params = gguf_parameter_count(v->p->gguf),
                                        .weights_bytes = v->p->weights_bytes};
    if (v->info.experimental)
        log_warn("vision", "projector type '%s': %s", v->info.type, cria_vision_notice(v->p->gguf));
    return v->info.non_causal ? engine_reserve_rows(v->eng, v->info.max_rows, e) : ST_OK;
}

/* Takes g. */
static enum status open_gguf(struct cria_vision **out, struct cria_engine *eng, struct gguf *g,
                             const struct cria_vision_params *params, struct err *e) {
    struct cria_vision *v = mem_zalloc(1, sizeof *v);
    if (v == NULL) {
        gguf_close(g);
        return err_no_memory(e);
    }
    v->eng = eng;
    pthread_mutex_init(&v->lock, NULL);
    pthread_mutex_init(&v->encoding, NULL);
    enum status st = open_parts(v, g, params, e);
    if (st != ST_OK)
        cria_vision_close(v);
    else
        *out = v;
    return st;
}

enum status cria_vision_open(struct cria_vision **out, struct cria_engine *eng, const char *path,
                             const struct cria_vision_params *p, struct err *e) {
    struct gguf *g;
    enum status st = gguf_open_set(&g, path, e);
    return st == ST_OK ? open_gguf(out, eng, g, p, e) : st;
}

enum status cria_vision_open_memory(struct cria_vision **out, struct cria_engine *eng,
                                    const void *data, size_t size, const char *label,
                                    const struct cria_vision_params *p, struct err *e) {
    struct gguf *g;
    enum status st = gguf_open_memory(&g, data, size, label, e);
    return st == ST_OK ? open_gguf(out, eng, g, p, e) : st;
}

const struct cria_vision_info *cria_vision_info(const struct cria_vision *v) { return &v->info; }

/* ---- encoded pictures -------------------------------------------------------------------------
 */

static void encoded_free(struct encoded *x) {
    for (size_t i = 0; i < x->n_images; i++) mem_free((void *)(uintptr_t)x->images[i].rows);
    mem_free(x->images);
    mem_free(x->marks);
    mem_free(x->parts);
    mem_free(x);
}

/* lock held */
static void drop_user(struct encoded *x) {
    if (x != NULL && --x->users == 0) encoded_free(x);
}

void cria_encoded_release(struct cria_vision *v, const struct cria_encoded *enc) {
    if (enc == NULL) return;
    pthread_mutex_lock(&v->lock);
    drop_user((struct encoded *)(uintptr_t)enc); /* pub is its first member */
    pthread_mutex_unlock(&v->lock);
}

void cria_vision_close(struct cria_vision *v) {
    if (v == NULL) return;
    for (int i = 0; i < N_KEPT; i++) drop_user(v->kept[i]);
    projector_free(v->p);
    pthread_mutex_destroy(&v->lock);
    pthread_mutex_destroy(&v->encoding);
    mem_free(v);
}

/* A kept picture, moved to the front; NULL. */
static struct encoded *find_kept(struct cria_vision *v, const unsigned char *key, uint64_t domain) {
    struct encoded *found = NULL;
    pthread_mutex_lock(&v->lock);
    for (int i = 0; i < N_KEPT && v->kept[i] != NULL && found == NULL; i++) {
        if (v->kept[i]->domain != domain || memcmp(v->kept[i]->key, key, DIGEST_BYTES) != 0)
            continue;
        found = v->kept[i];
        memmove(v->kept + 1, v->kept, (size_t)i * sizeof v->kept[0]);
        v->kept[0] = found;
        found->users++;
    }
    pthread_mutex_unlock(&v->lock);
    return found;
}

static void keep(struct cria_vision *v, struct encoded *x) {
    pthread_mutex_lock(&v->lock);
    drop_user(v->kept[N_KEPT - 1]);
    memmove(v->kept + 1, v->kept, (N_KEPT - 1) * sizeof v->kept[0]);
    v->kept[0] = x;
    x->users++;
    pthread_mutex_unlock(&v->lock);
}

/* ---- encoding ---------------------------------------------------------------------------------
 */

/* What makes rows different: the projector with its settings, and the picture. */
static bool picture_key(const struct cria_vision *v, const struct picture *p, size_t tile,
                        unsigned char *key) {
    const uint64_t head[] = {v->serial, (uint64_t)p->w, (uint64_t)p->h, tile};
    struct digest *d = digest_new();
    if (d == NULL) return false;
    digest_update(d, head, sizeof head);
    digest_update(d, p->rgb, (size_t)p->w * (size_t)p->h * 3);
    digest_finish(d, key);
    return true;
}

/* The device between the scheduler's steps, while the picture is wanted. */
struct sharing {
    struct cria_engine *eng;
    const struct cria_vision_stop *stop; /* may be NULL */
};
static bool take_device(void *arg) {
    const struct sharing *s = arg;
    if (s->stop != NULL && s->stop->cancelled(s->stop->arg)) return false;
    step_enter(s->eng);
    return true;
}
static void give_device(void *arg) {
    pthread_mutex_unlock(&((const struct sharing *)arg)->eng->step_lock);
}

static enum status encode_image(struct cria_vision *v, const struct picture *tile, size_t number,
                                const struct cria_vision_stop *stop, struct cria_image *out,
                                struct err *e) {
    const struct projector *p = v->p;
    struct sharing sharing = {v->eng, stop};
    const struct device_turns turns = {take_device, give_device, &sharing};
    float *rows;
    uint32_t n;
    if (!picture_key(v, tile, number, out->key)) return err_no_memory(e);
    pthread_mutex_lock(&v->encoding);
    enum status st = encode_tile(p, tile, &turns, &rows, &n, e);
    pthread_mutex_unlock(&v->encoding);
    if (st != ST_OK) return st;
    out->rows = rows;
    out->n_rows = out->n_positions = n;
    out->n_out = p->n_out;
    out->non_causal = v->info.non_causal;
    if (!p->type->mrope) return ST_OK;
    const uint32_t nx = (uint32_t)tile->w / p->hp.patch / p->hp.merge, ny = n / nx;
    out->nx = nx;
    out->n_positions = nx > ny ? nx : ny;
    return ST_OK;
}

static void add_text(struct encoded *x, const char *text) {
    if (text != NULL) x->parts[x->pub.n_parts++] = (struct cria_picture_part){text, NULL};
}

/* The text in front of image i; i == t->n: behind the last one. */
static const char *text_at(const struct cria_vision *v, const struct tiles *t, struct encoded *x,
                           size_t i) {
    const struct vision_type *type = v->p->type;
    if (type->mark == NULL) return i == 0 ? type->before : i == t->n ? type->after : NULL;
    type->mark(t, i, x->marks[i]);
    return x->marks[i];
}

static enum status encode_tiles(struct cria_vision *v, const struct tiles *t,
                                const struct cria_vision_stop *stop, struct encoded *x,
                                struct err *e) {
    x->images = mem_zalloc(t->n, sizeof *x->images);
    x->parts = mem_zalloc(2 * t->n + 1, sizeof *x->parts);
    x->marks = mem_zalloc(t->n + 1, sizeof *x->marks);
    if (x->images == NULL || x->parts == NULL || x->marks == NULL) return err_no_memory(e);
    x->pub.parts = x->parts;
    for (size_t i = 0; i < t->n; i++) {
        struct cria_image *image = &x->images[i];
        add_text(x, text_at(v, t, x, i));
        enum status st = encode_image(v, &t->at[i], i, stop, image, e);
        if (st != ST_OK) return st;
        x->n_images++;
        x->pub.n_rows += image->n_rows;
        x->parts[x->pub.n_parts++] = (struct cria_picture_part){NULL, image};
    }
    add_text(x, text_at(v, t, x, t->n));
    return ST_OK;
}

enum status cria_vision_encode(struct cria_vision *v, const struct picture *p, uint64_t domain,
                               const struct cria_vision_stop *stop, const struct cria_encoded **out,
                               struct err *e) {
    unsigned char key[DIGEST_BYTES];
    struct tiles tiles = {0};
    if (p->w < 1 || p->h < 1) return err_set(e, ST_INVALID, "the picture is empty");
    if (!picture_key(v, p, 0, key)) return err_no_memory(e);
    struct encoded *x = find_kept(v, key, domain);
    if (x != NULL) {
        *out = &x->pub;
        return ST_OK;
    }
    x = mem_zalloc(1, sizeof *x);
    if (x == NULL) return err_no_memory(e);
    memcpy(x->key, key, sizeof key);
    x->domain = domain;
    x->users = 1;
    enum status st = preprocess(v->p, p, &tiles, e);
    if (st == ST_OK) st = encode_tiles(v, &tiles, stop, x, e);
    tiles_free(&tiles);
    if (st != ST_OK) {
        encoded_free(x);
        return st;
    }
    keep(v, x);
    *out = &x->pub;
    return ST_OK;
}

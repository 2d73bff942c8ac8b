/* quantize.c - the work of quantize.h: slices of rows from the mapped source through a team of
 * threads to the writer.
 *
 * A slice is a number of rows whose result fits a buffer of SLICE_BYTES. The workers take rows of
 * it from a counter; each decodes a row to floats, encodes it, and checks what went in and what
 * came out. A row is encoded as a whole (some encoders look at all of it), so the bytes do not
 * depend on slices or threads. The source's pages are given back behind the slice, or the whole
 * model would count as memory in use. */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/team.h"
#include "engine/quantize/quantize.h"

enum {
    SLICE_BYTES = 8 << 20,    /* of the result */
    ROWS_AT_ONCE = 4,         /* rows that a worker takes from the counter */
    FLOATS_BYTES = 512 << 20, /* of all workers' rows: for monstrous rows there are fewer */
    VERSION = 2,              /* general.quantization_version */
};

/* Where the first bad number of a slice is; rows in order, so the message is the same always. */
struct fault {
    _Atomic uint64_t row; /* UINT64_MAX: none */
};

struct job { /* what a slice's workers share */
    const struct quantize_tensor *q;
    uint64_t first, n; /* rows */
    unsigned char *out;
    float *floats; /* [worker][row_floats] */
    size_t row_floats;
    struct fault bad_in, bad_out;
};

struct quantizer {
    const struct gguf *from;
    const struct quantize_params *p;
    struct gguf_writer *w;
    struct team *team;
    unsigned char *out; /* a slice: SLICE_BYTES, or a row if that is more */
    float *floats;
    size_t row_floats;
    uint64_t done, total;
};

static void note_fault(struct fault *f, uint64_t row) {
    uint64_t old = atomic_load(&f->row);
    while (row < old && !atomic_compare_exchange_weak(&f->row, &old, row)) {
    }
}

/* The first of n blocks with a number that is not finite; n if there is none. */
static size_t first_bad_block(enum dtype t, const void *data, size_t n) {
    const struct dtype_info *info = dtype_info(t);
    const unsigned char *p = data;
    if (info->check != NULL) return info->check(data, n * info->elems);
    for (size_t i = 0; t == DT_F64 && i < n; i++, p += 8) /* all bits of the exponent */
        if ((p[7] & 0x7F) == 0x7F && (p[6] & 0xF0) == 0xF0) return i;
    return n;
}

static void encode_row(struct job *j, uint64_t row, float *floats) {
    const struct gguf_tensor *t = j->q->from;
    const struct dtype_info *from = dtype_info(t->type), *to = dtype_info(j->q->type);
    const size_t n = (size_t)t->dim[0], n_in = n / from->elems, n_out = n / to->elems;
    const unsigned char *src = t->data + row * n_in * from->bytes;
    unsigned char *dst = j->out + (row - j->first) * n_out * to->bytes;
    if (first_bad_block(t->type, src, n_in) < n_in) {
        note_fault(&j->bad_in, row);
        return;
    }
    const float *iw = j->q->iw;
    if (iw != NULL) iw += row / (uint64_t)t->dim[1] % (uint64_t)t->dim[2] * n;
    from->decode(src, floats, n);
    to->encode(floats, dst, n, iw);
    if (first_bad_block(j->q->type, dst, n_out) < n_out) note_fault(&j->bad_out, row);
}

static void encode_rows(void *arg, unsigned task, unsigned worker) {
    struct job *j = arg;
    const size_t at = (size_t)task * ROWS_AT_ONCE;
    for (size_t i = at; i < at + ROWS_AT_ONCE && i < j->n; i++)
        encode_row(j, j->first + i, j->floats + worker * j->row_floats);
}

/* ---- slices ---- */

static enum status refuse(const struct quantizer *z, const struct quantize_tensor *q,
                          uint64_t place, const char *place_name, const char *what, struct err *e) {
    return err_set(e, ST_FORMAT, "%s: tensor '%.*s': %s %llu: %s", gguf_label(z->from),
                   (int)q->from->name.len, q->from->name.ptr, place_name, (unsigned long long)place,
                   what);
}

static enum status say(struct quantizer *z, const struct quantize_tensor *q, uint64_t written,
                       struct err *e) {
    char name[64];
    z->done += written;
    if (z->p->progress == NULL) return ST_OK;
    snprintf(name, sizeof name, "%.*s", (int)q->from->name.len, q->from->name.ptr);
    if (z->p->progress(z->p->arg, name, z->done, z->total)) return ST_OK;
    return err_set(e, ST_CANCELLED, "canceled");
}

static enum status convert_slice(struct quantizer *z, struct job *j, size_t out_row,
                                 struct err *e) {
    const size_t in_row = dtype_row_bytes(j->q->from->type, (size_t)j->q->from->dim[0]);
    team_share(z->team, (unsigned)((j->n + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE), encode_rows, j);
    gguf_forget(z->from, j->q->from->data + j->first * in_row, j->n * in_row);
    const uint64_t in = atomic_load(&j->bad_in.row), out = atomic_load(&j->bad_out.row);
    if (in != UINT64_MAX) return refuse(z, j->q, in, "row", "holds a number that is not finite", e);
    if (out != UINT64_MAX)
        return refuse(z, j->q, out, "row", "does not fit the type: its scale overflows", e);
    enum status st = gguf_write_data(z->w, j->out, j->n * out_row, e);
    return st == ST_OK ? say(z, j->q, j->n * out_row, e) : st;
}

static enum status convert_tensor(struct quantizer *z, const struct quantize_tensor *q,
                                  struct err *e) {
    const size_t out_row = dtype_row_bytes(q->type, (size_t)q->from->dim[0]);
    if (q->size == 0) return ST_OK; /* a dimension is 0: also, perhaps, the length of a row */
    const uint64_t n_rows = q->size / out_row;
    const uint64_t at_once = out_row < SLICE_BYTES ? SLICE_BYTES / out_row : 1;
    struct job j = {.q = q, .out = z->out, .floats = z->floats, .row_floats = z->row_floats};
    atomic_store(&j.bad_in.row, UINT64_MAX);
    atomic_store(&j.bad_out.row, UINT64_MAX);
    enum status st = ST_OK;
    for (; j.first < n_rows && st == ST_OK; j.first += at_once) {
        j.n = n_rows - j.first < at_once ? n_rows - j.first : at_once;
        st = convert_slice(z, &j, out_row, e);
    }
    return st;
}

static enum status copy_tensor(struct quantizer *z, const struct quantize_tensor *q,
                               struct err *e) {
    const struct dtype_info *t = dtype_info(q->type);
    const size_t piece = SLICE_BYTES / t->bytes * t->bytes;
    enum status st = ST_OK;
    for (size_t at = 0; at < q->from->size && st == ST_OK; at += piece) {
        const size_t n = q->from->size - at < piece ? q->from->size - at : piece;
        const size_t bad = first_bad_block(q->type, q->from->data + at, n / t->bytes);
        if (bad < n / t->bytes)
            return refuse(z, q, at / t->bytes + bad, "block", "holds a number that is not finite",
                          e);
        st = gguf_write_data(z->w, q->from->data + at, n, e);
        gguf_forget(z->from, q->from->data + at, n);
        if (st == ST_OK) st = say(z, q, n, e);
    }
    return st;
}

/* ---- metadata ---- */

static void put_pairs(struct gguf_writer *w, const struct quantize_params *p) {
    for (size_t i = 0; i < p->n_pairs; i++) {
        const struct quantize_pair *o = &p->pairs[i];
        if (o->type == GGUF_STRING)
            gguf_put_text(w, o->key, o->text);
        else if (o->type == GGUF_F32)
            gguf_put_f32(w, o->key, o->f);
        else if (o->type == GGUF_BOOL)
            gguf_put_bool(w, o->key, o->i != 0);
        else
            gguf_put_u32(w, o->key, (uint32_t)(o->i < 0 ? -o->i : o->i));
    }
}

static void put_imatrix(struct gguf_writer *w, const struct quantize_params *p) {
    const struct gguf_str dataset = imatrix_dataset(p->imatrix);
    gguf_put_text(w, "quantize.imatrix.file", p->imatrix_file != NULL ? p->imatrix_file : "");
    if (dataset.len != 0) gguf_put_str(w, "quantize.imatrix.dataset", dataset);
    gguf_put_u32(w, "quantize.imatrix.entries_count", (uint32_t)imatrix_count(p->imatrix));
    if (imatrix_chunks(p->imatrix) != 0)
        gguf_put_u32(w, "quantize.imatrix.chunks_count", imatrix_chunks(p->imatrix));
}

static void put_metadata(struct quantizer *z, const struct quantize_plan *plan) {
    struct gguf_writer *w = z->w;
    gguf_put_all(w, z->from);
    static const char *const split[] = {"split.no", "split.count", "split.tensors.count"};
    for (size_t i = 0; i < 3; i++) gguf_drop(w, split[i]);
    gguf_put_u32(w, "general.quantization_version", VERSION);
    if (z->p->ftype != FT_COPY) gguf_put_u32(w, "general.file_type", z->p->ftype);
    put_pairs(w, z->p);
    if (z->p->imatrix != NULL) put_imatrix(w, z->p);
    for (size_t i = 0; i < plan->n; i++) {
        const struct gguf_tensor *t = plan->tensors[i].from;
        gguf_add_tensor(w, t->name, plan->tensors[i].type, t->n_dims, t->dim);
    }
}

/* ---- the whole ---- */

static size_t longest_row(const struct quantize_plan *plan) {
    size_t n = 0;
    for (size_t i = 0; i < plan->n; i++) {
        const struct quantize_tensor *q = &plan->tensors[i];
        if (q->type != q->from->type && q->size != 0 && (size_t)q->from->dim[0] > n)
            n = (size_t)q->from->dim[0];
    }
    return n;
}

/* Room for the largest slice there will be. */
static size_t longest_slice(const struct quantize_plan *plan) {
    size_t n = 0;
    for (size_t i = 0; i < plan->n; i++) {
        const struct quantize_tensor *q = &plan->tensors[i];
        if (q->type == q->from->type || q->size == 0) continue;
        const size_t row = dtype_row_bytes(q->type, (size_t)q->from->dim[0]);
        const size_t most = row > SLICE_BYTES ? row : SLICE_BYTES;
        const size_t slice = q->size < most ? (size_t)q->size : most;
        if (slice > n) n = slice;
    }
    return n;
}

static enum status prepare(struct quantizer *z, const struct quantize_plan *plan, struct err *e) {
    size_t bytes;
    unsigned n = z->p->n_threads != 0 ? z->p->n_threads : os_cpu_count();
    z->row_floats = (longest_row(plan) + 15) / 16 * 16;
    if (!mem_mul(z->row_floats, sizeof(float), &bytes)) return err_no_memory(e);
    if (bytes != 0 && n > FLOATS_BYTES / bytes) n = (unsigned)(FLOATS_BYTES / bytes);
    if (n == 0) n = 1;
    z->out = mem_alloc(longest_slice(plan));
    z->floats = mem_array(z->row_floats * n, sizeof(float));
    if (z->out == NULL || z->floats == NULL) return err_no_memory(e);
    enum status st = team_open(&z->team, n, e);
    return st == ST_OK ? gguf_writer_new(&z->w, e) : st;
}

static enum status write_tensors(struct quantizer *z, const struct quantize_plan *plan,
                                 struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < plan->n && st == ST_OK; i++) {
        const struct quantize_tensor *q = &plan->tensors[i];
        if (q->type == q->from->type)
            st = copy_tensor(z, q, e);
        else
            st = convert_tensor(z, q, e);
    }
    return st == ST_OK ? gguf_write_finish(z->w, e) : st;
}

/* path or sink: one of them. */
static enum status run(const struct gguf *from, const struct quantize_plan *plan,
                       const struct quantize_params *p, const char *path, gguf_sink *sink,
                       void *sink_arg, struct err *e) {
    struct quantizer z = {.from = from, .p = p, .total = plan->data_size};
    enum status st = prepare(&z, plan, e);
    if (st == ST_OK) {
        put_metadata(&z, plan);
        st = path != NULL ? gguf_write_file(z.w, path, e) : gguf_write_to(z.w, sink, sink_arg, e);
    }
    if (st == ST_OK) st = write_tensors(&z, plan, e);
    gguf_writer_free(z.w);
    team_close(z.team);
    mem_free(z.floats);
    mem_free(z.out);
    return st;
}

enum status quantize_file(const struct gguf *from, const struct quantize_plan *plan,
                          const struct quantize_params *p, const char *path, struct err *e) {
    return run(from, plan, p, path, NULL, NULL, e);
}

enum status quantize_to(const struct gguf *from, const struct quantize_plan *plan,
                        const struct quantize_params *p, gguf_sink *sink, void *sink_arg,
                        struct err *e) {
    return run(from, plan, p, NULL, sink, sink_arg, e);
}

static enum status to_nowhere(void *arg, const void *data, size_t n, struct err *e) {
    (void)arg;
    (void)data;
    (void)n;
    (void)e;
    return ST_OK;
}

uint64_t quantize_file_size(const struct gguf *from, const struct quantize_plan *plan,
                            const struct quantize_params *p) {
    struct quantizer z = {.from = from, .p = p};
    uint64_t size = 0;
    if (gguf_writer_new(&z.w, NULL) != ST_OK) return 0;
    put_metadata(&z, plan);
    if (gguf_write_to(z.w, to_nowhere, NULL, NULL) == ST_OK) size = gguf_writer_size(z.w);
    gguf_writer_free(z.w);
    return size;
}

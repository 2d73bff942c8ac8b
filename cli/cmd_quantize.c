/* cmd_quantize.c - a GGUF file in other tensor types. The words and flags are those of the peer's
 * tool. A line for each tensor goes to stderr, the sums to stdout. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_file.h"
#include "cli/terminal.h"
#include "engine/quantize/quantize.h"

struct quantize {
    const struct args *args;
    struct quantize_params p;
    struct quantize_rule *rules;
    struct quantize_pair *pairs;
    char **texts; /* patterns and keys, cut out of the flags */
    size_t n_texts;
    struct gguf *from;
    struct imatrix *imatrix;
    struct quantize_plan plan;
    size_t at; /* tensor whose line was printed last, counted from 1 */
};

/* ---- flags ---- */

static size_t count_values(const struct args *a, const char *flag) {
    size_t n = 0;
    while (args_nth(a, flag, n) != NULL) n++;
    return n;
}

/* A copy of n bytes that lives as long as the command. */
static const char *keep(struct quantize *q, const char *text, size_t n) {
    char *copy = mem_strndup(text, n);
    if (copy != NULL) q->texts[q->n_texts++] = copy;
    return copy;
}

static enum status read_type(const char *flag, const char *text, enum dtype *out, struct err *e) {
    *out = dtype_by_name(text);
    if (*out != DT_COUNT && dtype_info(*out)->encode != NULL) return ST_OK;
    return err_set(e, ST_INVALID, "%s: '%s' is no type that tensors can be written in", flag, text);
}

static enum status read_type_flag(const struct args *a, const char *flag, enum dtype *out,
                                  struct err *e) {
    const char *text = args_text(a, flag, NULL);
    return text != NULL ? read_type(flag, text, out, e) : ST_OK;
}

/* PATTERN=TYPE */
static enum status read_rules(struct quantize *q, struct err *e) {
    const char *text;
    enum status st = ST_OK;
    for (size_t i = 0; (text = args_nth(q->args, "tensor-type", i)) != NULL && st == ST_OK; i++) {
        const char *eq = strrchr(text, '=');
        if (eq == NULL || eq == text)
            return err_set(e, ST_INVALID, "tensor-type: '%s' is not PATTERN=TYPE", text);
        q->rules[i].pattern = keep(q, text, (size_t)(eq - text));
        if (q->rules[i].pattern == NULL) return err_no_memory(e);
        st = read_type("tensor-type", eq + 1, &q->rules[i].type, e);
        q->p.n_rules = i + 1;
    }
    return st;
}

/* KEY=int:1, KEY=float:1.5, KEY=bool:true, KEY=str:text */
static enum status read_pair(struct quantize *q, const char *text, struct quantize_pair *out,
                             struct err *e) {
    const char *eq = strchr(text, '='), *colon = eq != NULL ? strchr(eq, ':') : NULL;
    char *end = NULL;
    bool ok = colon != NULL && eq != text;
    const char *value = ok ? colon + 1 : "";
    const size_t n = ok ? (size_t)(colon - eq - 1) : 0;
    if (ok && n == 3 && memcmp(eq + 1, "int", n) == 0) {
        out->type = GGUF_I64;
        out->i = strtoll(value, &end, 10);
        ok = *value != '\0' && *end == '\0' && out->i >= -(int64_t)UINT32_MAX &&
             out->i <= (int64_t)UINT32_MAX;
    } else if (ok && n == 5 && memcmp(eq + 1, "float", n) == 0) {
        out->type = GGUF_F32;
        out->f = strtof(value, &end);
        ok = *value != '\0' && *end == '\0';
    } else if (ok && n == 4 && memcmp(eq + 1, "bool", n) == 0) {
        out->type = GGUF_BOOL;
        out->i = strcmp(value, "true") == 0;
        ok = out->i != 0 || strcmp(value, "false") == 0;
    } else if (ok && n == 3 && memcmp(eq + 1, "str", n) == 0) {
        out->type = GGUF_STRING;
        out->text = value;
    } else {
        ok = false;
    }
    if (!ok)
        return err_set(e, ST_INVALID,
                       "override-kv: '%s' is not KEY=TYPE:VALUE (int, float, bool, str)", text);
    out->key = keep(q, text, (size_t)(eq - text));
    return out->key != NULL ? ST_OK : err_no_memory(e);
}

static enum status read_pairs(struct quantize *q, struct err *e) {
    const char *text;
    enum status st = ST_OK;
    for (size_t i = 0; (text = args_nth(q->args, "override-kv", i)) != NULL && st == ST_OK; i++) {
        st = read_pair(q, text, &q->pairs[i], e);
        q->p.n_pairs = i + 1;
    }
    return st;
}

static enum status read_threads(struct quantize *q, struct err *e) {
    char *end;
    if (q->args->n_words < 4) return ST_OK;
    const long n = strtol(q->args->words[3], &end, 10);
    if (*end != '\0' || !isdigit((unsigned char)q->args->words[3][0]) || n > 1024)
        return err_set(e, ST_INVALID, "'%s' is no number of threads", q->args->words[3]);
    q->p.n_threads = (unsigned)n;
    return ST_OK;
}

static enum status read_flags(struct quantize *q, struct err *e) {
    const struct args *a = q->args;
    const size_t n_rules = count_values(a, "tensor-type"), n_pairs = count_values(a, "override-kv");
    q->p = quantize_default_params(ftype_parse(a->words[2]));
    if (ftype_name(q->p.ftype) == NULL)
        return err_set(e, ST_INVALID, "invalid quantization type '%s'", a->words[2]);
    q->rules = mem_zalloc(n_rules + 1, sizeof *q->rules);
    q->pairs = mem_zalloc(n_pairs + 1, sizeof *q->pairs);
    q->texts = mem_zalloc(n_rules + n_pairs + 1, sizeof(char *));
    if (q->rules == NULL || q->pairs == NULL || q->texts == NULL) return err_no_memory(e);
    q->p.rules = q->rules;
    q->p.pairs = q->pairs;
    q->p.pure = args_bool(a, "pure");
    q->p.leave_output = args_bool(a, "leave-output-tensor");
    q->p.allow_requantize = args_bool(a, "allow-requantize");
    enum status st = read_threads(q, e);
    if (st == ST_OK) st = read_rules(q, e);
    if (st == ST_OK) st = read_pairs(q, e);
    if (st == ST_OK) st = read_type_flag(a, "token-embedding-type", &q->p.token_embedding_type, e);
    return st == ST_OK ? read_type_flag(a, "output-tensor-type", &q->p.output_tensor_type, e) : st;
}

/* ---- what is shown ---- */

static const struct quantize_tensor *find(const struct quantize *q, const char *name) {
    for (size_t i = 0; i < q->plan.n; i++) {
        const struct gguf_str s = q->plan.tensors[i].from->name;
        if (s.len == strlen(name) && memcmp(s.ptr, name, s.len) == 0) return &q->plan.tensors[i];
    }
    return NULL;
}

static void print_tensor(const struct quantize *q, const struct quantize_tensor *t) {
    char shape[96] = "";
    size_t n = 0;
    for (uint32_t d = 0; d < t->from->n_dims; d++)
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%lld", d > 0 ? " " : "",
                              (long long)t->from->dim[d]);
    fprintf(stderr, "[%4zu/%4zu] %-40.*s [%s] %s", (size_t)(t - q->plan.tensors) + 1, q->plan.n,
            (int)t->from->name.len, t->from->name.ptr, shape, dtype_info(t->from->type)->name);
    if (t->type != t->from->type)
        fprintf(stderr, " -> %s%s%s", dtype_info(t->type)->name, t->fell_back ? " (fallback)" : "",
                t->iw != NULL ? " (imatrix)" : "");
    fputc('\n', stderr);
}

static bool progress(void *arg, const char *name, uint64_t done, uint64_t total) {
    struct quantize *q = arg;
    const struct quantize_tensor *t = find(q, name);
    (void)done;
    (void)total;
    if (t != NULL && (size_t)(t - q->plan.tensors) + 1 != q->at) {
        q->at = (size_t)(t - q->plan.tensors) + 1;
        print_tensor(q, t);
    }
    return !terminal_interrupted();
}

static void note(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

static enum status print_sums(const struct quantize *q, double seconds, struct err *e) {
    struct buf out = {0};
    const uint64_t count = gguf_parameter_count(q->from);
    const double mib = 1024 * 1024, n = count != 0 ? (double)count : 1;
    buf_printf(&out, "model size  %10.2f MiB (%.2f bits per weight)\n",
               (double)q->plan.source_size / mib, 8 * (double)q->plan.source_size / n);
    buf_printf(&out, "quant size  %10.2f MiB (%.2f bits per weight)\n",
               (double)q->plan.data_size / mib, 8 * (double)q->plan.data_size / n);
    if (q->plan.n_fallback != 0)
        buf_printf(&out, "%zu of %zu tensors needed a fallback type\n", q->plan.n_fallback,
                   q->plan.n);
    if (seconds > 0) buf_printf(&out, "time        %10.2f s\n", seconds);
    return cli_put(&out, e);
}

/* ---- the work ---- */

static enum status check_paths(const char *in, const char *out, struct err *e) {
    struct stat a, b;
    if (stat(in, &a) == 0 && stat(out, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return err_set(e, ST_INVALID, "input and output files are the same");
    return ST_OK;
}

static enum status open_inputs(struct quantize *q, struct err *e) {
    const struct args *a = q->args;
    const char *file = args_text(a, "imatrix", NULL);
    enum status st = check_paths(a->words[0], a->words[1], e);
    if (st == ST_OK) st = model_gguf(&q->from, a->words[0], e);
    if (st == ST_OK && file != NULL) st = imatrix_open(&q->imatrix, file, e);
    q->p.imatrix = q->imatrix;
    q->p.imatrix_file = file;
    return st;
}

static enum status work(struct quantize *q, struct err *e) {
    const double start = os_time_mono();
    const char *path = q->args->words[1];
    enum status st = quantize_plan(&q->plan, q->from, &q->p, e);
    if (st != ST_OK) return st;
    if (args_bool(q->args, "dry-run")) {
        for (size_t i = 0; i < q->plan.n; i++) print_tensor(q, &q->plan.tensors[i]);
        return print_sums(q, 0, e);
    }
    terminal_catch_interrupt();
    st = quantize_file(q->from, &q->plan, &q->p, path, e);
    if (st == ST_CANCELLED) return err_set(e, ST_INVALID, "interrupted: %s was not written", path);
    return st == ST_OK ? print_sums(q, os_time_mono() - start, e) : st;
}

enum status cmd_quantize(const struct args *a, struct err *e) {
    struct quantize q = {.args = a};
    enum status st = read_flags(&q, e);
    q.p.progress = progress;
    q.p.note = note;
    q.p.arg = &q;
    if (st == ST_OK) st = open_inputs(&q, e);
    if (st == ST_OK) st = work(&q, e);
    quantize_plan_free(&q.plan);
    imatrix_close(q.imatrix);
    gguf_close(q.from);
    for (size_t i = 0; i < q.n_texts; i++) mem_free(q.texts[i]);
    mem_free(q.texts);
    mem_free(q.pairs);
    mem_free(q.rules);
    return st;
}

/* modelfile_param.c - see modelfile.h: the types of PARAMETERs, and a Modelfile as the JSON members
 * of a create request. What Go's strconv accepts is what counts (spec/modelfile.md 4). */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/modelfile.h"

static const struct {
    const char *name;
    enum param_type type;
} params[] = {
    {"num_ctx", PARAM_INT},
    {"num_batch", PARAM_INT},
    {"num_gpu", PARAM_INT},
    {"num_thread", PARAM_INT},
    {"draft_num_predict", PARAM_INT},
    {"main_gpu", PARAM_INT},
    {"num_keep", PARAM_INT},
    {"seed", PARAM_INT},
    {"num_predict", PARAM_INT},
    {"top_k", PARAM_INT},
    {"repeat_last_n", PARAM_INT},
    {"temperature", PARAM_FLOAT},
    {"top_p", PARAM_FLOAT},
    {"min_p", PARAM_FLOAT},
    {"typical_p", PARAM_FLOAT},
    {"repeat_penalty", PARAM_FLOAT},
    {"presence_penalty", PARAM_FLOAT},
    {"frequency_penalty", PARAM_FLOAT},
    {"top_n_sigma", PARAM_FLOAT},
    {"dynatemp_range", PARAM_FLOAT},
    {"dynatemp_exponent", PARAM_FLOAT},
    {"xtc_probability", PARAM_FLOAT},
    {"xtc_threshold", PARAM_FLOAT},
    {"dry_multiplier", PARAM_FLOAT},
    {"dry_base", PARAM_FLOAT},
    {"dry_allowed_length", PARAM_INT},
    {"dry_penalty_last_n", PARAM_INT},
    {"dry_sequence_breakers", PARAM_STRINGS},
    {"adaptive_target", PARAM_FLOAT},
    {"adaptive_decay", PARAM_FLOAT},
    {"min_keep", PARAM_INT},
    {"samplers", PARAM_STRINGS},
    {"ignore_eos", PARAM_BOOL},
    {"use_mmap", PARAM_BOOL},
    {"stop", PARAM_STRINGS},
    {"penalize_newline", PARAM_DEPRECATED},
    {"low_vram", PARAM_DEPRECATED},
    {"f16_kv", PARAM_DEPRECATED},
    {"logits_all", PARAM_DEPRECATED},
    {"vocab_only", PARAM_DEPRECATED},
    {"use_mlock", PARAM_DEPRECATED},
    {"mirostat", PARAM_DEPRECATED},
    {"mirostat_tau", PARAM_DEPRECATED},
    {"mirostat_eta", PARAM_DEPRECATED},
};
enum { N_PARAMS = sizeof params / sizeof *params };

/* Index in params, N_PARAMS if there is none of that name. */
static size_t param_index(const char *name) {
    size_t i = 0;
    while (i < N_PARAMS && strcmp(params[i].name, name) != 0) i++;
    return i;
}

enum param_type modelfile_param_type(const char *name) {
    size_t i = param_index(name);
    return i < N_PARAMS ? params[i].type : PARAM_UNKNOWN;
}

/* ---- values ---- */

static bool parse_int(const char *s, int64_t *out) {
    const char *digits = s + (*s == '+' || *s == '-');
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits)) return false;
    errno = 0;
    long long v = strtoll(s, NULL, 10);
    *out = v;
    return errno == 0;
}

static bool parse_bool(const char *s, bool *out) {
    static const char *const words[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                        "0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < 12; i++) {
        if (strcmp(s, words[i]) != 0) continue;
        *out = i < 6;
        return true;
    }
    return false;
}

/* Passes digits, between any two of which a '_' may stand; their number, or -1 for a '_' elsewhere.
 * prefixed: behind "0x", which counts as a digit before the first '_'. */
static int pass_digits(const char **s, bool hex, bool prefixed) {
    int n = 0;
    bool after_digit = prefixed, open = false; /* open: a '_' waits for its digit */
    for (;; ++*s) {
        unsigned char c = (unsigned char)**s;
        if (c == '_') {
            if (!after_digit) return -1;
            after_digit = false;
            open = true;
        } else if (hex ? isxdigit(c) : isdigit(c)) {
            after_digit = true;
            open = false;
            n++;
        } else {
            return open ? -1 : n;
        }
    }
}

/* Go's grammar of a floating-point number. C's is wider in one place (hex without exponent) and
 * narrower in another (underscores). */
static bool is_float_text(const char *s) {
    if (*s == '+' || *s == '-') s++;
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    if (hex) s += 2;
    int whole = pass_digits(&s, hex, hex), part = 0;
    if (whole >= 0 && *s == '.') {
        s++;
        part = pass_digits(&s, hex, false);
    }
    if (whole < 0 || part < 0 || whole + part == 0) return false;
    if (*s == '\0') return !hex;
    if (tolower((unsigned char)*s) != (hex ? 'p' : 'e')) return false;
    s++;
    if (*s == '+' || *s == '-') s++;
    return pass_digits(&s, false, false) > 0 && *s == '\0';
}

static bool parse_special(const char *s, float *out) {
    bool sign = *s == '+' || *s == '-';
    const char *word = s + sign;
    if (strcasecmp(word, "inf") == 0 || strcasecmp(word, "infinity") == 0)
        *out = *s == '-' ? -INFINITY : INFINITY;
    else if (!sign && strcasecmp(word, "nan") == 0)
        *out = NAN;
    else
        return false;
    return true;
}

static bool parse_float(const char *s, float *out) {
    char plain[256]; /* without underscores; a longer number is refused */
    size_t n = 0;
    if (parse_special(s, out)) return true;
    if (strlen(s) >= sizeof plain || !is_float_text(s)) return false;
    for (; *s != '\0'; s++)
        if (*s != '_') plain[n++] = *s;
    plain[n] = '\0';
    *out = strtof(plain, NULL); /* C locale: see base/README.md */
    return isfinite(*out);      /* too large is an error in Go; too small is zero */
}

/* ---- the parameters object ---- */

struct value {
    const struct modelfile_command *last; /* NULL: not given */
    union {
        int64_t i;
        float f;
        bool b;
    };
};

/* Reads one PARAMETER into its slot; strings are taken from the commands again when written. */
static enum status read_param(const struct modelfile_command *c, struct value slots[N_PARAMS],
                              void (*warn)(void *arg, const char *text), void *arg, struct err *e) {
    size_t i = param_index(c->name);
    if (i == N_PARAMS) return err_set(e, ST_INVALID, "unknown parameter '%s'", c->name);
    struct value *v = &slots[i];
    switch (params[i].type) {
    case PARAM_INT:
        if (!parse_int(c->value, &v->i))
            return err_set(e, ST_INVALID, "invalid int value [%s]", c->value);
        break;
    case PARAM_FLOAT:
        if (!parse_float(c->value, &v->f))
            return err_set(e, ST_INVALID, "invalid float value [%s]", c->value);
        break;
    case PARAM_BOOL:
        if (!parse_bool(c->value, &v->b))
            return err_set(e, ST_INVALID, "invalid bool value [%s]", c->value);
        break;
    case PARAM_DEPRECATED:
        if (warn != NULL) {
            struct err text;
            err_set(&text, ST_INVALID, "parameter %s is deprecated", c->name);
            warn(arg, text.msg);
        }
        return ST_OK;
    case PARAM_STRINGS:
    case PARAM_UNKNOWN:
        break;
    }
    v->last = c;
    return ST_OK;
}

static void put_strings(struct buf *b, const struct modelfile *m, const char *name) {
    buf_chr(b, '[');
    bool first = true;
    for (size_t i = 0; i < m->n_commands; i++) {
        const struct modelfile_command *c = &m->commands[i];
        if (c->kind != MODELFILE_PARAMETER || strcmp(c->name, name) != 0) continue;
        if (!first) buf_chr(b, ',');
        json_put_string(b, c->value, c->len);
        first = false;
    }
    buf_chr(b, ']');
}

static enum status put_float(struct buf *b, float f, struct err *e) {
    if (isfinite(f)) {
        json_put_float(b, f);
        return ST_OK;
    }
    const char *text = isnan(f) ? "NaN" : f < 0 ? "-Inf" : "+Inf";
    return err_set(e, ST_INVALID, "json: unsupported value: %s", text);
}

static enum status put_params(struct buf *b, const struct modelfile *m,
                              const struct value slots[N_PARAMS], struct err *e) {
    enum status st = ST_OK;
    for (size_t i = 0; i < N_PARAMS && st == ST_OK; i++) {
        const struct value *v = &slots[i];
        if (v->last == NULL) continue;
        json_put_key(b, params[i].name);
        switch (params[i].type) {
        case PARAM_INT:
            buf_printf(b, "%lld", (long long)v->i);
            break;
        case PARAM_FLOAT:
            st = put_float(b, v->f, e);
            break;
        case PARAM_BOOL:
            buf_str(b, v->b ? "true" : "false");
            break;
        default:
            put_strings(b, m, params[i].name);
            break;
        }
    }
    return st;
}

enum status modelfile_put_parameters(struct buf *b, const struct modelfile *m,
                                     void (*warn)(void *arg, const char *text), void *arg,
                                     struct err *e) {
    struct value slots[N_PARAMS] = {0};
    enum status st = ST_OK;
    for (size_t i = 0; i < m->n_commands && st == ST_OK; i++)
        if (m->commands[i].kind == MODELFILE_PARAMETER)
            st = read_param(&m->commands[i], slots, warn, arg, e);
    bool any = false;
    for (size_t i = 0; i < N_PARAMS; i++) any |= slots[i].last != NULL;
    if (st != ST_OK || !any) return st;
    buf_chr(b, '{');
    st = put_params(b, m, slots, e);
    buf_chr(b, '}');
    if (st == ST_OK && b->failed) st = err_no_memory(e);
    return st;
}

/* ---- semantic versions ---- */

/* A number without leading zeros; false if there is none. */
static bool take_number(const char **s) {
    size_t n = strspn(*s, "0123456789");
    if (n == 0 || (n > 1 && **s == '0')) return false;
    *s += n;
    return true;
}

/* Dot-separated identifiers; numeric ones of a pre-release may not begin with 0. */
static bool take_identifiers(const char **s, bool prerelease) {
    for (;;) {
        size_t n = 0;
        bool numeric = true;
        for (; isalnum((unsigned char)(*s)[n]) || (*s)[n] == '-'; n++)
            numeric = numeric && isdigit((unsigned char)(*s)[n]);
        if (n == 0 || (prerelease && numeric && n > 1 && **s == '0')) return false;
        *s += n;
        if (**s != '.') return true;
        ++*s;
    }
}

bool modelfile_is_semver(const char *text) {
    const char *s = text + (*text == 'v');
    for (int i = 0; i < 3; i++) {
        if (i > 0 && *s++ != '.') return false;
        if (!take_number(&s)) return false;
        if (*s == '\0') return true;
    }
    if (*s == '-') {
        s++;
        if (!take_identifiers(&s, true)) return false;
    }
    if (*s == '+') {
        s++;
        if (!take_identifiers(&s, false)) return false;
    }
    return *s == '\0';
}

/* ---- the create request ---- */

/* `"key":"value"` of the last such command; nothing if there is none or it is empty. */
static void put_last(struct buf *b, const struct modelfile *m, enum modelfile_kind kind,
                     const char *key) {
    const struct modelfile_command *c = modelfile_last(m, kind);
    if (c == NULL || c->len == 0) return;
    json_put_key(b, key);
    json_put_string(b, c->value, c->len);
}

static void put_license(struct buf *b, const struct modelfile_command *c) {
    json_put_string(b, c->value, c->len);
}

static void put_message(struct buf *b, const struct modelfile_command *c) {
    buf_chr(b, '{');
    json_put_field(b, "role", c->name);
    json_put_key(b, "content");
    json_put_string(b, c->value, c->len);
    buf_chr(b, '}');
}

/* `"key":[...]` of all such commands; nothing if there are none. */
static void put_list(struct buf *b, const struct modelfile *m, enum modelfile_kind kind,
                     const char *key, void (*put)(struct buf *, const struct modelfile_command *)) {
    if (modelfile_last(m, kind) == NULL) return;
    json_put_key(b, key);
    buf_chr(b, '[');
    bool first = true;
    for (size_t i = 0; i < m->n_commands; i++) {
        if (m->commands[i].kind != kind) continue;
        if (!first) buf_chr(b, ',');
        put(b, &m->commands[i]);
        first = false;
    }
    buf_chr(b, ']');
}

static enum status put_requires(struct buf *b, const struct modelfile *m, struct err *e) {
    const struct modelfile_command *c = modelfile_last(m, MODELFILE_REQUIRES);
    if (c == NULL) return ST_OK;
    if (!modelfile_is_semver(c->value))
        return err_set(e, ST_INVALID, "requires must be a valid semver (e.g. 0.14.0)");
    json_put_field(b, "requires", c->value + (*c->value == 'v'));
    return ST_OK;
}

enum status modelfile_put_request(struct buf *b, const struct modelfile *m,
                                  void (*warn)(void *arg, const char *text), void *arg,
                                  struct err *e) {
    struct buf parameters = {0};
    put_last(b, m, MODELFILE_TEMPLATE, "template");
    put_last(b, m, MODELFILE_SYSTEM, "system");
    put_list(b, m, MODELFILE_LICENSE, "license", put_license);
    enum status st = modelfile_put_parameters(&parameters, m, warn, arg, e);
    if (st == ST_OK && parameters.len != 0) {
        json_put_key(b, "parameters");
        buf_add(b, parameters.data, parameters.len);
    }
    buf_free(&parameters);
    put_list(b, m, MODELFILE_MESSAGE, "messages", put_message);
    put_last(b, m, MODELFILE_RENDERER, "renderer");
    put_last(b, m, MODELFILE_PARSER, "parser");
    if (st == ST_OK) st = put_requires(b, m, e);
    if (st == ST_OK && b->failed) st = err_no_memory(e);
    return st;
}

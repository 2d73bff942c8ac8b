/* jinja_impl.h - what the files of api/jinja share; nobody else includes it.
 *
 * A template's way:  text -(lex.c)-> tokens -(parse.c, parse_expr.c)-> tree.
 * A prompt's way:    JSON -(value.c)-> values; tree + values -(exec.c, expr.c)-> text. Filters,
 * tests, methods and functions are rows of tables, one file each; print.c turns values into text.
 *
 * Memory: the tree lives in the template's arena, values in the arena of one rendering; nothing is
 * freed piece by piece. A struct jx belongs to one thread. Functions that can fail return false and
 * have set the error of their struct jx. */
#ifndef CRIA_API_JINJA_IMPL_H
#define CRIA_API_JINJA_IMPL_H

#include "api/jinja/jinja.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/unused.h"

enum {
    JINJA_MAX_BYTES = 1 << 20, /* of template text; the largest seen in the wild is 35 KB */
    JINJA_MAX_NESTING = 200,   /* of the tree: two for each level of parentheses */
};

/* A borrowed piece of text, not NUL-terminated. */
struct jtext {
    const char *p;
    size_t n;
};
bool jtext_is(struct jtext t, const char *s);

/* ---- tokens (lex.c) ---- */

enum jtoken_kind {
    JT_EOF,
    JT_DATA, /* text to print as it is */
    JT_PRINT_BEGIN,
    JT_PRINT_END,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_NAME,
    JT_INT,
    JT_FLOAT,
    JT_STRING, /* text: the value, escapes done */
    JT_OP,     /* text: the operator's characters */
};
struct jtoken {
    enum jtoken_kind kind;
    uint32_t line;
    struct jtext s;
    union {
        int64_t i;
        double f;
    };
};
struct jtokens {
    struct jtoken *at; /* owned (mem_free); the last is JT_EOF */
    size_t n, cap;
};
enum status jinja_lex(struct arena *a, struct jtext source, struct jtokens *out, struct err *e);

/* ---- values (value.c) ---- */

enum jkind {
    J_UNDEFINED, /* s, n: what to say when it is used */
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STRING,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_NAMESPACE,
    J_LOOP,
    J_MACRO,
    J_FUNCTION,
    J_METHOD,
    J_CYCLER,
    J_JOINER,
};
enum { JFLAG_SAFE = 1, JFLAG_GROUP = 2 }; /* an escaped string; a (grouper, list) of groupby */

struct jv {
    uint8_t kind, flag;
    uint32_t n; /* bytes of a string */
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        struct jlist *list; /* also tuples */
        struct jdict *dict; /* also namespaces */
        struct jloop *loop;
        struct jmacro *macro;
        const struct jfunction *function;
        struct jmethod *method;
        struct jcycler *cycler; /* also joiners */
    };
};
struct jlist {
    struct jv *at;
    size_t n, cap;
    bool shared; /* a slice sees these elements: they are copied before they change */
};
struct jentry {
    struct jv key, value;
    uint64_t hash;
};
struct jdict { /* in order of insertion */
    struct jentry *at;
    size_t n, cap;
    uint32_t *slot; /* NULL while small; else a hash table of indexes + 1 */
    size_t n_slots;
};
struct jcycler {
    struct jv *item;
    size_t n, pos;
};

/* ---- the tree ---- */

enum jnode_kind {
    /* expressions */
    JN_CONST,
    JN_NAME,   /* id */
    JN_LIST,   /* list */
    JN_TUPLE,  /* list */
    JN_DICT,   /* list: key, value, key, value */
    JN_ATTR,   /* a . text */
    JN_ITEM,   /* a [ b ] */
    JN_SLICE,  /* a [ list: from, to, step; NULL if absent ] */
    JN_CALL,   /* a ( args ) */
    JN_FILTER, /* a | row, args */
    JN_TEST,   /* a is row, args */
    JN_UNARY,  /* op a */
    JN_BINARY, /* a op b */
    JN_AND,
    JN_OR,
    JN_NOT,
    JN_COMPARE, /* a op b op ...: list: operands; ops in text */
    JN_CONCAT,  /* list */
    JN_COND,    /* a if b else c (c may be NULL) */
    /* statements */
    JN_TEXT,
    JN_PRINT,        /* a */
    JN_BODY,         /* list */
    JN_IF,           /* if a: b, else c */
    JN_FOR,          /* for list in a if b: body, else c; id of loop; flag: recursive */
    JN_SET,          /* a := b */
    JN_SET_BLOCK,    /* a := body through filter chain b (JN_FILTER over JN_CAPTURED) */
    JN_CAPTURED,     /* the text of the block around, in a filter chain */
    JN_MACRO,        /* text name, id; params */
    JN_CALL_BLOCK,   /* a: the call, b: the macro */
    JN_FILTER_BLOCK, /* a: filter chain, body */
    JN_WITH,         /* list: target, value, ...; body */
    JN_BREAK,
    JN_CONTINUE,
};

struct jnode {
    uint8_t kind, flag;
    char op; /* + - * / d(//) % p(**) and comparisons: = ! < > l g i n */
    uint32_t line, id;
    uint32_t n; /* of list */
    int method; /* JN_ATTR: first row of the method table with this name; -1 */
    struct jnode *a, *b, *c, *body;
    struct jnode **list;
    struct jargs_node *args;
    const void *row; /* JN_FILTER, JN_TEST: of their tables; NULL: unknown, fails when used */
    struct jtext text;
    struct jv value;
};
struct jargs_node { /* of a call, or the parameters of a macro */
    struct jnode **pos;
    size_t n;
    struct jtext *kw_name;
    struct jnode **kw;
    size_t n_kw;
    struct jnode *star, *star_star; /* *args, **kwargs */
};
struct jparams {
    uint32_t *id;
    struct jtext *name;
    struct jnode **fallback; /* NULL: none */
    size_t n;
};
struct jmacro {
    struct jtext name;
    const struct jparams *params;
    const struct jnode *body;
    struct jframe *frame; /* where it was made */
    bool uses_varargs, uses_kwargs;
};

struct jinja {
    struct arena arena;
    struct map names; /* identifier -> id */
    struct jtext *name;
    uint32_t n_names, cap_names;
    uint32_t id_loop, id_caller, id_varargs, id_kwargs;
    bool own;
    const struct jnode *body;
};

/* ---- parsing ---- */

struct jparser {
    struct jinja *t;
    const struct jtoken *at;
    unsigned depth, conditional;
    struct err *e;
    bool failed;
};
/* These return NULL (or false) with the error set (parser.c, parse_expr.c). */
struct jnode *jparse_no_memory(struct jparser *p); /* NULL */
struct jnode *jparse_fail(struct jparser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct jnode *jnode_new(struct jparser *p, enum jnode_kind kind);
uint32_t jparse_name_id(struct jparser *p, struct jtext name);
struct jnode *jparse_expression(struct jparser *p, bool with_cond);
/* One expression, or several with commas as a tuple. */
struct jnode *jparse_tuple(struct jparser *p, bool with_cond);
struct jnode *jparse_target(struct jparser *p, bool with_namespace);
struct jnode *jparse_filters(struct jparser *p, struct jnode *in, bool first_bare);
bool jparse_is_op(const struct jparser *p, const char *op);
bool jparse_is_name(const struct jparser *p, const char *name);
bool jparse_take_op(struct jparser *p, const char *op);
bool jparse_take_name(struct jparser *p, const char *name);
bool jparse_expect_op(struct jparser *p, const char *op);
struct jlist_builder {
    struct jnode **at;
    size_t n, cap;
};
bool jbuilder_add(struct jparser *p, struct jlist_builder *b, struct jnode *node);
struct jnode *jparse_template(struct jparser *p); /* parse.c */

/* ---- running ---- */

struct jvar {
    uint32_t id;
    struct jv value;
};
struct jframe {
    struct jframe *parent; /* NULL: the top, whose variables are x->top[id] */
    struct jvar *var;
    uint32_t n, cap;
};
struct jloop {
    const struct jv *item;
    size_t n, index;
    unsigned depth;
    struct jv changed;
    bool has_changed;
    const struct jnode *recursive; /* NULL: not callable */
    struct jframe *frame;
};
/* A long text with room behind it: templates build prompts by appending to one variable. */
struct jtail {
    char *p;
    size_t n, cap;
};

enum { JX_TAILS = 4 };

struct jx {
    const struct jinja *t;
    const struct jinja_limits *limits;
    struct arena arena;
    struct jv *top; /* [n_names] */
    struct jframe *frame;
    struct buf *out;
    struct jv captured;
    struct jtail tail[JX_TAILS];
    struct jlist up, down; /* 0, 1, 2, ... and ..., 2, 1, 0: ranges are pieces of these */
    uint64_t fuel;
    unsigned depth, loop_depth;
    uint32_t line;
    int64_t now;
    struct err *e;
    bool failed;
};
struct jargs {
    struct jv *pos;
    size_t n;
    struct jtext *kw_name;
    struct jv *kw;
    size_t n_kw;
};

bool jx_fail(struct jx *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool jx_no_memory(struct jx *x);
bool jx_burn(struct jx *x, size_t bytes);            /* fuel for work on so many bytes */
void *jx_alloc(struct jx *x, size_t n, size_t size); /* zeroed; NULL: failed */
/* A copy of a text as a value. */
bool jx_string(struct jx *x, const char *s, size_t n, struct jv *out);
bool jx_string_buf(struct jx *x, struct buf *b, struct jv *out); /* frees *b */

static inline struct jv jv_none(void) { return (struct jv){.kind = J_NONE}; }
static inline struct jv jv_bool(bool b) { return (struct jv){.kind = J_BOOL, .b = b}; }
static inline struct jv jv_int(int64_t i) { return (struct jv){.kind = J_INT, .i = i}; }
static inline struct jv jv_float(double f) { return (struct jv){.kind = J_FLOAT, .f = f}; }
static inline struct jv jv_text(const char *s, size_t n) {
    return (struct jv){.kind = J_STRING, .n = (uint32_t)n, .s = s};
}
static inline struct jtext jv_str(struct jv v) { return (struct jtext){v.s, v.n}; }
static inline bool jv_is_seq(struct jv v) { return v.kind == J_LIST || v.kind == J_TUPLE; }
static inline bool jv_is_number(struct jv v) {
    return v.kind == J_INT || v.kind == J_FLOAT || v.kind == J_BOOL;
}

bool jv_from_json(struct jx *x, const json *j, struct jv *out);
const char *jv_type_name(struct jv v); /* Python's: "str" */
bool jv_truth(struct jv v);
double jv_double(struct jv v); /* of a number */
bool jv_equal(struct jv a, struct jv b, unsigned depth);
/* -1, 0, 1; false: not comparable (error set). */
bool jv_order(struct jx *x, struct jv a, struct jv b, const char *op, int *out);
bool jv_list(struct jx *x, enum jkind kind, size_t cap, struct jv *out);
bool jv_push(struct jx *x, struct jlist *l, struct jv v);
bool jv_dict(struct jx *x, size_t cap, struct jv *out);
bool jv_put(struct jx *x, struct jdict *d, struct jv key, struct jv value);
const struct jv *jv_get(const struct jdict *d, struct jv key); /* NULL: absent */
const struct jv *jv_get_text(const struct jdict *d, struct jtext key);
void jv_remove(struct jdict *d, size_t i);
/* The elements of anything iterable as a list. */
bool jv_iterate(struct jx *x, struct jv v, struct jlist **out);
bool jv_length(struct jx *x, struct jv v, size_t *out);
bool jv_contains(struct jx *x, struct jv item, struct jv in, bool *out);
bool jv_undefined(struct jx *x, struct jv *out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* print.c */
bool jv_put_str(struct jx *x, struct buf *b, struct jv v);  /* as {{ }} prints it */
bool jv_put_repr(struct jx *x, struct buf *b, struct jv v); /* as inside of a list */
bool jv_to_text(struct jx *x, struct jv v, struct jtext *out);
void jinja_put_float(struct buf *b, double f);

/* json.c: values as JSON, as Python's json.dumps writes it and as Go does. */
struct jjson_style {
    const char *item, *key; /* separators */
    int indent;             /* < 0: none */
    bool sort;              /* keys of every object */
    bool ascii;             /* Python: nothing else */
    bool go, escape;        /* as Go writes it; <, >, & as \u escapes */
};
bool jv_put_json(struct jx *x, struct buf *b, struct jv v, const struct jjson_style *s,
                 unsigned depth);
/* The entries by key, bytewise; as they are if a key is no string. NULL: failed. */
struct jentry *jdict_sorted(struct jx *x, const struct jdict *d);

/* text.c: code points and white space. */
size_t jtext_chars(struct jtext t);                  /* code points */
size_t jtext_offset(struct jtext t, size_t n_chars); /* bytes of the first n code points */
struct jtext jtext_strip(struct jtext t, const char *chars, size_t n_chars, bool left, bool right);
uint32_t junicode_upper(uint32_t cp);
enum jcase { JCASE_UPPER, JCASE_LOWER, JCASE_TITLE, JCASE_CAPITALIZE, JCASE_SWAP };
bool jtext_case(struct jx *x, struct jtext t, enum jcase c, struct jv *out);
bool jtext_replace(struct jx *x, struct jtext t, struct jtext from, struct jtext to, int64_t max,
                   struct jv *out);
bool jtext_format(struct jx *x, struct jtext fmt, const struct jv *arg, size_t n, struct jv *out);

/* expr.c, exec.c */
bool jx_eval(struct jx *x, const struct jnode *n, struct jv *out);
bool jx_attr(struct jx *x, struct jv v, struct jtext name, struct jv *out);
bool jx_item(struct jx *x, struct jv v, struct jv key, struct jv *out);
bool jx_use_undefined(struct jx *x, struct jv v); /* fails with what it says */
bool jx_concat(struct jx *x, struct jtext a, struct jtext b, struct jv *out);
bool jx_negate(struct jx *x, char op, struct jv v, struct jv *out); /* unary + and - */
bool jx_arith(struct jx *x, char op, struct jv a, struct jv b, struct jv *out);
bool jx_call_macro(struct jx *x, const struct jmacro *m, struct jargs *a, const struct jv *caller,
                   struct jv *out);
bool jx_call_loop(struct jx *x, struct jloop *l, struct jv items, struct jv *out);
bool jx_args(struct jx *x, const struct jargs_node *n, struct jargs *out);
bool jx_run(struct jx *x); /* the whole template */

/* Argument i, or the keyword; NULL: not given. */
const struct jv *jarg(const struct jargs *a, size_t i, const char *name);
bool jarg_int(struct jx *x, const struct jargs *a, size_t i, const char *name, int64_t fallback,
              int64_t *out);
bool jarg_true(const struct jargs *a, size_t i, const char *name, bool fallback);

/* ---- tables ---- */

typedef bool jfilter_fn(struct jx *x, struct jv in, struct jargs *a, struct jv *out);
#define FILTER(name)                                                                               \
    static bool name(struct jx *x MAYBE_UNUSED, struct jv in MAYBE_UNUSED,                         \
                     struct jargs *a MAYBE_UNUSED, struct jv *out)
struct jfilter {
    const char *name;
    jfilter_fn *fn;
};
const struct jfilter *jfilter_find(struct jtext name, bool own);
bool jx_escape(struct jx *x, struct jv v, struct jv *out); /* the filter `escape` */
bool jfilter_try_attr(struct jx *x, struct jv v, struct jv path, struct jv *out);
const struct jfilter *jfilter_list_find(struct jtext name); /* filter_list.c */
const struct jfilter *jfilter_go_find(struct jtext name);   /* filter_go.c */

struct jtest {
    const char *name;
    bool (*fn)(struct jx *x, struct jv in, struct jargs *a, bool *out);
};
const struct jtest *jtest_find(struct jtext name);

struct jfunction {
    const char *name;
    bool (*fn)(struct jx *x, struct jargs *a, struct jv *out);
};
const struct jfunction *jfunction_at(size_t i); /* NULL behind the last */

struct jmethod_row {
    enum jkind kind;
    const char *name;
    bool (*fn)(struct jx *x, struct jv self, struct jargs *a, struct jv *out);
};
struct jmethod { /* bound */
    const struct jmethod_row *row;
    struct jv self;
};
int jmethod_first(struct jtext name); /* row with this name; -1 */
const struct jmethod_row *jmethod_for(int first, enum jkind kind);

#endif

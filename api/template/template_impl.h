/* template_impl.h - what the files of api/template share; nobody else includes it.
 *
 * A template's way:  text -(lex.c)-> tokens -(parse.c)-> tree -(learn.c)-> what it refers to.
 * A prompt's way:    messages -(data.c)-> values; tree + values -(exec.c, func.c)-> text.
 * value.c knows the types of values; print.c, printf.c and encode.c turn values into text.
 *
 * Memory: tokens and tree live in the template's arena, values in the arena of one execution.
 * Nothing is freed piece by piece. A tree never changes after parsing, so any number of executions
 * may share it; a struct texec belongs to one thread. */
#ifndef CRIA_API_TEMPLATE_IMPL_H
#define CRIA_API_TEMPLATE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/template/template.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

enum {
    TEMPLATE_MAX_BYTES = 1 << 20, /* of template text; the largest seen in the wild is 30 KB */
    TEMPLATE_MAX_NESTING = 250,   /* control structures and parentheses inside each other */
};

/* ---- text ---- */

/* A borrowed piece of text, not NUL-terminated. */
struct text {
    const char *p;
    size_t n;
};

#define TEXT(literal) ((struct text){literal, sizeof(literal) - 1})

bool ttext_equal(struct text a, struct text b);
bool ttext_is(struct text a, const char *s);
int ttext_order(struct text a, struct text b); /* bytewise, as strcmp */
struct text ttext_trim(struct text s);         /* white space off both ends, Unicode's included */

/* ---- tokens (lex.c) ---- */

enum token_kind {
    T_ERROR, /* text: the message */
    T_EOF,
    T_TEXT,
    T_LEFT,
    T_RIGHT,
    T_SPACE,
    T_PIPE,
    T_DECLARE,
    T_ASSIGN,
    T_LPAREN,
    T_RPAREN,
    T_CHAR, /* any other printable character: "," and what is an error everywhere */
    T_BOOL,
    T_CHARCONST,
    T_NUMBER,
    T_STRING,
    T_RAW,
    T_DOT,
    T_FIELD,    /* with its dot */
    T_VARIABLE, /* with its dollar */
    T_IDENT,
    T_NIL,
    T_KEYWORD, /* all below are keywords */
    T_BLOCK,
    T_BREAK,
    T_CONTINUE,
    T_DEFINE,
    T_ELSE,
    T_END,
    T_IF,
    T_RANGE,
    T_TEMPLATE,
    T_WITH,
};

struct token {
    enum token_kind kind;
    uint32_t line; /* where it starts, from 1 */
    struct text s;
};
struct tokens {
    struct token *at; /* owned (mem_free); the last one is T_EOF or T_ERROR */
    size_t n, cap;
};

/* Only memory can fail: lexical errors are tokens, reported when the parser gets there. */
enum status template_lex(struct arena *a, struct text source, struct tokens *out, struct err *e);

/* ---- values (value.c) ---- */

enum value_kind {
    V_NIL,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_COMPLEX,
    V_STRING,
    V_BYTES, /* kept as the base64 text it came in; see tvalue_bytes */
    V_LIST,
    V_DICT,
    V_RECORD,
};

struct value {
    enum value_kind kind;
    const struct type *type; /* lists, dicts, records; NULL: []interface {}, map[string]... */
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            double re, im;
        } complex;
        struct text s;
        struct {
            const struct value *item; /* NULL: a nil list */
            size_t n;
        } list;
        const struct dict *dict;   /* NULL: a nil map */
        const struct value *field; /* [type->n_fields] */
    };
};

struct dict_entry {
    struct text key;
    struct value value;
    size_t rank; /* place in the request */
};
struct dict {
    size_t n;
    struct dict_entry *entry; /* by key, bytewise; keys are unique */
    const size_t *order;      /* [n] entries in the order of the request */
};

/* How a type prints with %v: Go's way, as its JSON, or (a property's type) as its only element. */
enum type_show { SHOW_GO, SHOW_JSON, SHOW_SOLE };
struct type_field {
    const char *name; /* in templates */
    const char *key;  /* in JSON */
    bool omit_empty;  /* left out of JSON when empty */
};
struct type {
    const char *name; /* as %T prints it */
    enum type_show show;
    bool pointer;    /* a pointer to the struct: prints "&", compares by address */
    bool keep_order; /* a dict whose JSON keeps the order of the request */
    size_t n_fields;
    const struct type_field *field;
};

extern const struct type ttype_messages, ttype_message, ttype_images, ttype_calls, ttype_call,
    ttype_call_function, ttype_arguments, ttype_tools, ttype_tool, ttype_tool_function,
    ttype_parameters, ttype_properties, ttype_property, ttype_property_list, ttype_property_type,
    ttype_nested_properties, ttype_strings;

struct value tvalue_bool(bool b);
struct value tvalue_int(int64_t i);
struct value tvalue_float(double f);
struct value tvalue_text(struct text s);
struct value tvalue_list(const struct value *item, size_t n, const struct type *type);
struct value tvalue_dict(const struct dict *d, const struct type *type);
struct value tvalue_record(const struct value *field, const struct type *type);

bool tvalue_truth(const struct value *v);
const char *tvalue_type_name(const struct value *v);
/* NULL if the dict has no such key. */
const struct value *tvalue_dict_get(const struct dict *d, struct text key);
/* Sorts entries and drops earlier duplicates; rank must be set. False: no memory. */
bool tvalue_dict_seal(struct arena *a, struct dict *d);
/* The bytes behind a V_BYTES; false: no memory. */
bool tvalue_bytes(struct arena *a, const struct value *v, struct text *out);
size_t tvalue_bytes_len(const struct value *v);

/* ---- literals (literal.c) ---- */

/* Token text to value. False: bad syntax. */
/* to: room for quoted.n bytes (an escape is never shorter than what it stands for). */
bool tliteral_string(struct text quoted, char *to, size_t *n);
bool tliteral_char(struct text quoted, int64_t *out);
/* NULL, or what is wrong. *overflow: an integer above 2^63-1, which fails only when it is used. */
const char *tliteral_number(struct text s, struct value *out, bool *overflow);
/* s in double quotes as Go's %q; ascii: no character above 0x7e stands for itself. */
void tliteral_quote(struct buf *b, struct text s, bool ascii);
void tliteral_quote_char(struct buf *b, int64_t cp, bool ascii);
bool tliteral_is_printable(uint32_t cp);

/* ---- printing (print.c, printf.c, encode.c) ---- */

/* One verb of printf with its flags. */
struct spec {
    uint32_t verb;
    int width, prec; /* -1: not given */
    bool minus, plus, sharp, space, zero;
};
void tvalue_format(struct buf *b, const struct value *v, const struct spec *spec); /* print.c */
void tvalue_print(struct buf *b, const struct value *v);                           /* %v */
void tvalue_json(struct buf *b, const struct value *v);                            /* encode.c */

/* printf (printf.c). Stops early once b is longer than max. */
void tvalue_printf(struct buf *b, struct text format, const struct value *arg, size_t n,
                   size_t max);

/* ---- tree (parse.c) ---- */

/* Where an expression stands in the source; for messages. */
struct span {
    struct text src;
    const char *at; /* what the column counts; >= src.p */
};

enum expr_kind {
    X_CONST,    /* bool, number, string */
    X_OVERFLOW, /* an integer above 2^63-1: fails when it is evaluated */
    X_NIL,
    X_DOT,
    X_FIELD,    /* path, on the dot */
    X_VARIABLE, /* name, path */
    X_FUNCTION,
    X_PIPE,  /* in parentheses */
    X_CHAIN, /* path, on base */
};
struct expr {
    enum expr_kind kind;
    struct span span;
    struct expr *next; /* argument of the same command */
    struct value constant;
    struct text name; /* variable with its dollar */
    const struct func *func;
    const struct pipe *pipe;
    const struct expr *base;
    const struct text *path; /* without dots */
    size_t n_path;
};
struct command {
    struct span span;
    struct expr *args; /* at least one */
    size_t n_args;
    struct command *next;
};
struct pipe {
    struct span span;
    struct text decl[2];
    unsigned n_decl;
    bool assign; /* "=" instead of ":=" */
    struct command *commands;
};

enum node_kind {
    N_TEXT,
    N_ACTION,
    N_IF,
    N_WITH,
    N_RANGE,
    N_TEMPLATE,
    N_BREAK,
    N_CONTINUE,
};
struct node_list {
    struct node *first, *last;
};
struct node {
    enum node_kind kind;
    struct node *next;
    struct text text; /* text; name of a template */
    struct span span;
    const struct pipe *pipe; /* NULL for text, break, continue, and template without argument */
    struct node_list body;
    struct node_list *otherwise; /* NULL: no else */
};
struct definition {
    struct text name;
    struct node_list body;
    struct definition *next;
};

struct template {
    struct arena arena;
    struct text source; /* copied; RESPONSE_ACTION stands behind it */
    struct node_list main;
    struct node_list cut; /* main up to the first response (spec/templates.md 2.4) */
    struct definition *definitions;
    struct text *vars; /* sorted, lower case */
    size_t n_vars;
    const char **var_names; /* the same for outside; NULL-terminated */
    const char *think_open, *think_close, *tool_tag;
    bool tool_round_trip;
};

#define RESPONSE_ACTION "{{ .Response }}"

enum status template_parse_tree(struct template *t, struct err *e);
/* Adds the action {{ .Response }} at the end of main. */
enum status template_append_response(struct template *t, struct err *e);
struct definition *template_definition(const struct template *t, struct text name);

/* learn.c */
enum status template_learn(struct template *t, struct err *e);
enum status template_learn_vars(struct template *t, struct err *e);
/* cut.c */
enum status template_cut(struct template *t, struct err *e);

/* ---- execution (exec.c) ---- */

/* Templates come with models from anywhere; these bound one execution. */
struct template_limits {
    uint64_t fuel;  /* steps, and bytes of text worked on by 64 */
    size_t output;  /* bytes */
    size_t memory;  /* bytes of values made on the way */
    unsigned depth; /* nesting at run time, calls of templates included */
};
extern const struct template_limits template_default_limits;

struct variable {
    struct text name;
    struct value value;
};
enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct texec {
    const struct template *t;
    const struct template_limits *limits;
    struct arena *arena; /* borrowed: values of the data live there too */
    struct buf *out;
    size_t out_start;
    uint64_t fuel;
    unsigned depth;
    bool cut; /* runs t->cut, without definitions */
    enum flow flow;
    struct text name;                   /* of the template being executed; "" for main */
    struct variable *vars;              /* owned */
    size_t n_vars, cap_vars, base_vars; /* base: the "$" of this template */
    struct buf scratch;
    struct err *e; /* never NULL */
};

/* Executes main (or cut) over data and appends to x->out. A struct texec may run several times: the
 * limits hold for all of its runs together. */
enum status texec_run(struct texec *x, const struct value *data, bool cut);
void texec_close(struct texec *x);
/* As template_render, with other limits: for tests. */
enum status template_render_limited(const struct template *t, const struct template_data *data,
                                    const struct template_limits *limits, struct buf *out,
                                    struct err *e);

/* For functions: costs, memory and errors. A function's message gets its context in exec.c. */
enum status texec_spend(struct texec *x, uint64_t steps);
enum status texec_take(struct texec *x, struct value *out); /* scratch becomes a string value */
enum status texec_fail(struct texec *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- functions (func.c) ---- */

typedef enum status func_run(struct texec *x, const struct value *arg, size_t n, struct value *out);
struct func {
    const char *name;
    unsigned min_args;
    bool variadic;
    func_run *run; /* NULL: and, or, which exec.c evaluates step by step */
    bool stop_at;  /* and: stops at the first false argument; or: at the first true one */
};
const struct func *tfunc_find(struct text name);

/* compare.c: eq ne lt le gt ge. */
func_run tfunc_eq, tfunc_ne, tfunc_lt, tfunc_le, tfunc_gt, tfunc_ge;
/* escape.c: html js urlquery. */
func_run tfunc_html, tfunc_js, tfunc_urlquery;
/* Go's Sprint of the arguments into x->scratch. */
enum status tfunc_sprint(struct texec *x, const struct value *arg, size_t n, bool line);

/* ---- data (data.c) ---- */

/* The map of spec/templates.md 2.2 for the messages form or the suffix form; in the arena. */
enum status tdata_messages(struct arena *a, const struct template_data *data, struct value *out,
                           struct err *e);
enum status tdata_suffix(struct arena *a, const struct template_data *data, struct value *out,
                         struct err *e);
struct legacy_turn {
    struct text system, prompt, response;
};
enum status tdata_legacy(struct arena *a, const struct template_data *data,
                         const struct legacy_turn *turn, struct value *out, struct err *e);

/* The normalised messages (2.1). */
struct message {
    struct text role, content;
    const json *source; /* the first of those merged: the other fields are its own */
};
struct conversation {
    struct message *message;
    size_t n;
    struct text system;
};
enum status tdata_collate(struct arena *a, const json *messages, struct conversation *out,
                          struct err *e);
/* Tools as values (tools.c); nil for NULL. */
bool tdata_tools(struct arena *a, const json *tools, struct value *out);
bool tdata_dict(struct arena *a, const json *object, const struct type *type, struct value *out);
struct text tdata_string(const json *j); /* "" if it is not a string */

#endif

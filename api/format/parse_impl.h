/* parse_impl.h - what the parsers share; nobody else includes it.
 *
 * A parser is a machine of states over the held text: step() eats from it and says whether it can
 * go on. family.c holds the machine that most formats share, driven by a table; the others have one
 * of their own. call_*.c turn the inside of a call into name and arguments. */
#ifndef CRIA_API_PARSE_IMPL_H
#define CRIA_API_PARSE_IMPL_H

#include "api/format/parse.h"

struct parser_type {
    struct parser_info info;
    void (*start)(struct parser *p);
    bool (*step)(struct parser *p); /* true: progress was made */
    void (*end)(struct parser *p);  /* NULL: held text is content */
    const struct family *family;
    /* The name and the arguments of the call that is held; NULL: they are not one JSON object. */
    bool (*peek)(const struct parser *p, struct call_head *out);
};
const struct parser_type *
parser_type_find(const char *name); /* parser_types.c; NULL: no such parser */

struct parser {
    const struct parser_type *type;
    const json *tools, *last;
    bool think_set, think, look, prefill;
    int state;
    bool done;        /* no more text will come */
    bool called;      /* a call was made in this feed */
    bool flag;        /* of the machine */
    struct buf held;  /* what is not decided yet */
    struct buf extra; /* of the machine: a name, the text of a call */
    unsigned n_calls;
    struct parser_out *out;
    struct err *e;
    enum status status;
};

#define NOWHERE ((size_t)-1)

bool parser_fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t parser_find(const struct parser *p, const char *tag);
size_t parser_find_at(const struct parser *p, size_t from, const char *tag);
bool parser_starts(const struct parser *p, const char *tag);
/* Bytes that can go out now: all but a suffix that begins one of the tags (NULL-terminated) and,
 * with space, the white space before it. */
size_t parser_free_bytes(const struct parser *p, const char *const *tags, bool space);
/* Eats the first of the tags (NULL-terminated) that the text begins with; its index, or one of: */
enum { TAG_NONE = -1, TAG_WAIT = -2 }; /* TAG_WAIT: it may still become one */
int parser_eat_tag(struct parser *p, const char *const *tags);
/* The first n held bytes; NULL: away. */
void parser_emit(struct parser *p, struct buf *to, size_t n);
void parser_emit_trimmed(struct parser *p, struct buf *to, size_t n);
bool parser_eat_space(struct parser *p); /* true: something else is there */
size_t text_rtrim(const char *s, size_t n);
/* Records a call. args: a JSON object's text; id NULL: a new one. */
void parser_call(struct parser *p, const char *name, size_t n, const char *args, const char *id);

/* ---- values ---- */

const json *tool_find(const json *tools, const char *name, size_t n); /* its "function"; NULL */
/* Appends `raw` as JSON after the types of the tool's parameter. */
void put_typed(struct buf *b, const struct parser *p, const char *tool, size_t n_tool,
               const char *key, const char *raw, size_t n);
void put_json_value(struct buf *b, const json *v); /* numbers in shortest form */
void put_key_n(struct buf *b, const char *key, size_t n);
/* All of text is one JSON value: the tree; else NULL with Go's wording in msg. */
json *json_whole(const char *text, size_t n, struct err *e);
/* balanced_end() of a JSON object or list. */
static inline size_t json_balanced(const char *s, size_t n) {
    return balanced_end(s, n, "{[", "}]");
}
/* A number in JSON's or Python's form; true: appended. */
bool put_number(struct buf *b, const char *s, size_t n);

/* ---- calls: the text inside of the tags; false: the status is set ---- */

bool call_json(struct parser *p, const char *s, size_t n);          /* J1 */
bool call_json_vl(struct parser *p, const char *s, size_t n);       /* J1 of Qwen 3 VL */
bool call_xml(struct parser *p, const char *s, size_t n);           /* X1 */
bool call_glm(struct parser *p, const char *s, size_t n);           /* G1 */
bool call_glm_end(struct parser *p, const char *s, size_t n);       /* G1 that was cut off */
bool call_olmo(struct parser *p, const char *s, size_t n);          /* P1 */
bool call_lfm(struct parser *p, const char *s, size_t n);           /* L1 */
bool call_lfm_bare(struct parser *p, const char *s, size_t n);      /* the same without tags */
bool call_functiongemma(struct parser *p, const char *s, size_t n); /* F1 */
bool call_gemma4(struct parser *p, const char *s, size_t n);
bool step_deepseek_calls(struct parser *p); /* D1, D2 */
bool peek_deepseek(const struct parser *p, struct call_head *out);

/* ---- machines ---- */

struct family {
    enum { /* in thinking, or in content */
           THINK_NEVER,
           THINK_UNLESS_OFF,
           THINK_IF_ON,
           THINK_ALWAYS,
           THINK_LOOK,
           THINK_LOOK_IF_ON
    } start;
    bool not_if_prefill, not_if_tools; /* then content */
    bool look_if_off;                  /* not thinking: look for the opening tag */
    bool optional_open;                /* one leading <think> is dropped */
    bool drop_blank_start;             /* blank pieces before thinking are dropped */
    bool eat_once;   /* white space after thinking goes only as far as it is there already */
    bool until_tool; /* a tool tag ends thinking */
    const char *tool_open, *tool_close;
    bool hold_space;                    /* white space at the end of content waits */
    bool trim_before;                   /* the white space before a tool tag goes */
    bool eat_after;                     /* the white space after a call goes */
    bool eat_pieces;                    /* ... in later pieces, too */
    bool flush;                         /* held content goes out at done */
    const char *drop_open, *drop_close; /* in content; NULL: none */
    bool keep_inside;                   /* ... but what is inside stays */
    bool (*call)(struct parser *p, const char *s, size_t n);
    bool (*call_end)(struct parser *p, const char *s, size_t n); /* at done; NULL: dropped */
    bool (*bare)(struct parser *p, const char *s, size_t n);     /* content at done; NULL */
    bool (*step_calls)(struct parser *p);                        /* in place of call */
};
enum {
    S_THINK_START,
    S_LOOK,
    S_THINK_EAT,
    S_THINK,
    S_THINK_END,
    S_CONTENT,
    S_TOOL,
    S_OWN /* first state of the others */
};
void family_start(struct parser *p);
bool family_step(struct parser *p);
void family_end(struct parser *p);
bool family_peek(const struct parser *p, struct call_head *out);

void ministral_start(struct parser *p);
bool ministral_step(struct parser *p);
bool ministral_peek(const struct parser *p, struct call_head *out);
void gemma4_start(struct parser *p);
bool gemma4_step(struct parser *p);
void laguna_start(struct parser *p);
bool laguna_step(struct parser *p);
void cohere_start(struct parser *p);
bool cohere_step(struct parser *p);
void harmony_start(struct parser *p);
bool harmony_step(struct parser *p);
void harmony_end(struct parser *p);
bool harmony_peek(const struct parser *p, struct call_head *out);
void glimmer_start(struct parser *p);
bool glimmer_step(struct parser *p);
bool passthrough_step(struct parser *p);

#endif

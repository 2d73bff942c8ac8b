/* dialect.h - what the foreign dialects share (spec/api.md 6 to 8).
 *
 * A dialect is a translation: a table of fields, a function that writes the body of the native
 * request that means the same, and a sink that turns pieces into the dialect's answer. JSON to
 * JSON: what the native decoder then checks, checks all dialects. */
#ifndef CRIA_API_DIALECT_H
#define CRIA_API_DIALECT_H

#include "api/generate.h"
#include "api/native.h"
#include "api/server_impl.h"

/* ---- reading a request ---- */

struct dialect_reader {
    enum dialect id;
    const struct fields *fields;
    size_t size; /* of the struct that the fields fill */
    bool chat;   /* translated to /api/chat, else to /api/generate */
    /* Appends the native body. ST_INVALID with the dialect's texts. */
    enum status (*translate)(const void *request, struct buf *out, struct err *e);
};
extern const struct dialect_reader dialect_openai_chat, dialect_completions, dialect_responses,
    dialect_messages, dialect_count_tokens;

struct dialect_request {
    json *root, *native_root; /* what everything else points into */
    struct gen_request gen;
};
/* Body text -> request (d->size bytes, zeroed) and gen_request. ST_DENIED: the name of a cloud
 * model. out is freed by the caller in every case. */
enum status dialect_decode(const struct dialect_reader *d, const char *text, size_t len,
                           void *request, struct dialect_request *out, struct err *e);
void dialect_free(struct dialect_request *r);

/* Reads the body of a call; answers the error itself and returns false. */
bool dialect_read(const struct route_call *c, const struct dialect_reader *d, void *request,
                  struct dialect_request *out);
/* The error of gen_run before anything was sent. */
void dialect_answer_failure(struct http_exchange *x, enum dialect d, const struct gen_failure *f);
/* A number for ids, unique in this server. */
unsigned long dialect_id(const struct route_call *c);

/* ---- writing the native request ---- */

/* The value as it is; nothing if it is absent. */
void put_value(struct buf *b, const char *key, const json *v);
void put_text(struct buf *b, const char *key, const char *text, size_t len);

/* `options` of the native request. Fields that are absent fall back to the request's own `options`
 * (cria takes them from every dialect), then to the dialect's default, then to the model's. */
struct dialect_options {
    const json *options, *temperature, *top_p, *top_k, *seed, *frequency_penalty, *presence_penalty,
        *num_predict, *stop, *logit_bias;
    const char *defaults; /* members, or NULL */
};
void put_options(struct buf *b, const struct dialect_options *o);

/* `think` by the name of an effort; "" gives nothing. ST_INVALID: no such effort. */
enum status put_effort(struct buf *b, const char *effort, struct err *e);

/* Appends an element to a list that is being written: "[" or "," first. */
void add_list(struct buf *list);
/* The function that stands for the peer's built-in search, as an element of `tools`. */
void add_web_search(struct buf *tools);

/* `tools` (a JSON list as text) and `tool_choice`, both left out for TOOLS_NONE. ST_INVALID: a call
 * is required, and there are no tools. */
enum tool_use { TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED, TOOLS_NAMED };
struct tool_choice {
    enum tool_use use;
    const char *name; /* TOOLS_NAMED */
};
enum status put_tools(struct buf *b, const struct buf *tools, const struct tool_choice *c,
                      struct err *e);
/* "auto", "none", "required", {"type":"function","name"} or {.., "function":{"name"}}; absent:
 * auto. ST_INVALID for anything else. */
enum status read_tool_choice(const json *v, struct tool_choice *out, struct err *e);

/* Data of "data:image/png;base64,DATA", borrowed; NULL with e set if it is not one. */
const char *image_data(const char *url, struct err *e);

/* One tool call of a native message: {"id","function":{"index","name","arguments"}}. args NULL: no
 * arguments. */
void put_call(struct buf *b, const char *id, long long index, const char *name, const json *args);

/* ---- reading pieces ---- */

/* p->tool_calls as a list; NULL if there are none. json_free. */
json *piece_calls(const struct gen_piece *p);
struct call { /* one of them */
    const char *id, *name;
    int64_t index;
    struct buf args; /* JSON text */
};
void call_read(struct call *c, const json *v);
void call_free(struct call *c);

#endif

/* parse.h - the output parsers of spec/chat-formats.md 5: from generated text, in pieces of any
 * size, to content, thinking and tool calls.
 *
 * Whatever may be the beginning of a tag is held back until it is decided. The reference loses what
 * is still held when the text ends, and some of its parsers hold nothing and so miss tags that are
 * split over pieces; here all of them hold, and parser_end() hands the rest out. A parser belongs
 * to one generation and one thread. */
#ifndef CRIA_API_PARSE_H
#define CRIA_API_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "api/format/args.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct parser;

struct parser_info {
    const char *name;
    bool tools, thinking;         /* what it supports */
    const char *const *preserved; /* special tokens that must stay text; NULL-terminated */
};
const struct parser_info *parser_info(const char *name); /* NULL: no such parser */
const struct parser_info *parser_info_at(size_t i);      /* NULL behind the last */
/* The tag behind which the format wants a call as {"name", "arguments"} ("<tool_call>", ended by
 * its closing tag); NULL: it writes calls in another way. */
const char *parser_json_tag(const char *name);
/* End of the bracketed text that begins at s[0], strings respected; 0: it is not closed. Only these
 * kinds of brackets count. */
size_t balanced_end(const char *s, size_t n, const char *opening, const char *closing);
/* The text of an object means the same as the arguments of a finished call. */
bool same_arguments(const char *text, const json *finished);
/* Appends a new id of a tool call: "call_" and eight letters or digits. */
void put_call_id(struct buf *b);

struct parser_input {      /* borrowed while the parser lives */
    const json *tools;     /* of the request; NULL: none */
    const json *last;      /* the last message; NULL: none */
    bool think_set, think; /* think: true or any level */
    bool look;             /* not thinking: the model may begin with <think> itself */
};
struct parser_out { /* each call appends */
    struct buf content, thinking;
    struct buf calls; /* {"id":"call_x","function":{"index":0,"name":"f","arguments":{..}}}, ... */
    unsigned n_calls;
};
/* An unknown name is an ST_NOT_FOUND. */
enum status parser_open(struct parser **out, const char *name, const struct parser_input *in,
                        struct err *e);
/* ST_INVALID: the text breaks the format in a way that fails the request. done: with the last
 * piece, or with an empty one after it. */
enum status parser_feed(struct parser *p, const char *text, size_t len, bool done,
                        struct parser_out *out, struct err *e);
/* What is known of the call that is held; false: nothing (yet), or its tool is none of the
 * request's. */
bool parser_peek(const struct parser *p, struct call_head *out);
/* What is still held and is no part of a call. */
void parser_end(struct parser *p, struct parser_out *out);
void parser_free(struct parser *p); /* NULL is fine */
void parser_out_free(struct parser_out *out);

/* Harmony: the name of a tool as the prompt shows it (spec 5.3); both owned by the caller's buf. */
void harmony_tool_name(struct buf *out, const json *tools, size_t index);

#endif

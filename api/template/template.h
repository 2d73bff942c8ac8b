/* template.h - Go templates as model files use them (spec/templates.md 2-3).
 *
 * template_parse() turns text into a tree, template_render() executes it over the data of a prompt.
 * Templates are untrusted programs: parse depth, steps ("fuel") and output are limited. A parsed
 * template never changes and may be used by several threads at once. */
#ifndef CRIA_API_TEMPLATE_H
#define CRIA_API_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct template;

/* Errors: ST_FORMAT with Go's wording ("template: :1: unexpected \"}\" in operand"). */
enum status template_parse(struct template **out, const char *text, size_t len, struct err *e);
void template_free(struct template *t);
/* Which fields the template refers to (spec/templates.md 5.1), lower case: "messages", "tools". */
bool template_uses(const struct template *t, const char *var);
/* The tags around Thinking (spec/templates.md 5.2 "Thinking tags"); NULL if none. */
const char *template_thinking_open(const struct template *t);
const char *template_thinking_close(const struct template *t);
bool template_can_think(const struct template *t); /* both tags are there */
/* What model output starts a tool call with (5.2 "Tool tag"); "{" if the template does not tell. */
const char *template_tool_tag(const struct template *t);
bool template_tool_round_trip(const struct template *t); /* section 1, roundtrip(G) */
/* All of template_uses, sorted, NULL-terminated; borrowed. */
const char *const *template_vars(const struct template *t);

struct template_data {
    const json *messages; /* array of {role, content, thinking?, images?, tool_calls?, tool_name?,
                           * tool_call_id?} as in the API, in order; NULL: none. Collated inside. */
    const json *tools;    /* array as in the API; NULL: none */
    const char *prompt, *suffix; /* both non-empty: the fill-in-the-middle form, messages unused */
    bool think, think_set;
    const char *think_level; /* "" if none */
};
/* Appends the prompt text to *out: with prompt and suffix the form of those two; else the messages
 * form if the template refers to messages; else the legacy form (spec/templates.md 2.4). On failure
 * *out is as before: ST_INVALID with Go's text for run-time errors, ST_LIMIT for fuel and size. */
enum status template_render(const struct template *t, const struct template_data *data,
                            struct buf *out, struct err *e);

/* s in double quotes as Go's %q prints it: also what /api/show shows of texts. */
void template_quote(struct buf *b, const char *s, size_t len);

#endif

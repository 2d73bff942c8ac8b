/* named.h - Go templates that cria itself brings, for models that come without one.
 *
 * The wording is cria's own; the prompts are the well-known ones of each format. A GGUF's Jinja
 * chat template tells by its control tokens which format the model was trained on. The names are
 * those of spec/templates.md 5.5; where the reference measures the distance between texts, cria
 * looks for marks, since it does not carry the texts. */
#ifndef CRIA_API_NAMED_H
#define CRIA_API_NAMED_H

#include <stddef.h>

enum { NAMED_MARKS = 2 };
struct named_template {
    const char *name;
    const char *text;              /* the Go template */
    const char *params;            /* JSON: {"stop":[...]}, as recorded, in that order */
    const char *mark[NAMED_MARKS]; /* all of these (not NULL) occur in the Jinja template */
};

/* The first whose marks all occur; NULL if none fits. */
const struct named_template *named_template_detect(const char *jinja, size_t len);
const struct named_template *named_template_find(const char *name); /* NULL: no such name */
/* i-th template of the table; NULL behind the last. */
const struct named_template *named_template_at(size_t i);

#endif

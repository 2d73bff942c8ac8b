/* check_jinja.h - the Jinja files of a set of templates. */
#ifndef CRIA_GOLDEN_CHECK_JINJA_H
#define CRIA_GOLDEN_CHECK_JINJA_H

#include "golden/check.h"

void check_jinja(struct check *c, const char *dir);
void check_prompts(struct check *c, const char *dir); /* check_prompt.c */
/* The text of jinja_templates/NAME below the set or --base; NULL: not here. mem_free. */
char *check_jinja_text(struct check *c, const char *dir, const char *name, size_t *size);

#endif

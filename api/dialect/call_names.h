/* call_names.h - which tool a result belongs to. Dialects name the call by its id, templates want
 * the tool's name. Ids may come again in later turns: the last call before the result counts. One
 * sort and binary searches, so a body of a million small messages costs no more than reading it. */
#ifndef CRIA_API_CALL_NAMES_H
#define CRIA_API_CALL_NAMES_H

#include <stddef.h>

#include "base/err.h"

struct call_names { /* zeroed: empty */
    struct call_name {
        const char *id, *name; /* borrowed */
        size_t place;
    } *list; /* owned */
    size_t n, cap;
};
/* place: of the message in the conversation; calls are added in rising order. */
enum status call_names_add(struct call_names *c, const char *id, const char *name, size_t place,
                           struct err *e);
void call_names_sort(struct call_names *c); /* after the last one */
/* The tool of the last call with this id before the place; "" if there is none. */
const char *call_names_find(const struct call_names *c, const char *id, size_t place);
void call_names_free(struct call_names *c);

#endif

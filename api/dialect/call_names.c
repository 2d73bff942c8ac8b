/* call_names.c - see call_names.h. */
#include "api/dialect/call_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum status call_names_add(struct call_names *c, const char *id, const char *name, size_t place,
                           struct err *e) {
    if (c->n == c->cap) {
        const size_t cap = 2 * c->cap + 8;
        struct call_name *list = mem_grow(c->list, cap, sizeof *list);
        if (list == NULL) return err_no_memory(e);
        c->list = list;
        c->cap = cap;
    }
    c->list[c->n++] = (struct call_name){id, name, place};
    return ST_OK;
}

static int compare(const void *a, const void *b) {
    const struct call_name *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    if (order != 0) return order;
    return (x->place > y->place) - (x->place < y->place);
}

void call_names_sort(struct call_names *c) {
    if (c->n > 0) qsort(c->list, c->n, sizeof *c->list, compare);
}

const char *call_names_find(const struct call_names *c, const char *id, size_t place) {
    const struct call_name key = {id, "", place};
    size_t low = 0, high = c->n; /* the first that is not before the key */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(&c->list[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && strcmp(c->list[low - 1].id, id) == 0 ? c->list[low - 1].name : "";
}

void call_names_free(struct call_names *c) { mem_free(c->list); }

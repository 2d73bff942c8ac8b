/* list.c - finds the table of an architecture. */
#include <string.h>

#include "engine/convert/arch/tables.h"

static const struct arch_table *const families[] = {
#define FAMILY(name) name##_tables,
#include "engine/convert/arch/list.def"
#undef FAMILY
};

/* Whether `class` stands in the list "A|B|C". */
static bool in_list(const char *list, const char *class) {
    const size_t n = strlen(class);
    for (const char *p = list; p != NULL; p = strchr(p, '|')) {
        if (*p == '|') p++;
        if (strncmp(p, class, n) == 0 && (p[n] == '|' || p[n] == '\0')) return true;
    }
    return false;
}

const struct arch_table *arch_find(struct conversion *c, const char *class) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct arch_table *t = families[i]; t->classes != NULL; t++)
            if (in_list(t->classes, class) && (t->if_field == NULL || cfg_num(c, t->if_field) != 0))
                return t;
    return NULL;
}

const struct arch_table *arch_find_gguf(const char *arch) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct arch_table *t = families[i]; t->classes != NULL; t++)
            if (strcmp(t->arch, arch) == 0) return t;
    return NULL;
}

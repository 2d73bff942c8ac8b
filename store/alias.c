/* alias.c - names that stand for other names: DIR/aliases, a line each, "NAME TARGET" in full.
 * Other programs do not see them; an alias that they should see is a copy (cp), which costs a
 * manifest. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "store/store_impl.h"

enum { ALIASES_MAX_BYTES = 4 << 20, MAX_STEPS = 8 };

static char *read_aliases(const struct store *s) {
    char path[PATH_ROOM], *text = NULL;
    size_t len;
    if (place_path(s, PLACE_ROOT, "aliases", path, NULL) != ST_OK) return NULL;
    return os_file_read(path, ALIASES_MAX_BYTES, &text, &len, NULL) == ST_OK ? text : NULL;
}

/* The next line that is one; NULL: there is none. */
static const char *next_alias(const char *p, struct model_name *alias, struct model_name *target) {
    while (p != NULL && *p != '\0') {
        const size_t n = strcspn(p, "\n"), first = strcspn(p, " \n");
        const bool ok = first + 1 < n && name_parse_n(alias, p, first) &&
                        name_parse_n(target, p + first + 1, n - first - 1);
        p += n + (p[n] == '\n');
        if (ok) return p;
    }
    return NULL;
}

static bool step(const char *text, struct model_name *name) {
    struct model_name alias, target;
    for (const char *p = text; (p = next_alias(p, &alias, &target)) != NULL;)
        if (name_equal(&alias, name)) {
            *name = target;
            return true;
        }
    return false;
}

bool store_alias(struct store *s, struct model_name *name) {
    char *text = read_aliases(s);
    unsigned steps = 0;
    while (steps < MAX_STEPS && step(text, name)) steps++;
    mem_free(text);
    return steps > 0;
}

void store_alias_list(struct store *s,
                      void (*put)(void *arg, const struct model_name *alias,
                                  const struct model_name *target),
                      void *arg) {
    struct model_name alias, target;
    char *text = read_aliases(s);
    for (const char *p = text; (p = next_alias(p, &alias, &target)) != NULL;)
        put(arg, &alias, &target);
    mem_free(text);
}

static enum status check(const char *text, const struct model_name *alias,
                         const struct model_name *target, struct err *e) {
    if (!name_is_valid(alias) || !name_is_valid(target))
        return err_set(e, ST_INVALID, "invalid model name");
    struct model_name at = *target;
    for (unsigned steps = 0; !name_equal(&at, alias); steps++) {
        if (steps == MAX_STEPS) return err_set(e, ST_INVALID, "too many aliases of aliases");
        if (!step(text, &at)) return ST_OK;
    }
    return err_set(e, ST_INVALID, "the alias would stand for itself");
}

static void put_line(struct buf *b, const struct model_name *alias,
                     const struct model_name *target) {
    char left[NAME_TEXT_MAX], right[NAME_TEXT_MAX];
    name_full(alias, left);
    name_full(target, right);
    buf_printf(b, "%s %s\n", left, right);
}

static enum status change(struct store *s, const struct model_name *alias,
                          const struct model_name *target, struct err *e) {
    struct model_name other, its;
    struct buf out = {0};
    char *text = read_aliases(s);
    bool found = false;
    enum status st = target != NULL ? check(text, alias, target, e) : ST_OK;
    for (const char *p = text; st == ST_OK && (p = next_alias(p, &other, &its)) != NULL;) {
        const bool same = name_equal(&other, alias);
        found = found || same;
        if (!same) put_line(&out, &other, &its);
    }
    if (st == ST_OK && target != NULL) put_line(&out, alias, target);
    if (st == ST_OK && target == NULL && !found) {
        char shown[NAME_TEXT_MAX];
        name_shortest(alias, shown);
        st = err_set(e, ST_NOT_FOUND, "alias '%s' not found", shown);
    }
    if (st == ST_OK)
        st = out.failed ? err_no_memory(e)
                        : place_write(s, PLACE_ROOT, "aliases", out.data != NULL ? out.data : "",
                                      out.len, e);
    buf_free(&out);
    mem_free(text);
    return st;
}

enum status store_alias_set(struct store *s, const struct model_name *alias,
                            const struct model_name *target, struct err *e) {
    int token;
    enum status st = store_lock(s, &token, e);
    if (st != ST_OK) return st;
    st = change(s, alias, target, e);
    store_unlock(s, token);
    return st;
}

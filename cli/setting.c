/* setting.c - options of a request given as texts. */
#include "cli/setting.h"

#include <string.h>

#include "base/mem.h"

static enum status put_commands(struct buf *out, struct modelfile_command *list, size_t n,
                                struct err *e) {
    const struct modelfile m = {.commands = list, .n_commands = n};
    return modelfile_put_parameters(out, &m, NULL, NULL, e);
}

/* Whether the value has the type of its name. */
static enum status check(const struct modelfile_command *c, struct err *e) {
    struct buf ignored = {0};
    struct modelfile_command copy = *c;
    enum status st = put_commands(&ignored, &copy, 1, e);
    buf_free(&ignored);
    return st;
}

static enum status append(struct setting_list *o, const char *name, const char *value,
                          struct err *e) {
    struct modelfile_command *grown = mem_grow(o->list, o->n + 1, sizeof *grown);
    if (grown == NULL) return err_no_memory(e);
    o->list = grown;
    const struct modelfile_command c = {
        .kind = MODELFILE_PARAMETER,
        .name = arena_strndup(&o->arena, name, strlen(name)),
        .value = arena_strndup(&o->arena, value, strlen(value)),
        .len = strlen(value),
    };
    if (c.name == NULL || c.value == NULL) return err_no_memory(e);
    enum status st = check(&c, e);
    if (st == ST_OK) o->list[o->n++] = c;
    return st;
}

static void drop(struct setting_list *o, const char *name, size_t upto) {
    size_t kept = 0;
    for (size_t i = 0; i < o->n; i++)
        if (i >= upto || strcmp(o->list[i].name, name) != 0) o->list[kept++] = o->list[i];
    o->n = kept;
}

enum status setting_set(struct setting_list *o, const char *name, const char *const *values,
                        size_t n, struct err *e) {
    const size_t before = o->n;
    if (modelfile_param_type(name) != PARAM_STRINGS && n > 1) n = 1;
    enum status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) st = append(o, name, values[i], e);
    if (st == ST_OK)
        drop(o, name, before);
    else
        o->n = before;
    return st;
}

enum status setting_add(struct setting_list *o, const char *text, struct err *e) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return err_set(e, ST_INVALID, "invalid option \"%s\": NAME=VALUE is expected", text);
    char name[64] = "";
    const size_t len = (size_t)(equals - text);
    memcpy(name, text, len < sizeof name ? len : sizeof name - 1);
    return append(o, name, equals + 1, e);
}

enum status setting_put(struct buf *out, const struct setting_list *o, struct err *e) {
    return o->n > 0 ? put_commands(out, o->list, o->n, e) : ST_OK;
}

void setting_free(struct setting_list *o) {
    mem_free(o->list);
    arena_free(&o->arena);
    *o = (struct setting_list){0};
}

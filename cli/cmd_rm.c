/* cmd_rm.c - removes models, one after the other; the first failure ends it. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"

static enum status remove_one(struct client *c, const char *model, struct err *e) {
    struct err why = {0};
    const enum status unloaded = client_unload(c, model, &why);
    if (unloaded == ST_CANCELLED) return err_set(e, unloaded, "%s", "");
    if (unloaded != ST_OK && unloaded != ST_NOT_FOUND)
        fprintf(stderr, "Warning: unable to stop model '%s'\n", model);
    enum status st = client_model(c, "DELETE", "/api/delete", model, e);
    if (st == ST_OK) printf("deleted '%s'\n", model);
    return st;
}

enum status cmd_rm(const struct args *a, struct err *e) {
    struct client *c = NULL;
    enum status st = client_open(&c, NULL, e);
    for (size_t i = 0; i < a->n_words && st == ST_OK; i++) st = remove_one(c, a->words[i], e);
    client_close(c);
    return st;
}

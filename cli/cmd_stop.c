/* cmd_stop.c - unloads a running model. */
#include "cli/cli.h"
#include "cli/client.h"

enum status cmd_stop(const struct args *a, struct err *e) {
    struct client *c = NULL;
    struct err why = {0};
    enum status st = client_open(&c, NULL, e);
    if (st != ST_OK) return st;
    st = client_unload(c, a->words[0], &why);
    if (st == ST_NOT_FOUND)
        err_set(e, st, "couldn't find model \"%s\" to stop", a->words[0]);
    else if (st != ST_OK)
        err_set(e, st, "%s", why.msg);
    client_close(c);
    return st;
}

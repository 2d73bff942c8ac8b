/* cmd_push.c - a model to a registry, through the server (spec/cli.md 2). */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/statuses.h"
#include "cli/terminal.h"
#include "store/name.h"

enum status cmd_push(const struct args *a, struct err *e) {
    struct client *c = NULL;
    struct model_name name;
    struct err why = {0};
    char shortest[NAME_TEXT_MAX];
    terminal_catch_interrupt();
    enum status st = client_open(&c, NULL, e);
    if (st != ST_OK) return st;
    st = statuses_model(c, "/api/push", a->words[0], args_bool(a, "insecure"), &why);
    client_close(c);
    if (st == ST_DENIED || (st != ST_OK && strstr(why.msg, "access denied") != NULL))
        return err_set(e, ST_DENIED,
                       "you are not authorized to push to this namespace, create the model under a "
                       "namespace you own");
    if (st != ST_OK) return err_set(e, st, "%s", why.msg);
    name_parse(&name, a->words[0]);
    name_shortest(&name, shortest);
    bool ours = strcmp(name.host, NAME_DEFAULT_HOST) != 0;
    printf("\nYou can find your model at:\n\n\t%s%s\n", ours ? "" : "https://ollama.com/",
           shortest);
    return ST_OK;
}

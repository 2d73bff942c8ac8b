/* cmd_connect.c - shows how another program is set up: only prints, changes nothing. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/connect.h"
#include "cli/host.h"
#include "cli/table.h"

static void put_list(struct buf *out) {
    struct table t = {0};
    table_row(&t);
    table_cell(&t, "CLIENT");
    table_cell(&t, "PROGRAM");
    for (size_t i = 0; i < connect_n_clients; i++) {
        table_row(&t);
        table_cell(&t, connect_clients[i].name);
        table_cell(&t, connect_clients[i].title);
    }
    table_print(out, &t, "", true);
    table_free(&t);
}

/* The first model of the server that is there; mem_free. NULL: none. */
static char *first_model(void) {
    struct client *c = NULL;
    json *reply = NULL;
    char *name = NULL;
    if (client_open(&c, NULL, NULL) == ST_OK &&
        client_json(c, "/api/tags", NULL, &reply, NULL) == ST_OK) {
        const char *text = json_string(json_get(json_first(json_get(reply, "models")), "name"));
        if (text != NULL) name = mem_strdup(text);
    }
    json_free(reply);
    client_close(c);
    return name;
}

enum status cmd_connect(const struct args *a, struct err *e) {
    struct buf out = {0}, url = {0};
    struct host h;
    if (a->n_words == 0) {
        put_list(&out);
        return cli_put(&out, e);
    }
    const struct connect_client *c = NULL;
    for (size_t i = 0; i < connect_n_clients; i++)
        if (strcmp(connect_clients[i].name, a->words[0]) == 0) c = &connect_clients[i];
    if (c == NULL)
        return err_set(e, ST_NOT_FOUND, "unknown client \"%s\": '%s connect' lists them",
                       a->words[0], cli_name());
    char *found = a->n_words > 1 ? NULL : first_model();
    const char *model = a->n_words > 1 ? a->words[1] : found != NULL ? found : "MODEL";
    host_from_env(&h);
    host_put_connectable(&url, &h);
    fprintf(stderr, "# %s\n", c->title);
    if (!url.failed) connect_put(&out, c, url.data, model);
    enum status st = url.failed ? err_no_memory(e) : cli_put(&out, e);
    buf_free(&url);
    buf_free(&out);
    mem_free(found);
    return st;
}

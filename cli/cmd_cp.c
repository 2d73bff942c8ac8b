/* cmd_cp.c - copies a model. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"

enum status cmd_cp(const struct args *a, struct err *e) {
    struct client *c = NULL;
    struct buf body = {0};
    buf_chr(&body, '{');
    json_put_field(&body, "source", a->words[0]);
    json_put_field(&body, "destination", a->words[1]);
    buf_chr(&body, '}');
    const struct client_call call = {.method = "POST", .path = "/api/copy", .body = &body};
    enum status st = body.failed ? err_no_memory(e) : client_open(&c, NULL, e);
    if (st == ST_OK) st = client_call(c, &call, NULL, NULL, e);
    if (st == ST_OK) printf("copied '%s' to '%s'\n", a->words[0], a->words[1]);
    client_close(c);
    buf_free(&body);
    return st;
}

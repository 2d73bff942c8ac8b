/* cmd_pull.c - a model from a registry, through the server (spec/cli.md 2). */
#include "cli/cli.h"
#include "cli/outdated.h"
#include "cli/statuses.h"
#include "cli/terminal.h"

enum status cmd_pull(const struct args *a, struct err *e) {
    struct client *c = NULL;
    const bool all = args_bool(a, "all");
    if (a->n_words != (all ? 0 : 1))
        return err_set(e, ST_INVALID, "accepts %d arg(s), received %zu", all ? 0 : 1, a->n_words);
    terminal_catch_interrupt();
    enum status st = client_open(&c, NULL, e);
    if (st == ST_OK)
        st = all ? outdated_pull_all(a, c, e)
                 : statuses_model(c, "/api/pull", a->words[0], args_bool(a, "insecure"), e);
    client_close(c);
    return st;
}

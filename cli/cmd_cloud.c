/* cmd_cloud.c - commands of the peer that cria has nothing behind: they say so, and what to do
 * instead. */
#include "cli/cli.h"

static enum status no_cloud(struct err *e) {
    return err_set(
        e, ST_UNSUPPORTED,
        "%s has no cloud: there is no account to sign in to or out of, and models run here",
        cli_name());
}

enum status cmd_signin(const struct args *a, struct err *e) {
    (void)a;
    return no_cloud(e);
}

enum status cmd_signout(const struct args *a, struct err *e) {
    (void)a;
    return no_cloud(e);
}

enum status cmd_launch(const struct args *a, struct err *e) {
    (void)a;
    return err_set(
        e, ST_UNSUPPORTED,
        "launch is not supported: '%s connect CLIENT' shows how another program is set up",
        cli_name());
}

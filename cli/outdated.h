/* outdated.h - list --outdated and pull --all. */
#ifndef CRIA_CLI_OUTDATED_H
#define CRIA_CLI_OUTDATED_H

#include "cli/cli.h"
#include "cli/client.h"

enum status outdated_list(const struct args *a, struct err *e);
enum status outdated_pull_all(const struct args *a, struct client *c, struct err *e);

#endif

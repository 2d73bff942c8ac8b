/* private.h - a server for one GGUF file, inside this process (`cria run FILE.gguf`).
 *
 * The file is mapped and given to a store as a built-in model; nothing is imported, and the store's
 * folder is an empty temporary one that is gone before the server starts. The command line then is
 * a client of it like of any other server, so there is one code path. */
#ifndef CRIA_CLI_PRIVATE_H
#define CRIA_CLI_PRIVATE_H

#include "base/err.h"

struct private_server;
enum status private_open(struct private_server **out, const char *path, struct err *e);
const char *private_url(const struct private_server *p);
const char *private_model(const struct private_server *p); /* the name it gave the file */
void private_close(struct private_server *p);              /* NULL is fine */

#endif

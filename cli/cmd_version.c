/* cmd_version.c - the versions of the server and of this program (`--version`). Who calls it
 * "ollama" is a script that wants to know what the API can do, and reads the version of that. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/client.h"

enum status cmd_version(const struct args *a, struct err *e) {
    struct client *c = NULL;
    json *reply = NULL;
    const char *version = NULL;
    const bool ollama = strcmp(cli_name(), "ollama") == 0;
    const char *own = ollama ? CRIA_API_VERSION : CRIA_VERSION;
    (void)a;
    (void)e;
    if (client_open(&c, NULL, NULL) == ST_OK &&
        client_json(c, "/api/version", NULL, &reply, NULL) == ST_OK)
        version = json_string(json_get(reply, "version"));
    /* Servers of this kind tell the version of the API. */
    const bool same = version != NULL && strcmp(version, CRIA_API_VERSION) == 0;
    if (version == NULL)
        printf("Warning: could not connect to a running %s instance\n", ollama ? "Ollama" : "cria");
    else
        printf("%s version is %s\n", cli_name(), same ? own : version);
    if (!same) printf("Warning: client version is %s\n", own);
    json_free(reply);
    client_close(c);
    return ST_OK;
}

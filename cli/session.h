/* session.h - what `run` and its interactive prompt share: the connection, the model, the settings.
 */
#ifndef CRIA_CLI_SESSION_H
#define CRIA_CLI_SESSION_H

#include <stdbool.h>

#include "cli/client.h"
#include "cli/display.h"
#include "cli/setting.h"

struct session {
    struct client *client; /* owned */
    const char *model;     /* borrowed, or owned_model */
    char *owned_model;
    json *shown; /* answer of /api/show; owned */
    struct setting_list options;
    struct buf format;      /* JSON value; empty: none */
    const char *think;      /* JSON value ("true", "\"low\""); NULL: unset. Static. */
    const char *keep_alive; /* text; NULL: unset. borrowed */
    bool verbose, wordwrap, hide_thinking, raw, insecure;
};

/* Reads what the model is. ST_NOT_FOUND: it is not there; then nothing has changed. */
enum status session_show(struct session *s, const char *model, struct err *e);
/* The same; a model that is not there is pulled first. */
enum status session_find(struct session *s, const char *model, struct err *e);
bool session_can(const struct session *s, const char *capability);
/* Sets `think` from "", "true", "low", ...; false: no such value. */
bool session_set_think(struct session *s, const char *value);
/* The members that generate and chat have in common, `{"model":...` first; no closing brace. */
enum status session_put(struct buf *body, const struct session *s, struct err *e);
/* Sends the body (which gets its closing brace) and shows the answer. The answer is the caller's.
 */
enum status session_ask(struct session *s, const char *path, struct buf *body, struct display *a,
                        struct err *e);
/* A request without a prompt: only loads the model. */
enum status session_load(struct session *s, struct err *e);
void session_free(struct session *s);

/* The interactive prompt, until /bye or the end of the input. */
enum status repl_run(struct session *s, struct err *e);

#endif

/* conversation.h - the messages of the interactive prompt, as they are sent with every /api/chat.
 *
 * The JSON text of the list grows with each message; to take messages back it is cut where one of
 * them began. After a failed allocation `json.failed` is set and the list is not used any more. */
#ifndef CRIA_CLI_CONVERSATION_H
#define CRIA_CLI_CONVERSATION_H

#include <stdbool.h>

#include "base/buf.h"

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

struct conversation { /* a zeroed struct is empty */
    struct buf json;  /* objects separated by commas, without brackets */
    struct message {
        enum role role;
        size_t at;  /* where it begins in json, its comma included */
        char *text; /* its content; owned */
    } *list;        /* owned */
    size_t n;
};
/* thinking may be NULL or empty. */
void conversation_add(struct conversation *c, enum role role, const struct buf *content,
                      const struct buf *thinking);
/* Images of the last message: JSON strings of base64 with commas between; nothing if empty. typed:
 * what the user wrote, paths included; it is what the message's text becomes again if it is taken
 * back. */
void conversation_add_images(struct conversation *c, const struct buf *images,
                             const struct buf *typed);
void conversation_cut(struct conversation *c, size_t n); /* keeps the first n */
/* Index of the last message of the role; SIZE_MAX: none. */
size_t conversation_last(const struct conversation *c, enum role role);
void conversation_free(struct conversation *c);

#endif

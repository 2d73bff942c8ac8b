/* key.h - the Ed25519 key that names this machine to registries (spec/store.md 5).
 *
 * Two files in one folder, the forms OpenSSH uses: id_ed25519 (private, mode 0600, without a
 * passphrase) and id_ed25519.pub. They are made when missing and shared with Ollama. */
#ifndef CRIA_STORE_REGISTRY_KEY_H
#define CRIA_STORE_REGISTRY_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { KEY_SEED = 32, KEY_PUBLIC = 32 };

struct key { /* a plain value */
    unsigned char seed[KEY_SEED], public[KEY_PUBLIC];
};

enum status key_from_seed(struct key *k, const unsigned char seed[KEY_SEED], struct err *e);

/* dir NULL: ~/.ollama. Reads the key there, or makes one (*made tells; may be NULL). ST_DENIED: a
 * private key that others can read; ST_FORMAT: not an OpenSSH Ed25519 key without passphrase. */
enum status key_load(struct key *k, const char *dir, bool *made, struct err *e);

/* "ssh-ed25519 BASE64", without a newline. */
void key_public_line(const struct key *k, struct buf *out);
/* The value of an Authorization header that signs the text: "PUBLIC:SIGNATURE", both base64. */
enum status key_sign(const struct key *k, const char *text, struct buf *out, struct err *e);

#endif

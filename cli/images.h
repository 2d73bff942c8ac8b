/* images.h - files that a prompt names: pictures (and sounds) for the model (spec/cli.md 4.4).
 *
 * A path is what looks like one: it begins with a slash, "./" or a drive letter, may hold blanks
 * and shell escapes, and ends in .jpg, .jpeg, .png, .webp or .wav. */
#ifndef CRIA_CLI_IMAGES_H
#define CRIA_CLI_IMAGES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/session.h"

/* Whether the line begins with such a path: then it is no command. */
bool images_begin(const char *line);

/* Takes the paths of files that exist out of the prompt, which is trimmed then, and adds their
 * contents to list: JSON strings of base64, with commas between. Says "Added image 'PATH'" on
 * stderr for each. Paths of no file stay text; so does everything if the model takes neither images
 * nor sounds. ST_INVALID: a file of another type; ST_LIMIT: too large. */
enum status images_take(const struct session *s, struct buf *prompt, struct buf *list,
                        struct err *e);

#endif

/* editor.h - the user's editor for a text (Ctrl-G): the setting editor, $VISUAL, $EDITOR, vi. */
#ifndef CRIA_CLI_EDITOR_H
#define CRIA_CLI_EDITOR_H

#include "base/buf.h"
#include "base/err.h"

/* Replaces the text by what the user left; the newline that editors put at the end goes. The
 * terminal must be as a program expects it. ST_NOT_FOUND: no such editor. The editor may be a
 * command with arguments; the text is in a file of mode 0600 that is gone afterwards. */
enum status editor_edit(struct buf *text, struct err *e);

#endif

/* config_impl.h - what config.c and config_file.c share. */
#ifndef CRIA_BASE_CONFIG_IMPL_H
#define CRIA_BASE_CONFIG_IMPL_H

#include "base/config.h"

/* The file's text of a setting and its line; NULL: the file does not have it. */
const char *config_file_text(enum setting id, unsigned *line);

#endif

/* check_chat.h - what the runners of golden/chat share. */
#ifndef CRIA_GOLDEN_CHECK_CHAT_H
#define CRIA_GOLDEN_CHECK_CHAT_H

#include "golden/check.h"

struct chat_set {
    struct check *c;
    json *conversations; /* owned; NULL: not here */
    json *rows;          /* of the file at hand */
};
const char *chat_string(const json *row, const char *key); /* "" if absent */
/* A row's tools: a list, or the name of one; NULL: none. */
const json *chat_tools(const struct chat_set *s, const json *row);

/* check_parsers.c: a row of each file */
void check_parser_row(struct chat_set *s, const json *row);
void check_parser_info(struct chat_set *s, const json *row);
void check_thinking_row(struct chat_set *s, const json *row);
void check_tool_row(struct chat_set *s, const json *row);

#endif

/* cmd_help.c - help texts and manual pages, all from the tables. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/man.h"

static const char file_page[] = "cria.toml";

/* c NULL: of the configuration file. */
static enum status write_page(const char *dir, const struct command *c, struct err *e) {
    struct buf out = {0}, path = {0};
    if (c == NULL)
        man_config(&out);
    else
        man_command(&out, c);
    if (c == NULL)
        buf_printf(&path, "%s/cria.toml.5", dir);
    else if (c == &cli_commands[CMD_root])
        buf_printf(&path, "%s/cria.1", dir);
    else
        buf_printf(&path, "%s/cria-%s.1", dir, c->name);
    enum status st = out.failed || path.failed
                         ? err_no_memory(e)
                         : os_file_write_atomic(path.data, out.data, out.len, e);
    buf_free(&out);
    buf_free(&path);
    return st;
}

static enum status write_pages(const char *dir, struct err *e) {
    enum status st = os_mkdirs(dir, e);
    for (int i = 0; i < CMD_COUNT && st == ST_OK; i++)
        if (i == CMD_root || (cli_commands[i].shows & HIDDEN) == 0)
            st = write_page(dir, &cli_commands[i], e);
    return st == ST_OK ? write_page(dir, NULL, e) : st;
}

static enum status print_page(const char *topic, struct err *e) {
    struct buf out = {0};
    const struct command *c = topic != NULL ? cli_find(topic) : &cli_commands[CMD_root];
    if (topic != NULL && strcmp(topic, file_page) == 0)
        man_config(&out);
    else if (c != NULL)
        man_command(&out, c);
    else
        return err_set(e, ST_NOT_FOUND, "no manual page for \"%s\"", topic);
    return cli_put(&out, e);
}

enum status cmd_help(const struct args *a, struct err *e) {
    struct buf out = {0};
    const char *topic = a->n_words > 0 ? a->words[0] : NULL, *dir = args_text(a, "man-dir", NULL);
    if (dir != NULL) return write_pages(dir, e);
    if (args_bool(a, "man")) return print_page(topic, e);
    const struct command *c = topic != NULL ? cli_find(topic) : NULL;
    if (c == NULL && topic != NULL) buf_printf(&out, "Unknown help topic `%s`\n", topic);
    if (c != NULL)
        help_command(&out, c);
    else
        help_root(&out);
    return cli_put(&out, e);
}

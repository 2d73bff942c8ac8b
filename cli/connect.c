/* connect.c - see connect.h. */
#include "cli/connect.h"

#include <string.h>

const struct connect_client connect_clients[] = {
#define CLIENT(name, title, text) {name, title, text},
#include "cli/clients.def"
#undef CLIENT
};
const size_t connect_n_clients = sizeof connect_clients / sizeof *connect_clients;

void connect_put(struct buf *out, const struct connect_client *c, const char *url,
                 const char *model) {
    for (const char *s = c->text; *s != '\0';) {
        if (strncmp(s, "{url}", 5) == 0) {
            buf_str(out, url);
            s += 5;
        } else if (strncmp(s, "{v1}", 4) == 0) {
            buf_printf(out, "%s/v1", url);
            s += 4;
        } else if (strncmp(s, "{model}", 7) == 0) {
            buf_str(out, model);
            s += 7;
        } else {
            buf_chr(out, *s++);
        }
    }
}

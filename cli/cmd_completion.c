/* cmd_completion.c - prints a completion script. */
#include <string.h>

#include "cli/cli.h"
#include "cli/completion.h"

enum status cmd_completion(const struct args *a, struct err *e) {
    static const struct {
        const char *name;
        void (*put)(struct buf *out);
    } shells[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(a->words[0], shells[i].name) != 0) continue;
        shells[i].put(&out);
        return cli_put(&out, e);
    }
    return err_set(e, ST_INVALID, "unknown shell \"%s\": bash, zsh and fish are known",
                   a->words[0]);
}

/* gather.h - the files that a Modelfile names (spec/modelfile.md 5). */
#ifndef CRIA_CLI_GATHER_H
#define CRIA_CLI_GATHER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "store/modelfile.h"

enum gather_kind { GATHER_FILES, GATHER_ADAPTERS, GATHER_DRAFTS, GATHER_KINDS };

struct gather_file { /* texts are owned by the arena */
    enum gather_kind kind;
    const char *path;   /* on this disk */
    const char *name;   /* in the request: relative to the files' common directory */
    const char *digest; /* "sha256:..."; set by the caller */
    uint64_t size;
};
struct gather {       /* gather_free */
    const char *from; /* name of a model; NULL: there are files */
    struct gather_file *files;
    size_t n_files;
    struct arena arena;
};
/* dir: the Modelfile's folder. Errors: missing ADAPTER or DRAFT, an empty folder, "insecure path:
 * X", "failed to find user 'X'", "DRAFT must not reference the same local path as FROM: VALUE". */
enum status gather_modelfile(struct gather *g, const struct modelfile *m, const char *dir,
                             struct err *e);
void gather_free(struct gather *g);

#endif

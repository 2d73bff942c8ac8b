/* embed.h - the model inside the binary (demo/README.md). */
#ifndef CRIA_DEMO_EMBED_H
#define CRIA_DEMO_EMBED_H

#include "store/store.h"

/* Static; NULL if this binary was built without demo/cria-tiny.gguf. */
const struct store_builtin *demo_builtin(void);

#endif

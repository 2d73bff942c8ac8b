/* embed.c - puts demo/cria-tiny.* into the binary.
 *
 * .incbin is understood by the assemblers of gcc and clang, takes no time for a file of megabytes,
 * and needs no generated source. Each file gets a NUL behind it (the texts are C strings) and the
 * weights begin at a cache line. CMake defines CRIA_DEMO_DIR if the weights are there, and rebuilds
 * this file when one of the three changes. */
#include "demo/embed.h"

#include <stddef.h>

#ifdef CRIA_DEMO_DIR

#define EMBED(name, file)                                                                          \
    __asm__(".pushsection .rodata\n"                                                               \
            ".balign 64\n"                                                                         \
            ".global " #name "\n"                                                                  \
            ".hidden " #name "\n" #name ":\n"                                                      \
            ".incbin \"" CRIA_DEMO_DIR "/" file "\"\n"                                             \
            ".global " #name "_end\n"                                                              \
            ".hidden " #name "_end\n" #name "_end:\n"                                              \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char name[], name##_end[]

EMBED(cria_demo_gguf, "cria-tiny.gguf");
EMBED(cria_demo_template, "cria-tiny.template");
EMBED(cria_demo_params, "cria-tiny.params");

static struct store_builtin demo = {
    .name = "cria-tiny",
    .gguf = cria_demo_gguf,
    .template = cria_demo_template,
    .params = cria_demo_params,
    .license = "cria-tiny was made by the cria project, weights and training text, and may be used "
               "under the Apache License 2.0.",
};

const struct store_builtin *demo_builtin(void) {
    demo.size = (size_t)(cria_demo_gguf_end - cria_demo_gguf); /* no constant for C */
    return &demo;
}

#else

const struct store_builtin *demo_builtin(void) { return NULL; }

#endif

/* fuzz_modelfile.c - any bytes as a Modelfile.
 *
 * Refused: a code and a message. Accepted: there is a FROM, and every command can be printed. What
 * is printed need not parse to the same: the format has no escapes (store/modelfile.h). */
#include <string.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"
#include "store/modelfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct modelfile m;
    struct err e = {0};
    struct buf text = {0};
    const long live = mem_live();
    if (modelfile_parse(&m, (const char *)data, size, &e) == ST_OK) {
        must(modelfile_last(&m, MODELFILE_FROM) != NULL);
        for (size_t i = 0; i < m.n_commands; i++) {
            must(strlen(m.commands[i].value) == m.commands[i].len); /* no NUL inside */
            must(m.commands[i].line > 0);
        }
        modelfile_print(&text, &m);
        must(!text.failed);
        buf_free(&text);
        modelfile_free(&m);
    } else {
        must(e.code != ST_OK && e.msg[0] != '\0');
    }
    must(mem_live() == live);
    return 0;
}

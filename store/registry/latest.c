/* latest.c - is there a newer one? Asks the registry for the manifest of a stored model. */
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "store/registry/session.h"
#include "store/store_impl.h"

enum { MANIFEST_ANSWER_MAX = 8 << 20 };

/* What a registry gave is stored byte for byte, and registries give no newline at the end; what
 * create writes, ours or Ollama's, ends with one (spec/store.md 2.1). */
bool registry_was_pulled(struct store *s, const struct model_name *name) {
    char *text;
    size_t len;
    int64_t modified;
    if (manifest_read_text(s, name, &text, &len, &modified, NULL) != ST_OK) return false;
    const bool pulled = len > 0 && text[len - 1] != '\n';
    mem_free(text);
    return pulled;
}

enum status registry_latest(const struct model_name *name, const struct registry_options *o,
                            char digest[65], struct err *e) {
    struct session session;
    struct fetch f;
    if (!name_is_valid(name)) return err_set(e, ST_INVALID, "invalid model name");
    enum status st = session_open(&session, name, o, e);
    if (st != ST_OK) return st;
    st = session_request(&session, &f, "GET", e, "manifests/%s", name->tag);
    f.cap = MANIFEST_ANSWER_MAX;
    fetch_header(&f, "Accept: " MANIFEST_MEDIA_TYPE);
    if (st == ST_OK) st = session_run(&session, &f, NULL, e);
    if (st == ST_OK && f.code != 200)
        st = err_set(e, ST_UNAVAILABLE, "unexpected status %ld for the manifest", f.code);
    if (st == ST_OK) st = digest_of(f.answer.data, f.answer.len, digest, e);
    fetch_free(&f);
    session_close(&session);
    return st;
}

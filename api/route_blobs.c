/* route_blobs.c - HEAD and POST /api/blobs/:digest (spec/api.md 5.9): files on their way into the
 * store. The body goes to the disk as it comes; its length is bounded by the disk alone. */
#include "api/server_impl.h"
#include "base/mem.h"
#include "store/store.h"

route_fn route_blob_head, route_blob_post;

enum { STEP = 1 << 16 };

void route_blob_head(const struct route_call *c) {
    enum status st = store_blob_stat(c->server->store, c->param, NULL, NULL);
    http_answer(c->x, answer_status(st), st == ST_OK ? NULL : TYPE_JSON_UTF8, NULL, 0);
}

static enum status receive(struct http_exchange *x, struct store_upload *u, struct err *e) {
    char *data = mem_alloc(STEP);
    size_t got = 1;
    enum status st = data == NULL ? err_no_memory(e) : ST_OK;
    while (st == ST_OK && got > 0) {
        st = http_read(x, data, STEP, &got, e);
        if (st == ST_OK && got > 0) st = store_blob_write(u, data, got, e);
    }
    mem_free(data);
    return st;
}

static enum status upload(const struct route_call *c, const char *digest, struct err *e) {
    struct store_upload *u;
    enum status st = store_blob_begin(c->server->store, &u, e);
    if (st != ST_OK) return st;
    st = receive(c->x, u, e);
    if (st == ST_OK) return store_blob_commit(u, digest, NULL, e);
    store_blob_abort(u);
    http_close_after(c->x); /* the rest of the body is on its way */
    return st;
}

void route_blob_post(const struct route_call *c) {
    char digest[STORE_DIGEST_TEXT];
    struct err e;
    int status = 201;
    enum status st = store_digest_parse(c->param, digest, &e);
    if (st == ST_OK) {
        st = store_blob_stat(c->server->store, digest, NULL, &e);
        if (st == ST_OK)
            status = 200;
        else if (st == ST_NOT_FOUND)
            st = upload(c, digest, &e);
    }
    if (st == ST_OK)
        http_answer(c->x, status, NULL, NULL, 0);
    else
        answer_err(c->x, DIALECT_NATIVE, &e);
}

/* content.c - see content.h. */
#include "store/registry/content.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

enum { FIRST_CONNECTIONS = 4, MAX_CONNECTIONS = 16 };
static const double ramp_seconds = 2, patience_seconds = 30;

/* ---- finding the content ---- */

enum status content_look(struct content *c, struct err *e) {
    struct fetch f;
    enum status st = session_request(c->session, &f, "HEAD", e, "blobs/%s", c->digest);
    if (st == ST_OK) st = session_run(c->session, &f, NULL, e);
    if (st == ST_OK && f.code == 200 && f.content_length >= 0 &&
        (uint64_t)f.content_length != c->parts->total)
        st = err_set(e, ST_FORMAT, "%s: the manifest says %llu bytes, the registry has %lld",
                     c->digest, (unsigned long long)c->parts->total, (long long)f.content_length);
    fetch_free(&f);
    return st;
}

/* GET without a range: a redirect to another host tells where the content is; an answer with the
 * content is read if it is the whole of a single part that was not begun. */
static enum status resolve_at(struct content *c, char *url, char **next, struct err *e) {
    struct fetch f;
    struct transfer t = {.of = c};
    enum status st = session_request_url(c->session, &f, "GET", url, e);
    bool fresh = c->parts->n == 1 && atomic_load(&c->parts->part[0].done) == 0;
    f.sink = transfer_bytes;
    f.arg = &t;
    t.done_at_start = fresh ? 0 : 1; /* else: stop at the first byte */
    struct err mine;
    if (st == ST_OK) st = session_run(c->session, &f, NULL, &mine);
    if (st != ST_OK && f.code / 100 == 2 && t.no_ranges) st = ST_OK;
    if (st != ST_OK) {
        bool kept = f.code / 100 == 2 && t.io_error == 0 && !f.over && st == ST_UNAVAILABLE;
        st = kept              ? ST_OK /* a cut: the parts go on from there */
             : t.io_error != 0 ? transfer_write_failed(&t, e)
             : f.over ? err_set(e, ST_FORMAT, "%s: the registry sends more than %llu bytes",
                                c->digest, (unsigned long long)c->parts->total)
                      : err_set(e, st, "%s", mine.msg);
    }
    if (st == ST_OK && f.code / 100 == 3) {
        st = fetch_redirect(&f, next, e);
    } else if (st == ST_OK) {
        mem_free(c->direct);
        c->direct = mem_strdup(f.url);
        if (c->direct == NULL) st = err_no_memory(e);
    }
    fetch_free(&f);
    return st;
}

enum status content_resolve(struct content *c, struct err *e) {
    struct buf first = {0};
    buf_printf(&first, "%s/blobs/%s", c->session->base, c->digest);
    char *url = buf_take(&first);
    for (int i = 0; i <= FETCH_MAX_REDIRECTS; i++) {
        char *next = NULL;
        enum status st = resolve_at(c, url, &next, e); /* takes url */
        if (st != ST_OK || next == NULL) return st;
        if (!fetch_is_own(&c->session->policy, next)) {
            mem_free(c->direct);
            c->direct = next;
            return ST_OK;
        }
        url = next;
    }
    mem_free(url);
    return err_set(e, ST_FORMAT, "stopped after %d redirects", FETCH_MAX_REDIRECTS);
}

enum status content_patiently(struct content *c, content_step *step, struct err *e) {
    double end = os_time_mono() + patience_seconds;
    for (unsigned n = 1;; n++) {
        enum status st = step(c, e);
        if (st != ST_UNAVAILABLE || os_time_mono() > end || atomic_load(c->cancel)) return st;
        unsigned ms = n * n * 10 < 10000 ? n * n * 10 : 10000;
        for (unsigned i = 0; i < ms / 10 && !atomic_load(c->cancel); i++) usleep(10000);
    }
}

/* ---- the event loop ---- */

static enum status start_some(struct content *c, unsigned most, struct err *e) {
    unsigned active = 0;
    double now = os_time_mono();
    for (unsigned i = 0; i < c->parts->n; i++) active += c->transfer[i].active;
    for (unsigned i = 0; i < c->parts->n && active < most; i++) {
        struct transfer *t = &c->transfer[i];
        if (t->active || atomic_load(&c->parts->part[i].done) == c->parts->part[i].size) continue;
        if (t->not_before > now) continue;
        enum status st = transfer_begin(t, c->direct, e);
        if (st != ST_OK) return st;
        active++;
    }
    return ST_OK;
}

static enum status new_transfers(struct content *c, struct err *e) {
    mem_free(c->transfer);
    c->transfer = mem_zalloc(c->parts->n + 1, sizeof *c->transfer);
    if (c->transfer == NULL) return err_no_memory(e);
    for (unsigned i = 0; i < c->parts->n; i++)
        c->transfer[i] = (struct transfer){.of = c, .part = i};
    return ST_OK;
}

/* One turn of the loop: start, wait, take in what ended. */
static enum status turn(struct content *c, unsigned most, struct err *e) {
    int running, left;
    enum status st = start_some(c, most, e);
    if (st != ST_OK) return st;
    curl_multi_perform(c->multi, &running);
    for (CURLMsg *m; st == ST_OK && (m = curl_multi_info_read(c->multi, &left)) != NULL;) {
        struct transfer *t = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        for (unsigned i = 0; i < c->parts->n; i++)
            if (c->transfer[i].active && c->transfer[i].fetch.curl == m->easy_handle)
                t = &c->transfer[i];
        if (t != NULL) st = transfer_finish(t, m->data.result, e);
    }
    if (st == ST_OK) curl_multi_poll(c->multi, NULL, 0, PULL_TICK_MS, NULL);
    return st;
}

static enum status load(struct content *c, struct err *e) {
    double begun = os_time_mono();
    enum status st = new_transfers(c, e);
    while (st == ST_OK && parts_done(c->parts) < c->parts->total) {
        if (atomic_load(c->cancel)) return err_set(e, ST_CANCELLED, "cancelled");
        if (atomic_load(&c->keeper->failed)) return ST_OK; /* its error is told */
        unsigned most = FIRST_CONNECTIONS;
        most += (unsigned)((os_time_mono() - begun) / ramp_seconds) * FIRST_CONNECTIONS;
        st = turn(c, most < MAX_CONNECTIONS ? most : MAX_CONNECTIONS, e);
        if (st == ST_OK && c->restart) return st;
        if (st == ST_OK && c->resolve_again) {
            c->resolve_again = false;
            st = content_patiently(c, content_resolve, e);
        }
    }
    return st;
}

enum status content_load(struct content *c, struct err *e) {
    const enum status st = load(c, e);
    for (unsigned i = 0; c->transfer != NULL && i < c->parts->n; i++) transfer_end(&c->transfer[i]);
    return st;
}

enum status content_open(struct content *c, struct err *e) {
    c->multi = curl_multi_init();
    return c->multi != NULL ? ST_OK : err_no_memory(e);
}

void content_close(struct content *c) {
    curl_multi_cleanup(c->multi);
    mem_free(c->transfer);
    mem_free(c->direct);
}

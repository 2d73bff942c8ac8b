/* call_parts.c - see call_parts.h. */
#include "api/call_parts.h"

#include <string.h>

#include "api/format/parse.h"

void parts_feed(struct call_parts *c, const char *text, size_t len) {
    if (c->open) args_text_feed(&c->args, text, len);
}

static bool is_sent(const struct call_parts *c, const json *call) {
    const json *f = json_get(call, "function");
    const char *name = json_string(json_get(f, "name"));
    return name != NULL && c->args.ended && !c->args.text.failed && !c->name.failed &&
           strcmp(name, c->name.data) == 0 &&
           same_arguments(c->args.text.data, json_get(f, "arguments"));
}

enum status parts_settle(struct call_parts *c, struct buf *calls, struct err *e) {
    struct buf text = {0};
    c->seen = false;
    if (!c->open || calls->len == 0) return ST_OK;
    buf_printf(&text, "[");
    buf_add(&text, calls->data, calls->len);
    buf_chr(&text, ']');
    json *list =
        text.failed ? NULL : json_parse(text.data, text.len, &json_default_limits, NULL, NULL);
    enum status st = ST_OK;
    if (list == NULL)
        st = err_no_memory(e);
    else if (!is_sent(c, json_first(list)))
        st = err_set(e, ST_INVALID, "tool call '%.200s' is malformed: it is not what was streamed",
                     c->name.failed ? "" : c->name.data);
    buf_clear(calls);
    for (const json *m = list == NULL ? NULL : json_next(json_first(list)); m != NULL;
         m = json_next(m)) {
        if (calls->len > 0) buf_chr(calls, ',');
        json_print(calls, m);
    }
    c->over = true;
    json_free(list);
    buf_free(&text);
    return st;
}

static void begin(struct call_parts *c, const struct call_head *head) {
    buf_clear(&c->name);
    buf_clear(&c->id);
    buf_add(&c->name, head->name, head->name_len);
    put_call_id(&c->id);
    buf_clear(&c->args.text);
    c->args = (struct args_text){.text = c->args.text};
    c->index = head->index;
    c->sent = 0;
    c->open = true;
    args_text_feed(&c->args, head->raw, head->raw_len);
    args_text_feed(&c->args, head->raw_more, head->raw_more_len);
}

void parts_look(struct call_parts *c, const struct call_head *head) {
    struct args_text first = {0};
    if (c->open) return;
    if (head != NULL) {
        args_text_feed(&first, head->raw, head->raw_len);
        args_text_feed(&first, head->raw_more, head->raw_more_len);
    }
    const bool going = head != NULL && !first.ended;
    if (going && c->seen) begin(c, head);
    c->seen = going;
    args_text_free(&first);
}

bool parts_next(struct call_parts *c, bool cut, struct gen_part *out) {
    const size_t from = c->sent;
    if (!c->open) return false;
    if (!cut && !c->over && from == c->args.ready) return false;
    *out = (struct gen_part){.id = c->id.data,
                             .name = c->name.data,
                             .index = c->index,
                             .args = c->args.text.data,
                             .from = from,
                             .to = c->args.ready,
                             .end = c->over ? PART_LAST
                                    : cut   ? PART_CUT
                                            : PART_MORE};
    c->sent = c->args.ready;
    if (out->end != PART_MORE) c->open = c->over = false;
    return true;
}

bool parts_failed(const struct call_parts *c) {
    return c->name.failed || c->id.failed || c->args.text.failed;
}

void parts_free(struct call_parts *c) {
    buf_free(&c->name);
    buf_free(&c->id);
    args_text_free(&c->args);
}

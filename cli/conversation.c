/* conversation.c - see conversation.h. */
#include "cli/conversation.h"

#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"

void conversation_add(struct conversation *c, enum role role, const struct buf *content,
                      const struct buf *thinking) {
    static const char *const name[] = {"system", "user", "assistant"};
    const char *text = content->data != NULL ? content->data : "";
    struct message *grown = mem_grow(c->list, c->n + 1, sizeof *grown);
    if (grown != NULL) c->list = grown;
    char *copy = grown != NULL ? mem_strndup(text, content->len) : NULL;
    if (copy == NULL) {
        c->json.failed = true;
        return;
    }
    c->list[c->n++] = (struct message){role, c->json.len, copy};
    if (c->n > 1) buf_chr(&c->json, ',');
    buf_chr(&c->json, '{');
    json_put_field(&c->json, "role", name[role]);
    json_put_key(&c->json, "content");
    json_put_string(&c->json, text, content->len);
    if (thinking != NULL && thinking->len > 0) {
        json_put_key(&c->json, "thinking");
        json_put_string(&c->json, thinking->data, thinking->len);
    }
    buf_chr(&c->json, '}');
}

void conversation_add_images(struct conversation *c, const struct buf *images,
                             const struct buf *typed) {
    if (images->len == 0 || c->n == 0 || c->json.failed) return;
    char *copy = mem_strndup(typed->data, typed->len);
    if (copy == NULL) {
        c->json.failed = true;
        return;
    }
    mem_free(c->list[c->n - 1].text);
    c->list[c->n - 1].text = copy;
    buf_cut(&c->json, c->json.len - 1); /* the message's brace */
    buf_str(&c->json, ",\"images\":[");
    buf_add(&c->json, images->data, images->len);
    buf_str(&c->json, "]}");
}

void conversation_cut(struct conversation *c, size_t n) {
    if (n >= c->n) return;
    buf_cut(&c->json, c->list[n].at);
    while (c->n > n) mem_free(c->list[--c->n].text);
}

size_t conversation_last(const struct conversation *c, enum role role) {
    for (size_t i = c->n; i-- > 0;)
        if (c->list[i].role == role) return i;
    return SIZE_MAX;
}

void conversation_free(struct conversation *c) {
    conversation_cut(c, 0);
    mem_free(c->list);
    buf_free(&c->json);
    *c = (struct conversation){.n = 0};
}

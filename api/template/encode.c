/* encode.c - values as JSON text, as Go's encoder writes them (spec/templates.md 2.3). */
#include <assert.h>
#include <inttypes.h>

#include "api/template/template_impl.h"

/* What Go's "omitempty" leaves out. */
static bool is_empty(const struct value *v) {
    if (v->kind == V_RECORD) return false;
    if (v->kind == V_DICT && v->type != NULL && v->type->keep_order) return v->dict == NULL;
    return !tvalue_truth(v);
}

static void put_list(struct buf *b, const struct value *v) {
    if (v->list.item == NULL) {
        buf_str(b, "null");
        return;
    }
    buf_chr(b, '[');
    for (size_t i = 0; i < v->list.n && !b->failed; i++) {
        if (i > 0) buf_chr(b, ',');
        tvalue_json(b, &v->list.item[i]);
    }
    buf_chr(b, ']');
}

static void put_dict(struct buf *b, const struct value *v) {
    const struct dict *d = v->dict;
    bool keep_order = v->type != NULL && v->type->keep_order;
    if (d == NULL) {
        buf_str(b, "null");
        return;
    }
    buf_chr(b, '{');
    for (size_t i = 0; i < d->n && !b->failed; i++) {
        const struct dict_entry *entry = &d->entry[keep_order ? d->order[i] : i];
        if (i > 0) buf_chr(b, ',');
        json_put_string(b, entry->key.p, entry->key.n);
        buf_chr(b, ':');
        tvalue_json(b, &entry->value);
    }
    buf_chr(b, '}');
}

static void put_record(struct buf *b, const struct value *v) {
    bool first = true;
    buf_chr(b, '{');
    for (size_t i = 0; i < v->type->n_fields && !b->failed; i++) {
        const struct type_field *f = &v->type->field[i];
        if (f->omit_empty && is_empty(&v->field[i])) continue;
        buf_printf(b, "%s\"%s\":", first ? "" : ",", f->key);
        tvalue_json(b, &v->field[i]);
        first = false;
    }
    buf_chr(b, '}');
}

void tvalue_json(struct buf *b, const struct value *v) {
    switch (v->kind) {
    case V_NIL:
        buf_str(b, "null");
        break;
    case V_BOOL:
        buf_str(b, v->b ? "true" : "false");
        break;
    case V_INT:
        buf_printf(b, "%" PRId64, v->i);
        break;
    case V_FLOAT:
        json_put_double(b, v->f);
        break;
    case V_COMPLEX:
        break; /* no JSON: Go's encoder fails and the function prints nothing */
    case V_STRING:
    case V_BYTES:
        json_put_string(b, v->s.p, v->s.n);
        break;
    case V_LIST:
        if (v->type != NULL && v->type->show == SHOW_SOLE && v->list.n == 1)
            tvalue_json(b, &v->list.item[0]);
        else
            put_list(b, v);
        break;
    case V_DICT:
        put_dict(b, v);
        break;
    case V_RECORD:
        put_record(b, v);
        break;
    }
}

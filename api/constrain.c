/* constrain.c - see constrain.h. */
#include "api/constrain.h"

#include <string.h>

#include "base/json.h"

static bool is_json_word(const json *v) {
    const char *name = json_string(v);
    return name != NULL && strcmp(name, "json") == 0;
}

enum status constrain_check(const struct gen_request *r, struct err *e) {
    const json *v = r->format;
    struct buf text = {0}, quoted = {0};
    const char *name = json_string(v);
    if (v == NULL || json_kind(v) == JSON_NULL || json_kind(v) == JSON_OBJECT || is_json_word(v) ||
        (name != NULL && *name == '\0'))
        return ST_OK;
    json_print(&text, v);
    json_put_string(&quoted, text.data, text.len);
    enum status st =
        err_set(e, ST_INVALID,
                "invalid format: %s; expected \"json\" or a valid JSON Schema object", quoted.data);
    buf_free(&text);
    buf_free(&quoted);
    return st;
}

/* ---- tools ---- */

static const json *function_of(const json *tool) { return json_get(tool, "function"); }

/* The name that the choice asks for; NULL: any. OpenAI: {"type":"function","function":{"name":N}};
 * also {"name":N}. */
static const char *chosen_name(const json *choice) {
    const char *name = json_string(json_get(json_get(choice, "function"), "name"));
    return name != NULL ? name : json_string(json_get(choice, "name"));
}

static bool asks_for_call(const json *choice) {
    const char *word = json_string(choice);
    if (word == NULL) return chosen_name(choice) != NULL;
    return strcmp(word, "required") == 0 || strcmp(word, "any") == 0;
}

/* "<tag>" is closed by "</tag>"; a tag with a bracket at its end opens a list; others, just JSON.
 */
static void put_frame(struct buf *b, const char *tag) {
    const size_t n = strlen(tag);
    const bool markup = n > 2 && tag[0] == '<' && tag[n - 1] == '>' && tag[1] != '|';
    const bool list = n > 0 && (tag[n - 1] == '[' || tag[n - 1] == ']');
    struct buf open = {0}, close = {0};
    if (strcmp(tag, "{") != 0) buf_str(&open, tag);
    if (markup) buf_printf(&close, "</%s", tag + 1);
    if (list && tag[n - 1] == ']') buf_chr(&open, '[');
    if (list) buf_chr(&close, ']');
    buf_str(b, "{\"open\":");
    json_put_string(b, open.data != NULL ? open.data : "", open.len);
    json_put_key(b, "close");
    json_put_string(b, close.data != NULL ? close.data : "", close.len);
    json_put_field_bool(b, "list", list);
    b->failed = b->failed || open.failed || close.failed;
    buf_free(&open);
    buf_free(&close);
}

static enum status put_tools(const struct gen_request *r, const char *tag, struct buf *b,
                             struct err *e) {
    const char *wanted = chosen_name(r->tool_choice);
    unsigned n = 0;
    put_frame(b, tag);
    json_put_key(b, "tools");
    buf_chr(b, '[');
    for (const json *t = json_first(r->tools); t != NULL; t = json_next(t)) {
        const char *name = json_string(json_get(function_of(t), "name"));
        const json *parameters = json_get(function_of(t), "parameters");
        if (name == NULL || (wanted != NULL && strcmp(name, wanted) != 0)) continue;
        buf_str(b, n++ > 0 ? ",{\"name\":" : "{\"name\":");
        json_put_string(b, name, strlen(name));
        if (json_kind(parameters) == JSON_OBJECT) {
            json_put_key(b, "parameters");
            json_print(b, parameters);
        }
        buf_chr(b, '}');
    }
    buf_str(b, "]}");
    if (n == 0 && wanted != NULL)
        return err_set(e, ST_INVALID, "tool_choice: there is no tool '%s'", wanted);
    return ST_OK;
}

/* ---- the source ---- */

static bool is_set(const json *v) {
    const char *text = json_string(v);
    return v != NULL && json_kind(v) != JSON_NULL && (text == NULL || *text != '\0');
}

static enum status put_text(const json *v, const char *name, struct buf *text, struct err *e) {
    size_t len;
    const char *s = json_string_n(v, &len);
    if (s == NULL) return err_set(e, ST_INVALID, "%s must be a string", name);
    buf_add(text, s, len);
    return ST_OK;
}

static enum status put_format(const json *v, struct buf *text, struct grammar_source *out) {
    if (json_kind(v) == JSON_OBJECT && json_len(v) > 0) {
        out->kind = GRAMMAR_SCHEMA;
        json_print(text, v);
    } else {
        out->kind = GRAMMAR_JSON; /* {} means any object, too */
        buf_chr(text, ' ');
    }
    return ST_OK;
}

enum status constrain_source(const struct gen_request *r, const char *tool_tag, struct buf *text,
                             struct grammar_source *out, struct err *e) {
    enum status st = ST_OK;
    *out = (struct grammar_source){.kind = GRAMMAR_NONE};
    if (is_set(r->format) + is_set(r->grammar) + is_set(r->regex) + is_set(r->choice) > 1)
        return err_set(e, ST_INVALID,
                       "only one of format, grammar, regex and choice can be asked for");
    if (json_len(r->tools) > 0 && asks_for_call(r->tool_choice)) {
        out->kind = GRAMMAR_TOOLS;
        st = put_tools(r, tool_tag != NULL ? tool_tag : "{", text, e);
    } else if (is_set(r->format)) {
        st = put_format(r->format, text, out);
    } else if (is_set(r->grammar)) {
        out->kind = GRAMMAR_GBNF;
        st = put_text(r->grammar, "grammar", text, e);
    } else if (is_set(r->regex)) {
        out->kind = GRAMMAR_REGEX;
        st = put_text(r->regex, "regex", text, e);
    } else if (is_set(r->choice)) {
        out->kind = GRAMMAR_CHOICE;
        json_print(text, r->choice);
    }
    if (st == ST_OK && text->failed) st = err_no_memory(e);
    out->text = text->data;
    out->len = text->len;
    return st;
}

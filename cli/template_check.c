/* template_check.c - see template_check.h. The samples are sent as chats that are only rendered
 * (_debug_render_only), so the text is exactly what a chat would give the model. */
#include "cli/template_check.h"

#include <string.h>

#include "cli/cli.h"

#define TURNS                                                                                      \
    "{\"role\":\"system\",\"content\":\"Answer briefly.\"},"                                       \
    "{\"role\":\"user\",\"content\":\"Hello!\"},"                                                  \
    "{\"role\":\"assistant\",\"content\":\"Hello, how can I help?\"},"
#define WEATHER "{\"role\":\"user\",\"content\":\"What is the weather in Oslo?\"}"
#define TOOLS                                                                                      \
    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":"   \
    "\"Weather of a city\",\"parameters\":{\"type\":\"object\",\"required\":[\"city\"],"           \
    "\"properties\":{\"city\":{\"type\":\"string\",\"description\":\"Name of the city\"}}}}}]"
#define RESULT                                                                                     \
    ",{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"I must ask the tool.\","             \
    "\"tool_calls\":[{\"id\":\"call_1\",\"function\":{\"name\":\"get_weather\",\"arguments\":"     \
    "{\"city\":\"Oslo\"}}}]},{\"role\":\"tool\",\"tool_name\":\"get_weather\",\"tool_call_id\":"   \
    "\"call_1\",\"content\":\"4 degrees, rain\"}"

static const struct sample {
    const char *title, *needs, *body; /* needs: a capability; NULL: none */
} samples[] = {
    {"A system message and two turns", NULL, "\"messages\":[" TURNS WEATHER "]"},
    {"With a tool", "tools", "\"messages\":[" TURNS WEATHER "]" TOOLS},
    {"After a tool's result", "tools", "\"messages\":[" TURNS WEATHER RESULT "]" TOOLS},
    {"With thinking", "thinking", "\"messages\":[" TURNS WEATHER "],\"think\":true"},
    {"Without thinking", "thinking", "\"messages\":[" TURNS WEATHER "],\"think\":false"},
};

static bool can(const json *shown, const char *capability) {
    const json *list = json_get(shown, "capabilities");
    for (const json *c = json_first(list); c != NULL; c = json_next(c))
        if (json_string(c) != NULL && strcmp(json_string(c), capability) == 0) return true;
    return false;
}

static enum status render(struct client *c, const char *model, const struct sample *s,
                          struct buf *out, struct err *e) {
    struct buf body = {0};
    json *answer = NULL;
    buf_chr(&body, '{');
    json_put_field(&body, "model", model);
    json_put_field_bool(&body, "stream", false);
    json_put_field_bool(&body, "_debug_render_only", true);
    buf_printf(&body, ",%s}", s->body);
    enum status st = client_json(c, "/api/chat", &body, &answer, e);
    const char *text = json_string(json_get(json_get(answer, "_debug_info"), "rendered_template"));
    if (st == ST_OK && text == NULL)
        st = err_set(e, ST_INVALID, "the server did not give the rendered prompt");
    if (st == ST_OK) {
        buf_str(out, text);
        if (*text != '\0' && text[strlen(text) - 1] != '\n') buf_chr(out, '\n');
    }
    json_free(answer);
    buf_free(&body);
    return st;
}

enum status template_check(struct client *c, const char *model, const json *shown, struct err *e) {
    struct buf out = {0};
    enum status result = ST_OK;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        struct err why = {0};
        if (s->needs != NULL && !can(shown, s->needs)) continue;
        buf_printf(&out, "%s=== %s\n", i == 0 ? "" : "\n", s->title);
        enum status st = render(c, model, s, &out, &why);
        if (st == ST_OK) continue;
        buf_printf(&out, "cannot be rendered: %s\n", why.msg);
        if (result == ST_OK) result = err_set(e, st, "%s", why.msg);
    }
    enum status put = cli_put(&out, result == ST_OK ? e : NULL);
    return result == ST_OK ? put : result;
}

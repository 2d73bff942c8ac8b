/* route_generate.c - POST /api/generate and POST /api/chat (spec/api.md 5.1, 5.2): the fields of
 * the two requests, and the pieces of an answer as JSON objects. */
#include <string.h>

#include "api/generate.h"
#include "api/native.h"
#include "api/server_impl.h"
#include "base/os.h"

route_fn route_generate, route_chat;

/* ---- requests ---- */

#define AT(name) offsetof(struct native_request, name)
#define PLAIN(name, kind)                                                                          \
    { #name, kind, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }
#define CHECKED(name, check)                                                                       \
    { #name, FIELD_CHECK, AT(name), "", FIELD_ANY, NULL, NULL, check }
#define MAP(name, type)                                                                            \
    { #name, FIELD_MAP, AT(name), type, FIELD_ANY, NULL, NULL, NULL }
#define RENAMED(key, name, kind)                                                                   \
    { key, kind, AT(name), NULL, FIELD_ANY, NULL, NULL, NULL }
/* clang-format off */
#define SHARED_FIELDS                                                                             \
    PLAIN(model, FIELD_TEXT), PLAIN(stream, FIELD_FLAG), PLAIN(format, FIELD_ANY),                \
    PLAIN(grammar, FIELD_ANY), PLAIN(regex, FIELD_ANY), PLAIN(choice, FIELD_ANY),                 \
    PLAIN(lora, FIELD_ANY),                                                                       \
    CHECKED(keep_alive, check_keep_alive), CHECKED(think, check_think),                           \
    MAP(options, "map[string]interface {}"), PLAIN(truncate, FIELD_FLAG),                         \
    PLAIN(shift, FIELD_FLAG), PLAIN(logprobs, FIELD_FLAG), PLAIN(top_logprobs, FIELD_INT),        \
    PLAIN(report_truncation, FIELD_FLAG),                                                         \
    RENAMED("_debug_render_only", debug, FIELD_FLAG)
/* clang-format on */

static const struct field generate_field[] = {
    SHARED_FIELDS,
    PLAIN(prompt, FIELD_TEXT),
    PLAIN(suffix, FIELD_TEXT),
    PLAIN(system, FIELD_TEXT),
    PLAIN(template, FIELD_TEXT),
    PLAIN(raw, FIELD_FLAG),
    {"context", FIELD_LIST, AT(context), "[]int", FIELD_INT, NULL, NULL, NULL},
    {"images", FIELD_LIST, AT(images), "[]api.ImageData", FIELD_CHECK, "api.ImageData", NULL,
     check_image},
};
static const struct field chat_field[] = {
    SHARED_FIELDS,
    {"messages", FIELD_LIST, AT(messages), "[]api.Message", FIELD_STRUCT, "api.Alias",
     &message_fields, NULL},
    {"tools", FIELD_LIST, AT(tools), "api.Tools", FIELD_STRUCT, "api.Tool", &tool_fields, NULL},
    PLAIN(tool_choice, FIELD_ANY),
};
const struct fields native_generate_fields = {"GenerateRequest", "api.GenerateRequest",
                                              generate_field,
                                              sizeof generate_field / sizeof *generate_field};
const struct fields native_chat_fields = {"ChatRequest", "api.ChatRequest", chat_field,
                                          sizeof chat_field / sizeof *chat_field};

struct gen_request native_to_gen(const struct native_request *n, bool chat, bool stream) {
    return (struct gen_request){.chat = chat,
                                .model = field_text(n->model),
                                .messages = n->messages,
                                .tools = n->tools,
                                .tool_choice = n->tool_choice,
                                .prompt = field_text(n->prompt),
                                .suffix = field_text(n->suffix),
                                .system = field_text(n->system),
                                .template = field_text(n->template),
                                .context = n->context,
                                .images = n->images,
                                .format = n->format,
                                .grammar = n->grammar,
                                .regex = n->regex,
                                .choice = n->choice,
                                .lora = n->lora,
                                .options = n->options,
                                .keep_alive = n->keep_alive,
                                .think = n->think,
                                .stream = field_flag(n->stream, stream),
                                .raw = field_flag(n->raw, false),
                                .truncate = field_flag(n->truncate, true),
                                .shift = field_flag(n->shift, true),
                                .logprobs = field_flag(n->logprobs, false),
                                .report_truncation = field_flag(n->report_truncation, false),
                                .debug = field_flag(n->debug, false),
                                .top_logprobs = field_int(n->top_logprobs, 0)};
}

/* ---- answers ---- */

static void put_text(struct buf *b, const char *key, const char *text, size_t len) {
    json_put_key(b, key);
    json_put_string(b, text, len);
}

static void put_nonzero(struct buf *b, const char *key, int64_t v) {
    if (v != 0) json_put_field_int(b, key, v);
}

static void put_raw(struct buf *b, const char *key, const char *open, const char *text,
                    const char *close) {
    json_put_key(b, key);
    buf_printf(b, "%s", open);
    buf_str(b, text);
    buf_str(b, close);
}

static void put_stats(struct buf *b, const struct gen_stats *s) {
    put_nonzero(b, "total_duration", s->total_ns);
    put_nonzero(b, "load_duration", s->load_ns);
    put_nonzero(b, "prompt_eval_count", s->n_prompt);
    put_nonzero(b, "prompt_eval_duration", s->prompt_ns);
    put_nonzero(b, "eval_count", s->n_generated);
    put_nonzero(b, "eval_duration", s->eval_ns);
}

void native_put_debug(struct buf *b, const struct gen_piece *p) {
    json_put_key(b, "_debug_info");
    buf_chr(b, '{');
    put_text(b, "rendered_template", p->rendered, p->rendered_len);
    put_nonzero(b, "image_count", p->n_images);
    buf_chr(b, '}');
}

static void put_message(struct buf *b, const struct gen_piece *p) {
    json_put_key(b, "message");
    buf_chr(b, '{');
    json_put_field(b, "role", p->rendered != NULL ? "" : "assistant");
    put_text(b, "content", p->content, p->content_len);
    if (p->thinking_len > 0) put_text(b, "thinking", p->thinking, p->thinking_len);
    if (*p->tool_calls != '\0') put_raw(b, "tool_calls", "[", p->tool_calls, "]");
    buf_chr(b, '}');
}

static void put_response(struct buf *b, const struct gen_piece *p) {
    put_text(b, "response", p->content, p->content_len);
    if (p->thinking_len > 0) put_text(b, "thinking", p->thinking, p->thinking_len);
}

static void put_piece(struct buf *b, const struct gen_request *r, const struct gen_piece *p) {
    char now[48];
    os_time_rfc3339(os_time_unix_ns(), true, now);
    buf_chr(b, '{');
    json_put_field(b, "model", r->model);
    json_put_field(b, "created_at", now);
    if (r->chat)
        put_message(b, p);
    else
        put_response(b, p);
    json_put_field_bool(b, "done", p->done);
    if (p->done_reason != NULL) json_put_field(b, "done_reason", p->done_reason);
    if (p->context != NULL) put_raw(b, "context", "", p->context, "");
    if (p->stats != NULL) put_stats(b, p->stats);
    if (p->stats != NULL && r->report_truncation)
        json_put_field_bool(b, "prompt_truncated", p->stats->truncated);
    if (*p->logprobs != '\0') put_raw(b, "logprobs", "[", p->logprobs, "]");
    if (p->rendered != NULL) native_put_debug(b, p);
    buf_chr(b, '}');
}

struct sink {
    const struct gen_request *r;
    struct stream stream;
};

/* Load, unload and debug answers are single objects, also when a stream was asked for. */
static enum status send_piece(void *arg, const struct gen_piece *p) {
    struct sink *s = arg;
    struct buf b = {0};
    enum status st = ST_OK;
    put_piece(&b, s->r, p);
    bool single = !s->r->stream || (p->stats == NULL && (p->done || p->rendered != NULL));
    if (single) {
        answer_json(s->stream.x, 200, TYPE_JSON_UTF8, &b);
        return ST_OK;
    }
    st = stream_item(&s->stream, &b);
    buf_free(&b);
    return st;
}

static enum status wait_more(void *arg) { return stream_wait(&((struct sink *)arg)->stream); }

static void answer(const struct route_call *c, const struct gen_request *r) {
    struct sink s = {r, {.x = c->x, .dialect = DIALECT_NATIVE}};
    struct gen_sink sink = {&s, send_piece, wait_more};
    struct gen_failure f;
    bool ok = gen_run(c->server, c->x, r, &sink, &f);
    if (s.stream.started && ok)
        stream_end(&s.stream);
    else if (s.stream.started)
        stream_error(&s.stream, f.http_status, f.err.msg);
    else if (!ok)
        answer_error(c->x, DIALECT_NATIVE, f.http_status,
                     f.late && r->stream ? TYPE_JSON : TYPE_JSON_UTF8, f.err.msg);
}

static void run(const struct route_call *c, const struct fields *fields, bool chat) {
    struct native_request n = {0};
    json *root;
    if (!route_body(c, DIALECT_NATIVE, fields, &n, &root)) return;
    struct gen_request r = native_to_gen(&n, chat, true);
    answer(c, &r);
    json_free(root);
}

void route_generate(const struct route_call *c) { run(c, &native_generate_fields, false); }
void route_chat(const struct route_call *c) { run(c, &native_chat_fields, true); }

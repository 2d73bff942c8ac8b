/* repl_command.c - the commands of the interactive prompt (spec/cli.md 4.2). */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/listing.h"
#include "cli/repl.h"
#include "cli/statuses.h"
#include "store/modelfile.h"
#include "store/name.h"

enum { WORDS_MAX = 64 };

struct line {
    const char *text; /* as it was typed */
    char *words[WORDS_MAX];
    size_t n;
};

/* Messages of the API are shown, and the prompt goes on. */
static enum status say(enum status st, const struct err *why) {
    if (st != ST_OK && st != ST_CANCELLED) cli_error("error", why);
    return ST_OK;
}

/* ---- /load, /save, /clear, /list ---- */

static void clear(struct repl *r, bool keep_system) {
    conversation_cut(&r->talk, 0);
    r->n_prompt = r->n_answer = 0;
    if (keep_system && r->system.len > 0)
        conversation_add(&r->talk, ROLE_SYSTEM, &r->system, NULL);
    else
        buf_clear(&r->system);
}

static enum status clear_session(struct repl *r, const struct line *l, struct err *e) {
    (void)l, (void)e;
    clear(r, true);
    printf("Cleared session context\n");
    return ST_OK;
}

static enum status load(struct repl *r, const struct line *l, struct err *e) {
    char *const *words = l->words;
    const size_t n = l->n;
    struct session *s = r->session;
    struct err why = {0};
    (void)e;
    if (n != 2) {
        printf("Usage:\n  /load <modelname>\n");
        return ST_OK;
    }
    printf("Loading model '%s'\n", words[1]);
    char *name = mem_strdup(words[1]);
    const char *old = s->model;
    enum status st = name != NULL ? session_show(s, name, &why) : err_no_memory(&why);
    if (st == ST_OK) {
        mem_free(s->owned_model);
        s->owned_model = name;
        const bool thinks = session_can(s, "thinking");
        if (thinks != (s->think != NULL)) s->think = thinks ? "true" : NULL;
        clear(r, false);
        st = session_load(s, &why);
        return say(st, &why);
    }
    s->model = old;
    if (st == ST_NOT_FOUND)
        printf("Couldn't find model '%s'\n", words[1]);
    else
        say(st, &why);
    mem_free(name);
    return ST_OK;
}

/* What was said here, behind what the model brought along: a list replaces the model's own. */
static void put_messages(struct buf *body, const struct repl *r) {
    if (r->talk.n == 0) return;
    json_put_key(body, "messages");
    buf_chr(body, '[');
    const json *own = json_get(r->session->shown, "messages");
    for (const json *m = json_first(own); m != NULL; m = json_next(m)) {
        json_print(body, m);
        buf_chr(body, ',');
    }
    buf_printf(body, "%s]", r->talk.json.data);
}

static enum status save(struct repl *r, const struct line *l, struct err *e) {
    char *const *words = l->words;
    const size_t n = l->n;
    struct session *s = r->session;
    struct model_name name;
    struct buf body = {0}, options = {0};
    struct err why = {0};
    (void)e;
    if (n != 2) {
        printf("Usage:\n  /save <modelname>\n");
        return ST_OK;
    }
    if (!name_parse(&name, words[1])) {
        printf("error: The model name '%s' is invalid\n", words[1]);
        return ST_OK;
    }
    enum status st = setting_put(&options, &s->options, &why);
    buf_chr(&body, '{');
    json_put_field(&body, "model", words[1]);
    json_put_field(&body, "from", s->model);
    if (r->system.len > 0) json_put_field(&body, "system", r->system.data);
    if (options.len > 0) {
        json_put_key(&body, "parameters");
        buf_str(&body, options.data);
    }
    put_messages(&body, r);
    buf_chr(&body, '}');
    if (st == ST_OK) st = statuses_post(s->client, "/api/create", &body, NULL, &why);
    if (st == ST_OK) printf("Created new model '%s'\n", words[1]);
    buf_free(&body);
    buf_free(&options);
    return say(st, &why);
}

static enum status list(struct repl *r, const struct line *l, struct err *e) {
    char *const *words = l->words;
    const size_t n = l->n;
    struct buf out = {0};
    struct err why = {0};
    (void)e;
    enum status st =
        listing_put(&listing_stored, r->session->client, n > 1 ? words[1] : "", &out, &why);
    if (st == ST_OK) st = cli_put(&out, &why);
    buf_free(&out);
    return say(st, &why);
}

/* ---- taking back ---- */

static enum status undo(struct repl *r, const struct line *l, struct err *e) {
    (void)l, (void)e;
    puts(repl_take_back(r, NULL) ? "Took back the last message and its answer"
                                 : "There is no message to take back");
    return ST_OK;
}

static enum status regenerate(struct repl *r, const struct line *l, struct err *e) {
    struct buf text = {0};
    (void)l;
    enum status st = ST_OK;
    if (repl_take_back(r, &text))
        st = repl_ask(r, &text, e);
    else
        puts("There is no message to answer again");
    buf_free(&text);
    return st;
}

/* The last message becomes the line to edit; sending it goes on from before it. */
static enum status edit(struct repl *r, const struct line *l, struct err *e) {
    (void)l, (void)e;
    buf_clear(&r->draft);
    if (!repl_take_back(r, &r->draft)) puts("There is no message to edit");
    return ST_OK;
}

/* ---- how full it is ---- */

/* Of the loaded model; 0: unknown. */
static int64_t context_length(struct session *s) {
    json *reply = NULL;
    int64_t length = 0;
    if (client_json(s->client, "/api/ps", NULL, &reply, NULL) != ST_OK) return 0;
    for (const json *m = json_first(json_get(reply, "models")); m != NULL; m = json_next(m)) {
        struct model_name mine, theirs;
        const char *name = json_string(json_get(m, "name"));
        if (name != NULL && name_parse(&theirs, name) && name_parse(&mine, s->model) &&
            name_equal(&mine, &theirs))
            json_int(json_get(m, "context_length"), &length);
    }
    json_free(reply);
    return length;
}

static enum status tokens(struct repl *r, const struct line *l, struct err *e) {
    (void)l, (void)e;
    if (r->n_prompt == 0) {
        puts("No answer has been counted yet");
        return ST_OK;
    }
    const int64_t used = r->n_prompt + r->n_answer, length = context_length(r->session);
    printf("%lld tokens: prompt %lld, answer %lld", (long long)used, (long long)r->n_prompt,
           (long long)r->n_answer);
    if (length > 0)
        printf("; %.0f%% of the context of %lld", 100 * (double)used / (double)length,
               (long long)length);
    putchar('\n');
    return ST_OK;
}

/* ---- the line ---- */

static enum status quit(struct repl *r, const struct line *l, struct err *e) {
    (void)l, (void)e;
    r->quit = true;
    return ST_OK;
}

static enum status set(struct repl *r, const struct line *l, struct err *e) {
    return repl_set(r, l->words, l->n, l->text, e);
}

static enum status show(struct repl *r, const struct line *l, struct err *e) {
    (void)e;
    repl_show(r, l->words, l->n);
    return ST_OK;
}

static enum status help(struct repl *r, const struct line *l, struct err *e) {
    (void)e;
    repl_help(r, l->words, l->n);
    return ST_OK;
}

static const struct {
    const char *name;
    enum status (*run)(struct repl *r, const struct line *l, struct err *e);
} commands[] = {
    {"/set", set},
    {"/show", show},
    {"/load", load},
    {"/save", save},
    {"/list", list},
    {"/undo", undo},
    {"/edit", edit},
    {"/regenerate", regenerate},
    {"/retry", regenerate},
    {"/tokens", tokens},
    {"/clear", clear_session},
    {"/?", help},
    {"/help", help},
    {"/bye", quit},
    {"/exit", quit},
};

static void split(struct line *l, char *copy) {
    char *state;
    for (char *w = strtok_r(copy, " \t\n", &state); w != NULL && l->n < WORDS_MAX;
         w = strtok_r(NULL, " \t\n", &state))
        l->words[l->n++] = w;
}

enum status repl_command(struct repl *r, const char *line, struct err *e) {
    struct line l = {.text = line};
    char *copy = mem_strdup(line);
    if (copy == NULL) return err_no_memory(e);
    split(&l, copy);
    enum status st = ST_OK;
    size_t i = 0;
    const size_t n = sizeof commands / sizeof *commands;
    while (i < n && (l.n == 0 || strcmp(commands[i].name, l.words[0]) != 0)) i++;
    if (i < n)
        st = commands[i].run(r, &l, e);
    else if (l.n > 0)
        printf("Unknown command '%s'. Type /? for help\n", l.words[0]);
    fflush(stdout);
    mem_free(copy);
    return st;
}

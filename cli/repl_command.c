/* repl_command.c - the commands of the interactive prompt (spec/cli.md 4.2). */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/info.h"
#include "cli/listing.h"
#include "cli/repl.h"
#include "cli/statuses.h"
#include "store/modelfile.h"
#include "store/name.h"

enum { WORDS_MAX = 64 };

/* Messages of the API are shown, and the prompt goes on. */
static enum status say(enum status st, const struct err *why) {
    if (st != ST_OK && st != ST_CANCELLED) fprintf(stderr, "error: %s\n", why->msg);
    return ST_OK;
}

static void print_text(const char *text, const char *if_empty) {
    printf("%s\n", *text != '\0' ? text : if_empty);
}

/* ---- /show ---- */

static void show_parameters(const struct repl *r) {
    const char *text = info_text(r->session->shown, "parameters");
    const struct setting_list *mine = &r->session->options;
    printf("Model defined parameters:\n");
    if (*text == '\0') printf("  No additional parameters were specified for this model.\n");
    while (*text != '\0') {
        const size_t n = strcspn(text, "\n");
        printf("  %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
    if (mine->n == 0) return;
    printf("\nUser defined parameters:\n");
    for (size_t i = 0; i < mine->n; i++)
        printf("  %-30s %s\n", mine->list[i].name, mine->list[i].value);
}

static void show(struct repl *r, char **words, size_t n) {
    const json *shown = r->session->shown;
    const char *what = n > 1 ? words[1] : "";
    if (strcmp(what, "info") == 0) {
        struct buf out = {0};
        info_put(&out, shown, false);
        if (out.len > 0) fwrite(out.data, 1, out.len, stderr);
        buf_free(&out);
    } else if (strcmp(what, "license") == 0) {
        print_text(info_text(shown, "license"), "No license was specified for this model.");
    } else if (strcmp(what, "modelfile") == 0) {
        print_text(info_text(shown, "modelfile"), "");
    } else if (strcmp(what, "parameters") == 0) {
        show_parameters(r);
    } else if (strcmp(what, "system") == 0) {
        const char *mine = r->system.len > 0 ? r->system.data : info_text(shown, "system");
        print_text(mine, "No system message was specified for this model.");
    } else if (strcmp(what, "template") == 0) {
        print_text(info_text(shown, "template"),
                   "No prompt template was specified for this model.");
    } else if (n > 1) {
        printf("Unknown command '/show %s'. Type /? for help\n", what);
    } else {
        repl_help_show();
    }
}

/* ---- /load, /save, /clear, /list ---- */

static void clear(struct repl *r, bool keep_system) {
    buf_clear(&r->messages);
    r->last_message = 0;
    r->last_is_system = false;
    if (keep_system && r->system.len > 0)
        repl_add_message(r, "system", &r->system, NULL);
    else
        buf_clear(&r->system);
}

static enum status load(struct repl *r, char **words, size_t n) {
    struct session *s = r->session;
    struct err why = {0};
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
        if (!session_can(s, "thinking")) s->think = NULL;
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

static enum status save(struct repl *r, char **words, size_t n) {
    struct session *s = r->session;
    struct model_name name;
    struct buf body = {0}, options = {0};
    struct err why = {0};
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
    if (r->messages.len > 0) {
        json_put_key(&body, "messages");
        buf_printf(&body, "[%s]", r->messages.data);
    }
    buf_chr(&body, '}');
    if (st == ST_OK) st = statuses_post(s->client, "/api/create", &body, NULL, NULL, &why);
    if (st == ST_OK) printf("Created new model '%s'\n", words[1]);
    buf_free(&body);
    buf_free(&options);
    return say(st, &why);
}

static enum status list(struct repl *r, char **words, size_t n) {
    struct buf out = {0};
    struct err why = {0};
    enum status st =
        listing_put(&listing_stored, r->session->client, n > 1 ? words[1] : "", &out, &why);
    if (st == ST_OK) st = cli_put(&out, &why);
    buf_free(&out);
    return say(st, &why);
}

/* ---- the line ---- */

static size_t split(char *line, char **words) {
    size_t n = 0;
    char *state;
    for (char *w = strtok_r(line, " \t\n", &state); w != NULL && n < WORDS_MAX;
         w = strtok_r(NULL, " \t\n", &state))
        words[n++] = w;
    return n;
}

static enum status run(struct repl *r, char **words, size_t n, const char *line, struct err *e) {
    const char *name = words[0];
    if (strcmp(name, "/bye") == 0 || strcmp(name, "/exit") == 0) {
        r->quit = true;
        return ST_OK;
    }
    if (strcmp(name, "/clear") == 0) {
        clear(r, true);
        printf("Cleared session context\n");
        return ST_OK;
    }
    if (strcmp(name, "/set") == 0) return repl_set(r, words, n, line, e);
    if (strcmp(name, "/load") == 0) return load(r, words, n);
    if (strcmp(name, "/save") == 0) return save(r, words, n);
    if (strcmp(name, "/list") == 0) return list(r, words, n);
    if (strcmp(name, "/show") == 0)
        show(r, words, n);
    else if (strcmp(name, "/?") == 0 || strcmp(name, "/help") == 0)
        repl_help(r, words, n);
    else
        printf("Unknown command '%s'. Type /? for help\n", name);
    return ST_OK;
}

enum status repl_command(struct repl *r, const char *line, struct err *e) {
    char *words[WORDS_MAX], *copy = mem_strdup(line);
    if (copy == NULL) return err_no_memory(e);
    const size_t n = split(copy, words);
    enum status st = n > 0 ? run(r, words, n, line, e) : ST_OK;
    fflush(stdout);
    mem_free(copy);
    return st;
}

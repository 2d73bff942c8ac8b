/* cmd_show.c - shows what a model is: of the server, or a GGUF file through a private one. */
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/info.h"
#include "cli/model_file.h"
#include "cli/private.h"
#include "cli/template_check.h"
#include "engine/cria.h"

/* Flags that choose one text; the second column: whether a newline follows it. */
static const struct {
    const char *name;
    bool newline;
} texts[] = {{"license", true},
             {"modelfile", true},
             {"parameters", true},
             {"system", false},
             {"template", false}};
enum { N_TEXTS = sizeof texts / sizeof *texts };

static enum status print_program(const char *model, struct err *e) {
    struct cria_engine_params p = cria_engine_default_params();
    struct cria_engine *eng;
    struct buf out = {0};
    enum status st = model_engine(&eng, model, &p, e);
    if (st != ST_OK) return st;
    cria_engine_print_program(eng, &out);
    cria_engine_close(eng);
    return cli_put(&out, e);
}

static enum status print_shown(const struct args *a, const json *shown, int text, struct err *e) {
    struct buf out = {0};
    if (args_bool(a, "json")) {
        json_print(&out, shown);
        buf_chr(&out, '\n');
    } else if (text < 0) {
        info_put(&out, shown, args_bool(a, "verbose"));
    } else {
        buf_str(&out, info_text(shown, texts[text].name));
        if (texts[text].newline) buf_chr(&out, '\n');
    }
    return cli_put(&out, e);
}

static enum status show(struct client *c, const struct args *a, const char *model, int text,
                        struct err *e) {
    struct buf body = {0};
    json *shown = NULL;
    buf_chr(&body, '{');
    json_put_field(&body, "model", model);
    if (args_bool(a, "verbose")) json_put_field_bool(&body, "verbose", true);
    buf_chr(&body, '}');
    enum status st = client_json(c, "/api/show", &body, &shown, e);
    if (st == ST_OK && args_bool(a, "template-check"))
        st = template_check(c, model, shown, e);
    else if (st == ST_OK)
        st = print_shown(a, shown, text, e);
    json_free(shown);
    buf_free(&body);
    return st;
}

enum status cmd_show(const struct args *a, struct err *e) {
    const char *model = a->words[0];
    struct client *c = NULL;
    struct private_server *server = NULL;
    int text = -1, n = 0;
    for (int i = 0; i < N_TEXTS; i++)
        if (args_bool(a, texts[i].name)) text = i, n++;
    if (n > 1)
        return err_set(e, ST_INVALID,
                       "only one of '--license', '--modelfile', '--parameters', '--system', or "
                       "'--template' can be specified");
    if (args_bool(a, "program")) return print_program(model, e);
    enum status st = ST_OK;
    if (model_is_file(model)) {
        st = private_open(&server, model, e);
        if (st == ST_OK) model = private_model(server);
    }
    if (st == ST_OK) st = client_open(&c, server != NULL ? private_url(server) : NULL, e);
    if (st == ST_OK) st = show(c, a, model, text, e);
    client_close(c);
    private_close(server);
    return st;
}

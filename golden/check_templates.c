/* check_templates.c - Go templates against recorded prompts; the contract is the README of the set.
 *
 * The named templates that were recorded (bundled/) are third-party and stay out of this tree: they
 * are taken from the set itself or from --base, else their rows are skipped. cria's own named
 * templates must give the same prompts, so they are checked against the same rows. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/template/named.h"
#include "api/template/template.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "golden/check.h"
#include "golden/check_jinja.h"

struct set {
    struct check *c;
    const char *dir;
    json *conversations; /* owned */
};

/* ---- helpers ---- */

static const json *find_by_id(const json *list, const char *id) {
    const json *j = json_first(list);
    while (j != NULL && strcmp(check_string(j, "id"), id) != 0) j = json_next(j);
    return j;
}

/* The text of own/NAME.gotmpl or bundled/NAME.gotmpl below root; NULL: not here. */
static char *read_below(struct set *s, const char *root, const char *sub, const char *name) {
    static const char *const folders[] = {"own", "bundled"};
    char dir[4096], file[256];
    size_t size;
    snprintf(file, sizeof file, "%s.gotmpl", name);
    for (size_t i = 0; root != NULL && i < 2; i++) {
        snprintf(dir, sizeof dir, "%s%s/%s", root, sub, folders[i]);
        if (check_exists(dir, file)) return check_read(s->c, dir, file, &size);
    }
    return NULL;
}

static char *read_named(struct set *s, const char *name) {
    char *text = read_below(s, s->dir, "", name);
    if (text == NULL) text = read_below(s, s->c->base, "", name);
    return text != NULL ? text : read_below(s, s->c->base, "/templates", name);
}

/* @TODAY@ and @YESTERDAY@ stand for local dates. */
static char *with_dates(const char *text) {
    static const char *const mark[] = {"@TODAY@", "@YESTERDAY@"};
    struct buf b = {0};
    time_t now = time(NULL);
    char date[2][32];
    for (int i = 0; i < 2; i++) {
        struct tm tm;
        localtime_r(&now, &tm);
        tm.tm_mday -= i;
        tm.tm_isdst = -1;
        mktime(&tm);
        strftime(date[i], sizeof date[i], "%Y-%m-%d", &tm);
    }
    while (*text != '\0') {
        int hit = -1;
        for (int i = 0; i < 2; i++)
            if (strncmp(text, mark[i], strlen(mark[i])) == 0) hit = i;
        if (hit < 0) {
            buf_chr(&b, *text++);
        } else {
            buf_str(&b, date[hit]);
            text += strlen(mark[hit]);
        }
    }
    return buf_take(&b);
}

/* think: "null", "true", "false" or a level. */
static struct template_data data_of(const json *row, const json *messages, const json *tools) {
    const char *think = check_string(row, "think");
    bool level = strcmp(think, "true") != 0 && strcmp(think, "false") != 0;
    struct template_data d = {.messages = messages, .tools = tools, .think_level = ""};
    d.prompt = check_string(row, "prompt");
    d.suffix = check_string(row, "suffix");
    d.think_set = *think != '\0' && strcmp(think, "null") != 0;
    d.think = d.think_set && strcmp(think, "false") != 0;
    if (d.think_set && level) d.think_level = think;
    return d;
}

static bool expect_text(struct check *c, const char *id, const char *got, const char *want) {
    size_t at = 0;
    while (got[at] == want[at] && got[at] != '\0') at++;
    return check_that(c, got[at] == want[at], id, "differs at byte %zu: got %.60s, want %.60s", at,
                      got + at, want + at);
}

/* Takes text and returns it as JSON can hold it: a byte that is no UTF-8 becomes U+FFFD. */
static char *as_recorded(char *text) {
    struct buf b = {0};
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t cp;
        char utf8[4];
        i += utf8_decode(text + i, n - i, &cp);
        buf_add(&b, utf8, utf8_encode(cp, utf8));
    }
    mem_free(text);
    return buf_take(&b);
}

/* One prompt. Rows of a quirk carry what cria is to print. */
static void check_prompt(struct check *c, const char *id, const struct template *t, const json *row,
                         const struct template_data *data) {
    struct buf out = {0};
    struct err e = {0};
    bool fails = json_get(row, "exec_error") != NULL || json_get(row, "error") != NULL;
    bool any = strcmp(check_string(row, "quirk"), "reference_crash") == 0;
    const char *own = json_string(json_get(row, "cria_output"));
    char *want = with_dates(own != NULL ? own : check_string(row, "output"));
    enum status st = template_render(t, data, &out, &e);
    char *got = as_recorded(buf_take(&out));
    if (any)
        check_pass(c);
    else if (fails)
        check_that(c, st != ST_OK && *got == '\0', id, "must fail, gives %.80s", got);
    else if (st != ST_OK)
        check_fail(c, id, "%s", e.msg);
    else
        expect_text(c, id, got, want);
    mem_free(got);
    mem_free(want);
}

static bool same_vars(const struct template *t, const json *want) {
    const char *const *var = template_vars(t);
    for (const json *j = json_first(want); j != NULL; j = json_next(j), var++)
        if (*var == NULL || strcmp(*var, json_string(j)) != 0) return false;
    return *var == NULL;
}

/* Parses; counts a row that was to be refused. NULL: nothing more to check. */
static struct template *parse(struct check *c, const char *id, const char *text, const json *row) {
    struct template *t = NULL;
    struct err e = {0};
    const char *want = json_string(json_get(row, "parse_error"));
    enum status st = template_parse(&t, text, strlen(text), &e);
    if (want != NULL)
        check_that(c, st != ST_OK && strcmp(e.msg, want) == 0, id, "want %s, got %s", want,
                   st != ST_OK ? e.msg : "a template");
    else if (st != ST_OK)
        check_fail(c, id, "%s", e.msg);
    if (st == ST_OK && want == NULL) return t;
    if (st == ST_OK) template_free(t);
    return NULL;
}

/* ---- kinds of rows ---- */

static void check_micro(struct set *s, const json *row) {
    const char *id = check_string(row, "id");
    struct template *t = parse(s->c, id, check_string(row, "template"), row);
    if (t == NULL) return;
    struct template_data d = data_of(row, json_get(row, "messages"), json_get(row, "tools"));
    if (same_vars(t, json_get(row, "vars")))
        check_prompt(s->c, id, t, row, &d);
    else
        check_fail(s->c, id, "other vars");
    template_free(t);
}

/* What cria's own template of the row's name makes of it; own/ has other names. */
static void check_own_prompt(struct set *s, const json *row, const struct template_data *d) {
    const struct named_template *named = named_template_find(check_string(row, "template"));
    char id[256];
    if (named == NULL) return;
    snprintf(id, sizeof id, "cria's %s: %s", named->name, check_string(row, "conversation"));
    struct template *t = parse(s->c, id, named->text, NULL);
    if (t != NULL) check_prompt(s->c, id, t, row, d);
    template_free(t);
}

static void check_bundled(struct set *s, const json *row) {
    const char *id = check_string(row, "id"), *name = check_string(row, "template");
    const json *conversation =
        find_by_id(json_get(s->conversations, "conversations"), check_string(row, "conversation"));
    const json *tools =
        json_get(json_get(s->conversations, "tools"), check_string(conversation, "tools"));
    struct template_data d = data_of(row, json_get(conversation, "messages"), tools);
    check_own_prompt(s, row, &d);
    char *text = read_named(s, name);
    if (text == NULL) {
        check_skip(s->c, id, "its template is third-party and not here (--base)");
        return;
    }
    struct template *t = parse(s->c, id, text, row);
    if (t != NULL) check_prompt(s->c, id, t, row, &d);
    template_free(t);
    mem_free(text);
}

static bool has_capability(const json *row, const char *name) {
    for (const json *j = json_first(json_get(row, "capabilities")); j != NULL; j = json_next(j))
        if (strcmp(json_string(j), name) == 0) return true;
    return false;
}

static bool flag(const json *row, const char *key) {
    bool b = false;
    json_bool(json_get(row, key), &b);
    return b;
}

static const char *shown(const char *s) { return s != NULL ? s : ""; }

/* vars: whether the row's list of identifiers is that of this very text. */
static void check_meta_row(struct check *c, const char *id, const struct template *t,
                           const json *row, bool vars) {
    const char *open = shown(template_thinking_open(t)), *close = shown(template_thinking_close(t));
    const char *wrong = NULL;
    if (vars && !same_vars(t, json_get(row, "vars"))) wrong = "vars";
    if (strcmp(open, check_string(row, "think_open")) != 0) wrong = "think_open";
    if (strcmp(close, check_string(row, "think_close")) != 0) wrong = "think_close";
    if (strcmp(template_tool_tag(t), check_string(row, "tool_tag")) != 0) wrong = "tool_tag";
    if (template_tool_round_trip(t) != flag(row, "tool_round_trip")) wrong = "tool_round_trip";
    if (template_uses(t, "tools") != has_capability(row, "tools")) wrong = "tools";
    if (template_uses(t, "suffix") != has_capability(row, "insert")) wrong = "insert";
    if (template_can_think(t) != has_capability(row, "thinking")) wrong = "thinking";
    check_that(c, wrong == NULL, id, "%s differs (tags \"%s\" \"%s\" \"%s\")", shown(wrong), open,
               close, template_tool_tag(t));
}

/* cria's own template of this name can do what the recorded one can. */
static void check_own_meta(struct set *s, const json *row, const char *name) {
    const struct named_template *named = named_template_find(name);
    char id[256];
    if (named == NULL) return;
    snprintf(id, sizeof id, "cria's %s: meta", name);
    struct template *t = parse(s->c, id, named->text, NULL);
    if (t != NULL) check_meta_row(s->c, id, t, row, false);
    template_free(t);
}

static void check_meta(struct set *s, const json *row) {
    static const char prefix[] = "bundled:";
    const char *id = check_string(row, "id"), *text = json_string(json_get(row, "template"));
    char *named = NULL;
    if (text == NULL && strncmp(id, prefix, strlen(prefix)) == 0) {
        check_own_meta(s, row, id + strlen(prefix));
        text = named = read_named(s, id + strlen(prefix));
    }
    if (text == NULL) {
        check_skip(s->c, id, "its template is third-party and not here (--base)");
        return;
    }
    struct template *t = parse(s->c, id, text, row);
    if (t != NULL) check_meta_row(s->c, id, t, row, true);
    template_free(t);
    mem_free(named);
}

static bool same_strings(const json *a, const json *b) {
    a = json_first(a);
    b = json_first(b);
    for (; a != NULL && b != NULL; a = json_next(a), b = json_next(b))
        if (strcmp(shown(json_string(a)), shown(json_string(b))) != 0) return false;
    return a == NULL && b == NULL;
}

/* A row that found a name gives its stop list. The marks may miss a text that was changed, but what
 * they find has that name. (What they find in texts too far from all named ones is a matter of
 * cria's: no distance is computed.) */
static void check_named(struct set *s, const json *row) {
    const char *id = check_string(row, "id"), *name = json_string(json_get(row, "name"));
    const char *text = json_string(json_get(row, "text"));
    const struct named_template *named = name != NULL ? named_template_find(name) : NULL;
    if (name == NULL) return;
    if (!check_that(s->c, named != NULL, id, "cria has no template %s", name)) return;
    json *params =
        json_parse(named->params, strlen(named->params), &json_default_limits, NULL, NULL);
    check_that(s->c, same_strings(json_get(params, "stop"), json_get(row, "stop")), id,
               "other stop texts for %s", name);
    const struct named_template *found =
        text != NULL ? named_template_detect(text, strlen(text)) : NULL;
    if (found != NULL) check_that(s->c, found == named, id, "found %s, want %s", found->name, name);
    json_free(params);
}

/* ---- the set ---- */

static void each_row(struct set *s, const char *file, void (*check)(struct set *, const json *)) {
    size_t size, used;
    struct err e = {0};
    if (!check_exists(s->dir, file)) return;
    char *text = check_read(s->c, s->dir, file, &size);
    for (size_t at = 0; text != NULL && at < size; at += used) {
        while (at < size && text[at] == '\n') at++;
        if (at == size) break;
        json *row = json_parse(text + at, size - at, &json_default_limits, &used, &e);
        if (row == NULL) {
            check_fail(s->c, file, "%s", e.msg);
            break;
        }
        check(s, row);
        json_free(row);
    }
    mem_free(text);
}

void check_templates(struct check *c, const char *dir) {
    struct set s = {.c = c, .dir = dir};
    s.conversations = check_read_json(c, dir, "conversations.json");
    if (s.conversations == NULL) return;
    each_row(&s, "go_micro.jsonl", check_micro);
    each_row(&s, "go_meta.jsonl", check_meta);
    each_row(&s, "go_bundled.jsonl", check_bundled);
    each_row(&s, "autodetect.jsonl", check_named);
    check_prompts(c, dir);
    check_jinja(c, dir);
    json_free(s.conversations);
}

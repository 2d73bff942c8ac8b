/* info.c - what `show` and /show print about a model (spec/cli.md 2). */
#include "cli/info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/format.h"
#include "cli/table.h"
#include "cli/terminal.h"

enum { WRAP_COLUMNS = 100, LIST_COLUMNS = 10, KEY_LEN = 160 };

const char *info_text(const json *shown, const char *field) {
    const char *text = json_string(json_get(shown, field));
    return text != NULL ? text : "";
}

/* Prints a block and empties the table. */
static void put_block(struct buf *out, const char *title, struct table *t) {
    if (t->n > 0) {
        buf_printf(out, "  %s\n", title);
        table_print(out, t, "    ", false);
        buf_chr(out, '\n');
    }
    table_free(t);
}

static void put_pair(struct table *t, const char *name, const char *value) {
    if (*value == '\0') return;
    table_row(t);
    table_cell(t, name);
    table_cell(t, value);
}

/* ---- model and projector ---- */

/* Member "<arch>.<name>" as a number text. */
static void put_arch_int(struct table *t, const char *label, const json *info, const char *arch,
                         const char *name) {
    char key[KEY_LEN], text[32];
    int64_t v;
    snprintf(key, sizeof key, "%s.%s", arch, name);
    if (!json_int(json_get(info, key), &v)) return;
    snprintf(text, sizeof text, "%lld", (long long)v);
    put_pair(t, label, text);
}

static void put_count(struct table *t, const json *info, const char *fallback) {
    struct buf text = {0};
    int64_t n;
    if (json_int(json_get(info, "general.parameter_count"), &n) && n > 0)
        format_number(&text, (uint64_t)n);
    else
        buf_str(&text, fallback);
    if (text.data != NULL) put_pair(t, "parameters", text.data);
    buf_free(&text);
}

static void put_model(struct buf *out, const json *shown) {
    struct table t = {0};
    const json *info = json_get(shown, "model_info"), *details = json_get(shown, "details");
    const char *arch = info_text(info, "general.architecture");
    put_pair(&t, "Remote model", info_text(shown, "remote_model"));
    put_pair(&t, "Remote URL", info_text(shown, "remote_host"));
    put_pair(&t, "architecture", *arch != '\0' ? arch : info_text(details, "family"));
    put_count(&t, info, info_text(details, "parameter_size"));
    put_arch_int(&t, "context length", info, arch, "context_length");
    put_arch_int(&t, "embedding length", info, arch, "embedding_length");
    put_pair(&t, "quantization", info_text(details, "quantization_level"));
    put_pair(&t, "requires", info_text(shown, "requires"));
    put_block(out, "Model", &t);
}

static void put_projector(struct buf *out, const json *shown) {
    struct table t = {0};
    const json *info = json_get(shown, "projector_info");
    if (json_len(info) == 0) return;
    put_pair(&t, "architecture", info_text(info, "general.architecture"));
    put_count(&t, info, "");
    put_arch_int(&t, "embedding length", info, "clip", "vision.embedding_length");
    put_arch_int(&t, "dimensions", info, "clip", "vision.projection_dim");
    put_block(out, "Projector", &t);
}

static void put_list(struct buf *out, const char *title, const json *list) {
    struct table t = {0};
    for (const json *v = json_first(list); v != NULL; v = json_next(v)) {
        table_row(&t);
        table_cell(&t, json_string(v) != NULL ? json_string(v) : "");
    }
    put_block(out, title, &t);
}

/* ---- texts ---- */

/* The words of each line are columns. */
static void put_words(struct buf *out, const char *title, const char *text) {
    struct table t = {0};
    char *copy = mem_strdup(text), *line_state, *word_state;
    for (char *line = copy != NULL ? strtok_r(copy, "\n", &line_state) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &line_state)) {
        table_row(&t);
        for (char *word = strtok_r(line, " \t", &word_state); word != NULL;
             word = strtok_r(NULL, " \t", &word_state))
            table_cell(&t, word);
    }
    mem_free(copy);
    put_block(out, title, &t);
}

/* Breaks a line at blanks. */
static void put_wrapped(struct table *t, char *line) {
    size_t n = strlen(line);
    while (n > WRAP_COLUMNS) {
        size_t cut = WRAP_COLUMNS;
        while (cut > 0 && line[cut] != ' ') cut--;
        if (cut == 0) break;
        line[cut] = '\0';
        table_row(t);
        table_cell(t, line);
        line += cut + 1;
        n -= cut + 1;
    }
    table_row(t);
    table_cell(t, line);
}

/* The first two lines that are not blank, then "...". */
static void put_head(struct buf *out, const char *title, const char *text) {
    struct table t = {0};
    char *copy = mem_strdup(text), *state;
    int n = 0;
    for (char *line = copy != NULL ? strtok_r(copy, "\n", &state) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
        size_t len = strlen(line);
        while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL) line[--len] = '\0';
        while (*line == ' ' || *line == '\t') line++;
        if (*line == '\0') continue;
        if (++n > 2) {
            table_row(&t);
            table_cell(&t, "...");
            break;
        }
        put_wrapped(&t, line);
    }
    mem_free(copy);
    put_block(out, title, &t);
}

/* ---- metadata and tensors ---- */

/* A list is cut where it would be wider than LIST_COLUMNS. */
static void put_value(struct buf *out, const json *v) {
    if (json_kind(v) == JSON_STRING) {
        buf_str(out, json_string(v));
        return;
    }
    if (json_kind(v) != JSON_ARRAY) {
        json_print(out, v);
        return;
    }
    const size_t n = json_len(v), start = out->len;
    size_t shown = 0;
    buf_chr(out, '[');
    for (const json *x = json_first(v); x != NULL && out->len - start < LIST_COLUMNS;
         x = json_next(x), shown++) {
        if (shown > 0) buf_str(out, ", ");
        json_print(out, x);
    }
    if (shown < n) buf_printf(out, ", ...+%zu more", n - shown);
    buf_chr(out, ']');
}

static int by_key(const void *a, const void *b) {
    const json *const *x = a, *const *y = b;
    return strcmp(json_key(*x), json_key(*y));
}

static void put_metadata(struct buf *out, const json *info) {
    const size_t n = json_len(info);
    const json **list = mem_array(n, sizeof *list);
    struct table t = {0};
    struct buf text = {0};
    size_t i = 0;
    if (list == NULL) return;
    for (const json *v = json_first(info); v != NULL; v = json_next(v)) list[i++] = v;
    qsort(list, n, sizeof *list, by_key);
    for (i = 0; i < n; i++) {
        put_value(&text, list[i]);
        table_row(&t);
        table_cell(&t, json_key(list[i]));
        table_cell_buf(&t, &text);
    }
    mem_free(list);
    buf_free(&text);
    put_block(out, "Metadata", &t);
}

static void put_tensors(struct buf *out, const json *tensors) {
    struct table t = {0};
    struct buf text = {0};
    for (const json *v = json_first(tensors); v != NULL; v = json_next(v)) {
        table_row(&t);
        table_cell(&t, info_text(v, "name"));
        table_cell(&t, info_text(v, "type"));
        buf_chr(&text, '[');
        for (const json *x = json_first(json_get(v, "shape")); x != NULL; x = json_next(x)) {
            if (text.len > 1) buf_chr(&text, ' ');
            json_print(&text, x);
        }
        buf_chr(&text, ']');
        table_cell_buf(&t, &text);
    }
    buf_free(&text);
    put_block(out, "Tensors", &t);
}

void info_put(struct buf *out, const json *shown, bool verbose) {
    put_model(out, shown);
    put_list(out, "Capabilities", json_get(shown, "capabilities"));
    put_projector(out, shown);
    put_head(out, "Notice", info_text(shown, "notice"));
    put_words(out, "Parameters", info_text(shown, "parameters"));
    if (verbose) {
        put_metadata(out, json_get(shown, "model_info"));
        put_tensors(out, json_get(shown, "tensors"));
    }
    put_head(out, "System", info_text(shown, "system"));
    put_head(out, "License", info_text(shown, "license"));
}

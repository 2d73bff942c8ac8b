/* named.c - the table of named.h. Rows are tried from top to bottom: a row with more marks stands
 * before a row with fewer of the same. */
#include "api/template/named.h"

#include <stdbool.h>
#include <string.h>

/* One turn per message, whatever its role. */
static const char chatml[] = "{{ range $turn := .Messages }}<|im_start|>{{ $turn.Role }}\n"
                             "{{ $turn.Content }}<|im_end|>\n"
                             "{{ end }}<|im_start|>assistant\n";

static const char llama3[] = "{{ range $turn := .Messages -}}\n"
                             "<|start_header_id|>{{ $turn.Role }}<|end_header_id|>\n"
                             "\n"
                             "{{ $turn.Content }}<|eot_id|>\n"
                             "{{- end -}}\n"
                             "<|start_header_id|>assistant<|end_header_id|>\n"
                             "\n";

/* Gemma 1 and 2 know no system role: its text goes in front of the next user's. */
static const char gemma[] = "{{- $rules := \"\" }}\n"
                            "{{- range $turn := .Messages }}\n"
                            "{{- if eq $turn.Role \"system\" }}\n"
                            "{{- if $rules }}{{ $rules = print $rules \"\\n\\n\" $turn.Content }}\n"
                            "{{- else }}{{ $rules = $turn.Content }}\n"
                            "{{- end }}\n"
                            "{{- else }}\n"
                            "{{- if eq $turn.Role \"user\" }}<start_of_turn>user\n"
                            "{{- with $rules }}\n"
                            "{{ . }}{{ $rules = \"\" }}\n"
                            "{{- end }}\n"
                            "{{- else if eq $turn.Role \"assistant\" }}<start_of_turn>model\n"
                            "{{- end }}\n"
                            "{{ $turn.Content }}<end_of_turn>\n"
                            "{{ end }}\n"
                            "{{- end }}<start_of_turn>model\n";

/* Gemma 3 puts a blank line between the system's text and the first user's. The recorded prompts of
 * this format end with an empty line, so these do. */
static const char gemma3[] = "{{- range $i, $turn := .Messages }}\n"
                             "{{- if eq $turn.Role \"user\" }}<start_of_turn>user\n"
                             "{{ if eq $i 1 }}{{ with $.System }}{{ . }}\n"
                             "\n"
                             "{{ end }}{{ end }}{{ $turn.Content }}<end_of_turn>\n"
                             "{{ else if eq $turn.Role \"assistant\" }}<start_of_turn>model\n"
                             "{{ $turn.Content }}<end_of_turn>\n"
                             "{{ end }}\n"
                             "{{- end }}<start_of_turn>model\n"
                             "\n";

static const struct named_template templates[] = {
    {"chatml", chatml, "{\"stop\":[\"<|im_start|>\",\"<|im_end|>\"]}", {"<|im_start|>", NULL}},
    {"llama3",
     llama3,
     "{\"stop\":[\"<|start_header_id|>\",\"<|end_header_id|>\",\"<|eot_id|>\"]}",
     {"<|start_header_id|>", NULL}},
    {"gemma3",
     gemma3,
     "{\"stop\":[\"<start_of_turn>\",\"<end_of_turn>\"]}",
     {"<start_of_turn>", "first_user_prefix"}},
    {"gemma",
     gemma,
     "{\"stop\":[\"<start_of_turn>\",\"<end_of_turn>\"]}",
     {"<start_of_turn>", NULL}},
};

const struct named_template *named_template_at(size_t i) {
    return i < sizeof templates / sizeof *templates ? &templates[i] : NULL;
}

static bool fits(const struct named_template *t, const char *jinja, size_t len) {
    for (size_t i = 0; i < NAMED_MARKS && t->mark[i] != NULL; i++)
        if (memmem(jinja, len, t->mark[i], strlen(t->mark[i])) == NULL) return false;
    return true;
}

const struct named_template *named_template_detect(const char *jinja, size_t len) {
    const struct named_template *t;
    if (jinja == NULL) return NULL;
    for (size_t i = 0; (t = named_template_at(i)) != NULL; i++)
        if (fits(t, jinja, len)) return t;
    return NULL;
}

const struct named_template *named_template_find(const char *name) {
    const struct named_template *t;
    for (size_t i = 0; (t = named_template_at(i)) != NULL; i++)
        if (strcmp(t->name, name) == 0) return t;
    return NULL;
}

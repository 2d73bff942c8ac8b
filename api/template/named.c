/* named.c - the table of named.h. Rows are tried from top to bottom: a row with more marks stands
 * before a row with fewer of the same, plain words stand behind control tokens.
 *
 * White space that belongs to a prompt stands inside a print where a trim marker would eat it. */
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

/* One turn per message, whatever its role. */
static const char alfred[] = "{{- range .Messages }}\n"
                             "{{- print \"<start_\" .Role \">\" .Content \"<end_message>\" }}\n"
                             "{{- end }}<start_assistant>";

/* Here and below: a system's text waits in $rules for the next user's turn and stands in front of
 * it. */
static const char alpaca[] =
    "{{- $rules := \"\" }}\n"
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ with .Content }}{{ $rules = print $rules . \"\\n\\n\" }}{{ "
    "end }}\n"
    "{{- else if eq .Role \"user\" }}{{ $rules }}{{ $rules = \"\" }}{{ print \"### "
    "Instruction:\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"### Response:\\n\" .Content \"\\n\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}### Response:\n";

/* A tool's result has no label of its own, here and in the formats like this one. */
static const char chatqa[] =
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ print \"System: \" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"user\" }}{{ print \"User: \" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"Assistant: \" .Content \"\\n\\n\" }}\n"
    "{{- else }}{{ print \" \" .Content \"\\n\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}Assistant:";

static const char codellama_70b_instruct[] =
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ print \"Source: system\\n\\n \" .Content \" <step> \" }}\n"
    "{{- else if eq .Role \"user\" }}{{ print \"Source: user\\n\\n \" .Content \" <step> \" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"Source: assistant\\n\\n \" .Content \" <step> "
    "\" }}\n"
    "{{- else }}{{ print \"Source:\\n\\n \" .Content \" <step> \" }}\n"
    "{{- end }}\n"
    "{{- end }}Source: assistant\n"
    "Destination: user\n"
    "\n"
    " ";

static const char falcon_instruct[] =
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ print \"System: \" .Content \"\\n\" }}\n"
    "{{- else if eq .Role \"user\" }}{{ print \"User:\\n\" .Content \"\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"Falcon:\\n\" .Content \"\\n\" }}\n"
    "{{- else }}{{ print \"\\n\" .Content \"\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}Falcon:\n";

static const char granite_instruct[] =
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ print \"System:\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"user\" }}{{ print \"Question:\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"Answer:\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else }}{{ print \"\\n\" .Content \"\\n\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}Answer:\n";

/* The empty pair of marks stays where no system has spoken. */
static const char llama2_chat[] =
    "{{- $rules := \"\" }}[INST] {{ range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ with .Content }}{{ $rules = print $rules \"\\n\" . \"\\n\" "
    "}}{{ end }}\n"
    "{{- else if eq .Role \"user\" }}<<SYS>>{{ $rules }}<</SYS>>{{ $rules = \"\" }}\n"
    "\n"
    "{{ .Content }} [/INST]\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \" \" .Content \"</s><s>[INST] \" }}\n"
    "{{- end }}\n"
    "{{- end }}";

static const char magicoder[] =
    "{{- $rules := \"\" }}\n"
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ with .Content }}{{ $rules = print $rules . \"\\n\\n\" }}{{ "
    "end }}\n"
    "{{- else if eq .Role \"user\" }}{{ $rules }}{{ $rules = \"\" }}{{ print \"@@ Instruction\\n\" "
    ".Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"@@ Response\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else }}{{ print \"\\n\" .Content \"\\n\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}@@ Response\n";

/* The system's text is the head of the next user's. */
static const char mistral_instruct[] =
    "[INST] {{ range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ print .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"user\" }}{{ .Content }}[/INST]\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \" \" .Content \"</s>[INST] \" }}\n"
    "{{- end }}\n"
    "{{- end }}";

static const char openchat[] =
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ print \"GPT4 Correct System: \" .Content \"<|end_of_turn|>\" "
    "}}\n"
    "{{- else if eq .Role \"user\" }}{{ print \"GPT4 Correct User: \" .Content \"<|end_of_turn|>\" "
    "}}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"GPT4 Correct Assistant: \" .Content "
    "\"<|end_of_turn|>\" }}\n"
    "{{- else }}{{ print \"GPT4 Correct \" .Content \"<|end_of_turn|>\" }}\n"
    "{{- end }}\n"
    "{{- end }}GPT4 Correct Assistant:";

static const char phi3[] = "{{- range .Messages }}\n"
                           "{{- print \"<|\" .Role \"|>\\n\" .Content \"<|end|>\\n\" }}\n"
                           "{{- end }}<|assistant|>\n";

static const char solar_instruct[] =
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ print \"### System:\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"user\" }}{{ print \"### User:\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"### Assistant:\\n\" .Content \"</s>\\n\\n\" "
    "}}\n"
    "{{- else }}{{ print \"\\n\" .Content \"\\n\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}### Assistant:\n";

static const char starcoder2_instruct[] =
    "{{- $rules := \"\" }}\n"
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ with .Content }}{{ $rules = print $rules . \"\\n\\n\" }}{{ "
    "end }}\n"
    "{{- else if eq .Role \"user\" }}{{ $rules }}{{ $rules = \"\" }}{{ print \"### "
    "Instruction\\n\" .Content \"\\n\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"### Response\\n\" .Content "
    "\"<|endoftext|>\\n\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}### Response\n";

/* No stop texts are recorded for this name: the table has the labels of its turns. */
static const char vicuna[] =
    "{{- $rules := \"\" }}\n"
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"system\" }}{{ with .Content }}{{ $rules = print $rules . \"\\n\\n\" }}{{ "
    "end }}\n"
    "{{- else if eq .Role \"user\" }}{{ $rules }}{{ $rules = \"\" }}{{ print \"USER: \" .Content "
    "\"\\n\" }}\n"
    "{{- else if eq .Role \"assistant\" }}{{ print \"ASSISTANT: \" .Content \"</s>\\n\" }}\n"
    "{{- end }}\n"
    "{{- end }}ASSISTANT:";

static const char zephyr[] = "{{- range .Messages }}\n"
                             "{{- print \"<|\" .Role \"|>\\n\" .Content \"</s>\\n\" }}\n"
                             "{{- end }}<|assistant|>\n";

/* The one format here with tools. Its wording of them is what the model was trained on, not cria's;
 * calls follow each other without a comma, as in the recorded prompts' template. */
static const char command_r[] =
    "{{- if or .Tools .System }}<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>\n"
    "{{- if .Tools }}# Safety Preamble\n"
    "The instructions in this section override those in the task description and style guide "
    "sections. Don't answer questions that are harmful or immoral.\n"
    "\n"
    "# System Preamble\n"
    "## Basic Rules\n"
    "You are a powerful conversational AI trained by Cohere to help people. You are augmented by a "
    "number of tools, and your job is to use and consume the output of these tools to best help "
    "the user. You will see a conversation history between yourself and a user, ending with an "
    "utterance from the user. You will then see a specific instruction instructing you what kind "
    "of response to generate. When you answer the user's requests, you cite your sources in your "
    "answers, according to those instructions.\n"
    "\n"
    "{{ with .System }}# User Preamble\n"
    "{{ . }}{{ end }}\n"
    "\n"
    "## Available Tools\n"
    "Here is a list of tools that you have available to you:\n"
    "{{- range .Tools }}\n"
    "\n"
    "```python\n"
    "def {{ .Function.Name }}({{ range $name, $property := .Function.Parameters.Properties }}{{ "
    "print $name \": \" }}{{ $property.Type }}, {{ end }}) -> List[Dict]:\n"
    "    '''{{ .Function.Description }}\n"
    "{{- with .Function.Parameters.Properties }}\n"
    "\n"
    "    Args:\n"
    "{{- range $name, $property := . }}\n"
    "        {{ $name }} ({{ $property.Type }}): {{ $property.Description }}\n"
    "{{- end }}\n"
    "{{- end }}\n"
    "    '''\n"
    "    pass\n"
    "```\n"
    "{{- end }}\n"
    "{{- else }}{{ .System }}\n"
    "{{- end }}<|END_OF_TURN_TOKEN|>\n"
    "{{- end }}\n"
    "{{- range .Messages }}\n"
    "{{- if eq .Role \"user\" }}<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{{ .Content }}\n"
    "{{- if $.Tools }}<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Write 'Action:' followed by a "
    "json-formatted list of actions that you want to perform in order to produce a good response "
    "to the user's last input. You can use any of the supplied tools any number of times, but you "
    "should aim to execute the minimum number of necessary actions for the input. You should use "
    "the `directly-answer` tool if calling the other tools is unnecessary. The list of actions you "
    "want to call should be formatted as a list of json objects, for example:\n"
    "```json\n"
    "[\n"
    "    {\n"
    "        \"tool_name\": title of the tool in the specification,\n"
    "        \"parameters\": a dict of parameters to input into the tool as they are defined in "
    "the specs, or {} if it takes no parameters\n"
    "    }\n"
    "]```\n"
    "{{- end }}<|END_OF_TURN_TOKEN|>\n"
    "{{- else if eq .Role \"assistant\" }}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>\n"
    "{{- if .Content }}{{ .Content }}\n"
    "{{- else if .ToolCalls }}\n"
    "Action: ```json\n"
    "[\n"
    "{{- range .ToolCalls }}\n"
    "    {\n"
    "        \"tool_name\": \"{{ .Function.Name }}\",\n"
    "        \"parameters\": {{ .Function.Arguments }}\n"
    "    }\n"
    "{{- end }}\n"
    "]```\n"
    "{{- end }}<|END_OF_TURN_TOKEN|>\n"
    "{{- else if eq .Role \"tool\" }}<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><results>\n"
    "console_output: {{ .Content }}\n"
    "</results><|END_OF_TURN_TOKEN|>\n"
    "{{- end }}\n"
    "{{- end }}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>\n";

static const struct named_template templates[] = {
    {"alfred",
     alfred,
     "{\"stop\":[\"<start_system>\",\"<end_message>\",\"<start_user>\",\"<start_assistant>\"]}",
     {"<end_message>", NULL}},
    {"gemma3-instruct",
     gemma3,
     "{\"stop\":[\"<end_of_turn>\"]}",
     {"<start_of_turn>", "first_user_prefix"}},
    {"gemma-instruct",
     gemma,
     "{\"stop\":[\"<start_of_turn>\",\"<end_of_turn>\"]}",
     {"<start_of_turn>", NULL}},
    {"llama3-instruct",
     llama3,
     "{\"stop\":[\"<|start_header_id|>\",\"<|end_header_id|>\",\"<|eot_id|>\"]}",
     {"<|start_header_id|>", NULL}},
    {"command-r",
     command_r,
     "{\"stop\":[\"<|START_OF_TURN_TOKEN|>\",\"<|END_OF_TURN_TOKEN|>\"]}",
     {"<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"}},
    {"llama2-chat",
     llama2_chat,
     "{\"stop\":[\"[INST]\",\"[/INST]\",\"<<SYS>>\",\"<</SYS>>\"]}",
     {"[INST]", "<<SYS>>"}},
    {"mistral-instruct",
     mistral_instruct,
     "{\"stop\":[\"<|im_start|>\",\"<|im_end|>\"]}",
     {"[INST]", NULL}},
    {"codellama-70b-instruct",
     codellama_70b_instruct,
     "{\"stop\":[\"Source:\",\"Destination:\",\"<step>\"]}",
     {"Source:", "<step>"}},
    {"openchat", openchat, "{\"stop\":[\"<|end_of_turn|>\"]}", {"GPT4 Correct", NULL}},
    {"phi-3",
     phi3,
     "{\"stop\":[\"<|end|>\",\"<|system|>\",\"<|user|>\",\"<|assistant|>\"]}",
     {"<|end|>", "<|assistant|>"}},
    {"zephyr",
     zephyr,
     "{\"stop\":[\"<|system|>\",\"</s>\",\"<|user|>\",\"<|assistant|>\"]}",
     {"<|assistant|>", "eos_token"}},
    {"chatml", chatml, "{\"stop\":[\"<|im_start|>\",\"<|im_end|>\"]}", {"<|im_start|>", NULL}},
    {"magicoder",
     magicoder,
     "{\"stop\":[\"@@ Instruction\",\"@@ Response\"]}",
     {"@@ Instruction", NULL}},
    {"solar-instruct",
     solar_instruct,
     "{\"stop\":[\"### System:\",\"### User:\",\"### Assistant\"]}",
     {"### System:", "### User:"}},
    {"alpaca",
     alpaca,
     "{\"stop\":[\"### Instruction:\",\"### Response\"]}",
     {"### Instruction:", "### Response:"}},
    {"starcoder2-instruct",
     starcoder2_instruct,
     "{\"stop\":[\"### Instruction\",\"### Response\",\"<|endoftext|>\"]}",
     {"### Instruction", "### Response"}},
    {"vicuna", vicuna, "{\"stop\":[\"USER:\",\"ASSISTANT:\"]}", {"USER:", "ASSISTANT:"}},
    {"granite-instruct",
     granite_instruct,
     "{\"stop\":[\"System:\",\"Question:\",\"Answer:\"]}",
     {"Question:", "Answer:"}},
    {"falcon-instruct",
     falcon_instruct,
     "{\"stop\":[\"User:\",\"Assistant:\"]}",
     {"Falcon:", NULL}},
    {"chatqa",
     chatqa,
     "{\"stop\":[\"System:\",\"User:\",\"Assistant:\",\"<|begin_of_text|>\"]}",
     {"User:", "Assistant:"}},
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

/* cmd_doctor.c - looks for what could be wrong on this machine: one row per check. It changes
 * nothing. Exit code 1 if a check failed; what is only worth knowing is a warning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/format.h"
#include "cli/host.h"
#include "kernels/cpu/isa.h"
#include "store/upkeep.h"

enum health { HEALTH_OK, HEALTH_WARN, HEALTH_FAIL };
static const char *const health_name[] = {"ok", "warning", "failed"};

struct finding {
    enum health health;
    struct buf text;
};

static void say(struct finding *f, enum health health, const char *text) {
    if (health > f->health) f->health = health;
    if (f->text.len > 0) buf_str(&f->text, "; ");
    buf_str(&f->text, text);
}

/* ---- the checks ---- */

static void check_config(struct finding *f) {
    struct err e = {0};
    if (config_load(NULL, &e) != ST_OK) {
        say(f, HEALTH_FAIL, e.msg);
        return;
    }
    say(f, HEALTH_OK, config_loaded() != NULL ? config_loaded() : "no file, which is fine");
    for (int i = 0; i < SETTING_COUNT; i++) {
        struct setting_value v;
        config_get((enum setting)i, &v);
        if (v.problem.code != ST_OK) say(f, HEALTH_WARN, v.problem.msg);
    }
}

static void check_processor(struct finding *f) {
    const char *forced = config_text(SET_cpu_isa);
    const struct cpu_isa *isa = cpu_pick(forced);
    if (isa == NULL) {
        say(f, HEALTH_FAIL, "cpu_isa names kernels that this processor cannot run");
        return;
    }
    buf_printf(&f->text, "kernels for %s, %u threads", isa->name, os_cpu_count());
    if (strcmp(isa->name, "scalar") == 0)
        say(f, HEALTH_WARN, "no vector instructions are used: it will be slow");
}

static uint64_t meminfo(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static void check_memory(struct finding *f) {
    enum { LEAST = 1 << 30 };
    char text[4096];
    FILE *file = fopen("/proc/meminfo", "re");
    const size_t n = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL) fclose(file);
    text[n] = '\0';
    const uint64_t total = meminfo(text, "MemTotal:"), free = meminfo(text, "MemAvailable:");
    if (total == 0) {
        say(f, HEALTH_WARN, "/proc/meminfo cannot be read");
        return;
    }
    format_bytes(&f->text, free);
    buf_str(&f->text, " of ");
    format_bytes(&f->text, total);
    buf_str(&f->text, " are available");
    if (free < LEAST) say(f, HEALTH_WARN, "that is room for small models only");
}

/* Others who can write could slip in a model. */
static void check_folder(struct finding *f, const char *dir) {
    struct stat info;
    if (stat(dir, &info) != 0) {
        say(f, HEALTH_FAIL, "it is not there and cannot be made");
        return;
    }
    if (access(dir, R_OK | X_OK) != 0) say(f, HEALTH_FAIL, "it cannot be read");
    if (access(dir, W_OK) != 0) say(f, HEALTH_WARN, "it cannot be written: nothing can be pulled");
    if ((info.st_mode & S_IWOTH) != 0) say(f, HEALTH_FAIL, "everybody may write there");
}

static void put_finding(void *arg, const struct store_finding *found) {
    struct finding *f = arg;
    struct buf text = {0};
    if (!found->damage) return;
    buf_printf(&text, "%s: %s", found->subject, found->text);
    if (text.data != NULL) say(f, HEALTH_FAIL, text.data);
    buf_free(&text);
}

/* Reads the manifests, and of the blobs only what has never been read before: fsck reads all. */
static void check_store(struct finding *f) {
    struct store *s = NULL;
    struct err e = {0};
    struct store_fsck check = {.found = put_finding, .arg = f};
    enum status st = store_open(&s, NULL, &e);
    if (st == ST_OK) {
        buf_str(&f->text, store_dir(s));
        check_folder(f, store_dir(s));
        st = store_fsck(s, &check, &e);
    }
    if (st == ST_OK)
        buf_printf(&f->text, "; %llu models, %llu blobs, %llu damaged",
                   (unsigned long long)check.n_models, (unsigned long long)check.n_blobs,
                   (unsigned long long)check.n_damaged);
    else
        say(f, HEALTH_FAIL, e.msg);
    store_close(s);
}

static void check_disk(struct finding *f) {
    const uint64_t least = UINT64_C(5000000000);
    struct store *s = NULL;
    struct store_usage u;
    struct err e = {0};
    enum status st = store_open(&s, NULL, &e);
    if (st == ST_OK) st = store_usage(s, &u, &e);
    if (st != ST_OK) {
        say(f, HEALTH_FAIL, e.msg);
    } else {
        format_bytes(&f->text, u.disk_free);
        buf_str(&f->text, " of ");
        format_bytes(&f->text, u.disk_size);
        buf_str(&f->text, " are free");
        if (u.disk_free < least) say(f, HEALTH_WARN, "that is little for models");
        if (u.quota > 0 && u.total > u.quota) say(f, HEALTH_WARN, "store_quota is exceeded");
        store_usage_free(&u);
    }
    store_close(s);
}

/* What must be nobody's but the user's. */
static void check_secrets(struct finding *f) {
    static const char *const files[] = {"/.ollama/id_ed25519", "/.ollama/history",
                                        "/.cria/history"};
    const char *home = getenv("HOME");
    char path[4096], text[4160];
    unsigned n = 0;
    for (size_t i = 0; home != NULL && i < sizeof files / sizeof *files; i++) {
        struct stat info;
        snprintf(path, sizeof path, "%s%s", home, files[i]);
        if (stat(path, &info) != 0) continue;
        n++;
        if ((info.st_mode & 077) == 0) continue;
        snprintf(text, sizeof text, "others may read %s: chmod 600", path);
        say(f, HEALTH_WARN, text);
    }
    if (f->text.len == 0) buf_printf(&f->text, "%u private files, all private", n);
}

static void check_server(struct finding *f) {
    struct client *c = NULL;
    struct err e = {0};
    json *reply = NULL;
    struct host h;
    host_from_env(&h);
    host_put_connectable(&f->text, &h);
    enum status st = client_open(&c, NULL, &e);
    if (st == ST_OK) st = client_json(c, "/api/version", NULL, &reply, &e);
    const char *version = st == ST_OK ? json_string(json_get(reply, "version")) : NULL;
    if (st != ST_OK)
        say(f, config_is_set(SET_host) ? HEALTH_FAIL : HEALTH_WARN, e.msg);
    else if (version == NULL)
        say(f, HEALTH_FAIL, "it does not tell its version");
    else if (strcmp(version, CRIA_API_VERSION) == 0)
        say(f, HEALTH_OK, "it speaks this version of the API");
    else
        say(f, HEALTH_WARN, "it speaks another version of the API");
    if (version != NULL) buf_printf(&f->text, " (server %s, here %s)", version, CRIA_API_VERSION);
    json_free(reply);
    client_close(c);
}

static const struct {
    const char *name;
    void (*check)(struct finding *f);
} checks[] = {{"settings", check_config}, {"processor", check_processor},
              {"memory", check_memory},   {"store", check_store},
              {"disk", check_disk},       {"secrets", check_secrets},
              {"server", check_server}};
enum { N_CHECKS = sizeof checks / sizeof *checks };

/* ---- together ---- */

static void put_json(struct buf *out, const char *name, const struct finding *f) {
    buf_str(out, out->len > 1 ? ",{" : "{");
    json_put_field(out, "check", name);
    json_put_field(out, "result", health_name[f->health]);
    json_put_field(out, "text", f->text.data);
    buf_chr(out, '}');
}

enum status cmd_doctor(const struct args *a, struct err *e) {
    struct buf out = {0};
    unsigned n_failed = 0;
    const bool as_json = args_bool(a, "json");
    buf_str(&out, as_json ? "[" : "");
    for (size_t i = 0; i < N_CHECKS; i++) {
        struct finding f = {HEALTH_OK, {0}};
        checks[i].check(&f);
        if (as_json)
            put_json(&out, checks[i].name, &f);
        else
            buf_printf(&out, "%-8s %-10s %s\n", health_name[f.health], checks[i].name,
                       f.text.data != NULL ? f.text.data : "");
        n_failed += f.health == HEALTH_FAIL;
        buf_free(&f.text);
    }
    if (as_json) buf_str(&out, "]\n");
    enum status st = cli_put(&out, e);
    if (st == ST_OK && n_failed > 0)
        st = err_set(e, ST_UNAVAILABLE, "%u of %d checks failed", n_failed, N_CHECKS);
    return st;
}

/* key_test.c - the key files: made once, read back, refused when others can read them. OpenSSH
 * reads what we write (ssh-keygen, where it is there). */
#include "store/registry/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "store/testing.h"

static void path_in(char out[256], const char *dir, const char *file) {
    snprintf(out, 256, "%s/%s", dir, file);
}

static void made_and_read(void **state UNUSED) {
    char dir[] = "/tmp/cria-key-XXXXXX", path[256], *text;
    struct key a, b;
    struct err e;
    struct stat info;
    size_t size;
    bool made;
    struct buf line = {0};
    assert_non_null(mkdtemp(dir));
    assert_int_equal(key_load(&a, dir, &made, &e), ST_OK);
    assert_true(made);
    assert_int_equal(key_load(&b, dir, &made, &e), ST_OK);
    assert_false(made);
    assert_memory_equal(&a, &b, sizeof a);
    path_in(path, dir, "id_ed25519");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    path_in(path, dir, "id_ed25519.pub");
    assert_int_equal(os_file_read(path, 1000, &text, &size, &e), ST_OK);
    key_public_line(&a, &line);
    buf_chr(&line, '\n');
    assert_string_equal(text, line.data);
    mem_free(text);
    if (system("command -v ssh-keygen >/dev/null 2>&1") == 0) {
        char command[600], got[256] = {0};
        snprintf(command, sizeof command, "ssh-keygen -y -P '' -f %s/id_ed25519", dir);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        assert_non_null(fgets(got, sizeof got, f));
        assert_int_equal(pclose(f), 0);
        assert_int_equal(strncmp(got, line.data, line.len - 1), 0);
    }
    buf_free(&line);
    path_in(path, dir, "id_ed25519.pub");
    unlink(path);
    path_in(path, dir, "id_ed25519");
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* no temporary file was left */
}

static void sec_S_ST_8_key_files(void **state UNUSED) {
    char dir[] = "/tmp/cria-key-XXXXXX", path[256];
    struct key k;
    struct err e;
    char *text;
    size_t size;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(key_load(&k, dir, NULL, &e), ST_OK);
    path_in(path, dir, "id_ed25519");
    assert_int_equal(os_file_read(path, 10000, &text, &size, &e), ST_OK);
    for (size_t i = 0; i < size; i++) { /* any cut or changed byte: refused, or the same key */
        struct key got;
        char saved = text[i];
        text[i] = (char)(saved ^ 4);
        FILE *f = fopen(path, "wb");
        fwrite(text, 1, i % 2 != 0 ? size : i, f);
        fclose(f);
        if (key_load(&got, dir, NULL, &e) == ST_OK) assert_memory_equal(&got, &k, sizeof k);
        text[i] = saved;
    }
    chmod(path, 0644);
    assert_int_equal(key_load(&k, dir, NULL, &e), ST_DENIED); /* S-ST-8 */
    assert_non_null(strstr(e.msg, "can be read by others"));
    mem_free(text);
    unlink(path);
    path_in(path, dir, "id_ed25519.pub");
    unlink(path);
    rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_and_read),
        cmocka_unit_test(sec_S_ST_8_key_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

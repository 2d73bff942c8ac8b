/* os.h - what cria needs from the operating system: files, mappings, time, environment. POSIX. */
#ifndef CRIA_BASE_OS_H
#define CRIA_BASE_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The status that fits errno, with "verb path: text of errno" in e ("open /x: no such file or
 * directory"). */
enum status os_fail(struct err *e, const char *verb, const char *path);

/* Files below a guarded folder are opened by its guard, whoever opens them through this header; the
 * folder is compared as text. The guard gets the path below the folder and returns a descriptor, or
 * -1 with e set; it may be called by several threads at once. os_unguard ends all guards with that
 * arg and waits for openings in progress. */
typedef int os_opener(void *arg, const char *below, struct err *e);
enum status os_guard(const char *dir, os_opener *opener, void *arg, struct err *e);
void os_unguard(const void *arg);
/* Opens for reading, through the guard if there is one; -1 and e set on failure. A FIFO that
 * somebody put there does not hang. */
int os_open_read(const char *path, struct err *e);

/* Opens a regular file for reading and gives its size; -1 and e set on failure. */
int os_open_regular(const char *path, size_t *size, struct err *e);

/* A read-only view of a whole file (mmap) or of memory that somebody else owns. If somebody cuts
 * the file while it is mapped, zeros are read in the place of what is gone, and os_map_cut tells.
 */
struct os_map {
    const unsigned char *data;
    size_t size;
    bool owned;    /* mapped by us: os_map_close unmaps it */
    unsigned view; /* its number among the guarded ones; 0: not guarded */
};
enum status os_map_open(struct os_map *m, const char *path, struct err *e);
void os_map_borrow(struct os_map *m, const void *data, size_t size);
void os_map_close(struct os_map *m); /* a zeroed map is fine */
/* Whether something was read that the file does not have any more. */
bool os_map_cut(const struct os_map *m);
/* Gives back the whole pages of a part of a mapped file; reading it again reads the file again.
 * Nothing happens if the map is borrowed or the bytes are not in it. */
void os_map_forget(const struct os_map *m, const unsigned char *data, size_t n);

/* Whole small files. os_file_read: *data has a NUL behind it (not counted), freed with mem_free;
 * a file above max_size is ST_LIMIT. os_file_write_atomic: temporary file in the same folder,
 * fsync, rename, fsync of the folder: after a crash the old or the new content is there. */
enum status os_file_read(const char *path, size_t max_size, char **data, size_t *size,
                         struct err *e);
/* The same from an open file of that size; `shown` is how messages call it. */
enum status os_fd_read(int fd, const char *shown, size_t want, size_t max_size, char **data,
                       size_t *size, struct err *e);
enum status os_file_write_atomic(const char *path, const void *data, size_t size, struct err *e);
/* The same in an open folder; of the path only the last part counts, all of it is for messages. */
enum status os_file_write_atomic_at(int dir, const char *path, const void *data, size_t size,
                                    struct err *e);
bool os_file_exists(const char *path);

/* A file written piece by piece, with the promise of os_file_write_atomic: the pieces go to a
 * temporary file in the same folder, and os_out_commit syncs it and gives it its name. A path that
 * names something else than a regular file (a device, a folder) is refused. The temporary file goes
 * with os_out_abort; a crash may leave it. One thread at a time. */
struct os_out {
    char *path, *temp; /* owned; NULL: nothing is open */
    int dir, fd;       /* owned */
};
enum status os_out_begin(struct os_out *o, const char *path, struct err *e);
enum status os_out_write(struct os_out *o, const void *data, size_t n, struct err *e);
enum status os_out_commit(struct os_out *o, struct err *e); /* frees o, also on failure */
void os_out_abort(struct os_out *o);                        /* a zeroed or committed one is fine */
enum status os_mkdirs(const char *path, struct err *e);     /* as mkdir -p, mode 0755 */
/* Makes what was done in an open folder last; where a file system cannot, nothing. */
enum status os_fsync_dir(int dir, const char *shown, struct err *e);

double os_time_mono(void); /* seconds, never goes back */
int64_t os_time_mono_ns(void);
/* Tells the kernel that this thread computes at length: what wakes up for a moment (a thread that
 * writes to a client, the client) need not wait until it has had its time slice. Its share of the
 * processor stays. Linux 6.12; nothing happens where it cannot be told. */
void os_thread_computes(void);

void os_cond_init(pthread_cond_t *c); /* its timed waits end by os_time_mono_ns() */
/* Waits until then at most; false: it is then. INT64_MAX: for ever. Of one that os_cond_init made.
 */
bool os_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t mono_ns);
int64_t os_time_unix_ns(void);
/* RFC 3339 with up to 9 decimals, trailing zeros dropped; UTC as "Z" or local time with offset. */
void os_time_rfc3339(int64_t unix_ns, bool utc, char out[48]);

/* Environment: CRIA_NAME, else OLLAMA_NAME, trimmed of white space, then of quotes (spec/cli.md 6);
 * NULL if unset or empty. `name` without prefix, e.g. "HOST". The text stays valid for the life of
 * the process. Settings are read through config.h, which looks here. */
const char *os_env(const char *name);
const char *os_env_from(const char *name, bool *ollama); /* and which of the two it was */
/* A copy that lives as long as the process; equal texts are stored once. NULL: no memory. */
const char *os_intern(const char *s, size_t n);

unsigned os_cpu_count(void); /* processors this process may use (affinity, cgroup) */
size_t os_rss_bytes(void);   /* resident memory now */
size_t os_rss_peak_bytes(void);
enum status os_random(void *out, size_t n, struct err *e);

#endif

/* mem.h - the one door to the heap.
 *
 * Every allocation of cria goes through here, so that a test can count what is alive (leak check)
 * and make the n-th allocation fail (fault loops). All functions return NULL on failure; sizes are
 * multiplied with overflow checks. Thread-safe. */
#ifndef CRIA_BASE_MEM_H
#define CRIA_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t size);                   /* size 0 gives a valid pointer */
void *mem_zalloc(size_t n, size_t size);        /* n * size bytes of zeros */
void *mem_array(size_t n, size_t size);         /* n * size bytes, not cleared */
void *mem_grow(void *p, size_t n, size_t size); /* realloc to n * size; on failure p stays */
void *mem_aligned(size_t align, size_t size);   /* align: power of two; freed with mem_free */
void mem_free(void *p);                         /* NULL is fine */
char *mem_strdup(const char *s);                /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);     /* copies exactly n bytes and adds a NUL */

/* Large memory straight from the system: zeroed, aligned to a page, and not there before it is
 * touched; huge pages are asked for. Freed with mem_pages_free. */
void *mem_pages(size_t size);
void mem_pages_free(void *p); /* NULL is fine */

/* a * b and a + b without overflow; false and *out untouched if they do not fit. */
bool mem_mul(size_t a, size_t b, size_t *out);
bool mem_add(size_t a, size_t b, size_t *out);

/* From now on what is given back to the heap is zeroed first: nobody finds in new memory what
 * somebody else had there (spec/security.md S-LC-8). For the rest of the process. */
void mem_wipe_freed(void);

/* For tests: number of live blocks; let the n-th allocation from now fail (0: never). */
long mem_live(void);
void mem_fail_at(long n);

#endif

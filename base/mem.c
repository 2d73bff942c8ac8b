/* mem.c - see mem.h. */
#include "base/mem.h"

#include <assert.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_long live_blocks;
static atomic_long fail_countdown; /* 0: off; 1: the next allocation fails */
static atomic_bool wipe_freed;

static bool must_fail(void) {
    long left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    if (left == 0) return false;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

static void *counted(void *p) {
    if (p != NULL) atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    return p;
}

bool mem_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool mem_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

void *mem_alloc(size_t size) {
    if (must_fail()) return NULL;
    return counted(malloc(size != 0 ? size : 1));
}

void *mem_array(size_t n, size_t size) {
    size_t total;
    return mem_mul(n, size, &total) ? mem_alloc(total) : NULL;
}

void *mem_zalloc(size_t n, size_t size) {
    size_t total; /* calloc checks too, but sanitizers take its refusal for a fault of ours */
    if (!mem_mul(n, size, &total) || must_fail()) return NULL;
    return counted(calloc(n != 0 ? n : 1, size != 0 ? size : 1));
}

void mem_wipe_freed(void) { atomic_store(&wipe_freed, true); }

static bool wipes(void) { return atomic_load_explicit(&wipe_freed, memory_order_relaxed); }

/* What the block has room for, which may be more than was asked for. */
static void give_back(void *p) {
    if (wipes()) explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

/* realloc() would leave the old bytes where they were. */
static void *move_block(void *p, size_t size) {
    const size_t old = malloc_usable_size(p);
    void *q = malloc(size);
    if (q == NULL) return NULL;
    memcpy(q, p, old < size ? old : size);
    give_back(p);
    return q;
}

void *mem_grow(void *p, size_t n, size_t size) {
    size_t total;
    if (!mem_mul(n, size, &total) || must_fail()) return NULL;
    if (total == 0) total = 1;
    void *q = p != NULL && wipes() ? move_block(p, total) : realloc(p, total);
    return p == NULL ? counted(q) : q;
}

void *mem_aligned(size_t align, size_t size) {
    assert(align != 0 && (align & (align - 1)) == 0);
    size_t rounded;
    if (must_fail() || !mem_add(size != 0 ? size : 1, align - 1, &rounded)) return NULL;
    return counted(aligned_alloc(align, rounded & ~(align - 1)));
}

void mem_free(void *p) {
    if (p == NULL) return;
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    give_back(p);
}

/* The mapping begins with a page that holds its size. */
enum { PAGE = 4096 };

void *mem_pages(size_t size) {
    size_t total;
    if (must_fail() || !mem_add(size, PAGE, &total)) return NULL;
    size_t *head = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (head == MAP_FAILED) return NULL;
    madvise(head, total, MADV_HUGEPAGE); /* 10 % more read bandwidth; only a wish */
    *head = total;
    return counted((unsigned char *)head + PAGE);
}

void mem_pages_free(void *p) {
    if (p == NULL) return;
    size_t *head = (size_t *)(void *)((unsigned char *)p - PAGE);
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    munmap(head, *head);
}

char *mem_strndup(const char *s, size_t n) {
    size_t total;
    char *copy = mem_add(n, 1, &total) ? mem_alloc(total) : NULL;
    if (copy == NULL) return NULL;
    if (n != 0) memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *mem_strdup(const char *s) { return s != NULL ? mem_strndup(s, strlen(s)) : NULL; }

long mem_live(void) { return atomic_load(&live_blocks); }
void mem_fail_at(long n) { atomic_store(&fail_countdown, n); }

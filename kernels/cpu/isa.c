/* isa.c - which instruction sets there are, and which this processor has.
 *
 * Compiled for the base instruction set: nothing here may run what it is asking for. */
#include "kernels/cpu/isa.h"

#include <string.h>

#ifdef __aarch64__
#include <sys/auxv.h>
#endif

bool cpu_has_scalar(void) { return true; }

/* ISAS(X): X(name) for each, best first. */
#if defined(__x86_64__)
#define ISAS(X) X(avx512vnni) X(avx512) X(avx2) X(scalar)

/* The builtin asks cpuid, and xgetbv whether the system saves the registers. It has no word for
 * F16C in clang 16, but every processor with AVX2 has that (it came a generation earlier). */
bool cpu_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool cpu_has_avx512(void) {
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
bool cpu_has_avx512vnni(void) { return cpu_has_avx512() && __builtin_cpu_supports("avx512vnni"); }
#elif defined(__aarch64__)
#define ISAS(X) X(dotprod) X(neon) X(scalar)

bool cpu_has_neon(void) { return true; } /* part of the architecture */
bool cpu_has_dotprod(void) { return (getauxval(AT_HWCAP) & 1ul << 20) != 0; } /* HWCAP_ASIMDDP */
#else
#define ISAS(X) X(scalar)
#endif

#define DECLARE(name) extern const struct cpu_isa cpu_isa_##name;
ISAS(DECLARE)

#define ENTRY(name) &cpu_isa_##name,
const struct cpu_isa *const cpu_isas[] = {ISAS(ENTRY) NULL};

const struct cpu_isa *cpu_pick(const char *name) {
    for (const struct cpu_isa *const *isa = cpu_isas; *isa != NULL; isa++) {
        if (name != NULL && strcmp((*isa)->name, name) != 0) continue;
        if ((*isa)->usable()) return *isa;
    }
    return NULL;
}

size_t act_row_bytes(enum act_row kind, size_t n) {
    size_t size = n * sizeof(float);
    if (kind == ACT_ROW_Q8) size = n + n / 32 * (sizeof(float) + 2 * sizeof(int16_t));
    return (size + 63) / 64 * 64; /* rows follow each other, each aligned */
}

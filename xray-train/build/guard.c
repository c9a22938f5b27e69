// Ends a program that its processor cannot run with a sentence and exit code 78, where it would die of an illegal
// instruction. Runs before main and before every constructor that was compiled for the level, and is itself
// compiled for the baseline whatever the compiler's flags say.
#pragma GCC target("arch=x86-64")

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(number) #number
#define LEVEL_TEXT(number) "x86_64-v" TEXT(number)

// The level this build needs, in HTCondor's spelling, where another program finds it without running this one.
// Volatile, so that the guard reads it from here and the linker keeps it.
__attribute__((section(".xray.isa"), used)) static const volatile char needed[] = LEVEL_TEXT(XRAY_LEVEL);

// `Exit::CannotRunHere`.
enum { CANNOT_RUN_HERE = 78 };

struct features {
    unsigned leaf_1_c, leaf_7_b, extended_c, saved_by_the_system;
};

static struct features features_of_this_processor(void) {
    struct features found = {0};
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) found.leaf_1_c = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) found.leaf_7_b = b;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) found.extended_c = c;
    if (found.leaf_1_c & bit_OSXSAVE) __asm__("xgetbv" : "=a"(found.saved_by_the_system), "=d"(d) : "c"(0));
    return found;
}

static int has(unsigned found, unsigned bits) {
    return (found & bits) == bits;
}

// By the psABI's list.
static int level_of_this_processor(void) {
    const unsigned lahf = 1u << 0, lzcnt = 1u << 5, ymm_saved = 0x06, zmm_saved = 0xe6;
    struct features found = features_of_this_processor();
    int v2 = has(found.leaf_1_c, bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT) &&
             has(found.extended_c, lahf);
    int v3 = v2 && has(found.leaf_1_c, bit_FMA | bit_MOVBE | bit_AVX | bit_F16C) &&
             has(found.leaf_7_b, bit_BMI | bit_AVX2 | bit_BMI2) && has(found.extended_c, lzcnt) &&
             has(found.saved_by_the_system, ymm_saved);
    int v4 = v3 && has(found.leaf_7_b, bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL) &&
             has(found.saved_by_the_system, zmm_saved);
    return 1 + v2 + v3 + v4;
}

// One instruction of the level. Where the check was skipped in error, the program dies here and not in mid-run.
static void use_level(int level) {
    if (level >= 4) __asm__ volatile("vpord %%zmm0, %%zmm0, %%zmm0" ::: "xmm0");
    else if (level == 3) __asm__ volatile("vpor %%ymm0, %%ymm0, %%ymm0" ::: "xmm0");
    else if (level == 2) __asm__ volatile("pcmpgtq %%xmm0, %%xmm0" ::: "xmm0");
}

// Of the priorities that programs may use, 101 comes first.
__attribute__((constructor(101))) static void check_processor(void) {
    const char *check = getenv("XRAY_CPU_CHECK");
    int level = level_of_this_processor(), needed_level = needed[sizeof needed - 2] - '0';
    if (level >= needed_level || (check && strcmp(check, "off") == 0)) {
        use_level(needed_level);
        return;
    }
    dprintf(STDERR_FILENO,
            "error: this build of xray-train needs an x86-64-v%d processor, this one has v%d\n"
            " hint: use the baseline build, which runs everywhere and chooses its kernels at run time, or a machine "
            "with Microarch >= x86_64-v%d; XRAY_CPU_CHECK=off skips this check\n",
            needed_level, level, needed_level);
    _exit(CANNOT_RUN_HERE);
}

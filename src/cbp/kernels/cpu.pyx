"""Which instruction sets this processor, and its operating system, can run."""

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(_M_X64)
    #ifdef _MSC_VER
    #include <intrin.h>
    #define CPUID(leaf, found) __cpuidex((int *)(found), leaf, 0)
    #define XGETBV() _xgetbv(0)
    #else
    #include <cpuid.h>
    #define CPUID(leaf, found) __cpuid_count(leaf, 0, (found)[0], (found)[1], (found)[2], (found)[3])
    static unsigned long long XGETBV(void)
    {
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return (unsigned long long)high << 32 | low;
    }
    #endif
    #define HAS(word, bits) (((word) & (bits)) == (bits))
    /* Only those features are tested that the kernels' code is likely to use; a processor that has them counts as one
     * of this level. They are bits in eax … edx of the leaves 1 and 7 (Intel, Software Developer's Manual,
     * CPUID), and in XCR0, which tells which registers the operating system saves. */
    static int x86_level(void)
    {
        unsigned top[4], one[4], seven[4] = {0};
        CPUID(0, top);
        CPUID(1, one);
        if (top[0] >= 7) CPUID(7, seven);
        if (!HAS(one[2], 1u << 20 | 1u << 23)) return 1;                    /* SSE4.2, POPCNT */
        /* FMA, OSXSAVE, AVX, F16C; AVX2, BMI1, BMI2 */
        if (!HAS(one[2], 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29)) return 2;
        if (!HAS(seven[1], 1u << 5 | 1u << 3 | 1u << 8)) return 2;
        if (!HAS(XGETBV(), 0x6)) return 2;
        /* AVX-512 F, DQ, CD, BW, VL */
        if (!HAS(seven[1], 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31)) return 3;
        return HAS(XGETBV(), 0xe6) ? 4 : 3;
    }
    #else
    static int x86_level(void) { return 0; }
    #endif
    """
    int x86_level()


def level():
    """Return the x86-64 microarchitecture level, 1 to 4; 0 on other processors."""
    return x86_level()

/* Vectors of `real`s, as wide as the registers of the instruction set, and those operations on them that cannot be
 * written in Cython. This is the only arithmetic in C.
 *
 * Macros given by setup.py:
 *   CBP_DOUBLE   `real` is double (else float)
 *   VBYTES       bytes of a vector: 16, 32 or 64; 0 makes `vec` a plain `real` (LANES = 1), for compilers
 *                without the vector extension of GCC and clang: correct and slow.
 * The operators + - * / can be applied to `vec` directly.
 */
#ifndef CBP_VEC_H
#define CBP_VEC_H

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef CBP_DEBUG
#define CHECK(condition) assert(condition)
#else
#define CHECK(condition) ((void)0)
#endif

#if !defined(VBYTES) || !(defined(__GNUC__) || defined(__clang__))
#undef VBYTES
#define VBYTES 0
#endif

/* Strips of rows in a tile of large products. With vectors of 64 bytes there are 32 registers: two strips take 24. */
#define STRIPS_AT_ONCE (VBYTES == 64 ? 2 : 1)

/* Return the number of bits that are 1. */
#if defined(__GNUC__) || defined(__clang__)
#define count_ones(bits) __builtin_popcountll(bits)
#else
static int count_ones(uint64_t bits)
{
    int n = 0;
    for (; bits; bits &= bits - 1) n++;
    return n;
}
#endif

/* Ask for a line of memory to be brought into the L2 cache. Any address is safe. */
#if defined(__GNUC__) || defined(__clang__)
#define fetch_ahead(p) __builtin_prefetch(p, 0, 2)
#else
#define fetch_ahead(p) ((void)(p))
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define CBP_INLINE static __forceinline
#else
#define CBP_INLINE static inline __attribute__((always_inline))
/* Kernel bodies take their tile shape as constant arguments and must be inlined to become straight-line
 * code, which `inline` alone does not promise. */
#undef CYTHON_INLINE
#define CYTHON_INLINE inline __attribute__((always_inline))
#endif

#ifdef CBP_DOUBLE
typedef double real;
typedef uint64_t word;
typedef int64_t whole;
#define LEAST_EXPONENT -746.0           /* e^x rounds to 0 for this x and less */
#define SMALLEST 0x1p-1074               /* the smallest number above 0 */
#define SMALLEST_KEPT 0x1p-1016         /* 64 times the smallest normal number: see updates.pxi */
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define SQRT sqrt
#else
typedef float real;
typedef uint32_t word;
typedef int32_t whole;
#define LEAST_EXPONENT -105.0f
#define SMALLEST 0x1p-149f
#define SMALLEST_KEPT 0x1p-120f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define SQRT sqrtf
#endif

/* No multiply-adds are fused but those of `mul_add` and `sub_mul`: see there. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#if VBYTES
#define LANES ((ptrdiff_t)(VBYTES / sizeof(real)))
typedef real vec __attribute__((vector_size(VBYTES)));
typedef word wordvec __attribute__((vector_size(VBYTES)));
typedef real vec_anywhere __attribute__((vector_size(VBYTES), aligned(sizeof(real)), may_alias));
typedef whole wholes __attribute__((vector_size(VBYTES)));

CBP_INLINE vec load(const real *p) { return *(const vec_anywhere *)p; }
CBP_INLINE void store(real *p, vec x) { *(vec_anywhere *)p = x; }
/* x - 0 keeps -0.0, and compiles to one broadcast instruction, which a loop over the lanes does not. */
CBP_INLINE vec broadcast(real x) { return x - (vec){0}; }

CBP_INLINE wordvec as_words(vec x) { return (wordvec)x; }
CBP_INLINE vec as_reals(wordvec w) { return (vec)w; }
/* A comparison of vectors gives -1 (all bits 1) or 0 in each lane, so a choice takes three logical operations. */
#define CHOOSE(condition, yes, no) \
    as_reals(((wordvec)(condition) & as_words(yes)) | (~(wordvec)(condition) & as_words(no)))
#define WHERE(condition, yes) as_reals((wordvec)(condition) & as_words(yes))
/* Return x in the first n lanes, `rest` in the others. */
CBP_INLINE vec first_lanes(vec x, ptrdiff_t n, real rest)
{
    static const whole number[16] __attribute__((aligned(64))) = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return CHOOSE(*(const wholes *)number < (wholes){0} + (whole)n, x, broadcast(rest));
}
/* x86 has one instruction for each of the following, which compilers do not find in the general forms: sigmoid took
 * 0.85 ns an element with the general forms, and 0.61 with these. */
#ifdef __AVX512F__
#define X86_BYTES 64
#define X86_PREFIX _mm512_
#elif defined(__AVX2__)
#define X86_BYTES 32
#define X86_PREFIX _mm256_
#elif defined(__SSE4_1__)
#define X86_BYTES 16
#define X86_PREFIX _mm_
#else
#define X86_BYTES 0
#endif
#ifdef CBP_DOUBLE
#define X86_SUFFIX _pd
#else
#define X86_SUFFIX _ps
#endif
#if X86_BYTES
#include <immintrin.h>
#endif
#define JOIN_(prefix, name, suffix) prefix##name##suffix
#define JOIN(prefix, name, suffix) JOIN_(prefix, name, suffix)
#define X86(name) JOIN(X86_PREFIX, name, X86_SUFFIX)
#if X86_BYTES == VBYTES
/* If an operand is NaN, these instructions return the second operand: here x. */
#define AT_LEAST(x, low) X86(max)(low, x)
#define AT_MOST(x, high) X86(min)(high, x)
#define ROOT(x) X86(sqrt)(x)
#ifdef __FMA__
#define MUL_ADD(a, b, c) X86(fmadd)(a, b, c)
#define SUB_MUL(c, a, b) X86(fnmadd)(a, b, c)
#endif
#if VBYTES < 64
#define WHERE_NEGATIVE(x, yes, no) X86(blendv)(no, yes, x)
#endif
#elif defined(__FMA__) && 2 * X86_BYTES == VBYTES
/* Each vector takes two registers; only for tests. */
typedef real half __attribute__((vector_size(X86_BYTES)));
#define MUL_ADD(a, b, c) in_halves(a, b, c, 0)
#define SUB_MUL(c, a, b) in_halves(a, b, c, 1)
CBP_INLINE vec in_halves(vec a, vec b, vec c, int minus)
{
    half x[2], y[2], z[2];
    memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y), memcpy(z, &c, sizeof z);
    for (int i = 0; i < 2; i++) z[i] = minus ? X86(fnmadd)(x[i], y[i], z[i]) : X86(fmadd)(x[i], y[i], z[i]);
    memcpy(&c, z, sizeof c);
    return c;
}
#endif
CBP_INLINE vec root(vec x)
{
#ifdef ROOT
    return ROOT(x);
#else
    real lane[LANES] __attribute__((aligned(VBYTES)));
    store(lane, x);
    for (ptrdiff_t i = 0; i < LANES; i++) lane[i] = SQRT(lane[i]);
    return load(lane);
#endif
}
#else
#define LANES ((ptrdiff_t)1)
typedef real vec;
typedef word wordvec;
CBP_INLINE vec load(const real *p) { return *p; }
CBP_INLINE void store(real *p, vec x) { *p = x; }
CBP_INLINE vec broadcast(real x) { return x; }
CBP_INLINE wordvec as_words(vec x) { wordvec w; memcpy(&w, &x, sizeof w); return w; }
CBP_INLINE vec as_reals(wordvec w) { vec x; memcpy(&x, &w, sizeof x); return x; }
#define CHOOSE(condition, yes, no) ((condition) ? (yes) : (no))
#define WHERE(condition, yes) ((condition) ? (yes) : (real)0)
CBP_INLINE vec first_lanes(vec x, ptrdiff_t n, real rest) { return n > 0 ? x : rest; }
CBP_INLINE vec root(vec x) { return SQRT(x); }
#endif

#if defined(__ARM_NEON) && defined(__aarch64__) && VBYTES == 16
#include <arm_neon.h>
#ifdef CBP_DOUBLE
#define MUL_ADD(a, b, c) vfmaq_f64(c, a, b)
#define SUB_MUL(c, a, b) vfmsq_f64(c, a, b)
#else
#define MUL_ADD(a, b, c) vfmaq_f32(c, a, b)
#define SUB_MUL(c, a, b) vfmsq_f32(c, a, b)
#endif
#endif
#ifndef MUL_ADD
#define MUL_ADD(a, b, c) ((a) * (b) + (c))
#define SUB_MUL(c, a, b) ((c) - (a) * (b))
#endif
/* Return a b + c, or c - a b, rounded once if the instruction set has fused multiply-adds. Compilers that may fuse on
 * their own choose differently in different places: in a sum of two products, either may be fused. Then the bits would
 * depend on which code computes the sum. */
CBP_INLINE vec mul_add(vec a, vec b, vec c) { return MUL_ADD(a, b, c); }
CBP_INLINE vec sub_mul(vec c, vec a, vec b) { return SUB_MUL(c, a, b); }

#ifndef AT_LEAST
#define AT_LEAST(x, low) CHOOSE((x) < (low), low, x)
#define AT_MOST(x, high) CHOOSE((x) > (high), high, x)
#endif
#ifndef WHERE_NEGATIVE
#define WHERE_NEGATIVE(x, yes, no) CHOOSE((x) < broadcast(0), yes, no)
#endif
/* Return a + b - sum exactly, where `sum` is the rounded a + b (Knuth, The Art of Computer Programming, vol. 2, 4.2.2,
 * theorem B). */
CBP_INLINE vec rounding_error(vec a, vec b, vec sum)
{
    vec a_added = sum - b;
    return (a - a_added) + (b - (sum - a_added));
}
/* Return x limited from below, or from above. NaN stays NaN. */
CBP_INLINE vec at_least(vec x, vec low) { return AT_LEAST(x, low); }
CBP_INLINE vec at_most(vec x, vec high) { return AT_MOST(x, high); }
/* For x of -0.0 or NaN, the result may be `yes` or `no`. */
CBP_INLINE vec where_negative(vec x, vec yes, vec no) { return WHERE_NEGATIVE(x, yes, no); }
CBP_INLINE vec where_positive(vec x, vec yes, vec no) { return CHOOSE(x > broadcast(0), yes, no); }
/* Return `yes` where x < limit, else 0; also 0 where x or the limit is NaN. */
CBP_INLINE vec where_less(vec x, vec limit, vec yes) { return WHERE(x < limit, yes); }

CBP_INLINE wordvec sign_bits(void) { return as_words(broadcast((real)-0.0)); }
CBP_INLINE vec magnitude(vec x) { return as_reals(as_words(x) & ~sign_bits()); }
CBP_INLINE vec minus_magnitude(vec x) { return as_reals(as_words(x) | sign_bits()); }
/* Return x with the lower half of its digits set to 0, so that products of two such numbers are exact. */
CBP_INLINE vec high_half(vec x) { return as_reals(as_words(x) & ~(((word)1 << (MANTISSA_BITS + 2) / 2) - 1)); }
CBP_INLINE vec with_sign(vec size, vec sign) { return as_reals(as_words(size) | (as_words(sign) & sign_bits())); }

/* Whether any bit of any lane is set. */
CBP_INLINE int any_bit(wordvec x)
{
    word lane[LANES], all = 0;
    memcpy(lane, &x, sizeof x);
    for (ptrdiff_t i = 0; i < LANES; i++) all |= lane[i];
    return all != 0;
}

/* Return the sum, or the maximum, of all lanes: the upper half is combined with the lower half until one lane is left.
 * The order is always the same. */
CBP_INLINE real sum_of_lanes(vec x)
{
    real lane[LANES];
    store(lane, x);
    for (ptrdiff_t half = LANES / 2; half > 0; half /= 2)
        for (ptrdiff_t i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
CBP_INLINE real largest_lane(vec x)
{
    real lane[LANES];
    store(lane, x);
    for (ptrdiff_t half = LANES / 2; half > 0; half /= 2)
        for (ptrdiff_t i = 0; i < half; i++) lane[i] = lane[i + half] > lane[i] ? lane[i + half] : lane[i];
    return lane[0];
}
/* The low bits of x + MAGIC are x rounded to an integer, in two's complement. */
#define MAGIC ((real)1.5 * (real)((int64_t)1 << MANTISSA_BITS))
/* Return 2^n for -EXPONENT_BIAS < n <= EXPONENT_BIAS. */
CBP_INLINE vec power_of_two(wordvec n) { return as_reals((n + (word)EXPONENT_BIAS) << MANTISSA_BITS); }
/* For a normal x > 0, x = 2^n y with 1 <= y < 2: `with_exponent_of_1` returns y, `exponent` returns n. */
CBP_INLINE vec with_exponent_of_1(vec x)
{
    const word fraction = ((word)1 << MANTISSA_BITS) - 1;
    return as_reals((as_words(x) & fraction) | as_words(broadcast(1)));
}
CBP_INLINE vec exponent(vec x)
{
    wordvec n = (as_words(x) >> MANTISSA_BITS) - (word)EXPONENT_BIAS;
    return as_reals(n + as_words(broadcast(MAGIC))) - broadcast(MAGIC);
}
/* Return x 2^n, which may be subnormal. 2^n is split into two factors, because 2^n itself may overflow or underflow
 * where the result does not. The offset makes n positive before it is halved by a shift: before AVX-512, x86 has no
 * arithmetic shift of 64-bit integers in vectors. */
CBP_INLINE vec scale(vec x, wordvec n)
{
    wordvec half = ((n + (word)(4 * EXPONENT_BIAS)) >> 1) - (word)(2 * EXPONENT_BIAS);
    return x * power_of_two(half) * power_of_two(n - half);
}
/* 2^LIFT times the smallest subnormal number is a normal number. */
#define LIFT ((word)(EXPONENT_BIAS / 2))

#endif

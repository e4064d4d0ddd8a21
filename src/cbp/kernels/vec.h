/* The only arithmetic in C: a vector of `real`s as wide as the instruction set, and what Cython cannot say about it.
 *
 * Macros given by setup.py:
 *   CBP_DOUBLE   `real` is double (else float)
 *   VBYTES       bytes of a vector: 16, 32 or 64; 0 makes `vec` a plain `real` (LANES = 1), for compilers
 *                without the vector extension of GCC and clang: correct and slow.
 * `+ - * /` work on `vec` as they stand; `a * b + c` becomes one FMA where the instruction set has it.
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
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define SQRT sqrt
#else
typedef float real;
typedef uint32_t word;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define SQRT sqrtf
#endif
#define SIGN_BIT ((word)1 << (8 * sizeof(word) - 1))

#if VBYTES
#define LANES ((ptrdiff_t)(VBYTES / sizeof(real)))
typedef real vec __attribute__((vector_size(VBYTES)));
typedef word wordvec __attribute__((vector_size(VBYTES)));
typedef real vec_anywhere __attribute__((vector_size(VBYTES), aligned(sizeof(real)), may_alias));

CBP_INLINE vec load(const real *p) { return *(const vec_anywhere *)p; }
CBP_INLINE void store(real *p, vec x) { *(vec_anywhere *)p = x; }
/* x - 0 keeps -0.0 and compiles to one broadcast instruction; a loop over the lanes does not. */
CBP_INLINE vec broadcast(real x) { return x - (vec){0}; }

CBP_INLINE wordvec as_words(vec x) { return (wordvec)x; }
CBP_INLINE vec as_reals(wordvec w) { return (vec)w; }
/* Comparisons of vectors give -1 or 0 a lane, so a choice is three logical operations. */
#define CHOOSE(condition, yes, no) \
    as_reals(((wordvec)(condition) & as_words(yes)) | (~(wordvec)(condition) & as_words(no)))
/* x86 has what follows in one instruction each, which compilers do not find in the general forms: sigmoid took
 * 0.85 ns an element with those, 0.61 with these. */
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
#if X86_BYTES == VBYTES
#include <immintrin.h>
#define JOIN_(prefix, name, suffix) prefix##name##suffix
#define JOIN(prefix, name, suffix) JOIN_(prefix, name, suffix)
#define X86(name) JOIN(X86_PREFIX, name, X86_SUFFIX)
/* Where an operand is NaN, the second is the result. */
#define AT_LEAST(x, low) X86(max)(low, x)
#define AT_MOST(x, high) X86(min)(high, x)
#define ROOT(x) X86(sqrt)(x)
#if VBYTES < 64
#define WHERE_NEGATIVE(x, yes, no) X86(blendv)(no, yes, x)
#endif
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
CBP_INLINE vec root(vec x) { return SQRT(x); }
#endif

#ifndef AT_LEAST
#define AT_LEAST(x, low) CHOOSE((x) < (low), low, x)
#define AT_MOST(x, high) CHOOSE((x) > (high), high, x)
#endif
#ifndef WHERE_NEGATIVE
#define WHERE_NEGATIVE(x, yes, no) CHOOSE((x) < broadcast(0), yes, no)
#endif
/* Where the limit does not hold, and where x is NaN, these keep x. */
CBP_INLINE vec at_least(vec x, vec low) { return AT_LEAST(x, low); }
CBP_INLINE vec at_most(vec x, vec high) { return AT_MOST(x, high); }
/* Where x is -0.0 or NaN, it may be either. */
CBP_INLINE vec where_negative(vec x, vec yes, vec no) { return WHERE_NEGATIVE(x, yes, no); }
CBP_INLINE vec where_positive(vec x, vec yes, vec no) { return CHOOSE(x > broadcast(0), yes, no); }

CBP_INLINE vec magnitude(vec x) { return as_reals(as_words(x) & ~as_words(broadcast((real)-0.0))); }
CBP_INLINE vec with_sign(vec size, vec sign) { return as_reals(as_words(size) | (as_words(sign) & as_words(broadcast((real)-0.0)))); }

/* Adding MAGIC leaves round(x), in two's complement, in the low bits of the word. */
#define MAGIC ((real)1.5 * (real)((int64_t)1 << MANTISSA_BITS))
/* 2^n for -EXPONENT_BIAS < n <= EXPONENT_BIAS */
CBP_INLINE vec power_of_two(wordvec n) { return as_reals((n + (word)EXPONENT_BIAS) << MANTISSA_BITS); }
/* x 2^n, subnormal results included: two factors, so that neither overflows where the product does not.
 * The offset keeps the halved number positive: 64-bit arithmetic shifts are missing below AVX-512. */
CBP_INLINE vec scale(vec x, wordvec n)
{
    wordvec half = ((n + (word)(4 * EXPONENT_BIAS)) >> 1) - (word)(2 * EXPONENT_BIAS);
    return x * power_of_two(half) * power_of_two(n - half);
}
/* The same for n <= 0, where the second factor may be constant. */
CBP_INLINE vec scale_down(vec x, wordvec n)
{
    const word half = EXPONENT_BIAS / 2;
    return x * power_of_two(n + half) * power_of_two(as_words(broadcast(0)) - half);
}

#endif

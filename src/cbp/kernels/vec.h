/* The one piece of C: a vector of `real`s as wide as the instruction set, and what Cython cannot say about it.
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
CBP_INLINE vec root(vec x)
{
    real lane[LANES] __attribute__((aligned(VBYTES)));
    store(lane, x);
    for (ptrdiff_t i = 0; i < LANES; i++) lane[i] = SQRT(lane[i]);
    return load(lane);
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

/* Where the limit does not hold, and where x is NaN, these keep x. */
CBP_INLINE vec at_least(vec x, vec low) { return CHOOSE(x < low, low, x); }
CBP_INLINE vec at_most(vec x, vec high) { return CHOOSE(x > high, high, x); }
CBP_INLINE vec where_negative(vec x, vec yes, vec no) { return CHOOSE(x < broadcast(0), yes, no); }
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

#endif

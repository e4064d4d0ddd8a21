"""What `vec.h` gives: `real` in the module's precision, and a vector of LANES of them.

Cython takes a `vec` for a float, so that arithmetic and assignment compile; the C compiler knows better.
"""

cdef extern from "vec.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef unsigned int wordvec
    const Py_ssize_t LANES
    const int STRIPS_AT_ONCE
    const real MAGIC
    const unsigned int LIFT
    const real LEAST_EXPONENT
    const real SMALLEST
    const real SMALLEST_KEPT
    vec load(const real* p)
    void store(real* p, vec x)
    vec broadcast(real x)
    vec mul_add(vec a, vec b, vec c)    # a b + c
    vec sub_mul(vec c, vec a, vec b)    # c - a b
    vec root(vec x)
    vec rounding_error(vec a, vec b, vec sum)
    vec at_least(vec x, vec low)
    vec at_most(vec x, vec high)
    vec where_negative(vec x, vec yes, vec no)
    vec where_positive(vec x, vec yes, vec no)
    vec where_less(vec x, vec limit, vec yes)   # else 0
    vec magnitude(vec x)
    vec minus_magnitude(vec x)
    vec high_half(vec x)
    vec with_sign(vec size, vec sign)
    vec first_lanes(vec x, Py_ssize_t n, real rest)
    real sum_of_lanes(vec x)
    real largest_lane(vec x)
    wordvec as_words(vec x)
    bint any_bit(wordvec x)
    vec power_of_two(wordvec n)
    vec with_exponent_of_1(vec x)
    vec exponent(vec x)
    vec scale(vec x, wordvec n)
    int count_ones(unsigned long long bits)
    void fetch_ahead(const real* p)
    void CHECK(bint condition)

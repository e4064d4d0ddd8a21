"""What `vec.h` gives: `real` in the module's precision, and a vector of LANES of them.

Cython takes a `vec` for a float, so that arithmetic and assignment compile; the C compiler knows better.
"""

cdef extern from "vec.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef unsigned int wordvec
    const Py_ssize_t LANES
    const real MAGIC
    vec load(const real* p)
    void store(real* p, vec x)
    vec broadcast(real x)
    vec root(vec x)
    vec at_least(vec x, vec low)
    vec at_most(vec x, vec high)
    vec where_negative(vec x, vec yes, vec no)
    vec where_positive(vec x, vec yes, vec no)
    vec magnitude(vec x)
    vec with_sign(vec size, vec sign)
    wordvec as_words(vec x)
    vec power_of_two(wordvec n)
    vec scale(vec x, wordvec n)
    vec scale_down(vec x, wordvec n)
    void CHECK(bint condition)

# Activations g and their derivatives g', elementwise on whole vectors, and the exponential beneath them.
#
# At most 3 units in the last place over the whole range, subnormal results included; exact limits at plus and
# minus infinity; NaN stays NaN. The polynomials are Chebyshev fits computed with 60 digits.

cdef inline vec next_power(vec total, vec x, real coefficient) noexcept nogil:
    """A step of Horner's rule."""
    return total * x + broadcast(coefficient)


cdef inline vec exp_minus_1_of_remainder(vec r) noexcept nogil:
    """e^r - 1 = r + r^2 P(r) for |r| <= ln(2) / 2."""
    cdef vec P
    if sizeof(real) == 4:
        P = broadcast(<real> 0.0013926183587713494542)
        P = next_power(P, r, <real> 0.0083631790527225773704)
        P = next_power(P, r, <real> 0.041666554617204574203)
        P = next_power(P, r, <real> 0.16666576989698775683)
        P = next_power(P, r, <real> 0.5)
    else:
        P = broadcast(<real> 2.5100385495510319078e-8)
        P = next_power(P, r, <real> 2.7620088445409748161e-7)
        P = next_power(P, r, <real> 2.7557268459997064772e-6)
        P = next_power(P, r, <real> 0.000024801521295954375131)
        P = next_power(P, r, <real> 0.00019841269863053616878)
        P = next_power(P, r, <real> 0.0013888888917213716901)
        P = next_power(P, r, <real> 0.0083333333333300618325)
        P = next_power(P, r, <real> 0.041666666666624127873)
        P = next_power(P, r, <real> 0.16666666666666667453)
        P = next_power(P, r, <real> 0.50000000000000010221)
    return r * r * P + r


cdef inline vec split_exponent(vec x, wordvec* n) noexcept nogil:
    """x = n ln(2) + r with n whole: returns r."""
    cdef vec shifted = x * broadcast(<real> 1.4426950408889634074) + broadcast(MAGIC)
    cdef vec n_real = shifted - broadcast(MAGIC)
    n[0] = as_words(shifted) - as_words(broadcast(MAGIC))
    # ln(2) in two parts, the first short enough for n times it to be exact (Cody and Waite)
    if sizeof(real) == 4:
        x = x - n_real * broadcast(<real> 0.693359375)
        return x - n_real * broadcast(<real> -2.12194440054690583e-4)
    x = x - n_real * broadcast(<real> 6.93147180369123816490e-1)
    return x - n_real * broadcast(<real> 1.90821492927058770002e-10)


cdef inline vec vec_exp(vec x) noexcept nogil:
    """e^x = 2^n (1 + (e^r - 1))"""
    cdef wordvec n
    cdef vec r
    # Beyond these the result is 0 or infinity, which 2^n reaches by itself.
    x = at_most(at_least(x, broadcast(<real> (-105 if sizeof(real) == 4 else -746))),
                broadcast(<real> (89 if sizeof(real) == 4 else 710)))
    r = split_exponent(x, &n)
    return scale(exp_minus_1_of_remainder(r) + broadcast(1), n)


cdef inline vec vec_exp_down(vec x) noexcept nogil:
    """e^x for x <= 0, all that the activations and losses need: two operations in three of `vec_exp`."""
    cdef wordvec n
    cdef vec r = split_exponent(at_least(x, broadcast(<real> (-105 if sizeof(real) == 4 else -746))), &n)
    return scale_down(exp_minus_1_of_remainder(r) + broadcast(1), n)


cdef inline vec sigmoid_from(vec z, vec e) noexcept nogil:
    """1 / (1 + e^-z), from e = e^-|z| so that nothing overflows and small results keep their digits."""
    return where_negative(z, e, broadcast(1)) / (broadcast(1) + e)


cdef inline vec vec_sigmoid(vec z) noexcept nogil:
    return sigmoid_from(z, vec_exp_down(-magnitude(z)))


cdef inline vec vec_tanh(vec z) noexcept nogil:
    """-u / (u + 2) with u = e^-2|z| - 1, which is exact for small z too"""
    cdef wordvec n
    # From here on the result rounds to 1.
    cdef vec x = at_most(magnitude(z) + magnitude(z), broadcast(40))
    cdef vec r = split_exponent(-x, &n)
    cdef vec power = power_of_two(n)
    cdef vec u = power * exp_minus_1_of_remainder(r) + (power - broadcast(1))
    return with_sign(magnitude(u / (u + broadcast(2))), z)


cdef inline vec vec_log1p_unit(vec u) noexcept nogil:
    """log(1 + u) = 2 atanh(s) with s = u / (2 + u), for 0 <= u <= 1."""
    cdef vec s = u / (broadcast(2) + u)
    cdef vec t = s * s
    cdef vec Q
    if sizeof(real) == 4:
        Q = broadcast(<real> 0.13425749011418575903)
        Q = next_power(Q, t, <real> 0.14118309902655240719)
        Q = next_power(Q, t, <real> 0.20003780322455602882)
        Q = next_power(Q, t, <real> 0.33333320168349619894)
    else:
        Q = broadcast(<real> 0.080820228059717661105)
        Q = next_power(Q, t, <real> 0.044003692430723369411)
        Q = next_power(Q, t, <real> 0.060005364047953562676)
        Q = next_power(Q, t, <real> 0.066570721048274680752)
        Q = next_power(Q, t, <real> 0.076927850324793115517)
        Q = next_power(Q, t, <real> 0.090908947180664290846)
        Q = next_power(Q, t, <real> 0.11111111358713931495)
        Q = next_power(Q, t, <real> 0.14285714283554378581)
        Q = next_power(Q, t, <real> 0.20000000000007291337)
        Q = next_power(Q, t, <real> 0.33333333333333329281)
    return broadcast(2) * (s * t * Q + s)


cdef void activate(int g, real* z, Py_ssize_t n) noexcept nogil:
    """a = g(z), in place; n a multiple of LANES. Softmax is a matter of rows: see `softmax_row`."""
    cdef Py_ssize_t i
    if g == SIGMOID:
        for i from 0 <= i < n by LANES:
            store(z + i, vec_sigmoid(load(z + i)))
    elif g == TANH:
        for i from 0 <= i < n by LANES:
            store(z + i, vec_tanh(load(z + i)))
    elif g == RELU:
        for i from 0 <= i < n by LANES:
            store(z + i, at_least(load(z + i), broadcast(0)))


cdef void times_derivative(int g, real* delta, const real* a, Py_ssize_t n) noexcept nogil:
    """delta *= g'(z), told from a = g(z); n a multiple of LANES."""
    cdef Py_ssize_t i
    cdef vec a_i
    if g == SIGMOID:                    # g' = a (1 - a)
        for i from 0 <= i < n by LANES:
            a_i = load(a + i)
            store(delta + i, load(delta + i) * (a_i * (broadcast(1) - a_i)))
    elif g == TANH:                     # g' = 1 - a^2
        for i from 0 <= i < n by LANES:
            a_i = load(a + i)
            store(delta + i, load(delta + i) * (broadcast(1) - a_i * a_i))
    elif g == RELU:                     # g' = 1 where a > 0
        for i from 0 <= i < n by LANES:
            store(delta + i, where_positive(load(a + i), load(delta + i), broadcast(0)))


cdef real softmax_row(real* z, Py_ssize_t n) noexcept nogil:
    """a_j = e^(z_j) / sum_k e^(z_k), in place, for one row padded to whole vectors: returns log sum_k e^(z_k).

    The padding comes back as zeros.
    """
    cdef real[64] lane
    cdef real largest = z[0], total = 0
    cdef vec sums = broadcast(0), e
    cdef Py_ssize_t j
    for j in range(1, n):
        if z[j] > largest:
            largest = z[j]
    for j in range(n, padded(n)):
        z[j] = -INFINITY
    for j from 0 <= j < n by LANES:
        e = vec_exp_down(load(z + j) - broadcast(largest))
        store(z + j, e)
        sums = sums + e
    store(lane, sums)
    for j in range(LANES):
        total += lane[j]
    for j from 0 <= j < n by LANES:
        store(z + j, load(z + j) / broadcast(total))
    return largest + <real> log(total)

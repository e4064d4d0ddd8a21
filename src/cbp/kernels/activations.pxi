# Activations g and their derivatives g', elementwise on whole vectors, and the exponential beneath them.
#
# At most 3 units in the last place over the whole range, subnormal results included; exact limits at plus and
# minus infinity; NaN stays NaN. The polynomials are Chebyshev fits computed with 60 digits.

cdef inline vec next_power(vec total, vec x, real coefficient) noexcept nogil:
    """A step of Horner's rule."""
    return mul_add(total, x, broadcast(coefficient))


cdef inline vec exp_series(vec r) noexcept nogil:
    """P(r) with e^r = 1 + r + r^2 P(r), for |r| <= ln(2) / 2."""
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
    return P


cdef inline vec split_exponent(vec x, vec per_unit, vec unit, vec rest, wordvec* n) noexcept nogil:
    """x = n (unit + rest) + r with n whole and r at most half a unit: returns r.

    per_unit is 1 / (unit + rest); unit is short enough for n times it to be exact (Cody and Waite).
    """
    cdef vec shifted = mul_add(x, per_unit, broadcast(MAGIC))
    cdef vec n_real = shifted - broadcast(MAGIC)
    n[0] = as_words(shifted) - as_words(broadcast(MAGIC))
    return sub_mul(sub_mul(x, n_real, unit), n_real, rest)


cdef inline vec split_by_log_2(vec x, wordvec* n) noexcept nogil:
    """x = n ln(2) + r"""
    return split_exponent(
        x, broadcast(<real> 1.4426950408889634074),
        broadcast(<real> (0.693359375 if sizeof(real) == 4 else 6.93147180369123816490e-1)),
        broadcast(<real> (-2.12194440054690583e-4 if sizeof(real) == 4 else 1.90821492927058770002e-10)), n)


cdef inline vec exp_of_remainder(vec r) noexcept nogil:
    return next_power(next_power(exp_series(r), r, 1), r, 1)


cdef inline vec vec_exp(vec x) noexcept nogil:
    """e^x = 2^n e^r"""
    cdef wordvec n
    cdef vec r
    # Beyond these the result is 0 or infinity, which 2^n reaches by itself.
    x = at_most(at_least(x, broadcast(LEAST_EXPONENT)), broadcast(<real> (89 if sizeof(real) == 4 else 710)))
    r = split_by_log_2(x, &n)
    return scale(exp_of_remainder(r), n)


cdef inline vec split_for_lifted_exp(vec x, wordvec* n) noexcept nogil:
    return split_by_log_2(at_least(x, broadcast(LEAST_EXPONENT)), n)


cdef inline vec lifted_exp_of(vec r, wordvec n) noexcept nogil:
    return exp_of_remainder(r) * power_of_two(n + LIFT)


cdef inline vec lifted_exp(vec x) noexcept nogil:
    """2^LIFT e^x for x <= 0: all that the activations and losses need, and never subnormal, so one factor is enough."""
    cdef wordvec n
    cdef vec r = split_for_lifted_exp(x, &n)
    return lifted_exp_of(r, n)


cdef inline vec lifted_one() noexcept nogil:
    return power_of_two(as_words(broadcast(0)) + LIFT)


cdef inline vec unlift(vec x) noexcept nogil:
    return x * power_of_two(as_words(broadcast(0)) - LIFT)


cdef inline vec sigmoid_from(vec z, vec e) noexcept nogil:
    """1 / (1 + e^-z), from lifted e^-|z| so that nothing overflows and small results keep their digits: the division
    takes the lift off, and rounds a subnormal result once."""
    return where_negative(z, e, lifted_one()) / (lifted_one() + e)


cdef inline vec vec_sigmoid(vec z) noexcept nogil:
    return sigmoid_from(z, lifted_exp(minus_magnitude(z)))


cdef inline vec split_for_tanh(vec z, wordvec* n) noexcept nogil:
    """-|z| = n ln(2) / 2 + r / 2: returns r."""
    # From -20 on the result rounds to -1.
    cdef vec half_r = split_exponent(
        at_least(minus_magnitude(z), broadcast(-20)), broadcast(<real> 2.8853900817779268147),
        broadcast(<real> (0.693359375 / 2 if sizeof(real) == 4 else 6.93147180369123816490e-1 / 2)),
        broadcast(<real> (-2.12194440054690583e-4 / 2 if sizeof(real) == 4 else 1.90821492927058770002e-10 / 2)), n)
    return half_r + half_r


cdef inline vec tanh_from(vec z, vec r, wordvec n) noexcept nogil:
    """-u / (u + 2) with u = e^(-2|z|) - 1, which is exact for small z too"""
    cdef vec power = power_of_two(n)
    cdef vec u = mul_add(power, mul_add(exp_series(r), r * r, r), power - broadcast(1))
    return with_sign(magnitude(u / (u + broadcast(2))), z)


cdef inline vec vec_tanh(vec z) noexcept nogil:
    cdef wordvec n
    cdef vec r = split_for_tanh(z, &n)
    return tanh_from(z, r, n)


# Blocks of vectors, step by step for all of them: one by one, each waits for its own long chain, which is more than the
# processor looks ahead (sigmoid 0.43 ns an element, not 0.36).
cdef enum:
    BLOCK = 4


cdef inline void sigmoid_block(real* a, const real* z) noexcept nogil:
    cdef vec e[BLOCK]
    cdef wordvec n[BLOCK]
    cdef int v
    for v in range(BLOCK):
        e[v] = split_for_lifted_exp(minus_magnitude(load(z + v * LANES)), &n[v])
    for v in range(BLOCK):
        e[v] = lifted_exp_of(e[v], n[v])
    for v in range(BLOCK):
        store(a + v * LANES, sigmoid_from(load(z + v * LANES), e[v]))


cdef inline void tanh_block(real* a, const real* z) noexcept nogil:
    cdef vec r[BLOCK]
    cdef wordvec n[BLOCK]
    cdef int v
    for v in range(BLOCK):
        r[v] = split_for_tanh(load(z + v * LANES), &n[v])
    for v in range(BLOCK):
        store(a + v * LANES, tanh_from(load(z + v * LANES), r[v], n[v]))


cdef inline void sigmoid(real* a, const real* z, Py_ssize_t n) noexcept nogil:
    """a = g(z), which may be the same place; n a multiple of LANES."""
    cdef Py_ssize_t i = 0
    while i + BLOCK * LANES <= n:
        sigmoid_block(a + i, z + i)
        i += BLOCK * LANES
    while i < n:
        store(a + i, vec_sigmoid(load(z + i)))
        i += LANES


cdef inline void tanh(real* a, const real* z, Py_ssize_t n) noexcept nogil:
    """a = g(z), which may be the same place; n a multiple of LANES."""
    cdef Py_ssize_t i = 0
    while i + BLOCK * LANES <= n:
        tanh_block(a + i, z + i)
        i += BLOCK * LANES
    while i < n:
        store(a + i, vec_tanh(load(z + i)))
        i += LANES


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
    return broadcast(2) * mul_add(s * t, Q, s)


cdef inline vec vec_log1p(vec x) noexcept nogil:
    """log(1 + x) = k log(2) + log(1 + u) with 1 + x = 2^k (1 + u), for x >= 0; NaN stays NaN."""
    cdef vec above = x - broadcast(1), sum = x + broadcast(1)
    cdef vec u = where_negative(above, x, with_exponent_of_1(sum) - broadcast(1))
    cdef vec k = where_negative(above, broadcast(0), exponent(sum))
    return mul_add(k, broadcast(<real> 0.69314718055994530942), vec_log1p_unit(u)) + (x - x)


cdef void activate(int g, real* z, Py_ssize_t n) noexcept nogil:
    """a = g(z), in place; n a multiple of LANES. Softmax is a matter of rows: see `softmax_rows`."""
    cdef Py_ssize_t i
    if g == SIGMOID:
        sigmoid(z, z, n)
    elif g == TANH:
        tanh(z, z, n)
    elif g == RELU:
        for i from 0 <= i < n by LANES:
            store(z + i, at_least(load(z + i), broadcast(0)))
    elif g != IDENTITY:
        CHECK(False)


cdef void times_derivative(int g, real* delta, const real* a, Py_ssize_t n) noexcept nogil:
    """delta *= g'(z), computed from a = g(z); n a multiple of LANES."""
    cdef Py_ssize_t i
    cdef vec a_i
    if g == SIGMOID:                    # g' = a (1 - a)
        for i from 0 <= i < n by LANES:
            a_i = load(a + i)
            store(delta + i, load(delta + i) * (a_i * (broadcast(1) - a_i)))
    elif g == TANH:                     # g' = 1 - a^2
        for i from 0 <= i < n by LANES:
            a_i = load(a + i)
            store(delta + i, load(delta + i) * sub_mul(broadcast(1), a_i, a_i))
    elif g == RELU:                     # g' = 1 where a > 0
        for i from 0 <= i < n by LANES:
            store(delta + i, where_positive(load(a + i), load(delta + i), broadcast(0)))
    elif g != IDENTITY:                 # g' = 1
        CHECK(False)


# Softmax, a_j = e^(z_j) / sum_k e^(z_k), step by step for all rows: one by one, each waits for its own long chain (54
# ns for 10 columns, not 16). In all steps z is (n_rows, ld), ld whole vectors, of which n columns are used; arrays
# with one entry for each row may be written to whole vectors.

cdef void largest_of_rows(real* tops, const real* z, Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n) noexcept nogil:
    """tops_i = max_j z_ij"""
    cdef Py_ssize_t last = padded(n) - LANES, i, j
    cdef vec top
    for i in range(n_rows):
        top = first_lanes(load(z + i * ld + last), n - last, -INFINITY)
        for j from 0 <= j < last by LANES:
            top = at_least(top, load(z + i * ld + j))
        tops[i] = largest_lane(top)


cdef inline vec exp_of_difference(vec z, vec top) noexcept nogil:
    """e^(z - top) for z <= top. What rounding takes from the difference would show in the result, the more the larger
    the difference is; so it is put back."""
    cdef vec s = z - top
    cdef vec back = s + top
    cdef vec rest = (z - back) + ((back - s) - top)     # as `rounding_error`, 4 % of a small step faster
    cdef wordvec n
    cdef vec r = split_for_lifted_exp(s, &n)
    # Far below the result is 0, and s may have overflowed.
    return unlift(lifted_exp_of(r + where_less(broadcast(LEAST_EXPONENT), s, rest), n))


cdef void exp_of_rows(real* z, const real* tops, Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n) noexcept nogil:
    """z_ij becomes e^(z_ij - tops_i), the padding of z 0."""
    cdef Py_ssize_t last = padded(n) - LANES, i, j
    cdef real* z_i
    cdef vec top, e
    for i in range(n_rows):
        z_i = z + i * ld
        top = broadcast(tops[i])
        for j from 0 <= j < last by LANES:
            store(z_i + j, exp_of_difference(load(z_i + j), top))
        # By way of e^0: e^-inf is a product that rounds to 0; it took 5 % of a step of 10-32-32-10 with a batch of 128.
        e = exp_of_difference(first_lanes(load(z_i + last), n - last, tops[i]), top)
        store(z_i + last, first_lanes(e, n - last, 0))
        for j from last + LANES <= j < ld by LANES:
            store(z_i + j, broadcast(0))


cdef void divide_rows_by_sums(
    real* e,                            # e^(z - top), which become the activations, their padding zeros
    real* inverses,                     # (n_rows,) 1 / sum_k e_k
    real* others,                       # (n_rows,) sum_k e_k - 1, to all digits; may be `inverses`
    Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """a_ij = e_ij / sum_k e_ik"""
    cdef Py_ssize_t end = padded(n), i, j
    cdef vec e_j, below, ones, rest, unit = broadcast(1)
    cdef real* e_i
    for i in range(n_rows):
        ones = rest = broadcast(0)
        for j from 0 <= j < end by LANES:
            e_j = load(e + i * ld + j)
            below = where_less(e_j, unit, e_j)
            rest = rest + below
            ones = ones + (e_j - below)     # 1 in lanes that hold the largest, else 0
        others[i] = sum_of_lanes(rest) + (sum_of_lanes(ones) - 1)
    for i from 0 <= i < n_rows by LANES:
        store(inverses + i, unit / (unit + load(others + i)))
    for i in range(n_rows):
        e_i = e + i * ld
        for j from 0 <= j < end by LANES:
            store(e_i + j, load(e_i + j) * broadcast(inverses[i]))


cdef void softmax_rows(
    real* z, real* workspace,           # (n_rows,)
    Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """a = g(z), in place."""
    largest_of_rows(workspace, z, ld, n_rows, n)
    exp_of_rows(z, workspace, ld, n_rows, n)
    divide_rows_by_sums(z, workspace, workspace, ld, n_rows, n)

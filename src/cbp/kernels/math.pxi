# Elementary functions of whole vectors: exponentials, logarithms, sigmoid, tanh.
#
# Gives: exp_series, expm1_below, lifted_exp, lifted_exp_of, lifted_one, next_power, sigmoid_from, split_by_log_2,
# split_for_lifted_exp, split_for_tanh, tanh_from, unlift, vec_exp, vec_log1p, vec_log1p_unit, vec_sigmoid, vec_tanh.
#
# Errors are at most 3 units in the last place over the whole range, also in subnormal results. The limits at plus and
# minus infinity are exact, and NaN stays NaN. The polynomials are Chebyshev fits computed with 60 digits.
#
# A number is lifted if it has been multiplied by 2^LIFT: so an exponential keeps all its digits, even where its true
# value is subnormal.

cdef inline vec next_power(vec total, vec x, real coefficient) noexcept nogil:
    """Return total x + coefficient: one step of Horner's rule."""
    return mul_add(total, x, broadcast(coefficient))


cdef inline vec exp_series(vec r) noexcept nogil:
    """Return P(r) with e^r = 1 + r + r^2 P(r), for |r| <= ln(2) / 2."""
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
    """Split x = n (unit + rest) + r, where n is an integer and |r| at most half of unit + rest. Return r.

    per_unit is 1 / (unit + rest). unit has so few digits that n unit is exact (Cody and Waite).
    """
    cdef vec shifted = mul_add(x, per_unit, broadcast(MAGIC))
    cdef vec n_real = shifted - broadcast(MAGIC)
    n[0] = as_words(shifted) - as_words(broadcast(MAGIC))
    return sub_mul(sub_mul(x, n_real, unit), n_real, rest)


cdef inline vec split_by_log_2(vec x, wordvec* n) noexcept nogil:
    """Split x = n ln(2) + r with |r| <= ln(2) / 2. Return r."""
    return split_exponent(
        x, broadcast(<real> 1.4426950408889634074),
        broadcast(<real> (0.693359375 if sizeof(real) == 4 else 6.93147180369123816490e-1)),
        broadcast(<real> (-2.12194440054690583e-4 if sizeof(real) == 4 else 1.90821492927058770002e-10)), n)


cdef inline vec exp_of_remainder(vec r) noexcept nogil:
    return next_power(next_power(exp_series(r), r, 1), r, 1)


cdef inline vec vec_exp(vec x) noexcept nogil:
    """Return e^x = 2^n e^r."""
    cdef wordvec n
    cdef vec r
    # At these limits and beyond them, the result is 0 or infinity.
    x = at_most(at_least(x, broadcast(LEAST_EXPONENT)), broadcast(<real> (89 if sizeof(real) == 4 else 710)))
    r = split_by_log_2(x, &n)
    return scale(exp_of_remainder(r), n)


cdef inline vec split_for_lifted_exp(vec x, wordvec* n) noexcept nogil:
    return split_by_log_2(at_least(x, broadcast(LEAST_EXPONENT)), n)


cdef inline vec lifted_exp_of(vec r, wordvec n) noexcept nogil:
    return exp_of_remainder(r) * power_of_two(n + LIFT)


cdef inline vec lifted_exp(vec x) noexcept nogil:
    """Return 2^LIFT e^x for x <= 0; activations and losses need no other x. The result is never subnormal, so that a
    single power of two is enough, where `scale` needs two."""
    cdef wordvec n
    cdef vec r = split_for_lifted_exp(x, &n)
    return lifted_exp_of(r, n)


cdef inline vec lifted_one() noexcept nogil:
    return power_of_two(as_words(broadcast(0)) + LIFT)


cdef inline vec unlift(vec x) noexcept nogil:
    return x * power_of_two(as_words(broadcast(0)) - LIFT)


cdef inline vec sigmoid_from(vec z, vec e) noexcept nogil:
    """Return 1 / (1 + e^-z), computed from e, the lifted e^-|z|, so that nothing overflows and small results keep their
    digits. The lift cancels in the division, and a subnormal result is rounded only there."""
    return where_negative(z, e, lifted_one()) / (lifted_one() + e)


cdef inline vec vec_sigmoid(vec z) noexcept nogil:
    return sigmoid_from(z, lifted_exp(minus_magnitude(z)))


cdef inline vec split_for_tanh(vec z, wordvec* n) noexcept nogil:
    """Split -|z| = n ln(2) / 2 + r / 2. Return r."""
    # For z of -20 and less, tanh z rounds to -1.
    cdef vec half_r = split_exponent(
        at_least(minus_magnitude(z), broadcast(-20)), broadcast(<real> 2.8853900817779268147),
        broadcast(<real> (0.693359375 / 2 if sizeof(real) == 4 else 6.93147180369123816490e-1 / 2)),
        broadcast(<real> (-2.12194440054690583e-4 / 2 if sizeof(real) == 4 else 1.90821492927058770002e-10 / 2)), n)
    return half_r + half_r


cdef inline vec expm1_of(vec r, wordvec n) noexcept nogil:
    """Return e^x - 1 = 2^n (e^r - 1) + (2^n - 1) for x = n ln(2) + r <= 0. Small x keep their digits, since n is 0."""
    cdef vec power = power_of_two(n)
    return mul_add(power, mul_add(exp_series(r), r * r, r), power - broadcast(1))


cdef inline vec expm1_below(vec x) noexcept nogil:
    """Return e^x - 1 where x is negative, else 0."""
    cdef wordvec n
    # For x of -40 and less, the result rounds to -1.
    cdef vec r = split_by_log_2(at_most(at_least(x, broadcast(-40)), broadcast(0)), &n)
    return expm1_of(r, n)


cdef inline vec tanh_from(vec z, vec r, wordvec n) noexcept nogil:
    """Return tanh z. Its magnitude is -u / (u + 2) with u = e^(-2|z|) - 1, and -2|z| = n ln(2) + r."""
    cdef vec u = expm1_of(r, n)
    return with_sign(magnitude(u / (u + broadcast(2))), z)


cdef inline vec vec_tanh(vec z) noexcept nogil:
    cdef wordvec n
    cdef vec r = split_for_tanh(z, &n)
    return tanh_from(z, r, n)


cdef inline vec vec_log1p_unit(vec u) noexcept nogil:
    """Return log(1 + u) = 2 atanh(s) with s = u / (2 + u), for 0 <= u <= 1."""
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
    """Return log(1 + x) = k log(2) + log(1 + u) with 1 + x = 2^k (1 + u), for x >= 0. NaN stays NaN."""
    cdef vec above = x - broadcast(1), sum = x + broadcast(1)
    cdef vec u = where_negative(above, x, with_exponent_of_1(sum) - broadcast(1))
    cdef vec k = where_negative(above, broadcast(0), exponent(sum))
    return mul_add(k, broadcast(<real> 0.69314718055994530942), vec_log1p_unit(u)) + (x - x)

# The normal distribution, for gelu: the probability Phi(-t) of a value below -t, for t >= 0.
#
# Needs: math.
# Gives: gelu_slope, vec_gelu.
#
# For t < 1, Phi(-t) = 1/2 - t A(t^2). For t >= 1, Phi(-t) = e^(-t^2/2) G(q) / t with q = (t - k) / (t + k). A and G are
# Chebyshev fits computed with 60 digits.

cdef inline vec fit_of_middle(vec w) noexcept nogil:
    """Return A(w) for 0 <= w <= 1."""
    cdef vec A
    if sizeof(real) == 4:
        A = broadcast(<real> -7.6605381713820898877e-6)
        A = next_power(A, w, <real> 0.00011350229619286141203)
        A = next_power(A, w, <real> -0.0011863439888019887418)
        A = next_power(A, w, <real> 0.0099733284812561706088)
        A = next_power(A, w, <real> -0.066490360567186900524)
        A = next_power(A, w, <real> 0.39894228013084061684)
    else:
        A = broadcast(<real> 4.0743269774266274828e-12)
        A = next_power(A, w, <real> -1.1064328282755891011e-10)
        A = next_power(A, w, <real> 2.2704137585676000095e-9)
        A = next_power(A, w, <real> -4.1224107514160813645e-8)
        A = next_power(A, w, <real> 6.6596798796552313128e-7)
        A = next_power(A, w, <real> -9.44465579310384581e-6)
        A = next_power(A, w, <real> 0.00011543468751655941591)
        A = next_power(A, w, <real> -0.0011873282154680343813)
        A = next_power(A, w, <real> 0.0099735570100350220035)
        A = next_power(A, w, <real> -0.066490380066905426466)
        A = next_power(A, w, <real> 0.39894228040143267786)
    return A


cdef inline vec fit_of_tail(vec t) noexcept nogil:
    """Return G(q), for t from 1 to the largest t for which t Phi(-t) does not round to 0."""
    cdef vec k = broadcast(<real> (3.5 if sizeof(real) == 4 else 4)), q = (t - k) / (t + k)
    cdef vec G
    if sizeof(real) == 4:
        G = broadcast(<real> 0.00023164751231677277513)
        G = next_power(G, q, <real> 9.5146871832728323694e-6)
        G = next_power(G, q, <real> -0.0018037995722587395424)
        G = next_power(G, q, <real> 0.0016459819323440641074)
        G = next_power(G, q, <real> 0.011940111127202172118)
        G = next_power(G, q, <real> -0.049321905519626618537)
        G = next_power(G, q, <real> 0.099687130368609169691)
        G = next_power(G, q, <real> -0.12506840510519422176)
        G = next_power(G, q, <real> 0.08942712805135675645)
        G = next_power(G, q, <real> 0.37220803757543045357)
    else:
        G = broadcast(<real> 2.0125801310350572632e-8)
        G = next_power(G, q, <real> -1.9064766607934409165e-8)
        G = next_power(G, q, <real> -1.2817429428263191897e-7)
        G = next_power(G, q, <real> 4.5325644343929395527e-8)
        G = next_power(G, q, <real> 6.5337834719361279595e-7)
        G = next_power(G, q, <real> 2.0193712203043135483e-7)
        G = next_power(G, q, <real> -3.277966013633061122e-6)
        G = next_power(G, q, <real> -2.603541068798518557e-6)
        G = next_power(G, q, <real> 0.000017931493945364728965)
        G = next_power(G, q, <real> 0.000016618569924427091795)
        G = next_power(G, q, <real> -0.00011650173151155089038)
        G = next_power(G, q, <real> -0.000048875358542745692213)
        G = next_power(G, q, <real> 0.00088208139821173552077)
        G = next_power(G, q, <real> -0.0009244369509511204262)
        G = next_power(G, q, <real> -0.0055099406677751077863)
        G = next_power(G, q, <real> 0.026428192961916266087)
        G = next_power(G, q, <real> -0.063062641534342236885)
        G = next_power(G, q, <real> 0.10030777139128283934)
        G = next_power(G, q, <real> -0.11037962061483892969)
        G = next_power(G, q, <real> 0.073694244221929665669)
        G = next_power(G, q, <real> 0.37764256520787574672)
    return G


cdef inline vec normal_size(vec z) noexcept nogil:
    """Return t = |z|, but at most a number from which on t Phi(-t) rounds to 0."""
    return at_most(magnitude(z), broadcast(<real> (14.4 if sizeof(real) == 4 else 38.6)))


cdef inline vec split_for_bell(vec t, wordvec* n) noexcept nogil:
    """Split -t^2 / 2 = n ln(2) + r. Return r, to which the rounding error of the square is added back. This error is
    computed from two halves of t, whose products are exact (Dekker, 1971)."""
    cdef vec square = t * t, high = high_half(t), low = t - high, half = broadcast(<real> -0.5)
    cdef vec rest = ((high * high - square) + (high + high) * low) + low * low
    return mul_add(half, rest, split_by_log_2(half * square, n))


cdef inline vec times_lifted_exp_of(vec factor, vec r, wordvec n) noexcept nogil:
    """Return factor 2^LIFT 2^n e^r, rounded once; `factor * lifted_exp_of(r, n)` would be rounded twice."""
    return mul_add(factor, mul_add(exp_series(r), r * r, r), factor) * power_of_two(n + LIFT)


cdef inline vec below_middle(vec t) noexcept nogil:
    """Return Phi(-t) for t < 1."""
    return sub_mul(broadcast(<real> 0.5), t, fit_of_middle(t * t))


cdef inline vec vec_gelu(vec z) noexcept nogil:
    """Return z Phi(z), computed as max(z, 0) - t Phi(-t)."""
    cdef wordvec n
    cdef vec t = normal_size(z), r = split_for_bell(t, &n)
    cdef vec tail = unlift(times_lifted_exp_of(fit_of_tail(t), r, n))
    return where_negative(z, broadcast(0), z) - where_negative(t - broadcast(1), t * below_middle(t), tail)


cdef inline vec gelu_slope(vec z) noexcept nogil:
    """Return g'(z) = Phi(z) + z phi(z). `left` is g'(-|z|); where z is positive, g'(z) = 1 - g'(-z) is returned."""
    cdef wordvec n
    cdef vec t = normal_size(z), r = split_for_bell(t, &n)
    cdef vec bell = lifted_exp_of(r, n), density = bell * broadcast(<real> 0.39894228040143267794)
    cdef vec below = where_negative(t - broadcast(1), lifted_one() * below_middle(t), bell * fit_of_tail(t) / t)
    cdef vec left = unlift(below - t * density)
    return where_negative(z, left, broadcast(1) - left)

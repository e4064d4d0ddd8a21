# From Delta to the gradient D = (Delta + lambda W) / m, the penalties in J, and the limits of D.
#
# Gives: add_subgradient, gradient_at, gradient_stretch, limit_stretch, penalty_of, scaled_squares.

cdef inline vec gradient_at(const real* Delta, const real* W, vec decay, vec inverse_m) noexcept nogil:
    """Return D = (Delta + lambda W) / m."""
    return mul_add(decay, load(W), load(Delta)) * inverse_m


cdef void gradient_stretch(real* D, const real* W, real decay, real inverse_m, Py_ssize_t n) noexcept nogil:
    """Replace Delta by D for n weights, with the same bits as in the updates. n need not be a multiple of LANES."""
    cdef real[64] D_left
    cdef real[64] W_left
    cdef Py_ssize_t whole = n // LANES * LANES, i
    for i from 0 <= i < whole by LANES:
        store(D + i, gradient_at(D + i, W + i, broadcast(decay), broadcast(inverse_m)))
    memset(D_left, 0, sizeof(D_left))
    memset(W_left, 0, sizeof(W_left))
    memcpy(D_left, D + whole, (n - whole) * sizeof(real))
    memcpy(W_left, W + whole, (n - whole) * sizeof(real))
    store(D_left, gradient_at(D_left, W_left, broadcast(decay), broadcast(inverse_m)))
    memcpy(D + whole, D_left, (n - whole) * sizeof(real))


cdef void add_subgradient(real* Delta, const real* W, real l1, Py_ssize_t n) noexcept nogil:
    """Delta += lambda_1 sign W, which is 0 for a weight of 0."""
    cdef Py_ssize_t i
    cdef vec W_i
    for i from 0 <= i < n by LANES:
        W_i = load(W + i)
        W_i = where_positive(W_i, broadcast(l1), where_less(W_i, broadcast(0), broadcast(-l1)))
        store(Delta + i, load(Delta + i) + W_i)


cdef double sum_of_squares(const real* W, Py_ssize_t n) noexcept nogil:
    cdef real[64] lane
    cdef vec total = broadcast(0), W_i
    cdef double result = 0
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        W_i = load(W + i)
        total = mul_add(W_i, W_i, total)
    store(lane, total)
    for i in range(LANES):
        result += lane[i]
    return result


cdef double sum_of_magnitudes(const real* W, Py_ssize_t n) noexcept nogil:
    cdef real[64] lane
    cdef vec total = broadcast(0)
    cdef double result = 0
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        total = total + magnitude(load(W + i))
    store(lane, total)
    for i in range(LANES):
        result += lane[i]
    return result


cdef inline double penalty_of(const real* W, Py_ssize_t n, double l1, double l2) noexcept nogil:
    """lambda / 2 sum W^2 + lambda_1 sum |W|"""
    cdef double total = 0
    if l2 != 0:
        total = l2 / 2 * sum_of_squares(W, n)
    if l1 != 0:
        total += l1 * sum_of_magnitudes(W, n)
    return total


cdef void limit_stretch(real* D, real most, Py_ssize_t n) noexcept nogil:
    """Limit the magnitude of n elements of D. NaN stays NaN."""
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(D + i, at_least(at_most(load(D + i), broadcast(most)), broadcast(-most)))


cdef double scaled_squares(const real* D, real by, Py_ssize_t n) noexcept nogil:
    """Return the sum of (D by)^2. Scaled so that 1 is the limit, it overflows only where D is 10^19 times the limit."""
    cdef vec total = broadcast(0), D_i
    cdef real[64] lane
    cdef double result = 0
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D_i = load(D + i) * broadcast(by)
        total = mul_add(D_i, D_i, total)
    store(lane, total)
    for i in range(LANES):
        result += lane[i]
    return result

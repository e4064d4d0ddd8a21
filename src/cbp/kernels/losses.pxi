# Losses and the output error delta(L), a row an example, from the pre-activations z(L) so that they stay finite.
#
# squared error   loss = 1/2 sum_j (a_j - y_j)^2       delta = (a - y) g'(z)
# cross-entropy   with sigmoid, each output its own:
#                 loss = sum_j max(z_j, 0) - z_j y_j + log(1 + e^-|z_j|)
#                                                      delta = a - y
#                 with softmax, and top = max_k z_k:
#                 loss = sum_j y_j (top - z_j) + t log sum_k e^(z_k - top),  t = sum_j y_j, which is 1 to within 1e-3
#                                                      delta = t a - y
#
# Differences come before sums, so that large z leave a small loss its digits: top - z_j, and 1 - a where a is near 1.
#
# Where the output is not softmax, every output is a matter of its own, so that rows of few outputs can be taken
# together as one long one: z, padded to whole vectors, becomes delta in place, its padding left to the caller.

cdef void row_losses(
    int loss, double* losses,           # (n_rows,)
    const real* y,                      # (n_rows, n)
    Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """Each example's loss, from what `elementwise_delta` has put in the place of y. Summed in double: the losses of
    many rows must add up to more than six digits, and the square of a small error may be too small for a float."""
    cdef double total
    cdef Py_ssize_t i, j
    if loss == SQUARED_ERROR:
        for i in range(n_rows):
            total = 0
            for j in range(n):
                total += <double> y[i * n + j] * y[i * n + j]
            losses[i] = total / 2
    elif loss == CROSS_ENTROPY:
        for i in range(n_rows):
            total = 0
            for j in range(n):
                total += y[i * n + j]
            losses[i] = total
    else:
        CHECK(False)


cdef void binary_cross_entropy(
    real* z,                            # (n,), padded to whole vectors; becomes delta
    real* y,                            # (n,), likewise; becomes each output's loss
    Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef vec z_j, y_j, e
    for j from 0 <= j < n by LANES:
        z_j, y_j = load(z + j), load(y + j)
        e = lifted_exp(minus_magnitude(z_j))
        store(y + j, sub_mul(at_least(z_j, broadcast(0)), z_j, y_j) + vec_log1p_unit(unlift(e)))
        store(z + j, sigmoid_error(z_j, e / (lifted_one() + e), y_j))


cdef inline vec sigmoid_error(vec z, vec small, vec y) noexcept nogil:
    """a - y, from the smaller one of a and 1 - a."""
    return where_negative(z, small - y, (broadcast(1) - y) - small)


cdef inline vec sigmoid_squared_error(vec z, vec* error) noexcept nogil:
    """delta = (a - y) a (1 - a); `error` is y, and becomes a - y."""
    cdef vec e = lifted_exp(minus_magnitude(z))
    cdef vec small = e / (lifted_one() + e)
    error[0] = sigmoid_error(z, small, error[0])
    return error[0] * (small * (broadcast(1) - small))


cdef inline vec tanh_squared_error(vec z, vec* error) noexcept nogil:
    """delta = (a - y) (1 - a^2); `error` is y, and becomes a - y.

    With s the sign of z and e = e^(-2 |z|), 1 - s a = 2 e / (1 + e) where |a| is near 1.
    """
    cdef vec s = with_sign(broadcast(1), z), a = vec_tanh(z)
    cdef vec e = lifted_exp(minus_magnitude(z + z))
    cdef vec small = (e + e) / (lifted_one() + e)
    error[0] = where_negative(magnitude(z) - broadcast(<real> 0.5), a - error[0],
                              s * ((broadcast(1) - s * error[0]) - small))
    return error[0] * (small * (broadcast(2) - small))


cdef void squared_error(
    int g,
    real* z,                            # (n,), padded to whole vectors; becomes delta
    real* y,                            # (n,), likewise; becomes the errors a - y
    real* a,                            # (n,), likewise; workspace
    Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef vec error
    if g == SIGMOID or g == TANH:
        for j from 0 <= j < n by LANES:
            error = load(y + j)
            store(z + j, sigmoid_squared_error(load(z + j), &error) if g == SIGMOID
                  else tanh_squared_error(load(z + j), &error))
            store(y + j, error)
        return
    memcpy(a, z, padded(n) * sizeof(real))
    activate(g, a, padded(n))
    for j from 0 <= j < n by LANES:
        error = load(a + j) - load(y + j)
        store(z + j, error)
        store(y + j, error)
    times_derivative(g, z, a, padded(n))


cdef double softmax_squared_error(
    real* a, const real* y, Py_ssize_t label, Py_ssize_t n,     # y is NULL where there is a label
    real rest,                          # 1 - a for the largest a, to all its digits
) noexcept nogil:
    """dloss/dz_j = a_j (e_j - sum_k e_k a_k) with e = a - y, for a row of softmax."""
    cdef Py_ssize_t j
    cdef double loss = 0
    cdef real mean = 0, e_j
    for j in range(n):
        e_j = softmax_error(a[j], 1, y[j] if y != NULL else <real> (j == label), rest)
        mean += e_j * a[j]
        loss += <double> e_j * e_j
    for j in range(n):
        a[j] *= softmax_error(a[j], 1, y[j] if y != NULL else <real> (j == label), rest) - mean
    return loss / 2


cdef inline real softmax_error(real a, real total, real y, real rest) noexcept nogil:
    """total a - y; only the largest a can be above 1/2, and `rest` is 1 - a for that."""
    return (total - y) - total * rest if a > <real> 0.5 else total * a - y


cdef double sum_below(real top, const real* z, const real* y, Py_ssize_t n, double* sum_y) noexcept nogil:
    """sum_j y_j (top - z_j), and sum_j y_j."""
    cdef double total = 0
    cdef Py_ssize_t j
    sum_y[0] = 0
    for j in range(n):
        if y[j] != 0:                   # for top - z_j may be infinite
            total += (<double> top - z[j]) * y[j]
        sum_y[0] += y[j]
    return total


cdef inline void elementwise_delta(int g, int loss, real* z, real* y, real* a, Py_ssize_t n) noexcept nogil:
    """delta of n outputs that are not softmax's, whatever rows they belong to; y becomes what `row_losses` takes."""
    if loss == SQUARED_ERROR:
        squared_error(g, z, y, a, n)
    elif loss == CROSS_ENTROPY and g == SIGMOID:
        binary_cross_entropy(z, y, n)
    else:
        CHECK(False)

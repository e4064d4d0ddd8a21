# Losses and the output error delta(L), a row an example, told from the pre-activations z(L) so that they stay finite.
#
# squared error   loss = 1/2 sum_j (a_j - y_j)^2       delta = (a - y) g'(z)
# cross-entropy   with sigmoid, each output its own:
#                 loss = sum_j max(z_j, 0) - z_j y_j + log(1 + e^-|z_j|)
#                 with softmax: loss = log sum_k e^(z_k) - sum_j y_j z_j
#                                                      delta = a - y for both
#
# Where the output is not softmax, every output is a matter of its own, so that rows of few outputs can be taken
# together as one long one: z, padded to whole vectors, becomes delta in place, its padding left to the caller.

cdef double row_sum(const real* x, Py_ssize_t n) noexcept nogil:
    """Summed in double: the losses of many rows are to add up to more than six digits."""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += x[j]
    return total


cdef void binary_cross_entropy(real* z, real* y, Py_ssize_t n) noexcept nogil:
    """Each output's loss takes the place of its y."""
    cdef Py_ssize_t j
    cdef vec z_j, y_j, e
    for j from 0 <= j < n by LANES:
        z_j, y_j = load(z + j), load(y + j)
        e = lifted_exp(minus_magnitude(z_j))
        store(y + j, sub_mul(at_least(z_j, broadcast(0)), z_j, y_j) + vec_log1p_unit(unlift(e)))
        store(z + j, sigmoid_from(z_j, e) - y_j)


cdef void squared_error(int g, real* z, real* y, real* a, Py_ssize_t n) noexcept nogil:
    """Each output's loss takes the place of its y; a receives the activations."""
    cdef Py_ssize_t j
    cdef vec error
    activate(g, z, padded(n))
    for j from 0 <= j < n by LANES:
        error = load(z + j) - load(y + j)
        store(a + j, load(z + j))
        store(z + j, error)
        store(y + j, broadcast(<real> 0.5) * (error * error))
    times_derivative(g, z, a, padded(n))


cdef double softmax_squared_error(real* a, const real* y, Py_ssize_t label, Py_ssize_t n) noexcept nogil:
    """dloss/dz_j = a_j (e_j - sum_k e_k a_k) with e = a - y, for a row of softmax; y is NULL where there is a label."""
    cdef Py_ssize_t j
    cdef double loss = 0
    cdef real mean = 0, e_j
    for j in range(n):
        e_j = a[j] - (y[j] if y != NULL else <real> (j == label))
        mean += e_j * a[j]
        loss += <double> e_j * e_j
    for j in range(n):
        a[j] *= a[j] - (y[j] if y != NULL else <real> (j == label)) - mean
    return loss / 2


cdef double dot(const real* z, const real* y, Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += <double> z[j] * y[j]
    return total


cdef void elementwise_delta(int g, int loss, real* z, real* y, real* a, Py_ssize_t n) noexcept nogil:
    """delta and losses of n outputs that are not softmax's, whatever rows they belong to."""
    if loss == SQUARED_ERROR:
        squared_error(g, z, y, a, n)
    else:
        binary_cross_entropy(z, y, n)

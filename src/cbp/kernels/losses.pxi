# The losses and the output error delta(L), both computed from the pre-activations z(L), so that they stay finite.
#
# Needs: math.
# Gives: loss_row, pair_of, row_losses, softmax_error, softmax_squared_error, sum_below.
#
# squared error   loss = 1/2 sum_j (a_j - y_j)^2       delta = (a - y) g'(z)
# cross-entropy   with sigmoid, whose outputs are independent of each other:
#                 loss = sum_j max(z_j, 0) - z_j y_j + log(1 + e^-|z_j|)
#                                                      delta = a - y
#                 with softmax, and top = max_k z_k:
#                 loss = sum_j y_j (top - z_j) + t log sum_k e^(z_k - top),  t = sum_j y_j, which is 1 to within 1e-3
#                                                      delta = t a - y
#
# A small loss keeps its digits even where z is large, because no difference is taken between rounded results: top - z_j
# is computed before it is multiplied and summed, and 1 - a is computed from exponentials where a is near 1.
#
# Unless the output is softmax, the loss and delta of an output do not depend on the other outputs. So rows of few
# outputs can be joined to one long row. z is padded to whole vectors, and is overwritten with delta; the caller then
# sets the padding to 0.

cdef void row_losses(
    bint squared, double* losses,       # (n_rows,)
    const real* y,                      # (n_rows, n)
    Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """Compute each example's loss from what `elementwise_delta` has written over y: a - y if `squared`, else each
    output's loss. The sums are in double: sums over many rows need more than six digits, and the square of a small
    error may be too small for a float."""
    cdef double total
    cdef Py_ssize_t i, j
    for i in range(n_rows):
        total = 0
        if squared:
            for j in range(n):
                total += <double> y[i * n + j] * y[i * n + j]
            total /= 2
        else:
            for j in range(n):
                total += y[i * n + j]
        losses[i] = total


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
    """Return a - y, computed from `small`, which is the smaller of a and 1 - a."""
    return where_negative(z, small - y, (broadcast(1) - y) - small)


cdef inline vec sigmoid_squared_error(vec z, vec* error) noexcept nogil:
    """Return delta = (a - y) a (1 - a). `error` contains y on entry and a - y on return."""
    cdef vec e = lifted_exp(minus_magnitude(z))
    cdef vec small = e / (lifted_one() + e)
    error[0] = sigmoid_error(z, small, error[0])
    return error[0] * (small * (broadcast(1) - small))


cdef inline vec tanh_squared_error(vec z, vec* error) noexcept nogil:
    """Return delta = (a - y) (1 - a^2). `error` contains y on entry and a - y on return.

    `small` is 1 - |a| = 2 e / (1 + e) with e = e^(-2 |z|). Where |a| is near 1, a - y is computed from it and from the
    sign s of z, as s ((1 - s y) - small).
    """
    cdef vec s = with_sign(broadcast(1), z), a = vec_tanh(z)
    cdef vec e = lifted_exp(minus_magnitude(z + z))
    cdef vec small = (e + e) / (lifted_one() + e)
    error[0] = where_negative(magnitude(z) - broadcast(<real> 0.5), a - error[0],
                              s * ((broadcast(1) - s * error[0]) - small))
    return error[0] * (small * (broadcast(2) - small))


cdef void sigmoid_squared_errors(real* z, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    cdef vec error
    for j from 0 <= j < n by LANES:
        error = load(y + j)
        store(z + j, sigmoid_squared_error(load(z + j), &error))
        store(y + j, error)


cdef void tanh_squared_errors(real* z, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    cdef vec error
    for j from 0 <= j < n by LANES:
        error = load(y + j)
        store(z + j, tanh_squared_error(load(z + j), &error))
        store(y + j, error)


cdef void exp_poisson(real* z, real* y, Py_ssize_t n) noexcept nogil:
    """loss = a - y z and delta = a - y with a = e^z"""
    cdef Py_ssize_t j
    cdef vec z_j, y_j, a
    for j from 0 <= j < n by LANES:
        z_j, y_j = load(z + j), load(y + j)
        a = vec_exp(z_j)
        store(y + j, sub_mul(a, y_j, z_j))
        store(z + j, a - y_j)


cdef void exp_gamma(real* z, real* y, Py_ssize_t n) noexcept nogil:
    """loss = z + y / a and delta = 1 - y / a with a = e^z"""
    cdef Py_ssize_t j
    cdef vec z_j, ratio
    for j from 0 <= j < n by LANES:
        z_j = load(z + j)
        ratio = load(y + j) * vec_exp(broadcast(0) - z_j)
        store(y + j, z_j + ratio)
        store(z + j, broadcast(1) - ratio)


# Losses that fit every elementwise output. e becomes dloss/da; y becomes each output's loss or, for the squared error,
# a - y.

cdef void squared_error(real* e, real* y, const real* a, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t j
    cdef vec error
    for j from 0 <= j < n by LANES:
        error = load(a + j) - load(y + j)
        store(e + j, error)
        store(y + j, error)


cdef void absolute_error(real* e, real* y, const real* a, Py_ssize_t n, real number) noexcept nogil:
    """loss = |a - y|,  e = -1, 0 or 1"""
    cdef Py_ssize_t j
    cdef vec d
    for j from 0 <= j < n by LANES:
        d = load(a + j) - load(y + j)
        store(e + j, where_positive(d, broadcast(1), where_less(d, broadcast(0), broadcast(-1))))
        store(y + j, magnitude(d))


cdef void huber(real* e, real* y, const real* a, Py_ssize_t n, real most) noexcept nogil:
    """loss = e (d - e / 2) with d = a - y, and e = d limited to [-most, most]"""
    cdef Py_ssize_t j
    cdef vec d, error
    for j from 0 <= j < n by LANES:
        d = load(a + j) - load(y + j)
        error = at_most(at_least(d, broadcast(-most)), broadcast(most))
        store(e + j, error)
        store(y + j, error * sub_mul(d, broadcast(<real> 0.5), error))


cdef void log_cosh(real* e, real* y, const real* a, Py_ssize_t n, real number) noexcept nogil:
    """loss = log cosh d with d = a - y,  e = tanh d

    For |d| < 1 the loss is computed as log(1 + u^2 / (2 (1 + u))) with u = e^-|d| - 1, so that small losses keep their
    digits.
    """
    cdef Py_ssize_t j
    cdef vec d, size, u, near, far, unit = broadcast(1)
    for j from 0 <= j < n by LANES:
        d = load(a + j) - load(y + j)
        size = magnitude(d)
        u = expm1_below(broadcast(0) - at_most(size, unit))
        near = vec_log1p_unit(u * u / (broadcast(2) * (unit + u)))
        far = vec_log1p_unit(unlift(lifted_exp(minus_magnitude(d + d)))) - broadcast(<real> 0.69314718055994530942)
        store(e + j, vec_tanh(d))
        store(y + j, where_negative(size - unit, near, size + far))


cdef void quantile(real* e, real* y, const real* a, Py_ssize_t n, real level) noexcept nogil:
    """loss = e d with d = a - y,  e = -level where d < 0, 1 - level where d > 0"""
    cdef Py_ssize_t j
    cdef vec d, error
    for j from 0 <= j < n by LANES:
        d = load(a + j) - load(y + j)
        error = where_positive(d, broadcast(1 - level), where_less(d, broadcast(0), broadcast(-level)))
        store(e + j, error)
        store(y + j, error * d)


cdef void inner_product(real* e, real* y, const real* a, Py_ssize_t n, real number) noexcept nogil:
    """loss = y a,  e = y"""
    cdef Py_ssize_t j
    cdef vec y_j
    for j from 0 <= j < n by LANES:
        y_j = load(y + j)
        store(y + j, y_j * load(a + j))
        store(e + j, y_j)


cdef void sum_of_outputs(real* e, real* y, const real* a, Py_ssize_t n, real number) noexcept nogil:
    """loss = a,  e = 1"""
    cdef Py_ssize_t j
    for j from 0 <= j < n by LANES:
        store(y + j, load(a + j))
        store(e + j, broadcast(1))


cdef inline LossRow make_loss_row(
    const char* name, void (*error)(real*, real*, const real*, Py_ssize_t, real) noexcept nogil,
    bint squared, real least, real most,
) noexcept nogil:
    cdef LossRow row
    row.name, row.error, row.squared, row.least, row.most = name, error, squared, least, most
    return row


cdef LossRow loss_row(int loss) noexcept nogil:
    """Return the row of a loss. A loss that fits only certain outputs has no `error` function: `pair_of` gives the
    function for each of these outputs, and output.pxi computes those of softmax."""
    if loss == SQUARED_ERROR:
        return make_loss_row("squared_error", squared_error, True, -INFINITY, INFINITY)
    if loss == ABSOLUTE_ERROR:
        return make_loss_row("absolute_error", absolute_error, False, -INFINITY, INFINITY)
    if loss == HUBER:
        return make_loss_row("huber", huber, False, -INFINITY, INFINITY)
    if loss == LOG_COSH:
        return make_loss_row("log_cosh", log_cosh, False, -INFINITY, INFINITY)
    if loss == QUANTILE:
        return make_loss_row("quantile", quantile, False, -INFINITY, INFINITY)
    if loss == INNER_PRODUCT:
        return make_loss_row("inner_product", inner_product, False, -INFINITY, INFINITY)
    if loss == SUM_OF_OUTPUTS:
        return make_loss_row("sum_of_outputs", sum_of_outputs, False, -INFINITY, INFINITY)
    if loss == CROSS_ENTROPY:
        return make_loss_row("cross_entropy", NULL, False, 0, 1)
    if loss == POISSON:
        return make_loss_row("poisson", NULL, False, 0, INFINITY)
    if loss == GAMMA:
        return make_loss_row("gamma", NULL, False, SMALLEST, INFINITY)
    return make_loss_row(NULL, NULL, False, -INFINITY, INFINITY)


cdef Pair pair_of(int g, int loss) noexcept nogil:
    """Return the function that computes delta and the losses of this output and loss from z; NULL if there is none."""
    if loss == SQUARED_ERROR and g == SIGMOID:
        return sigmoid_squared_errors
    if loss == SQUARED_ERROR and g == TANH:
        return tanh_squared_errors
    if loss == CROSS_ENTROPY and g == SIGMOID:
        return binary_cross_entropy
    if loss == POISSON and g == EXP:
        return exp_poisson
    if loss == GAMMA and g == EXP:
        return exp_gamma
    return NULL


cdef double softmax_squared_error(
    real* a, const real* y, Py_ssize_t label, Py_ssize_t n,     # y is NULL where there is a label
    real rest,                          # 1 - a for the largest a, computed without that difference
) noexcept nogil:
    """Replace a by dloss/dz_j = a_j (e_j - sum_k e_k a_k) with e = a - y, for a row of softmax; return the loss."""
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
    """Return total a - y. `rest` is 1 - a for the largest a of the row, the only one that can be above 1/2."""
    return (total - y) - total * rest if a > <real> 0.5 else total * a - y


cdef double sum_below(real top, const real* z, const real* y, Py_ssize_t n, double* sum_y) noexcept nogil:
    """Return sum_j y_j (top - z_j), and write sum_j y_j to sum_y."""
    cdef double total = 0
    cdef Py_ssize_t j
    sum_y[0] = 0
    for j in range(n):
        if y[j] != 0:                   # top - z_j may be infinite, and 0 times infinity is NaN
            total += (<double> top - z[j]) * y[j]
        sum_y[0] += y[j]
    return total


cdef const char* loss_name(int loss) noexcept nogil:
    return loss_row(loss).name

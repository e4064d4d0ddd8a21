# The activation functions, one table row for each: g, and the multiplication of delta by g'.
#
# Needs: math, normal.
# Gives: activation_row, is_elementwise, sigmoid, tanh.
#
# Each row of the table has two functions, which process whole SIMD vectors. The first computes a = g(z), and may store
# a in place of z. The second multiplies delta by g', which it computes from a or, if a does not determine g'
# accurately, from z: then z must be kept as well as a. `number` is the activation's parameter, such as the slope of
# leaky_relu. The row of softmax has no functions, because each output of softmax depends on all pre-activations of its
# example: see `softmax_rows`.

# BLOCK vectors go through each step together. A single vector is one long chain of operations, each waiting for the one
# before, and too long for out-of-order execution to overlap with the next vector's. Measured for sigmoid: 0.43 ns an
# element one vector at a time, 0.36 ns in blocks.
cdef enum:
    BLOCK = 4


# a = z;  g' = 1

cdef void identity(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    if a != z:
        memcpy(a, z, n * sizeof(real))


cdef void times_1(real* delta, const real* a, Py_ssize_t n, real number) noexcept nogil:
    pass


# a = 1 / (1 + e^-z);  g' = a (1 - a)

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


cdef void sigmoid(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i + BLOCK * LANES <= n:
        sigmoid_block(a + i, z + i)
        i += BLOCK * LANES
    while i < n:
        store(a + i, vec_sigmoid(load(z + i)))
        i += LANES


cdef void times_sigmoid_slope(real* delta, const real* a, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    cdef vec a_i
    for i from 0 <= i < n by LANES:
        a_i = load(a + i)
        store(delta + i, load(delta + i) * (a_i * (broadcast(1) - a_i)))


# a = tanh z;  g' = 1 - a^2

cdef inline void tanh_block(real* a, const real* z) noexcept nogil:
    cdef vec r[BLOCK]
    cdef wordvec n[BLOCK]
    cdef int v
    for v in range(BLOCK):
        r[v] = split_for_tanh(load(z + v * LANES), &n[v])
    for v in range(BLOCK):
        store(a + v * LANES, tanh_from(load(z + v * LANES), r[v], n[v]))


cdef void tanh(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i + BLOCK * LANES <= n:
        tanh_block(a + i, z + i)
        i += BLOCK * LANES
    while i < n:
        store(a + i, vec_tanh(load(z + i)))
        i += LANES


cdef void times_tanh_slope(real* delta, const real* a, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    cdef vec a_i
    for i from 0 <= i < n by LANES:
        a_i = load(a + i)
        store(delta + i, load(delta + i) * sub_mul(broadcast(1), a_i, a_i))


# a = max(z, 0);  g' = 1 where a > 0

cdef void relu(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(a + i, at_least(load(z + i), broadcast(0)))


cdef void times_relu_slope(real* delta, const real* a, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(delta + i, where_positive(load(a + i), load(delta + i), broadcast(0)))


# a = z where z > 0, else slope z;  g' = 1 where a > 0, else slope

cdef void leaky_relu(real* a, const real* z, Py_ssize_t n, real slope) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(a + i, where_positive(load(z + i), load(z + i), broadcast(slope) * load(z + i)))


cdef void times_leaky_relu_slope(real* delta, const real* a, Py_ssize_t n, real slope) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(delta + i, load(delta + i) * where_positive(load(a + i), broadcast(1), broadcast(slope)))


# a = scale z where z > 0, else scale alpha (e^z - 1);  g' = scale where a > 0, else a + scale alpha
# With a scale of 1 this is elu. The scale and alpha of selu keep activations near mean 0 and variance 1 (Klambauer et
# al., 2017). The argument `alpha` of the two bodies below is the product scale alpha.

cdef inline void elu_body(real* a, const real* z, Py_ssize_t n, real scale, real alpha) noexcept nogil:
    cdef Py_ssize_t i
    cdef vec z_i
    for i from 0 <= i < n by LANES:
        z_i = load(z + i)
        store(a + i, where_positive(z_i, broadcast(scale) * z_i, broadcast(alpha) * expm1_below(z_i)))


cdef inline void elu_slope_body(real* delta, const real* a, Py_ssize_t n, real scale, real alpha) noexcept nogil:
    cdef Py_ssize_t i
    cdef vec a_i
    for i from 0 <= i < n by LANES:
        a_i = load(a + i)
        store(delta + i, load(delta + i) * where_positive(a_i, broadcast(scale), a_i + broadcast(alpha)))


cdef void elu(real* a, const real* z, Py_ssize_t n, real alpha) noexcept nogil:
    elu_body(a, z, n, 1, alpha)


cdef void times_elu_slope(real* delta, const real* a, Py_ssize_t n, real alpha) noexcept nogil:
    elu_slope_body(delta, a, n, 1, alpha)


cdef void selu(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    elu_body(a, z, n, <real> 1.0507009873554804934, <real> 1.7580993408473768599)


cdef void times_selu_slope(real* delta, const real* a, Py_ssize_t n, real number) noexcept nogil:
    elu_slope_body(delta, a, n, <real> 1.0507009873554804934, <real> 1.7580993408473768599)


# a = log(1 + e^z);  g' = 1 / (1 + e^-z) = 1 - e^-a

cdef void softplus(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    cdef vec z_i
    for i from 0 <= i < n by LANES:
        z_i = load(z + i)
        store(a + i, at_least(z_i, broadcast(0)) + vec_log1p_unit(unlift(lifted_exp(minus_magnitude(z_i)))))


cdef void times_softplus_slope(real* delta, const real* a, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(delta + i, load(delta + i) * magnitude(expm1_below(minus_magnitude(load(a + i)))))


# a = z / (1 + e^-z);  g' = s (1 + z (1 - s)) with s = 1 / (1 + e^-z)

cdef inline vec silu_size(vec z) noexcept nogil:
    """Return |z|, but at most a number from which on z e^-|z| rounds to 0."""
    return at_most(magnitude(z), broadcast(<real> (120 if sizeof(real) == 4 else 760)))


cdef inline vec lifted_exp_of_minus(vec size) noexcept nogil:
    """Return 2^LIFT e^-size, for a size that `silu_size` has returned."""
    cdef wordvec n
    cdef vec r = split_by_log_2(minus_magnitude(size), &n)
    return lifted_exp_of(r, n)


cdef inline vec vec_silu(vec z) noexcept nogil:
    """Return z / (1 + e^-z). With e = e^-|z| that is z e / (1 + e) where z is negative, else z / (1 + e). A result that
    is subnormal is rounded only once, by the division."""
    cdef vec size = silu_size(z), e = lifted_exp_of_minus(size), sum = lifted_one() + e
    return where_negative(z, minus_magnitude(size) * e, z) / where_negative(z, sum, unlift(sum))


cdef inline vec silu_slope(vec z) noexcept nogil:
    """Return g'(z) = s (1 + z (1 - s)). `left` is g'(-|z|); where z is positive, g'(z) = 1 - g'(-z) is returned."""
    cdef vec size = silu_size(z), e = lifted_exp_of_minus(size), unit = broadcast(1)
    cdef vec s = e / (lifted_one() + e), left = s * sub_mul(unit, size, unit - s)
    return where_negative(z, left, unit - left)


cdef void silu(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(a + i, vec_silu(load(z + i)))


cdef void times_silu_slope(real* delta, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(delta + i, load(delta + i) * silu_slope(load(z + i)))


# a = z Phi(z), not its approximation by tanh;  g' = Phi(z) + z phi(z). Phi is the normal distribution, phi its density.

cdef void gelu(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(a + i, vec_gelu(load(z + i)))


cdef void times_gelu_slope(real* delta, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(delta + i, load(delta + i) * gelu_slope(load(z + i)))


# a = e^z;  g' = a

cdef void exponential(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(a + i, vec_exp(load(z + i)))


cdef void times_a(real* delta, const real* a, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(delta + i, load(delta + i) * load(a + i))


cdef inline ActivationRow activation(
    const char* name,
    void (*activate)(real*, const real*, Py_ssize_t, real) noexcept nogil,
    void (*times_derivative)(real*, const real*, Py_ssize_t, real) noexcept nogil,
    bint from_z,
) noexcept nogil:
    cdef ActivationRow row
    row.name, row.activate, row.times_derivative, row.from_z = name, activate, times_derivative, from_z
    return row


cdef ActivationRow activation_row(int g) noexcept nogil:
    """Return the row of an activation. Softmax has a name but no functions; for an unknown code the name is NULL."""
    if g == IDENTITY:
        return activation("identity", identity, times_1, False)
    if g == SIGMOID:
        return activation("sigmoid", sigmoid, times_sigmoid_slope, False)
    if g == TANH:
        return activation("tanh", tanh, times_tanh_slope, False)
    if g == RELU:
        return activation("relu", relu, times_relu_slope, False)
    if g == LEAKY_RELU:
        return activation("leaky_relu", leaky_relu, times_leaky_relu_slope, False)
    if g == ELU:
        return activation("elu", elu, times_elu_slope, False)
    if g == SELU:
        return activation("selu", selu, times_selu_slope, False)
    if g == SOFTPLUS:
        return activation("softplus", softplus, times_softplus_slope, False)
    if g == SILU:
        return activation("silu", silu, times_silu_slope, True)
    if g == GELU:
        return activation("gelu", gelu, times_gelu_slope, True)
    if g == EXP:
        return activation("exp", exponential, times_a, False)
    if g == SOFTMAX:
        return activation("softmax", NULL, NULL, False)
    return activation(NULL, NULL, NULL, False)


cdef const char* activation_name(int g) noexcept nogil:
    return activation_row(g).name


cdef inline bint is_elementwise(int g) noexcept nogil:
    return activation_row(g).activate != NULL

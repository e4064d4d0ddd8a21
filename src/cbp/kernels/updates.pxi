# From Delta to the parameters: the gradient D = (Delta + lambda W) / m, and the optimiser's step against it.
#
# All vectors are packed as the weights are, so a step is elementwise over a run of them; n a multiple of LANES.
#
# Moments that decay would end as subnormal numbers, each of which costs some processors a hundred cycles in every step.
# So a velocity or first moment below SMALLEST_KEPT becomes 0, and a second moment is at least that: its root, 9e-19 in
# float32 and 1e-153 in float64, is nothing beside Adam's default epsilon.

cdef struct Step:                       # one update's constants, the bias corrections included
    int optimizer
    bint nesterov
    real learning_rate
    real momentum
    real beta1
    real beta2
    real one_minus_beta1
    real one_minus_beta2
    real epsilon
    real v_correction                   # 1 / (1 - beta2^t)
    real decay                          # lambda
    real inverse_m                      # 1 / m, or 1 / (the sum of the weights)
    Py_ssize_t back                     # a moment is read so many reals from where it is written
    bint* infinite                      # set where a parameter is no longer finite; or NULL, where nobody asks yet


cdef double power(double base, int64_t n) noexcept nogil:
    """base^n for n >= 1, by squaring: the same bits with every C library, whose `cpow` is what Cython's ** calls.

    The error is at most n 2^-53 of the result, as much as from rounding the base.
    """
    cdef double result = 1
    while n > 0:
        if n % 2 == 1:
            result *= base
        base *= base
        n //= 2
    return result


cdef Step step_constants(const Rule* rule, int64_t updates, double m) noexcept nogil:
    """The constants of the update after `updates` others, on examples that weigh m."""
    cdef Step step
    step.optimizer = rule.optimizer
    step.nesterov = rule.nesterov
    step.momentum = <real> rule.momentum
    step.beta1 = <real> rule.beta1
    step.beta2 = <real> rule.beta2
    step.one_minus_beta1 = <real> (1 - rule.beta1)
    step.one_minus_beta2 = <real> (1 - rule.beta2)
    step.epsilon = <real> rule.epsilon
    step.decay = <real> rule.l2
    step.back, step.infinite = 0, NULL
    step.inverse_m = <real> (1 / m)
    step.learning_rate, step.v_correction = <real> rule.learning_rate, 1
    if rule.optimizer == ADAM:          # the correction of the first moment goes into the learning rate
        step.learning_rate = <real> (rule.learning_rate / (1 - power(rule.beta1, updates + 1)))
        step.v_correction = <real> (1 / (1 - power(rule.beta2, updates + 1)))
    elif rule.optimizer != SGD:
        CHECK(False)
    return step


cdef inline vec gradient_at(const real* Delta, const real* W, vec decay, vec inverse_m) noexcept nogil:
    """D = (Delta + lambda W) / m"""
    return mul_add(decay, load(W), load(Delta)) * inverse_m


cdef void gradient_run(real* D, const real* W, real decay, real inverse_m, Py_ssize_t n) noexcept nogil:
    """D, at first Delta, of n weights as the updates take it, to the last bit; here n may be any number."""
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


cdef inline vec kept(vec moment) noexcept nogil:
    """The moment, or 0 where it is too small to matter; NaN stays NaN."""
    return moment - where_less(magnitude(moment), broadcast(SMALLEST_KEPT), moment)


cdef void sgd_step(const Step* step, real* W, const real* Delta, real decay, Py_ssize_t n) noexcept nogil:
    """theta -= eta D"""
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(decay), inverse_m = broadcast(step.inverse_m)
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(W + i, sub_mul(load(W + i), eta, gradient_at(Delta + i, W + i, lamda, inverse_m)))


cdef void momentum_step(
    const Step* step, real* W, real* velocity, const real* Delta, real decay, Py_ssize_t n,
) noexcept nogil:
    """v = mu v + D;  theta -= eta v, or eta (D + mu v) after Nesterov."""
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(decay), inverse_m = broadcast(step.inverse_m)
    cdef vec mu = broadcast(step.momentum)
    cdef vec D, v, direction
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D = gradient_at(Delta + i, W + i, lamda, inverse_m)
        v = kept(mul_add(mu, load(velocity + step.back + i), D))
        store(velocity + i, v)
        direction = mul_add(mu, v, D) if step.nesterov else v
        store(W + i, sub_mul(load(W + i), eta, direction))


cdef void adam_step(
    const Step* step, real* W, real* m, real* v, const real* Delta, real decay, Py_ssize_t n,
) noexcept nogil:
    """m = b1 m + (1 - b1) D;  v = b2 v + (1 - b2) D^2;  theta -= eta m^ / (sqrt(v^) + eps).

    Kingma and Ba, 2015 (arXiv:1412.6980), algorithm 1; ^ marks the bias-corrected moments.
    """
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(decay), inverse_m = broadcast(step.inverse_m)
    cdef vec b1 = broadcast(step.beta1), b2 = broadcast(step.beta2)
    cdef vec c1 = broadcast(step.one_minus_beta1), c2 = broadcast(step.one_minus_beta2)
    cdef vec v_correction = broadcast(step.v_correction), epsilon = broadcast(step.epsilon)
    cdef vec D, m_i, v_i
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D = gradient_at(Delta + i, W + i, lamda, inverse_m)
        m_i = kept(mul_add(b1, load(m + step.back + i), c1 * D))
        v_i = at_least(mul_add(b2, load(v + step.back + i), c2 * (D * D)), broadcast(SMALLEST_KEPT))
        store(m + i, m_i)
        store(v + i, v_i)
        store(W + i, load(W + i) - eta * m_i / (root(v_i * v_correction) + epsilon))


cdef void update(
    const Step* step, real* W, real* moment1, real* moment2, const real* Delta, real decay, Py_ssize_t n,
) noexcept nogil:
    if step.optimizer == ADAM:
        adam_step(step, W, moment1, moment2, Delta, decay, n)
    elif step.optimizer == SGD and moment1 != NULL:
        momentum_step(step, W, moment1, Delta, decay, n)
    elif step.optimizer == SGD:
        sgd_step(step, W, Delta, decay, n)
    else:
        CHECK(False)

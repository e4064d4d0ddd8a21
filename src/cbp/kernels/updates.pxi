# The step that each optimiser makes with the gradient D.
#
# Needs: gradient.
# Gives: average_stretch, kept, optimizer_row, step_constants.
#
# Gradients and moments are stored in the same packed order as the weights. So a step works element by element on any
# contiguous piece of n numbers, where n must be a multiple of LANES.
#
# A moment whose gradient stays 0 decays until it is a subnormal number, which costs some processors a hundred cycles
# in every step. So a velocity or first moment smaller than SMALLEST_KEPT becomes 0, and a second moment is at least
# SMALLEST_KEPT. The root of this, 9e-19 in float32 and 1e-153 in float64, is negligible beside Adam's default epsilon.

cdef double power(double base, int64_t n) noexcept nogil:
    """Return base^n for n >= 1, by repeated squaring. Cython's ** would call the C library, on which the bits would
    then depend. The relative error is at most n 2^-53, as much as rounding the base to double causes.
    """
    cdef double result = 1
    while n > 0:
        if n % 2 == 1:
            result *= base
        base *= base
        n //= 2
    return result


cdef void average_stretch(real* average, const real* W, real share, Py_ssize_t n) noexcept nogil:
    """average += share (W - average)"""
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(average + i, mul_add(broadcast(share), load(W + i) - load(average + i), load(average + i)))


cdef inline vec kept(vec moment) noexcept nogil:
    """Return the moment, or 0 where its magnitude is below SMALLEST_KEPT. NaN stays NaN."""
    return moment - where_less(magnitude(moment), broadcast(SMALLEST_KEPT), moment)


# theta is W or b.  theta -= eta D.  With momentum: v = mu v + D and theta -= eta v; after Nesterov,
# theta -= eta (D + mu v)

cdef void plain_step(
    const Step* step, real* W, const real* Delta, real l2, Py_ssize_t n,
) noexcept nogil:
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(l2), inverse_m = broadcast(step.inverse_m)
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        store(W + i, sub_mul(load(W + i), eta, gradient_at(Delta + i, W + i, lamda, inverse_m)))


cdef void momentum_step(
    const Step* step, real* W, real* velocity, const real* Delta, real l2, Py_ssize_t n,
) noexcept nogil:
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(l2), inverse_m = broadcast(step.inverse_m)
    cdef vec mu = broadcast(step.momentum)
    cdef vec D, v, direction
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D = gradient_at(Delta + i, W + i, lamda, inverse_m)
        v = kept(mul_add(mu, load(velocity + step.back + i), D))
        store(velocity + i, v)
        direction = mul_add(mu, v, D) if step.nesterov else v
        store(W + i, sub_mul(load(W + i), eta, direction))


cdef void sgd_step(
    const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2, bint are_weights,
    Py_ssize_t n,
) noexcept nogil:
    if step.momentum == 0:              # then there is no velocity, but perhaps a moving average
        plain_step(step, W, Delta, l2, n)
    else:
        momentum_step(step, W, moments[0] + at, Delta, l2, n)


# m = b1 m + (1 - b1) D;  v = b2 v + (1 - b2) D^2;  theta -= eta m^ / (sqrt(v^) + eps)
# Kingma and Ba, 2015 (arXiv:1412.6980), algorithm 1; ^ marks the bias-corrected moments. AdamW first shrinks the
# weights, but not the biases: theta *= 1 - eta w (Loshchilov and Hutter, 2019, arXiv:1711.05101), w the weight decay.

cdef void correct_moments(Step* step, const Hyperparameters* rule, double rate, Cursor* cursor) noexcept nogil:
    """Set the bias corrections. That of the first moment is a factor of the learning rate."""
    step.learning_rate = <real> (rate / (1 - power(rule.beta1, cursor.updates + 1)))
    step.v_correction = <real> (1 / (1 - power(rule.beta2, cursor.updates + 1)))


cdef inline void adam_body(
    const bint decoupled, const Step* step, real* W, real* m, real* v, const real* Delta, real l2, real shrink,
    Py_ssize_t n,
) noexcept nogil:
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(l2), inverse_m = broadcast(step.inverse_m)
    cdef vec b1 = broadcast(step.beta1), b2 = broadcast(step.beta2)
    cdef vec c1 = broadcast(step.one_minus_beta1), c2 = broadcast(step.one_minus_beta2)
    cdef vec v_correction = broadcast(step.v_correction), epsilon = broadcast(step.epsilon)
    cdef vec D, m_i, v_i, W_i
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D = gradient_at(Delta + i, W + i, lamda, inverse_m)
        m_i = kept(mul_add(b1, load(m + step.back + i), c1 * D))
        v_i = at_least(mul_add(b2, load(v + step.back + i), c2 * (D * D)), broadcast(SMALLEST_KEPT))
        store(m + i, m_i)
        store(v + i, v_i)
        W_i = load(W + i) * broadcast(shrink) if decoupled else load(W + i)
        store(W + i, W_i - eta * m_i / (root(v_i * v_correction) + epsilon))


cdef void adam_step(
    const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2, bint are_weights,
    Py_ssize_t n,
) noexcept nogil:
    adam_body(False, step, W, moments[0] + at, moments[1] + at, Delta, l2, 1, n)


cdef void adamw_step(
    const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2, bint are_weights,
    Py_ssize_t n,
) noexcept nogil:
    adam_body(True, step, W, moments[0] + at, moments[1] + at, Delta, l2, step.shrink if are_weights else 1, n)


# v = d v + (1 - d) D^2;  g = d g + (1 - d) D if centered, else 0;  u = D / (sqrt(v - g^2) + eps);  theta -= eta u, or
# with momentum b = mu b + u and theta -= eta b
# Tieleman and Hinton, 2012, lecture 6.5; `centered` is from Graves, 2013 (arXiv:1308.0850). The formulas are PyTorch's.

cdef void prepare_rmsprop(Step* step, const Hyperparameters* rule, double rate, Cursor* cursor) noexcept nogil:
    step.beta2, step.one_minus_beta2 = <real> rule.decay, <real> (1 - rule.decay)


cdef void rmsprop_step(
    const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2, bint are_weights,
    Py_ssize_t n,
) noexcept nogil:
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(l2), inverse_m = broadcast(step.inverse_m)
    cdef vec d = broadcast(step.beta2), c = broadcast(step.one_minus_beta2), epsilon = broadcast(step.epsilon)
    cdef vec mu = broadcast(step.momentum)
    cdef real* v = moments[0] + at
    cdef real* mean = moments[1] + at if step.centered else NULL
    cdef real* buffer = moments[2 if step.centered else 1] + at if step.momentum != 0 else NULL
    cdef vec D, v_i, mean_i, u
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D = gradient_at(Delta + i, W + i, lamda, inverse_m)
        u = v_i = at_least(mul_add(d, load(v + step.back + i), c * (D * D)), broadcast(SMALLEST_KEPT))
        store(v + i, v_i)
        if mean != NULL:
            mean_i = kept(mul_add(d, load(mean + step.back + i), c * D))
            store(mean + i, mean_i)
            u = at_least(sub_mul(v_i, mean_i, mean_i), broadcast(SMALLEST_KEPT))    # rounding may make v - g^2 negative
        u = D / (root(u) + epsilon)
        if buffer != NULL:
            u = kept(mul_add(mu, load(buffer + step.back + i), u))
            store(buffer + i, u)
        store(W + i, sub_mul(load(W + i), eta, u))


# s = s + D^2;  theta -= eta D / (sqrt(s) + eps)
# Duchi, Hazan and Singer, 2011. The formulas are PyTorch's.

cdef void adagrad_step(
    const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2, bint are_weights,
    Py_ssize_t n,
) noexcept nogil:
    cdef vec eta = broadcast(step.learning_rate), lamda = broadcast(l2), inverse_m = broadcast(step.inverse_m)
    cdef vec epsilon = broadcast(step.epsilon)
    cdef real* s = moments[0] + at
    cdef vec D, s_i
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D = gradient_at(Delta + i, W + i, lamda, inverse_m)
        s_i = mul_add(D, D, load(s + step.back + i))
        store(s + i, s_i)
        store(W + i, load(W + i) - eta * D / (root(s_i) + epsilon))


# m and v are Adam's;  theta -= (eta_D D + eta_m m) / (sqrt(v^) + eps), with the momentum decay d,
# mu_t = b1 (1 - 0.96^(t d) / 2), P_t = mu_1 mu_2 … mu_t, eta_D = eta (1 - mu_t) / (1 - P_t) and
# eta_m = eta mu_(t+1) / (1 - P_t mu_(t+1))
# Dozat, 2016. The formulas are PyTorch's.

cdef double exponential_of(double x) noexcept nogil:
    """Return e^x for x <= 0, from its power series, so that the bits do not depend on the C library."""
    cdef double term = 1, total = 1
    cdef int halvings = 0, i
    while x < -0.5:
        x /= 2
        halvings += 1
    for i in range(1, 18):
        term *= x / i
        total += term
    for i in range(halvings):
        total *= total
    return total


cdef inline double nadam_momentum(const Hyperparameters* rule, double decay, int64_t t) noexcept nogil:
    return rule.beta1 * (1 - power(decay, t) / 2)


cdef void prepare_nadam(Step* step, const Hyperparameters* rule, double rate, Cursor* cursor) noexcept nogil:
    cdef double decay = exponential_of(-0.040821994520255129554 * rule.momentum_decay)  # 0.96^d
    cdef int64_t t = cursor.updates + 1
    cdef double next = nadam_momentum(rule, decay, t + 1)
    if cursor.factors == 0 or cursor.factors > t:
        cursor.product, cursor.factors = 1, 0
    while cursor.factors < t:
        cursor.factors += 1
        if cursor.product > 1e-30:      # else 1 - P rounds to 1 whatever P is
            cursor.product *= nadam_momentum(rule, decay, cursor.factors)
    step.gradient_rate = <real> (rate * (1 - nadam_momentum(rule, decay, t)) / (1 - cursor.product))
    step.moment_rate = <real> (rate * next / (1 - cursor.product * next))
    step.v_correction = <real> (1 / (1 - power(rule.beta2, t)))


cdef void nadam_step(
    const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2, bint are_weights,
    Py_ssize_t n,
) noexcept nogil:
    cdef vec lamda = broadcast(l2), inverse_m = broadcast(step.inverse_m)
    cdef vec b1 = broadcast(step.beta1), b2 = broadcast(step.beta2)
    cdef vec c1 = broadcast(step.one_minus_beta1), c2 = broadcast(step.one_minus_beta2)
    cdef vec v_correction = broadcast(step.v_correction), epsilon = broadcast(step.epsilon)
    cdef vec eta_D = broadcast(step.gradient_rate), eta_m = broadcast(step.moment_rate)
    cdef real* m = moments[0] + at
    cdef real* v = moments[1] + at
    cdef vec D, m_i, v_i
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        D = gradient_at(Delta + i, W + i, lamda, inverse_m)
        m_i = kept(mul_add(b1, load(m + step.back + i), c1 * D))
        v_i = at_least(mul_add(b2, load(v + step.back + i), c2 * (D * D)), broadcast(SMALLEST_KEPT))
        store(m + i, m_i)
        store(v + i, v_i)
        store(W + i, load(W + i) - mul_add(eta_D, D, eta_m * m_i) / (root(v_i * v_correction) + epsilon))


cdef inline OptimizerRow optimizer_named(const char* name, Stepper update, Prepare prepare) noexcept nogil:
    cdef OptimizerRow row
    row.name, row.update, row.prepare = name, update, prepare
    return row


cdef OptimizerRow optimizer_row(int optimizer) noexcept nogil:
    """Return the row of an optimiser; for an unknown code, its name is NULL."""
    if optimizer == SGD:
        return optimizer_named("sgd", sgd_step, NULL)
    if optimizer == ADAM:
        return optimizer_named("adam", adam_step, correct_moments)
    if optimizer == ADAMW:
        return optimizer_named("adamw", adamw_step, correct_moments)
    if optimizer == RMSPROP:
        return optimizer_named("rmsprop", rmsprop_step, prepare_rmsprop)
    if optimizer == ADAGRAD:
        return optimizer_named("adagrad", adagrad_step, NULL)
    if optimizer == NADAM:
        return optimizer_named("nadam", nadam_step, prepare_nadam)
    return optimizer_named(NULL, NULL, NULL)


cdef const char* optimizer_name(int optimizer) noexcept nogil:
    return optimizer_row(optimizer).name


cdef Step step_constants(
    const Hyperparameters* rule, bint penalised, bint bias, double rate, double m, Cursor* cursor,
) noexcept nogil:
    """Return the constants of the next update, before which there were `cursor.updates`. m is the minibatch's number of
    examples, or the sum of their weights."""
    cdef OptimizerRow row = optimizer_row(rule.optimizer)
    cdef Step step
    step.update = row.update
    step.nesterov, step.centered = rule.nesterov, rule.centered
    step.penalised = penalised
    step.only_gradient = rule.clip_norm > 0 or rule.clip_value > 0
    step.by_part = penalised or rule.weight_decay != 0 or not bias or step.only_gradient
    step.learning_rate = <real> rate
    step.momentum = <real> rule.momentum
    step.beta1 = <real> rule.beta1
    step.one_minus_beta1 = <real> (1 - rule.beta1)
    step.beta2 = <real> rule.beta2
    step.one_minus_beta2 = <real> (1 - rule.beta2)
    step.epsilon = <real> rule.epsilon
    step.v_correction = step.gradient_rate = step.moment_rate = 1
    step.shrink = <real> (1 - rate * rule.weight_decay)
    step.inverse_m, step.part = <real> (1 / m), 1
    step.clip_value, step.inverse_norm = <real> rule.clip_value, 0
    if rule.clip_norm > 0:
        step.inverse_norm = <real> (1 / rule.clip_norm)
    # The average forgets its start sooner than by ema alone (TensorFlow's num_updates).
    step.average_share = <real> (1 - min(rule.ema, (2.0 + cursor.updates) / (11.0 + cursor.updates)))
    step.back, step.infinite = 0, NULL
    if row.prepare != NULL:
        row.prepare(&step, rule, rate, cursor)
    return step

# From a complete Delta to the parameters: sums of segments and partials, the penalty, the update.
#
# Needs: layouts, packing, gradient, updates, partition, memory, faults.
# Gives: add_segment, add_segment_of_part, finish_all, finish_part, limited.

cdef void add_segment(
    const Pass* run, const Cursor* cursor, real* Delta, Py_ssize_t n, bint complete,
) noexcept nogil:
    """After a segment's last round, add n reals of its Delta to the sums; once all are complete, Delta is their sum."""
    cdef real* sums = run.sums + (Delta - run.Delta)
    cdef real* rests = run.rests + (Delta - run.Delta)
    cdef bint fresh = cursor.done < run.segment * run.round
    cdef vec sum_i, x, total, rest
    cdef Py_ssize_t i
    if not complete and round_of_segment(run, cursor) < run.segment - 1:
        return
    for i from 0 <= i < n by LANES:
        x = load(Delta + i)
        sum_i = rest = broadcast(0)
        if not fresh:
            sum_i, rest = load(sums + i), load(rests + i)
        total = sum_i + x
        rest = rest + rounding_error(sum_i, x, total)
        store(sums + i, total)
        store(rests + i, rest)
        if complete:
            store(Delta + i, total + rest)


cdef void add_segment_of_part(
    const Pass* run, const Cursor* cursor, Part part, Panels Delta, bint complete,
) noexcept nogil:
    """`add_segment` for rows of W and b, panel by panel."""
    cdef Py_ssize_t n_rows = part.stop - part.start, p, width
    for p in range(panel_count(part.right - part.left)):
        width = panel_width(part.right - part.left - p * 2 * LANES)
        add_segment(run, cursor, Delta.at + p * Delta.panel + (part.start - Delta.first) * width, n_rows * width,
                    complete)


cdef void reduce_Delta(real* Delta, Py_ssize_t partial, Py_ssize_t n_partials, Py_ssize_t n) noexcept nogil:
    """Add n reals of the partial sums in order, by eights. `partial` is the distance from one sum to the next."""
    cdef Py_ssize_t i, p, q
    cdef vec total, eight
    for i from 0 <= i < n by LANES:
        total = load(Delta + i)
        for p in range(1, min(n_partials, 8)):
            total = total + load(Delta + p * partial + i)
        for p from 8 <= p < n_partials by 8:
            eight = load(Delta + p * partial + i)
            for q in range(p + 1, min(p + 8, n_partials)):
                eight = eight + load(Delta + q * partial + i)
            total = total + eight
        store(Delta + i, total)


cdef void finish_gradient(
    const Pass* run, const Step* step, real* D, Py_ssize_t at, real l1, real l2, Py_ssize_t n, Py_ssize_t n_bias,
    Py_ssize_t width, double* squares,
) noexcept nogil:
    """Replace Delta by D for rows of one panel, n weights and n_bias biases, limit its elements, and sum its squares
    strip by strip, so that the sum does not depend on the threads' shares."""
    cdef Py_ssize_t i, strip = STRIP * width
    if l1 != 0:
        add_subgradient(D, run.W + at, l1, n)
    gradient_stretch(D, run.W + at, l2, step.inverse_m, n)
    gradient_stretch(D + n, run.W + at + n, 0, step.inverse_m, n_bias)
    n += n_bias if run.plan.bias else 0
    if step.clip_value > 0:
        limit_stretch(D, step.clip_value, n)
    for i from 0 <= i < n by strip:
        squares[i // strip] = scaled_squares(D + i, step.inverse_norm, min(strip, n - i))


cdef Step limited(const Pass* run, const Step* of) noexcept nogil:
    """Return the step to make with D, once all of it is finished: a longer D is shortened to the norm's limit."""
    cdef Step step = of[0]
    cdef double total = 0
    cdef Py_ssize_t i
    if step.inverse_norm > 0:
        for i in range(run.plan.n_strips):
            total += run.squares[i]
    step.only_gradient = step.penalised = False
    step.inverse_m = <real> (1 / sqrt(total)) if not total <= 1 else 1      # NaN stays NaN
    return step


cdef inline void update_stretch(
    const Pass* run, const Step* step, const real* Delta, Py_ssize_t at, real l2, bint are_weights, Py_ssize_t n,
) noexcept nogil:
    """Update n reals from `at` on: weights alone, or biases alone, where the step treats them differently."""
    step.update(step, run.W + at, run.moments, at, Delta, l2, are_weights, n)
    if run.average != NULL:
        average_stretch(run.average + at, run.W + at, step.average_share, n)
    if step.infinite != NULL and not all_finite(run.W + at, n):
        step.infinite[0] = True


cdef void finish_part(
    const Pass* run, Part part, Panels Delta, Py_ssize_t n_partials, const Step* step,
) noexcept nogil:
    """Finish a part of W and b after the last round of a minibatch: add the partial sums of its Delta if there are
    several, compute the penalty and, in training, update the parameters, or only compute D (`limited`)."""
    cdef const Layer* layer = part.layer
    cdef Py_ssize_t rows_of_W = min(part.stop, layer.n_in) - part.start
    cdef Py_ssize_t j = part.left, p = 0, s, width, at, n, n_bias
    cdef Py_ssize_t strips = strip_count(layer.n_in + 1)
    cdef real* D
    cdef double* penalties = run.penalties + layer.first_strip + j // (2 * LANES) * strips + part.start // STRIP
    cdef Py_ssize_t l = layer - run.plan.layers
    cdef real l1 = <real> (run.l1[l] * step.part) if step.penalised else 0
    cdef real l2 = <real> (run.l2[l] * step.part) if step.penalised else 0
    while j < part.right:
        width = panel_width(layer.n_out - j)
        D = Delta.at + p * Delta.panel + (part.start - Delta.first) * width
        at = layer.packed + j * (layer.n_in + 1) + part.start * width
        n, n_bias = rows_of_W * width, (part.stop - part.start - rows_of_W) * width
        if n_partials > 1 and run.mode != LOSS:
            reduce_Delta(D, run.plan.packed_size, n_partials, n + n_bias)
        if step.penalised:              # strip by strip, so that the sum does not depend on the threads' shares
            for s in range(strip_count(rows_of_W)):
                penalties[s] = penalty_of(run.W + at + s * STRIP * width, min(STRIP, rows_of_W - s * STRIP) * width,
                                          run.l1[l] if l1 != 0 else 0, run.l2[l] if l2 != 0 else 0)
            penalties += strips
        if run.mode == TRAIN and step.only_gradient:
            finish_gradient(run, step, D, at, l1, l2, n, n_bias, width,
                            run.squares + layer.first_strip + j // (2 * LANES) * strips + part.start // STRIP)
        elif run.mode == TRAIN and not step.by_part:
            update_stretch(run, step, D, at, 0, True, n + n_bias)
        elif run.mode == TRAIN:
            if l1 != 0:
                add_subgradient(D, run.W + at, l1, n)
            update_stretch(run, step, D, at, l2, True, n)
            if run.plan.bias:
                update_stretch(run, step, D + n, at + n, 0, False, n_bias)
        j += 2 * LANES
        p += 1
    # The transpose of the first layer is not needed.
    if run.mode == TRAIN and layer.flat > 0 and not step.only_gradient:
        transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, part.start,
                          min(part.stop, layer.n_in), part.left, part.right)


cdef inline void finish_all(const Pass* run, const Step* step) noexcept nogil:
    """All of W and b, from one Delta that is complete."""
    cdef const Layer* layer
    cdef Py_ssize_t l
    if not step.by_part:                # all layers are one vector
        update_stretch(run, step, run.Delta, 0, 0, True, run.plan.packed_size)
    for l in range(run.plan.n_layers):
        layer = &run.plan.layers[l]
        if step.by_part:
            finish_part(run, whole_part(layer), Delta_in(run.Delta, layer), 0, step)
        elif l > 0:
            transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, 0, layer.n_in, 0,
                              layer.n_out)

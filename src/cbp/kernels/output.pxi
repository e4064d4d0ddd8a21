# The output error: z(L) of a tile becomes delta(L), and each example's loss is computed.
#
# Needs: layouts, math, softmax, losses, data.
# Gives: activate_rows, output_delta, write_outputs.

cdef inline void activate_rows(
    const Layer* layer, real* z,        # (n_rows, ld_out)
    real* workspace,                    # (n_rows,)
    Py_ssize_t n_rows,
) noexcept nogil:
    """Replace z(l+1) by a(l+1) = g(z(l+1))."""
    if layer.g == SOFTMAX:
        softmax_rows(z, workspace, layer.ld_out, n_rows, layer.n_out)
    else:
        layer.activation.activate(z, z, n_rows * layer.ld_out, layer.number)


cdef void write_outputs(
    const Plan* plan, const real* z,    # (n_rows, ld_out)
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    """Write a(L) of a tile's examples to their rows of the outputs, with the same bits as `forward`."""
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef real* a = tile.delta[0]        # tile.delta is not in use before the recursion
    cdef Py_ssize_t i
    memcpy(a, z, n_rows * last.ld_out * sizeof(real))
    activate_rows(last, a, tile.delta[1], n_rows)
    for i in range(n_rows):
        memcpy(<real*> data.outputs + row_of(data, first + i) * last.n_out, a + i * last.ld_out,
               last.n_out * sizeof(real))


cdef inline void output_delta(
    const Plan* plan, real* z,          # (n_rows, ld_out): z(L), which becomes delta(L) with zeros in the padding
    double* losses,                     # (n_rows,)
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, i, j
    cdef real weight
    if data.outputs != NULL:
        write_outputs(plan, z, data, first, n_rows, tile)
    if last.g == SOFTMAX:
        softmax_delta(plan, z, losses, data, first, n_rows, tile)
    elif n < LANES and n_rows > 1:
        narrow_delta(plan, z, losses, data, first, n_rows, tile)
    else:
        wide_delta(plan, z, losses, data, first, n_rows, tile)
    if data.losses != NULL:
        for i in range(n_rows):
            losses[i] = data.losses[row_of(data, first + i)]
    if data.sample_weight != NULL:
        for i in range(n_rows):
            weight = weight_at(data, first + i)
            losses[i] = losses[i] * weight if weight != 0 else 0    # 0 even where the loss is infinite
            for j in range(n):
                z[i * last.ld_out + j] = z[i * last.ld_out + j] * weight if weight != 0 else 0


cdef void softmax_delta(
    const Plan* plan, real* z, double* losses,
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, ld = last.ld_out, i, j
    # tile.delta is not in use before the recursion.
    cdef real* tops = tile.delta[0]     # the largest z of each row, then 1 / sum_k e^(z_k - top)
    cdef real* others = tile.delta[1]   # sum_k e^(z_k - top) - 1: the sum without its largest term
    cdef Py_ssize_t label
    largest_of_rows(tops, z, ld, n_rows, n)
    for i in range(n_rows):             # before `exp_of_rows` overwrites z
        if data.labels != NULL:
            label = data.labels[row_of(data, first + i)]
            CHECK(0 <= label < n)
            losses[i] = <double> tops[i] - z[i * ld + label]
        else:
            losses[i] = sum_below(tops[i], z + i * ld, targets_of(data, first + i, n), n, &tile.sums[i])
    exp_of_rows(z, tops, ld, n_rows, n)
    divide_rows_by_sums(z, tops, others, ld, n_rows, n)
    if plan.loss == SQUARED_ERROR:
        softmax_squared_errors(plan, z, losses, data, first, n_rows, tile)
    elif plan.loss == CROSS_ENTROPY:
        softmax_cross_entropies(plan, z, losses, data, first, n_rows, tile)
    else:
        unpaired_softmax_deltas(plan, z, losses, data, first, n_rows, tile)


cdef void softmax_squared_errors(
    const Plan* plan, real* a, double* losses,          # (n_rows, ld): a(L), which becomes delta(L)
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, ld = last.ld_out, label = -1, i
    cdef const real* inverses = tile.delta[0]           # as `softmax_delta` has left them
    cdef const real* others = tile.delta[1]
    cdef const real* y = NULL
    for i in range(n_rows):
        if data.labels != NULL:
            label = data.labels[row_of(data, first + i)]
        else:
            y = targets_of(data, first + i, n)
        losses[i] = softmax_squared_error(a + i * ld, y, label, n, others[i] * inverses[i])


cdef void softmax_cross_entropies(
    const Plan* plan, real* a,          # (n_rows, ld): a(L), which becomes delta(L)
    double* losses,                     # (n_rows,): sum_j y_j (top - z_j), to which log sum_k e^(z_k - top) is added
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, ld = last.ld_out, i, j
    cdef const real* inverses = tile.delta[0]           # as `softmax_delta` has left them
    cdef real* others = tile.delta[1]
    cdef const real* y
    for i in range(n_rows):
        if data.labels != NULL:
            j = i * ld + data.labels[row_of(data, first + i)]
            a[j] = softmax_error(a[j], 1, 1, others[i] * inverses[i])
        else:
            y = targets_of(data, first + i, n)
            for j in range(n):
                a[i * ld + j] = softmax_error(a[i * ld + j], <real> tile.sums[i], y[j], others[i] * inverses[i])
    for i from 0 <= i < n_rows by LANES:
        store(others + i, vec_log1p(load(others + i)))
    for i in range(n_rows):
        losses[i] += others[i] if data.labels != NULL else tile.sums[i] * others[i]


cdef void unpaired_softmax_deltas(
    const Plan* plan, real* a, double* losses,          # (n_rows, ld): a(L), which becomes delta(L)
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    """Replace a by delta_j = a_j (e_j - sum_k e_k a_k), with e = dloss/da."""
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, i, j
    cdef real* e = tile.a_row
    cdef real mean
    for i in range(n_rows):
        write_targets(tile.y, data, first + i, n)
        plan.loss_row.error(e, tile.y, a, padded(n), plan.loss_number)
        row_losses(plan.loss_row.squared, losses + i, tile.y, 1, n)
        mean = 0
        for j in range(n):
            mean += e[j] * a[j]
        for j in range(n):
            a[j] *= e[j] - mean
        a += last.ld_out


cdef void unpaired_delta(
    const Plan* plan, real* z,          # (n,), padded to whole vectors; becomes delta
    real* y,                            # (n,), likewise; becomes what `row_losses` takes
    real* a,                            # (n,), likewise; workspace
    Py_ssize_t n,
) noexcept nogil:
    """Replace z by delta = dloss/da g'(z), for an output and a loss without a function in `pair_of`."""
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    n = padded(n)
    last.activation.activate(a, z, n, last.number)
    if last.activation.from_z:
        plan.loss_row.error(a, y, a, n, plan.loss_number)
        last.activation.times_derivative(a, z, n, last.number)
        memcpy(z, a, n * sizeof(real))
    else:
        plan.loss_row.error(z, y, a, n, plan.loss_number)
        last.activation.times_derivative(z, a, n, last.number)


cdef inline void elementwise_delta(const Plan* plan, real* z, real* y, real* a, Py_ssize_t n) noexcept nogil:
    """Replace z by delta for n outputs that are not softmax, of one row or of several rows joined."""
    if plan.pair != NULL:
        plan.pair(z, y, n)
    else:
        unpaired_delta(plan, z, y, a, n)


cdef void write_targets(
    real* y,                            # (n,)
    const Data* data, Py_ssize_t example, Py_ssize_t n,
) noexcept nogil:
    """Write an example's row of Y to y; with labels, y_j = 1 where j is the example's label, else 0."""
    cdef Py_ssize_t j, label
    cdef const real* targets
    if data.labels != NULL:
        label = data.labels[row_of(data, example)]
        CHECK(0 <= label < n)
        for j in range(n):
            y[j] = <real> (j == label)
    else:
        targets = targets_of(data, example, n)
        for j in range(n):
            y[j] = targets[j]


cdef void leave_out_missing(
    real* delta, real* y,               # (n_rows, n): each output's delta and loss
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """Set both to 0 where the target is NaN."""
    cdef const real* targets
    cdef Py_ssize_t i, j
    for i in range(n_rows):
        targets = targets_of(data, first + i, n)
        for j in range(n):
            if targets[j] != targets[j]:
                delta[i * n + j] = y[i * n + j] = 0


cdef inline void wide_delta(
    const Plan* plan, real* z, double* losses,
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    """Compute delta and the losses row by row."""
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, end = padded(n) - LANES, i
    for i in range(n_rows):
        if n == 1:                      # as a vector: loading one just after a scalar store to it would stall
            store(tile.y, broadcast(targets_of(data, first + i, 1)[0]))
        else:
            write_targets(tile.y, data, first + i, n)
        elementwise_delta(plan, z, tile.y, tile.a_row, n)
        if data.missing:
            leave_out_missing(z, tile.y, data, first + i, 1, n)
        store(z + end, first_lanes(load(z + end), n - end, 0))
        row_losses(plan.loss_row.squared, losses + i, tile.y, 1, n)
        z += last.ld_out


cdef void narrow_delta(
    const Plan* plan, real* z, double* losses,
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    """Compute delta and the losses for rows shorter than a vector, copied to one long row without gaps. With a vector
    for each row, a single output used one of 8 lanes: for an 8-16-1 network and 32 examples, this cost 0.5 of the 2.6
    us of a step."""
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, ld = last.ld_out, i, j
    cdef real* dense = tile.delta[0]    # tile.delta is not in use before the recursion
    for i in range(n_rows):
        write_targets(tile.y + i * n, data, first + i, n)
        for j in range(n):
            dense[i * n + j] = z[i * ld + j]
    elementwise_delta(plan, dense, tile.y, tile.delta[1], n_rows * n)
    if data.missing:
        leave_out_missing(dense, tile.y, data, first, n_rows, n)
    row_losses(plan.loss_row.squared, losses, tile.y, n_rows, n)
    for i in range(n_rows):
        for j in range(n):
            z[i * ld + j] = dense[i * n + j]

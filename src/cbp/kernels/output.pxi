# The output error: z(L) of a tile becomes delta(L), and each example's loss goes with it.

cdef inline void output_delta(
    const Plan* plan, real* z,          # (n_rows, ld_out): z(L), which becomes delta(L), its padding zeros
    double* losses,                     # (n_rows,)
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, i, j
    cdef real weight
    if last.g == SOFTMAX:
        softmax_delta(plan, z, losses, data, first, n_rows, tile)
    elif n < LANES and n_rows > 1:
        narrow_delta(plan, z, losses, data, first, n_rows, tile)
    else:
        wide_delta(plan, z, losses, data, first, n_rows, tile)
    if data.weights != NULL:
        for i in range(n_rows):
            weight = weight_at(data, first + i)
            losses[i] *= weight
            for j in range(n):
                z[i * last.ld_out + j] *= weight


cdef void softmax_delta(
    const Plan* plan, real* z, double* losses,
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, ld = last.ld_out, i, j
    cdef real* log_sums = tile.delta[0]
    cdef const real* y = NULL
    cdef Py_ssize_t label = -1
    for i in range(n_rows):             # while z is still there
        if data.labels != NULL:
            label = data.labels[row_of(data, first + i)]
            CHECK(0 <= label < n)
            losses[i] = -<double> z[i * ld + label]
        else:
            losses[i] = -dot(z + i * ld, targets_of(data, first + i, n), n)
    softmax_rows(z, log_sums, tile.delta[1], ld, n_rows, n)
    for i in range(n_rows):
        if data.labels != NULL:
            label = data.labels[row_of(data, first + i)]
        else:
            y = targets_of(data, first + i, n)
        if plan.loss == SQUARED_ERROR:
            losses[i] = softmax_squared_error(z + i * ld, y, label, n)
            continue
        # loss = log sum_k e^(z_k) - sum_j y_j z_j,  delta = a - y
        losses[i] += log_sums[i]
        if y == NULL:
            z[i * ld + label] -= 1
        else:
            for j in range(n):
                z[i * ld + j] -= y[j]


cdef inline void wide_delta(
    const Plan* plan, real* z, double* losses,
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    """Row by row."""
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, end = padded(n) - LANES, i, j
    cdef const real* targets
    for i in range(n_rows):
        targets = targets_of(data, first + i, n)
        if n == 1:                      # a load around a number stored alone would have to wait for the cache
            store(tile.y, broadcast(targets[0]))
        else:
            for j in range(n):
                tile.y[j] = targets[j]
        elementwise_delta(last.g, plan.loss, z, tile.y, tile.a_row, n)
        store(z + end, first_lanes(load(z + end), n - end, 0))
        losses[i] = row_sum(tile.y, n)
        z += last.ld_out


cdef void narrow_delta(
    const Plan* plan, real* z, double* losses,
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, const Tile* tile,
) noexcept nogil:
    """Rows shorter than a vector, without the gaps between them: one output on 8 lanes cost 0.5 of 2.6 us for 8-16-1
    with 32 examples."""
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, ld = last.ld_out, i, j
    cdef real* dense = tile.delta[0]    # free until the recursion, as the other is
    cdef const real* targets
    for i in range(n_rows):
        targets = targets_of(data, first + i, n)
        for j in range(n):
            dense[i * n + j], tile.y[i * n + j] = z[i * ld + j], targets[j]
    elementwise_delta(last.g, plan.loss, dense, tile.y, tile.delta[1], n_rows * n)
    for i in range(n_rows):
        losses[i] = row_sum(tile.y + i * n, n)
        for j in range(n):
            z[i * ld + j] = dense[i * n + j]

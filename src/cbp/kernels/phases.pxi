# The two phases of a round, each as one thread of the team sees it: see pass.pxi.

cdef void accumulate_Delta(
    const Plan* plan, const Layer* layer, real* Delta, real* block, Py_ssize_t capacity, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last, Start start,
) noexcept nogil:
    """Delta(l) = start + a(l)^T delta(l+1) over the block's examples, for rows first to last of W(l) and b(l)."""
    cdef Rows a
    cdef Panels delta = packed_panels(block + layer.panels * capacity, capacity)
    a.at, a.row, a.col, a.strip = block + layer.strips * capacity, 1, STRIP, STRIP * capacity
    multiply(packed_panels(Delta + layer.packed, layer.n_in + 1), a, delta, first, last, layer.n_out, n_rows, start)


cdef void examples_phase(
    const Pass* run, const Data* data, const Cursor* cursor, Py_ssize_t batch, int me, int team,
) noexcept nogil:
    """This thread's examples of the round."""
    cdef Tile tile = tile_of(run, me)
    cdef Py_ssize_t n, first, last, i, p
    cdef Cursor* fault = &run.faults[me]
    if run.n_partials == 0:
        n = min(run.round, batch - cursor.done)
        first = strip_count(n) * me // team * STRIP
        last = min(n, strip_count(n) * (me + 1) // team * STRIP)
        for i from first <= i < last by TILE:
            process_tile(run, data, &tile, cursor.first + cursor.done + i, min(TILE, last - i),
                         run.block, run.round, i, run.losses + i, cursor.m, fault)
        return
    for p in range(run.n_partials * me // team, run.n_partials * (me + 1) // team):
        sum_partial(run, data, &tile, run.block + me * TILE * run.plan.block_size, p, cursor, batch, fault)


cdef void sum_partial(
    const Pass* run, const Data* data, const Tile* tile, real* block, Py_ssize_t p, const Cursor* cursor,
    Py_ssize_t batch, Cursor* fault,
) noexcept nogil:
    """The round's examples of partial sum p, into its Delta and its loss."""
    cdef const Plan* plan = run.plan
    cdef Py_ssize_t first = p * run.share + cursor.done
    cdef Py_ssize_t last = min(first + run.round, min((p + 1) * run.share, batch))
    cdef Py_ssize_t i, n_rows, l
    if cursor.done == 0:
        run.losses[p] = 0
    for i from first <= i < last by TILE:
        n_rows = min(TILE, last - i)
        process_tile(run, data, tile, cursor.first + i, n_rows, block, TILE, 0, tile.losses, cursor.m, fault)
        for l in range(n_rows):
            run.losses[p] += tile.losses[l]
        if run.mode != LOSS:
            for l in range(plan.n_layers):
                accumulate_Delta(plan, &plan.layers[l], run.Delta + p * plan.packed_size, block, TILE, n_rows,
                                 0, plan.layers[l].n_in + 1, ZERO if i == p * run.share else CONTINUE)


cdef double sum_of_squares(const real* W, Py_ssize_t n) noexcept nogil:
    cdef real[64] lane
    cdef vec total = broadcast(0), W_i
    cdef double result = 0
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        W_i = load(W + i)
        total = W_i * W_i + total
    store(lane, total)
    for i in range(LANES):
        result += lane[i]
    return result


cdef void reduce_Delta(const Pass* run, Py_ssize_t n_partials, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Add the partial sums up in order, for n reals from `at`."""
    cdef Py_ssize_t i, p
    cdef vec total
    for i from at <= i < at + n by LANES:
        total = load(run.Delta + i)
        for p in range(1, n_partials):
            total = total + load(run.Delta + p * run.plan.packed_size + i)
        store(run.Delta + i, total)


cdef void finish_strip(
    const Pass* run, const Layer* layer, Py_ssize_t strip, Py_ssize_t n_partials, const Step* step,
) noexcept nogil:
    """Rows of a strip of W, once their Delta is complete: the partial sums' reduction, the penalty, the update."""
    cdef Py_ssize_t first = strip * STRIP, last = min(first + STRIP, layer.n_in + 1)
    cdef Py_ssize_t rows_of_W = min(last, layer.n_in) - first
    cdef Py_ssize_t j = 0, width, at, n, n_bias
    cdef double squares = 0
    while j < layer.n_out:
        width = panel_width(layer.n_out - j)
        at = layer.packed + j * (layer.n_in + 1) + first * width
        n, n_bias = rows_of_W * width, (last - first - rows_of_W) * width
        if n_partials > 1 and run.mode != LOSS:
            reduce_Delta(run, n_partials, at, n + n_bias)
        if step.decay != 0:
            squares += sum_of_squares(run.W + at, n)
        if run.mode == TRAIN:
            update_run(run, step, at, n, step.decay)
            update_run(run, step, at + n, n_bias, 0)
        j += 2 * LANES
    run.squares[layer.first_strip + strip] = squares


cdef inline void update_run(const Pass* run, const Step* step, Py_ssize_t at, Py_ssize_t n, real decay) noexcept nogil:
    update(step, run.W + at, run.moment1 + at if run.moment1 != NULL else NULL,
           run.moment2 + at if run.moment2 != NULL else NULL, run.Delta + at, decay, n)


cdef void weights_phase(
    const Pass* run, const Cursor* cursor, Py_ssize_t batch, const Step* step, int me, int team,
) noexcept nogil:
    """This thread's rows of the W: their Delta of the round and, after the last round, what follows from it."""
    cdef const Plan* plan = run.plan
    cdef const Layer* layer
    cdef bint last_round = cursor.done + run.round >= (batch if run.n_partials == 0 else run.share)
    cdef Py_ssize_t n_partials = (batch + run.share - 1) // run.share if run.n_partials else 0
    cdef Py_ssize_t n_rows = min(run.round, batch - cursor.done)
    cdef Py_ssize_t l, s, from_strip, to_strip, first, last
    cdef double total = 0, before = 0, width
    for l in range(plan.n_layers):
        total += strip_count(plan.layers[l].n_in + 1) * padded(plan.layers[l].n_out)
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        width = padded(layer.n_out)
        # The threads' shares are equal cuts of all layers' strips, each as heavy as it is wide.
        from_strip = share_of(total * me / team - before, width, layer)
        to_strip = share_of(total * (me + 1) / team - before, width, layer) if me + 1 < team \
            else strip_count(layer.n_in + 1)
        before += width * strip_count(layer.n_in + 1)
        # A few strips at a time: their share of a(l) stays in the cache for all panels of delta(l+1).
        for s from from_strip <= s < to_strip by 8:
            first, last = s * STRIP, min((s + 8) * STRIP, min(to_strip * STRIP, layer.n_in + 1))
            if run.n_partials == 0 and run.mode != LOSS:
                accumulate_Delta(plan, layer, run.Delta, run.block, run.round, n_rows, first, last,
                                 ZERO if cursor.done == 0 else CONTINUE)
            if last_round:
                finish_rows(run, layer, l, first, last, n_partials, step)


cdef inline Py_ssize_t share_of(double work, double width, const Layer* layer) noexcept nogil:
    """Strips of the layer before `work`, counted from the layer's start."""
    cdef Py_ssize_t strips = strip_count(layer.n_in + 1)
    return max(0, min(strips, <Py_ssize_t> (work / width + 0.5))) if work > 0 else 0


cdef void finish_rows(
    const Pass* run, const Layer* layer, Py_ssize_t l, Py_ssize_t first, Py_ssize_t last, Py_ssize_t n_partials,
    const Step* step,
) noexcept nogil:
    cdef Py_ssize_t s
    for s in range(first // STRIP, strip_count(last)):
        finish_strip(run, layer, s, n_partials, step)
    if run.mode == TRAIN and l > 0:
        transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, first, min(last, layer.n_in))

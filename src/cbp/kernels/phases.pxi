# The two phases of a round, each as one thread of the team sees it: see pass.pxi.

cdef void accumulate_Delta(
    Panels Delta, const Layer* layer, real* block, Py_ssize_t capacity, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last, Start start,
) noexcept nogil:
    """Delta(l) = start + a(l)^T delta(l+1) over the block's examples, for rows first to last of W(l) and b(l)."""
    cdef Rows a
    cdef Panels delta = packed_panels(block + layer.panels * capacity, capacity)
    a.at, a.row, a.col, a.strip = block + layer.strips * capacity, 1, STRIP, STRIP * capacity
    multiply(Delta, a, delta, first, last, layer.n_out, n_rows, start)


cdef void examples_phase(
    const Pass* run, const Data* data, const Cursor* cursor, Py_ssize_t batch, int me, int team,
) noexcept nogil:
    """This thread's examples of the round."""
    cdef Tile tile = tile_of(run, me)
    cdef Py_ssize_t n, first, last, i, next, at, t, tiles, p
    cdef Rows x
    cdef Fault* fault = &run.reports[me].fault
    if run.n_partials == 0:
        n = min(run.round, batch - cursor.done)
        first, last = n * me // team, n * (me + 1) // team
        tiles = tile_count(last - first)
        for t in range(tiles):
            i, next = first + (last - first) * t // tiles, first + (last - first) * (t + 1) // tiles
            at = cursor.first + cursor.done + i
            x = forward_examples(run, data, &tile, at, next - i, run.losses + i, fault)
            if run.mode != LOSS:
                backward_tile(run, run.block, run.round, i, &tile, x, next - i, inputs_of(run, data, at),
                              <real> (1 / cursor.m))
        return
    for p in range(run.n_partials * me // team, run.n_partials * (me + 1) // team):
        sum_partial(run, data, &tile, p, cursor, batch, fault)


cdef void sum_partial(
    const Pass* run, const Data* data, const Tile* tile, Py_ssize_t p, const Cursor* cursor, Py_ssize_t batch,
    Fault* fault,
) noexcept nogil:
    """The round's examples of partial sum p, into its Delta and its loss."""
    cdef Py_ssize_t first = p * run.share + cursor.done
    cdef Py_ssize_t last = min(first + run.round, min((p + 1) * run.share, batch))
    cdef Py_ssize_t i, at, n_rows, t, tiles = tile_count(last - first)
    cdef Rows x
    if cursor.done == 0:
        run.losses[p] = 0
    for t in range(tiles):
        i = first + (last - first) * t // tiles
        n_rows = first + (last - first) * (t + 1) // tiles - i
        at = cursor.first + i
        x = forward_examples(run, data, tile, at, n_rows, tile.losses, fault)
        for i in range(n_rows):
            run.losses[p] += tile.losses[i]
        if run.mode != LOSS:
            accumulate_tile(run, run.Delta + p * run.plan.packed_size, tile, x, n_rows,
                            ZERO if at == cursor.first + p * run.share else CONTINUE,
                            inputs_of(run, data, at), <real> (1 / cursor.m))


cdef double sum_of_squares(const real* W, Py_ssize_t n) noexcept nogil:
    cdef real[64] lane
    cdef vec total = broadcast(0), W_i
    cdef double result = 0
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        W_i = load(W + i)
        total = mul_add(W_i, W_i, total)
    store(lane, total)
    for i in range(LANES):
        result += lane[i]
    return result


cdef void reduce_Delta(real* Delta, Py_ssize_t partial, Py_ssize_t n_partials, Py_ssize_t n) noexcept nogil:
    """Add n reals of the partial sums up in order; from one sum to the next it is `partial`."""
    cdef Py_ssize_t i, p
    cdef vec total
    for i from 0 <= i < n by LANES:
        total = load(Delta + i)
        for p in range(1, n_partials):
            total = total + load(Delta + p * partial + i)
        store(Delta + i, total)


cdef void finish_rows(
    const Pass* run, const Layer* layer, Panels Delta, Py_ssize_t first, Py_ssize_t last, Py_ssize_t n_partials,
    const Step* step,
) noexcept nogil:
    """Rows first to last of W and b, once their Delta is complete: the sum of the partials, the penalty, the update."""
    cdef Py_ssize_t rows_of_W = min(last, layer.n_in) - first
    cdef Py_ssize_t j = 0, p = 0, s, width, at, n, n_bias
    cdef real* D
    cdef double* squares = run.squares + layer.first_strip + first // STRIP
    while j < layer.n_out:
        width = panel_width(layer.n_out - j)
        D = Delta.at + p * Delta.panel + (first - Delta.first) * width
        at = layer.packed + j * (layer.n_in + 1) + first * width
        n, n_bias = rows_of_W * width, (last - first - rows_of_W) * width
        if n_partials > 1 and run.mode != LOSS:
            reduce_Delta(D, run.plan.packed_size, n_partials, n + n_bias)
        if step.decay != 0:             # strip by strip: what a thread has of them must not show in the sum
            for s in range(strip_count(rows_of_W)):
                squares[s] = (squares[s] if p > 0 else 0) + sum_of_squares(
                    run.W + at + s * STRIP * width, min(STRIP, rows_of_W - s * STRIP) * width)
        if run.mode == TRAIN and step.decay == 0:
            update_run(run, step, D, at, n + n_bias, 0)
        elif run.mode == TRAIN:
            update_run(run, step, D, at, n, step.decay)
            update_run(run, step, D + n, at + n, n_bias, 0)
        j += 2 * LANES
        p += 1
    if run.mode == TRAIN and layer.flat > 0:    # the first layer has no use for its transpose
        transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, first, min(last, layer.n_in))


cdef inline void update_run(
    const Pass* run, const Step* step, const real* Delta, Py_ssize_t at, Py_ssize_t n, real decay,
) noexcept nogil:
    update(step, run.W + at, run.moment1 + at if run.moment1 != NULL else NULL,
           run.moment2 + at if run.moment2 != NULL else NULL, Delta, decay, n)


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
    cdef Panels Delta
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        from_strip, to_strip = share_of(plan, layer, me, team), share_of(plan, layer, me + 1, team)
        # A few strips at a time: their share of a(l) stays in the cache for all panels of delta(l+1).
        for s from from_strip <= s < to_strip by GROUP:
            first, last = s * STRIP, min((s + GROUP) * STRIP, min(to_strip * STRIP, layer.n_in + 1))
            if run.direct:
                Delta = packed_panels(run.Delta + me * run.group_size, GROUP * STRIP, first)
            else:
                Delta = Delta_in(run.Delta, layer)
            if run.n_partials == 0 and run.mode != LOSS:
                accumulate_Delta(Delta, layer, run.block, run.round, n_rows, first, last,
                                 ZERO if cursor.done == 0 else CONTINUE)
            if last_round:
                finish_rows(run, layer, Delta, first, last, n_partials, step)


cdef inline Py_ssize_t share_of(const Plan* plan, const Layer* layer, int thread, int team) noexcept nogil:
    """The layer's first strip that is the thread's or a later one's: the team cuts all layers' strips, each as heavy
    as it is wide, into equal shares."""
    if thread == 0 or thread == team:
        return strip_count(layer.n_in + 1) if thread else 0
    cdef double work = <double> plan.packed_strips * thread / team - layer.strips_before
    return max(0, min(strip_count(layer.n_in + 1), <Py_ssize_t> (work / padded(layer.n_out) + 0.5)))

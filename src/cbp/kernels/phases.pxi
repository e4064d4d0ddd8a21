# The two phases of a round, each as one thread of the team sees it: see pass.pxi.

cdef struct Part:                       # of a layer's W, with b as its last row
    const Layer* layer
    Py_ssize_t first                    # rows first to last
    Py_ssize_t last
    Py_ssize_t left                     # columns left to right: whole panels, and the last
    Py_ssize_t right


cdef inline Panels delta_in(const Pass* run, const Layer* layer) noexcept nogil:
    """delta(l+1) of the round's examples."""
    return packed_panels(run.block + layer.panels * run.round, run.round)


cdef void accumulate_Delta(Panels Delta, const Pass* run, Part part, Py_ssize_t n_rows, Start start) noexcept nogil:
    """Delta(l) = start + a(l)^T delta(l+1) over the round's examples, for rows of W(l) and b(l)."""
    cdef Rows a = strips_of(run.block + part.layer.strips * run.round, run.round, run.chain)
    multiply(Delta, a, delta_in(run, part.layer), part.first, part.last, part.layer.n_out, n_rows, start)


cdef void examples_phase(
    const Pass* run, const Data* data, const Cursor* cursor, Py_ssize_t batch, int me, int team,
) noexcept nogil:
    """This thread's examples of the round."""
    cdef Tile tile = tile_of(run, me)
    cdef Rows rows
    cdef Py_ssize_t n, first, last, i, next, at, t, tiles, p
    cdef Fault* fault = &run.reports[me].fault
    if run.n_partials == 0:
        n = min(run.round, batch - cursor.done)
        first, last = n * me // team, n * (me + 1) // team
        tiles = tile_count(last - first)
        for t in range(tiles):
            i, next = first + (last - first) * t // tiles, first + (last - first) * (t + 1) // tiles
            at = cursor.first + cursor.done + i
            if by_columns(run, team):
                tile.z = run.z + i * run.plan.layers[0].ld_out
                rows = batch_rows(run, data, cursor.first, cursor.step)
                rows.at += i * rows.row
            else:
                rows = gather_tile(run, data, &tile, at, next - i)
            forward_examples(run, data, &tile, rows, at, next - i, run.losses + i, fault)
            if run.mode != LOSS:
                backward_tile(run, i, &tile, rows, next - i, inputs_of(run, data, at), <real> (1 / cursor.m))
        if by_columns(run, team):
            gather_share(run, data, cursor.first + batch, cursor.step + 1, me, team)
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
    cdef real* Delta = run.Delta + p * run.plan.packed_size
    cdef Start start = start_of_round(run, cursor)
    cdef Rows x
    if cursor.done == 0:
        run.losses[p] = 0
    for t in range(tiles):
        i = first + (last - first) * t // tiles
        n_rows = first + (last - first) * (t + 1) // tiles - i
        at = cursor.first + i
        x = gather_tile(run, data, tile, at, n_rows)
        forward_examples(run, data, tile, x, at, n_rows, tile.losses, fault)
        for i in range(n_rows):
            run.losses[p] += tile.losses[i]
        if run.mode != LOSS:
            accumulate_tile(run, Delta, tile, x, n_rows, start if t == 0 else ADD, inputs_of(run, data, at),
                            <real> (1 / cursor.m))
    if run.sums != NULL and tiles > 0:
        add_segment(run, cursor, Delta, run.plan.packed_size, last == min((p + 1) * run.share, batch))


cdef inline Py_ssize_t round_of_segment(const Pass* run, const Cursor* cursor) noexcept nogil:
    return cursor.done // run.round % run.segment


cdef inline Start start_of_round(const Pass* run, const Cursor* cursor) noexcept nogil:
    """What the Delta of a round starts from: that of the segment's rounds before."""
    return ADD if round_of_segment(run, cursor) else ZERO


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
    cdef Py_ssize_t n_rows = part.last - part.first, p, width
    for p in range(panel_count(part.layer.n_out)):
        width = panel_width(part.layer.n_out - p * 2 * LANES)
        add_segment(run, cursor, Delta.at + p * Delta.panel + (part.first - Delta.first) * width, n_rows * width,
                    complete)


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
    """Add n reals of the partial sums up in order, by eights; from one sum to the next it is `partial`."""
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


cdef void finish_part(
    const Pass* run, Part part, Panels Delta, Py_ssize_t n_partials, const Step* step,
) noexcept nogil:
    """A part of W and b, once its Delta is complete: the sum of the partials, the penalty, the update."""
    cdef const Layer* layer = part.layer
    cdef Py_ssize_t rows_of_W = min(part.last, layer.n_in) - part.first
    cdef Py_ssize_t j = part.left, p = 0, s, width, at, n, n_bias
    cdef Py_ssize_t strips = strip_count(layer.n_in + 1)
    cdef real* D
    cdef double* squares = run.squares + layer.first_strip + j // (2 * LANES) * strips + part.first // STRIP
    while j < part.right:
        width = panel_width(layer.n_out - j)
        D = Delta.at + p * Delta.panel + (part.first - Delta.first) * width
        at = layer.packed + j * (layer.n_in + 1) + part.first * width
        n, n_bias = rows_of_W * width, (part.last - part.first - rows_of_W) * width
        if n_partials > 1 and run.mode != LOSS:
            reduce_Delta(D, run.plan.packed_size, n_partials, n + n_bias)
        if step.l2 != 0:                # strip by strip: what a thread has of them must not show in the sum
            for s in range(strip_count(rows_of_W)):
                squares[s] = sum_of_squares(run.W + at + s * STRIP * width,
                                            min(STRIP, rows_of_W - s * STRIP) * width)
            squares += strips
        if run.mode == TRAIN and not step.by_part:
            update_run(run, step, D, at, 0, True, n + n_bias)
        elif run.mode == TRAIN:
            update_run(run, step, D, at, step.l2, True, n)
            update_run(run, step, D + n, at + n, 0, False, n_bias)
        j += 2 * LANES
        p += 1
    if run.mode == TRAIN and layer.flat > 0:    # the first layer has no use for its transpose
        transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, part.first,
                          min(part.last, layer.n_in))


cdef inline void finish_all(const Pass* run, const Step* step) noexcept nogil:
    """All of W and b, from one Delta that is complete."""
    cdef const Layer* layer
    cdef Py_ssize_t l
    if not step.by_part:                # all layers are one vector
        update_run(run, step, run.Delta, 0, 0, True, run.plan.packed_size)
    for l in range(run.plan.n_layers):
        layer = &run.plan.layers[l]
        if step.by_part:
            finish_part(run, whole(layer), Delta_in(run.Delta, layer), 0, step)
        elif l > 0:
            transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, 0, layer.n_in)


cdef inline void update_run(
    const Pass* run, const Step* step, const real* Delta, Py_ssize_t at, real l2, bint are_weights, Py_ssize_t n,
) noexcept nogil:
    """Step n reals from `at` on, all of them weights where the step treats those in a way of their own."""
    step.update(step, run.W + at, run.moments, at, Delta, l2, are_weights, n)
    if step.infinite != NULL and not all_finite(run.W + at, n):
        step.infinite[0] = True


cdef inline Part whole(const Layer* layer) noexcept nogil:
    cdef Part part
    part.layer, part.first, part.last, part.left, part.right = layer, 0, layer.n_in + 1, 0, layer.n_out
    return part


cdef void weights_phase(
    const Pass* run, const Cursor* cursor, Py_ssize_t batch, const Step* step, int me, int team,
) noexcept nogil:
    """This thread's rows of the W: their Delta of the round and, after the last round, what follows from it."""
    cdef const Plan* plan = run.plan
    cdef bint last_round = cursor.done + run.round >= (batch if run.n_partials == 0 else run.share)
    cdef Py_ssize_t n_partials = (batch + run.share - 1) // run.share if run.n_partials else 0
    cdef Py_ssize_t n_rows = min(run.round, batch - cursor.done)
    cdef Py_ssize_t l, s, from_strip, to_strip
    cdef Panels Delta
    cdef Part part
    for l in range(by_columns(run, team), plan.n_layers):
        part = whole(&plan.layers[l])
        from_strip, to_strip = share_of(run, part.layer, me, team), share_of(run, part.layer, me + 1, team)
        # A few strips at a time: their share of a(l) stays in the cache for all panels of delta(l+1).
        for s from from_strip <= s < to_strip by GROUP:
            part.first, part.last = s * STRIP, min((s + GROUP) * STRIP, min(to_strip * STRIP, part.layer.n_in + 1))
            if run.direct:
                Delta = packed_panels(run.Delta + me * run.group_size, GROUP * STRIP, part.first)
            else:
                Delta = Delta_in(run.Delta, part.layer)
            if run.n_partials == 0 and run.mode != LOSS:
                accumulate_Delta(Delta, run, part, n_rows, start_of_round(run, cursor))
                if run.sums != NULL:
                    add_segment_of_part(run, cursor, part, Delta, last_round)
            if last_round:
                finish_part(run, part, Delta, n_partials, step)


cdef inline Py_ssize_t share_of(const Pass* run, const Layer* layer, int thread, int team) noexcept nogil:
    """The layer's first strip that is the thread's or a later one's: the team cuts all layers' strips, each as heavy
    as it is wide, into equal shares."""
    cdef const Plan* plan = run.plan
    cdef const Layer* first = &plan.layers[0]
    cdef double before = layer.strips_before, work = <double> plan.packed_strips * thread / team
    if thread == 0 or thread == team:
        return strip_count(layer.n_in + 1) if thread else 0
    if by_columns(run, team):           # whose work is twice that of as many strips, and which are shared out already
        before -= strip_count(first.n_in + 1) * padded(first.n_out)
        work = rest_before(plan, thread, team)
    work = (work - before) / padded(layer.n_out)
    return max(0, min(strip_count(layer.n_in + 1), <Py_ssize_t> (work + 0.5)))


cdef void update_share(
    const Pass* run, const real* D,     # (n_parameters,), at rest
    const Step* step, int me, int team,
) noexcept nogil:
    """This thread's rows of each W and b, against a gradient from outside."""
    cdef real* packed = run.Delta + (me * run.group_size if run.direct else 0)
    cdef Py_ssize_t l, s, i, j, k, width, stop
    cdef Panels Delta
    cdef Part part
    for l in range(run.plan.n_layers):
        part = whole(&run.plan.layers[l])
        stop = strip_count(part.layer.n_in + 1)
        for s from stop * me // team <= s < stop * (me + 1) // team by GROUP:
            part.first = s * STRIP
            part.last = min((s + GROUP) * STRIP, min(stop * (me + 1) // team * STRIP, part.layer.n_in + 1))
            if run.direct:
                Delta = packed_panels(packed, GROUP * STRIP, part.first)
            else:
                Delta = Delta_in(run.Delta, part.layer)
            for j from 0 <= j < part.layer.n_out by 2 * LANES:
                width = panel_width(part.layer.n_out - j)
                for i in range(part.first, part.last):
                    for k in range(width):
                        Delta.at[(i - Delta.first) * width + k] = (
                            D[part.layer.flat + i * part.layer.n_out + j + k] if j + k < part.layer.n_out else 0)
                Delta.at += Delta.panel
            Delta.at -= panel_count(part.layer.n_out) * Delta.panel
            finish_part(run, part, Delta, 0, step)


cdef void update(
    void* state, const void* D, const Hyperparameters* rule, double rate, Cursor* cursor, int n_threads,
) noexcept nogil:
    """The optimiser's step against a gradient from outside, the penalty in it: to the same bits as in a pass that has
    come to that gradient itself."""
    cdef Pass* run = <Pass*> state
    cdef Step step = step_constants(rule, rate, 1, cursor)
    cdef int team = copying_team(run, n_threads)
    step.l2, step.by_part = 0, rule.weight_decay != 0
    if team > 1:
        with parallel(num_threads=team):
            update_with_report(run, <const real*> D, &step, cursor, threadid(), team_size())
    else:
        update_with_report(run, <const real*> D, &step, cursor, 0, 1)
    cursor.weight += 1
    cursor.updates += 1
    cursor.step += 1


cdef inline void update_with_report(
    const Pass* run, const real* D, const Step* constants, const Cursor* cursor, int me, int team,
) noexcept nogil:
    cdef Step step = constants[0]
    make_restorable(run, &step, cursor, me)
    update_share(run, D, &step, me, team)

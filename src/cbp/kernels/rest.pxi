# Copies between the two layouts of parameters and moments: at rest, and packed for a pass.
#
# Needs: layouts, packing, partition, faults.
# Gives: copying_team, pack_rows, pack_vector, rows_differ, unpack_rows.
#
# A vector "at rest" has the flat layout that users see: for each layer W row by row, then b. In a pass it is packed in
# panels (layouts.pxi).
#
# ROWS_AT_A_TIME rows are copied panel by panel. So both layouts are accessed in contiguous pieces that are long enough
# for the processor to prefetch. If whole rows or whole panels were copied, one of the two layouts would be accessed in
# single cache lines.

cdef enum:
    ROWS_AT_A_TIME = 16


cdef inline Panelled panelled(const Layer* layer) noexcept nogil:
    cdef Panelled w
    w.n_rows, w.n_cols = layer.n_in + 1, layer.n_out
    w.even = w.n_cols // (2 * LANES) * (2 * LANES)
    w.rest, w.width = w.n_cols - w.even, padded(w.n_cols - w.even)
    return w


cdef void pack_rows(
    const Layer* layer, real* packed, const real* flat, Py_ssize_t start, Py_ssize_t stop,
) noexcept nogil:
    """Copy rows start to stop of W and b from the layout at rest into panels, with zeros in the padding."""
    cdef Panelled w = panelled(layer)
    cdef Py_ssize_t row, end, i, j, k
    cdef real* to
    for row from start <= row < stop by ROWS_AT_A_TIME:
        end = min(row + ROWS_AT_A_TIME, stop)
        for j from 0 <= j < w.even by 2 * LANES:
            for i in range(row, end):
                to = packed + j * w.n_rows + i * 2 * LANES
                store(to, load(flat + i * w.n_cols + j))
                store(to + LANES, load(flat + i * w.n_cols + j + LANES))
        for i in range(row, end):
            to = packed + w.even * w.n_rows + i * w.width
            for k in range(w.rest):
                to[k] = flat[i * w.n_cols + w.even + k]
            for k in range(w.rest, w.width):
                to[k] = 0


cdef void unpack_rows(
    const Layer* layer, real* flat, const real* packed, Py_ssize_t start, Py_ssize_t stop,
) noexcept nogil:
    """Copy back what `pack_rows` copies."""
    cdef Panelled w = panelled(layer)
    cdef Py_ssize_t row, end, i, j, k
    cdef const real* at
    for row from start <= row < stop by ROWS_AT_A_TIME:
        end = min(row + ROWS_AT_A_TIME, stop)
        for j from 0 <= j < w.even by 2 * LANES:
            for i in range(row, end):
                at = packed + j * w.n_rows + i * 2 * LANES
                store(flat + i * w.n_cols + j, load(at))
                store(flat + i * w.n_cols + j + LANES, load(at + LANES))
        for i in range(row, end):
            at = packed + w.even * w.n_rows + i * w.width
            for k in range(w.rest):
                flat[i * w.n_cols + w.even + k] = at[k]


cdef bint rows_differ(
    const Layer* layer, const real* packed, const real* flat, Py_ssize_t start, Py_ssize_t stop,
) noexcept nogil:
    """Whether rows start to stop of W and b differ, in any bit, between the layout at rest and the panels."""
    cdef Panelled w = panelled(layer)
    cdef Py_ssize_t row, end, i, j
    cdef const real* at
    cdef wordvec seen = as_words(broadcast(0))
    cdef int other = 0
    for row from start <= row < stop by ROWS_AT_A_TIME:
        end = min(row + ROWS_AT_A_TIME, stop)
        for j from 0 <= j < w.even by 2 * LANES:
            for i in range(row, end):
                at = packed + j * w.n_rows + i * 2 * LANES
                seen = seen | (as_words(load(flat + i * w.n_cols + j)) ^ as_words(load(at)))
                seen = seen | (as_words(load(flat + i * w.n_cols + j + LANES)) ^ as_words(load(at + LANES)))
        for i in range(row, end if w.rest else row):
            at = packed + w.even * w.n_rows + i * w.width
            other |= memcmp(flat + i * w.n_cols + w.even, at, w.rest * sizeof(real))
    return other != 0 or any_bit(seen)


cdef void pack_vector(const Plan* plan, real* packed, const real* flat) noexcept nogil:
    """Copy the parameters, or a vector with the same layout, from the layout at rest into panels."""
    cdef const Layer* layer
    cdef Py_ssize_t l
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        pack_rows(layer, packed + layer.packed, flat + layer.flat, 0, layer.n_rows)


cdef void unpack_vector(const Plan* plan, real* flat, const real* packed) noexcept nogil:
    """Copy back what `pack_vector` copies."""
    cdef const Layer* layer
    cdef Py_ssize_t l
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        unpack_rows(layer, flat + layer.flat, packed + layer.packed, 0, layer.n_rows)


cdef inline real* shown(const Pass* run) noexcept nogil:
    """Return the packed parameters that users see: the moving average, where there is one, else W."""
    return run.average if run.average != NULL else run.W


cdef void pack_share(Pass* run, const real* parameters, bint only_changed, int me, int team) noexcept nogil:
    """Pack this thread's rows of each W and b, and transpose those of W; with `only_changed`, skip a layer whose rows
    already equal those at rest."""
    cdef const Layer* layer
    cdef Py_ssize_t l, start, stop
    for l in range(run.plan.n_layers):
        layer = &run.plan.layers[l]
        start, stop = layer.n_rows * me // team, layer.n_rows * (me + 1) // team
        if only_changed and not rows_differ(layer, shown(run) + layer.packed, parameters + layer.flat, start, stop):
            continue
        pack_rows(layer, run.W + layer.packed, parameters + layer.flat, start, stop)
        if run.average != NULL and not (run.is_averaged and not only_changed):
            pack_rows(layer, run.average + layer.packed, parameters + layer.flat, start, stop)
        if run.mode != LOSS and (l > 0 or run.inputs):
            transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, start, min(stop, layer.n_in), 0,
                              layer.n_out)


cdef void unpack_share(const Pass* run, real* parameters, int me, int team) noexcept nogil:
    """Unpack this thread's rows of each W and b."""
    cdef const Layer* layer
    cdef Py_ssize_t l
    for l in range(run.plan.n_layers):
        layer = &run.plan.layers[l]
        unpack_rows(layer, parameters + layer.flat, shown(run) + layer.packed,
                    layer.n_rows * me // team, layer.n_rows * (me + 1) // team)


cdef int copying_team(const Pass* run, int n_threads) noexcept nogil:
    """Return the number of threads that copy the parameters between the layouts."""
    if is_backing_off():
        return 1
    return granted(useful_threads(COPY_WORK * run.plan.packed_size, min(n_threads, run.most_threads)))


cdef void pack(void* state, const void* parameters, bint unchanged, int n_threads) noexcept nogil:
    """Pack the parameters that have changed at rest, and clear the threads' reports.

    unchanged: nothing has been written at rest since `unpack`. Then nothing is compared or copied, unless training
    steps have changed the packed parameters since.
    """
    cdef Pass* run = <Pass*> state
    cdef bint only_changed = run.is_at_rest
    cdef int team = copying_team(run, n_threads)
    run.is_at_rest = run.mode != TRAIN
    memset(run.reports, 0, run.most_threads * sizeof(Report))
    if only_changed and unchanged:
        return
    if team > 1:
        with parallel(num_threads=team):
            pack_share(run, <const real*> parameters, only_changed, threadid(), team_size())
    else:
        pack_share(run, <const real*> parameters, only_changed, 0, 1)


cdef bint parameters_are_finite(const Pass* run) noexcept nogil:
    cdef int i
    if not run.restorable:
        return all_finite(run.W, run.plan.packed_size)
    for i in range(run.most_threads):
        if run.reports[i].infinite:
            return False
    return True


cdef bint unpack(void* state, void* parameters, int n_threads) noexcept nogil:
    """Write the parameters back to the layout at rest if all are finite; otherwise write nothing, and return False."""
    cdef Pass* run = <Pass*> state
    cdef int team = copying_team(run, n_threads)
    if not parameters_are_finite(run):
        return False
    if team > 1:
        with parallel(num_threads=team):
            unpack_share(run, <real*> parameters, threadid(), team_size())
    else:
        unpack_share(run, <real*> parameters, 0, 1)
    run.is_at_rest = True
    return True


cdef void settle(void* state) noexcept nogil:
    """Settle the moments: a pass that fails later goes back to the moments as they are now."""
    cdef Pass* run = <Pass*> state
    cdef int i
    if run.kept[0] != NULL:
        for i in range(MOST_MOMENTS):
            run.moments[i], run.kept[i] = run.kept[i], run.moments[i]


cdef inline real* settled_moment(const Pass* run, int which) noexcept nogil:
    """Return the address of a moment as it was when last settled."""
    return run.kept[which] if run.kept[0] != NULL else run.moments[which]


cdef void read_parameters(void* state, void* parameters) noexcept nogil:
    """Copy the parameters, as the last step left them, to the layout at rest."""
    unpack_vector((<Pass*> state).plan, <real*> parameters, (<Pass*> state).W)


cdef void read_moment(void* state, int which, bint settled, void* moment) noexcept nogil:
    """Copy one of the optimiser's moments to the layout at rest: if `settled` as it was when last settled, else as the
    last step left it."""
    cdef const Pass* run = <const Pass*> state
    unpack_vector(run.plan, <real*> moment, settled_moment(run, which) if settled else run.moments[which])


cdef void write_moment(void* state, int which, const void* moment) noexcept nogil:
    """Set one of the optimiser's moments, from the layout at rest. It is written to both places that it may be read
    from: `kept` by the first step of a pass, `moments` by later steps."""
    cdef Pass* run = <Pass*> state
    run.is_averaged = run.is_averaged or run.moments[which] == run.average
    pack_vector(run.plan, run.moments[which], <const real*> moment)
    if run.kept[which] != NULL:
        pack_vector(run.plan, run.kept[which], <const real*> moment)

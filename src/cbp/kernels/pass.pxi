# A pass over examples: how its workspace is made and freed, and how its gradient is read.
#
# Needs: layouts, gradient, refusals, partition, memory, rest.
# Gives: make_restorable.
#
# `partial_fit`, and calls for the loss or the gradient of few examples, keep the workspace for the next call.

cdef void* new_pass(void* plan, const PassSpec* spec) noexcept nogil:
    """Make a pass, whose parameters are not packed yet. Return NULL if it is refused (see `pass_refusal`) or memory is
    short."""
    cdef Pass* run
    cdef Arena arena = arena_in(NULL)
    cdef Py_ssize_t l, ld_last, tile = (<const Plan*> plan).tile, batch = spec.batch
    cdef int panels, mode = spec.mode
    if pass_refusal(mode, spec.optimizer) != ACCEPTED:
        return NULL
    CHECK(0 <= spec.n_moments <= MOST_MOMENTS and not (spec.averages and (spec.restorable or spec.n_moments == 0)))
    run = <Pass*> calloc(1, sizeof(Pass))
    if run == NULL:
        return NULL
    run.plan = <const Plan*> plan
    run.mode, run.batch = mode, batch
    run.inputs, run.restorable, run.clips = spec.inputs, spec.restorable, spec.clips
    run.multiply_adds = UNIT_WORK * run.plan.layers[0].n_in
    for l in range(run.plan.n_layers):
        run.multiply_adds += (
            (1 if mode == LOSS else 3) * <double> run.plan.layers[l].n_in * run.plan.layers[l].n_out
            + UNIT_WORK * run.plan.layers[l].n_out
        )
    run.most_threads = useful_threads(run.multiply_adds * batch, spec.n_threads)
    ld_last = run.plan.layers[run.plan.n_layers - 1].ld_out
    # The arrays that `tile_of` places, rounded up to whole cache lines.
    run.tile_size = (
        tile * (run.plan.x_size + run.plan.a_size + 2 * run.plan.widest) + max(tile * LANES, ld_last) + ld_last
        + 2 * tile * <Py_ssize_t> (sizeof(double) // sizeof(real)) + 15
    ) // 16 * 16
    plan_rounds(run, spec.bound)
    if run.n_partials > 0:              # a thread without a partial sum would only wait
        run.most_threads = min(run.most_threads, <int> run.n_partials)
    run.small = mode == TRAIN and run.n_partials == 0 and batch <= min(tile, spec.bound) and (
        run.plan.packed_size <= SMALL_NETWORK)
    run.direct = mode == TRAIN and run.n_partials == 0 and run.round >= batch and not run.clips
    panels = <int> panel_count(run.plan.layers[0].n_out)
    run.columns = run.direct and not run.plan.alters_inputs and min(run.most_threads, panels) > 1 and (
        COLUMNS_FROM * batch <= run.plan.layers[0].n_in <= COLUMNS_BYTES // (batch * <Py_ssize_t> sizeof(real)))
    if run.columns:                     # a thread without a panel would have nothing to do there
        run.most_threads = min(run.most_threads, panels)
    run.group = max(LEAST_GROUP, min(GROUP_BYTES // run.round, PIECE_BYTES // COLUMNS_AT_ONCE) // (
        STRIP * <Py_ssize_t> sizeof(real)))
    run.group_size = run.group * STRIP * COLUMNS_AT_ONCE
    lay_out(run, &arena, spec)
    run.memory = calloc(arena.used + 64, 1)
    if run.memory == NULL:
        free(run)
        return NULL
    arena = arena_in(run.memory)
    lay_out(run, &arena, spec)
    open_barrier(run.barrier)
    return run


cdef void free_pass(void* state) noexcept nogil:
    if state != NULL:
        close_barrier((<Pass*> state).barrier)
        free((<Pass*> state).memory)
        free(state)


cdef inline void make_restorable(const Pass* run, Step* step, const Cursor* cursor, int me) noexcept nogil:
    """Prepare a step of a restorable pass. The first step reads the moments from `kept` and writes them to `moments`,
    so that `kept` stays as it was. In every step, each thread notes whether the parameters that it has just updated,
    and that are still in its cache, are finite."""
    if run.restorable:
        step.infinite = &run.reports[me].infinite
        step.back = run.kept[0] - run.moments[0] if run.kept[0] != NULL and cursor.weight == 0 else 0


cdef void read_gradient(
    void* state, void* gradient, const void* parameters, double weight,
) noexcept nogil:
    """Write D = (Delta + lambda_1 sign W + lambda W) / m in the layout at rest, after one batch in mode GRADIENT."""
    cdef Pass* run = <Pass*> state
    cdef const Layer* layer
    cdef real* D
    cdef const real* W
    cdef real inverse_m = <real> (1 / weight)
    cdef Py_ssize_t l, i
    for l in range(run.plan.n_layers):
        layer = &run.plan.layers[l]
        D = <real*> gradient + layer.flat
        W = <const real*> parameters + layer.flat
        unpack_rows(layer, D, run.Delta + layer.packed, 0, layer.n_rows)
        if <real> run.l1[l] != 0:
            for i in range(layer.n_in * layer.n_out):
                D[i] += <real> run.l1[l] * ((W[i] > 0) - (W[i] < 0))
        gradient_stretch(D, W, <real> run.l2[l], inverse_m, layer.n_in * layer.n_out)
        for i in range(layer.n_in * layer.n_out, layer.n_rows * layer.n_out):
            D[i] *= inverse_m


cdef void set_penalties(void* state, const double* l1, const double* l2, double whole) noexcept nogil:
    """Set the penalties of each layer, and their m. A penalty that rounds to 0 in this precision is ignored."""
    cdef Pass* run = <Pass*> state
    cdef Py_ssize_t l
    run.penalised, run.whole = False, whole
    for l in range(run.plan.n_layers):
        run.l1[l], run.l2[l] = l1[l], l2[l]
        run.penalised = run.penalised or <real> l1[l] != 0 or <real> l2[l] != 0

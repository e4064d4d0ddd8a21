# Where the arrays of a pass lie in its memory.
#
# Needs: layouts, partition.
# Gives: Delta_in, aligned, delta_in, lay_out, tile_of.

cdef void* aligned(char** at, Py_ssize_t n_bytes) noexcept nogil:
    """Cut n_bytes off at a multiple of 64."""
    cdef char* here = at[0]
    at[0] = here + (n_bytes + 63) // 64 * 64
    return here


cdef Py_ssize_t lay_out(
    Pass* run, char* memory, int n_moments, bint restorable,
) noexcept nogil:
    """Place the arrays in memory, which may be NULL to learn how many bytes they need."""
    cdef const Plan* plan = run.plan
    cdef char* at = memory
    cdef Py_ssize_t w_bytes = plan.packed_size * sizeof(real)
    cdef Py_ssize_t t_size = plan.transposed_size, Delta_bytes
    cdef Py_ssize_t summed = run.share if run.n_partials else run.batch
    if run.inputs:
        t_size += plan.layers[0].n_out * padded(plan.layers[0].n_in)
    run.W = <real*> aligned(&at, w_bytes)
    run.W_T = <real*> aligned(&at, t_size * sizeof(real))
    lay_out_moments(run.moments, &at, w_bytes, n_moments)
    lay_out_moments(run.kept, &at, w_bytes, n_moments if restorable else 0)
    run.tiles = <real*> aligned(&at, run.most_threads * run.tile_size * sizeof(real))
    run.losses = <double*> aligned(&at, max(run.round, run.n_partials) * sizeof(double))
    run.l1 = <double*> aligned(&at, plan.n_layers * sizeof(double))
    run.l2 = <double*> aligned(&at, plan.n_layers * sizeof(double))
    run.penalties = <double*> aligned(&at, plan.n_strips * sizeof(double))
    run.reports = <Report*> aligned(&at, run.most_threads * sizeof(Report))
    run.barrier = <Barrier*> aligned(&at, sizeof(Barrier))
    if run.mode != LOSS:
        Delta_bytes = run.most_threads * run.group_size * <Py_ssize_t> sizeof(real) if run.direct else 0
        if run.small or not run.direct:
            Delta_bytes = max(Delta_bytes, max(1, run.n_partials) * w_bytes)
        run.Delta = <real*> aligned(&at, Delta_bytes)
        if summed > run.segment * run.round:
            run.sums = <real*> aligned(&at, Delta_bytes)
            run.rests = <real*> aligned(&at, Delta_bytes)
        if run.n_partials == 0:
            run.block = <real*> aligned(&at, run.round * plan.block_size * sizeof(real))
        if run.columns:
            run.z = <real*> aligned(&at, run.round * plan.layers[0].ld_out * sizeof(real))
            run.x = <real*> aligned(&at, 2 * run.round * plan.x_size * sizeof(real))
    return at - memory


cdef void lay_out_moments(real** moments, char** at, Py_ssize_t n_bytes, int n_moments) noexcept nogil:
    cdef int i
    for i in range(MOST_MOMENTS):
        moments[i] = <real*> aligned(at, n_bytes) if i < n_moments else NULL


cdef Tile tile_of(const Pass* run, int thread) noexcept nogil:
    cdef Tile tile
    cdef const Plan* plan = run.plan
    cdef char* at = <char*> (run.tiles + thread * run.tile_size)
    tile.z = NULL
    tile.losses = <double*> at
    tile.sums = tile.losses + TILE
    tile.x = <real*> (tile.sums + TILE)
    tile.a = tile.x + TILE * plan.x_size
    tile.delta[0] = tile.a + TILE * plan.a_size
    tile.delta[1] = tile.delta[0] + TILE * plan.widest
    tile.y = tile.delta[1] + TILE * plan.widest
    tile.a_row = tile.y + max(TILE * LANES, plan.layers[plan.n_layers - 1].ld_out)
    return tile


cdef inline Panels Delta_in(real* Delta, const Layer* layer) noexcept nogil:
    """A layer's Delta in the vector of all layers'."""
    return packed_panels(Delta + layer.packed, layer.n_in + 1)


cdef inline Panels delta_in(const Pass* run, const Layer* layer) noexcept nogil:
    """delta(l+1) of the round's examples."""
    return packed_panels(run.block + layer.panels * run.round, run.round)

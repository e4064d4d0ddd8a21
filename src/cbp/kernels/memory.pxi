# The memory of a pass, and the arrays in it.
#
# Needs: layouts.
# Gives: Delta_in, Delta_of_part, arena_in, delta_in, lay_out, take, tile_of.

cdef Arena arena_in(void* memory) noexcept nogil:
    """An arena of a block of memory, from its first multiple of 64 on; for NULL, one that only counts bytes."""
    cdef Arena arena
    arena.memory, arena.used = <char*> memory, 0
    if memory != NULL:
        arena.memory += (64 - <size_t> memory % 64) % 64
    return arena


cdef void* take(Arena* arena, Py_ssize_t n_bytes) noexcept nogil:
    """The next n_bytes, at a multiple of 64; NULL where bytes are only counted."""
    cdef Py_ssize_t here = arena.used
    arena.used += (n_bytes + 63) // 64 * 64
    return arena.memory + here if arena.memory != NULL else NULL


cdef void lay_out(Pass* run, Arena* arena, const PassSpec* spec) noexcept nogil:
    """Place the arrays of a pass."""
    cdef const Plan* plan = run.plan
    cdef Py_ssize_t w_bytes = plan.packed_size * sizeof(real)
    cdef Py_ssize_t t_size = plan.transposed_size, Delta_bytes
    cdef Py_ssize_t summed = run.share if run.n_partials else run.batch
    if run.inputs:
        t_size += plan.layers[0].n_out * padded(plan.layers[0].n_in)
    run.W = <real*> take(arena, w_bytes)
    run.W_T = <real*> take(arena, t_size * sizeof(real))
    lay_out_moments(run.moments, arena, w_bytes, spec.n_moments)
    lay_out_moments(run.kept, arena, w_bytes, spec.n_moments if spec.restorable else 0)
    run.average = run.moments[spec.n_moments - 1] if spec.averages else NULL
    run.tiles = <real*> take(arena, run.most_threads * run.tile_size * sizeof(real))
    run.losses = <double*> take(arena, max(run.round, run.n_partials) * sizeof(double))
    run.l1 = <double*> take(arena, plan.n_layers * sizeof(double))
    run.l2 = <double*> take(arena, plan.n_layers * sizeof(double))
    run.penalties = <double*> take(arena, plan.n_strips * sizeof(double))
    run.squares = <double*> take(arena, plan.n_strips * sizeof(double)) if run.clips else NULL
    run.reports = <Report*> take(arena, run.most_threads * sizeof(Report))
    run.barrier = <Barrier*> take(arena, sizeof(Barrier))
    if run.mode != LOSS:
        Delta_bytes = run.most_threads * run.group_size * <Py_ssize_t> sizeof(real) if run.direct else 0
        if run.small or not run.direct:
            Delta_bytes = max(Delta_bytes, max(1, run.n_partials) * w_bytes)
        run.Delta = <real*> take(arena, Delta_bytes)
        if summed > run.segment * run.round:
            run.sums = <real*> take(arena, Delta_bytes)
            run.rests = <real*> take(arena, Delta_bytes)
        if run.n_partials == 0:
            run.block = <real*> take(arena, run.round * plan.block_size * sizeof(real))
        if run.columns:
            run.z = <real*> take(arena, run.round * plan.layers[0].ld_out * sizeof(real))
            run.x = <real*> take(arena, 2 * run.round * plan.x_size * sizeof(real))


cdef void lay_out_moments(real** moments, Arena* arena, Py_ssize_t n_bytes, int n_moments) noexcept nogil:
    cdef int i
    for i in range(MOST_MOMENTS):
        moments[i] = <real*> take(arena, n_bytes) if i < n_moments else NULL


cdef Tile tile_of(const Pass* run, int thread) noexcept nogil:
    cdef Tile tile
    cdef const Plan* plan = run.plan
    cdef char* at = <char*> (run.tiles + thread * run.tile_size)
    tile.z_2, tile.first, tile.key = NULL, 0, 0
    tile.drops = plan.drops and run.mode == TRAIN
    tile.losses = <double*> at
    tile.sums = tile.losses + plan.tile
    tile.x = <real*> (tile.sums + plan.tile)
    tile.a = tile.x + plan.tile * plan.x_size
    tile.delta[0] = tile.a + plan.tile * plan.a_size
    tile.delta[1] = tile.delta[0] + plan.tile * plan.widest
    tile.y = tile.delta[1] + plan.tile * plan.widest
    tile.a_row = tile.y + max(plan.tile * LANES, plan.layers[plan.n_layers - 1].ld_out)
    return tile


cdef inline Panels Delta_in(real* Delta, const Layer* layer) noexcept nogil:
    """A layer's Delta in the vector of all layers."""
    return packed_panels(Delta + layer.packed, layer.n_in + 1)


cdef inline Panels Delta_of_part(const Pass* run, Part part, int thread) noexcept nogil:
    """The Delta of a part: where the step is taken at once, in the thread's memory for a group of strips."""
    if run.direct:
        return packed_panels(run.Delta + thread * run.group_size, run.group * STRIP, part.start)
    return from_column(Delta_in(run.Delta, part.layer), part.left)


cdef inline Panels delta_in(const Pass* run, const Layer* layer) noexcept nogil:
    """delta(l+1) of the round's examples."""
    return packed_panels(run.block + layer.panels * run.round, run.round)

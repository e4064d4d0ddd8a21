# Forward propagation without a pass, from the parameters at rest (see rest.pxi).
#
# Needs: layouts, products, one_row, partition, memory, faults, output, rest.
#
# Each call has its own workspace, so that any number of threads may predict with one network at the same time.

cdef enum:
    PACK_FROM = 32                      # from this number of examples on, packing W saves more time than it takes
    SMALL_WORKSPACE = 2048              # reals; a larger workspace is allocated


cdef void forward_rows(
    const Plan* plan, real** out,       # (n_layers,) arrays (m, n_out); NULL for those not wanted
    const real* W, bint packed, const real* X, real* workspace,
    Py_ssize_t first, Py_ssize_t n_rows, Fault* fault,
) noexcept nogil:
    """Compute a(2) … a(L) of a tile. Each row has the same bits as in `forward_tile`, since the sums over k are
    computed in the same order."""
    cdef const Layer* layer
    cdef Panels z, weights
    cdef Rows inputs = rows_of(X + first * plan.layers[0].n_in, plan.layers[0].n_in)
    cdef Py_ssize_t l, i
    check_rows(inputs.at, inputs.row, n_rows, plan.layers[0].n_in, X_NOT_FINITE, NULL, first, fault)
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        z = row_panels(workspace + l % 2 * n_rows * plan.widest, layer.ld_out)
        # At rest, the columns past n_out are the next row's; they are read, but what is computed from them is not used.
        if packed:
            weights = packed_panels(<real*> W + layer.packed, layer.n_in + 1)
            multiply(z, inputs, weights, 0, n_rows, layer.n_out, layer.n_in, BIAS)
        elif n_rows == 1 and plan.bias:
            multiply_row_at_rest(z.at, inputs.at, W + layer.flat, layer.n_out, layer.n_out, layer.n_in)
        else:
            weights = row_panels(<real*> W + layer.flat, layer.n_out)
            multiply(z, inputs, weights, 0, n_rows, layer.n_out, layer.n_in, BIAS if plan.bias else ZERO)
        activate_rows(layer, z.at, workspace + (l + 1) % 2 * n_rows * plan.widest, n_rows)
        if out[l] != NULL:
            for i in range(n_rows):
                memcpy(out[l] + (first + i) * layer.n_out, z.at + i * z.row, layer.n_out * sizeof(real))
        inputs = rows_of(z.at, z.row)


cdef void forward_share(
    const Plan* plan, real** out, const real* W, bint packed, const real* X, Py_ssize_t m, real* workspaces,
    Py_ssize_t workspace_size, Fault* faults, int me, int team,
) noexcept nogil:
    cdef Py_ssize_t first = m * me // team, n = m * (me + 1) // team - first, tiles = tile_count(plan, n)
    cdef Py_ssize_t start = 0, stop, t
    for t in range(tiles):
        stop = tile_start(n, tiles, t + 1)
        forward_rows(plan, out, W, packed, X, workspaces + me * workspace_size, first + start, stop - start,
                     &faults[me])
        start = stop


cdef bint forward(
    void* plan_, void** out, const void* parameters, const void* X, Py_ssize_t m, int n_threads, Fault* fault,
) noexcept nogil:
    """Compute a(2) … a(L) of m examples. Return False if memory is short. Up to two vectors past the end of the
    parameters are read."""
    cdef const Plan* plan = <const Plan*> plan_
    cdef real[SMALL_WORKSPACE] small
    cdef Fault one_fault
    cdef Fault* faults = &one_fault
    cdef bint packed = m >= PACK_FROM
    cdef const real* W = <const real*> parameters
    cdef real* workspaces = small
    cdef real* copy
    cdef void* memory = NULL
    cdef Arena arena
    cdef double multiply_adds = <double> m * plan.n_parameters
    cdef int team = granted(useful_threads(multiply_adds, n_threads)), t
    cdef Py_ssize_t size = 2 * min(m, plan.tile) * plan.widest
    memset(&one_fault, 0, sizeof(one_fault))
    if packed or size > SMALL_WORKSPACE or team > 1:
        memory = calloc(
            64 * 4 + team * ((size + 16) * sizeof(real) + sizeof(Fault))
            + (plan.packed_size * sizeof(real) if packed else 0), 1)
        if memory == NULL:
            return False
        arena = arena_in(memory)
        faults = <Fault*> take(&arena, team * sizeof(Fault))
        size = (size + 15) // 16 * 16
        workspaces = <real*> take(&arena, team * size * sizeof(real))
        if packed:
            copy = <real*> take(&arena, plan.packed_size * sizeof(real))
            pack_vector(plan, copy, <const real*> parameters)
            W = copy
    if team == 1:
        forward_share(plan, <real**> out, W, packed, <const real*> X, m, workspaces, size, faults, 0, 1)
    else:
        with parallel(num_threads=team):
            forward_share(plan, <real**> out, W, packed, <const real*> X, m, workspaces, size, faults, threadid(),
                          team_size())
    for t in range(team):
        keep_first(fault, &faults[t])
    free(memory)
    return True

# A tile: up to plan.tile examples that one thread takes through the layers and back.
#
# Needs: layouts, products, one_row, packing, memory, data, faults, output, noise.
# Gives: accumulate_tile, backward_tile, forward_examples, forward_tile_apart, gather_tile.

cdef void activate_and_drop(const Plan* plan, const Tile* tile, Py_ssize_t l, Py_ssize_t n_rows) noexcept nogil:
    """a(l+1) of a layer of weights whose outputs training drops. What it drops does not fall out of g'."""
    cdef const Layer* layer = &plan.layers[l]
    cdef real* a = tile.a + layer.a_tile
    cdef real* whole = a if layer.activation.from_z else tile.a + layer.z_tile
    layer.activation.activate(whole, tile.a + layer.z_tile, n_rows * layer.ld_out, layer.number)
    if tile.drops:
        drop_rows(a, whole, layer.ld_out, layer + 1, l + 1, tile.key, tile.first, n_rows)
    elif whole != a:
        memcpy(a, whole, n_rows * layer.ld_out * sizeof(real))


cdef inline void forward_tile(
    const Plan* plan, const Tile* tile, Rows x, const real* W,      # packed
    Py_ssize_t n_rows,
) noexcept nogil:
    """z(l) and a(l) of all layers, of the last z alone."""
    cdef const Layer* layer
    cdef Panels z, weights
    cdef Rows inputs = x
    cdef real* a = tile.a
    cdef Py_ssize_t l
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        z = row_panels(a + layer.z_tile, layer.ld_out)
        # z(l+1) = a(l) W(l) + b(l)
        weights = packed_panels(<real*> W + layer.packed, layer.n_in + 1)
        if l == 0 and tile.z_2 != NULL:
            memcpy(z.at, tile.z_2, n_rows * layer.ld_out * sizeof(real))
        elif n_rows == 1:
            multiply_row(z.at, inputs.at, weights, layer.n_out, layer.n_in, BIAS)
        else:
            multiply_inline(z, inputs, weights, 0, n_rows, layer.n_out, layer.n_in, BIAS)
        if l < plan.n_layers - 1 and plan.layers[l + 1].drops:
            activate_and_drop(plan, tile, l, n_rows)
        elif l < plan.n_layers - 1:
            layer.activation.activate(a + layer.a_tile, z.at, n_rows * layer.ld_out, layer.number)
        inputs = rows_of(a + layer.a_tile, layer.ld_out)


cdef void forward_tile_apart(
    const Plan* plan, const Tile* tile, Rows x, const real* W, Py_ssize_t n_rows,
) noexcept nogil:
    """`forward_tile`, for callers to which a call is nothing beside their work: in all of them it would be large."""
    forward_tile(plan, tile, x, W, n_rows)


cdef inline Panels recur(
    const Pass* run, const Tile* tile, Py_ssize_t l, Panels delta,      # (n_rows, n_out)
    Py_ssize_t n_rows, real* to,        # (n_rows, ld_in)
) noexcept nogil:
    """delta(l) of a layer of weights that is not the first, from delta(l+1)."""
    cdef const Layer* layer = &run.plan.layers[l]
    cdef const Layer* before = &run.plan.layers[l - 1]
    cdef Panels below = row_panels(to, layer.ld_in)
    cdef Panels W_T = packed_panels(run.W_T + layer.transposed, layer.n_out)
    # delta(l) = (delta(l+1) W(l)^T) * g'(z(l))
    if n_rows == 1:
        multiply_row(to, delta.at, W_T, layer.n_in, layer.n_out, ZERO)
    else:
        multiply_inline(below, rows_of(delta.at, delta.row), W_T, 0, n_rows, layer.n_in, layer.n_out, ZERO)
    before.activation.times_derivative(to, tile.a + before.slope_tile, n_rows * layer.ld_in, before.number)
    if layer.drops and tile.drops:
        drop_rows(to, to, layer.ld_in, layer, l, tile.key, tile.first, n_rows)
    return below


cdef void recur_to_inputs(
    const Pass* run, Panels delta, Py_ssize_t n_rows, real* workspace,
    real* inputs, real inverse_m,       # (n_rows, n_in)
) noexcept nogil:
    """dJ/dX = delta(1) / m, which has no g'."""
    cdef const Layer* layer = &run.plan.layers[0]
    cdef Py_ssize_t i, j
    multiply(row_panels(workspace, layer.ld_in), rows_of(delta.at, delta.row),
             packed_panels(run.W_T + layer.transposed, layer.n_out), 0, n_rows, layer.n_in, layer.n_out, ZERO)
    for i in range(n_rows):
        for j in range(layer.n_in):
            inputs[i * layer.n_in + j] = workspace[i * layer.ld_in + j] * inverse_m


cdef void backward_tile(
    const Pass* run, Py_ssize_t at,     # rows at to at + n_rows of the block
    const Tile* tile, Rows x, Py_ssize_t n_rows, real* inputs, real inverse_m,
) noexcept nogil:
    """delta(l) for all layers; strips of a(l) and panels of delta(l+1) go to the block, dJ/dX to inputs."""
    cdef real* block = run.block
    cdef Py_ssize_t capacity = run.round
    cdef const Plan* plan = run.plan
    cdef const Layer* layer = &plan.layers[plan.n_layers - 1]
    cdef Panels delta = row_panels(tile.a + layer.a_tile, layer.ld_out)
    cdef Rows a
    cdef Py_ssize_t l
    for l in range(plan.n_layers - 1, -1, -1):
        layer = &plan.layers[l]
        a = rows_of(tile.a + plan.layers[l - 1].a_tile, layer.ld_in) if l > 0 else x
        pack_panels(block + layer.panels * capacity, capacity, at, delta.at, delta.row, n_rows, layer.n_out)
        if l > 0 or tile.z_2 == NULL:     # by columns, Delta(1) is summed from x as it lies
            pack_strips(block + layer.strips * capacity, capacity, at, a.at, a.row, n_rows, layer.n_in)
        if l > 0:
            delta = recur(run, tile, l, delta, n_rows, <real*> tile.delta[l % 2])
        elif inputs != NULL:
            recur_to_inputs(run, delta, n_rows, <real*> tile.delta[0], inputs, inverse_m)


cdef Rows altered_inputs(
    const Plan* plan, const Data* data, const Tile* tile, Py_ssize_t n_rows, bint ahead,
) noexcept nogil:
    """The inputs of the tile's examples, copied, with noise and dropout."""
    cdef Rows x = gather(data, tile.first, n_rows, plan.layers[0].n_in, tile.x, plan.x_size, True, ahead)
    if ahead:
        return x
    if plan.input_noise > 0:
        add_noise(tile.x, plan.x_size, plan, tile.key, tile.first, n_rows)
    if plan.layers[0].drops:
        drop_rows(tile.x, tile.x, plan.x_size, plan.layers, 0, tile.key, tile.first, n_rows)
    return x


cdef inline Rows gather_tile(
    const Pass* run, const Data* data, Tile* tile, Py_ssize_t first, Py_ssize_t n_rows, bint ahead,
) noexcept nogil:
    """The inputs of the tile's examples, which begin with `first`; `ahead`: the tile holds them already."""
    tile.first = first
    if tile.drops and run.plan.alters_inputs:
        return altered_inputs(run.plan, data, tile, n_rows, ahead)
    return gather(data, first, n_rows, run.plan.layers[0].n_in, tile.x, run.plan.x_size, False, ahead)


cdef inline void forward_examples(
    const bint tiny, const Pass* run, const Data* data, const Tile* tile, Rows x, Py_ssize_t first, Py_ssize_t n_rows,
    bint ahead, double* losses, Fault* fault,
) noexcept nogil:
    """Examples first to first + n_rows to delta(L) and their losses; `ahead`: the tile holds their z and a already."""
    cdef const Plan* plan = run.plan
    if data.check:
        check_rows(x.at, x.row, n_rows, plan.layers[0].n_in, X_NOT_FINITE, data, first, fault)
        check_targets(plan, data, first, n_rows, fault)
    if tiny and not ahead:
        forward_tile(plan, tile, x, run.W, n_rows)
    elif not ahead:
        forward_tile_apart(plan, tile, x, run.W, n_rows)
    output_delta(plan, tile.a + plan.layers[plan.n_layers - 1].a_tile, losses, data, first, n_rows,
                 tile)


cdef inline void accumulate_tile(
    const Pass* run, real* Delta,       # (packed_size,)
    const Tile* tile, Rows x, Py_ssize_t n_rows, Initial initial, real* inputs, real inverse_m,
) noexcept nogil:
    """As `backward_tile`, with Delta(l) = initial + a(l)^T delta(l+1) at once, from rows as they lie: in small networks
    packing costs more than it saves. The chains are the same, and so are the bits."""
    cdef const Plan* plan = run.plan
    cdef const Layer* layer = &plan.layers[plan.n_layers - 1]
    cdef Panels delta = row_panels(tile.a + layer.a_tile, layer.ld_out), Delta_l
    cdef Rows a
    cdef Py_ssize_t l
    for l in range(plan.n_layers - 1, -1, -1):
        layer = &plan.layers[l]
        a = rows_of(tile.a + plan.layers[l - 1].a_tile, layer.ld_in) if l > 0 else x
        Delta_l = Delta_in(Delta, layer)
        if n_rows == 1 and initial == ZERO:
            outer_product(Delta_l, a.at, delta.at, layer.n_in, layer.n_out)
        else:
            multiply_inline(Delta_l, transposed(a), delta, 0, layer.n_in, layer.n_out, n_rows, initial)
            sum_rows(Delta_l, layer.n_in, delta, n_rows, layer.n_out, initial)
        if l > 0:
            delta = recur(run, tile, l, delta, n_rows, <real*> tile.delta[l % 2])
        elif inputs != NULL:
            recur_to_inputs(run, delta, n_rows, <real*> tile.delta[0], inputs, inverse_m)

# The plan of a network: what depends on its shapes alone, worked out once. Above all, where everything lies.

cdef enum:
    TILE = 96                           # examples that one thread takes through the layers at a time


cdef struct Layer:                      # of weights, from a(l) to a(l+1)
    Py_ssize_t n_in
    Py_ssize_t n_out
    int g                               # activation of the outputs
    ActivationRow activation            # its row …
    real number                         # … and its number
    Py_ssize_t ld_in                    # row length of a(l) in a tile, in reals
    Py_ssize_t ld_out                   # … and of z(l+1), a(l+1), delta(l+1)
    # Offsets, in reals:
    Py_ssize_t flat                     # of W, then b, in the parameters at rest: (n_in + 1, n_out)
    Py_ssize_t packed                   # of W, then b, in panels: (n_in + 1, n_out)
    Py_ssize_t transposed               # of W^T in panels: (n_out, n_in)
    Py_ssize_t z_tile                   # of z(l+1) in a tile, …
    Py_ssize_t a_tile                   # … and of a(l+1): in its place, where nobody needs z any more
    Py_ssize_t strips                   # of a(l), then 1, in strips, in one example's share of a block
    Py_ssize_t panels                   # of delta(l+1) in panels, likewise
    Py_ssize_t first_strip              # number of W's first strip of rows among all layers' and panels'
    Py_ssize_t strips_before            # those before, each counted as often as it is wide


cdef struct Plan:
    Py_ssize_t n_layers
    int loss
    LossRow loss_row                    # its row, …
    real loss_number                    # … its number, …
    void (*pair)(real* z, real* y, Py_ssize_t n) noexcept nogil     # … and that of it with the output, or NULL
    Layer* layers
    Py_ssize_t n_parameters             # at rest
    Py_ssize_t packed_size
    Py_ssize_t transposed_size          # without the first layer, whose W^T only dJ/dX needs; it would come last
    Py_ssize_t x_size                   # of a gathered example in a tile
    Py_ssize_t a_size                   # of one example's activations in a tile, x left out
    Py_ssize_t widest                   # longest row in a tile
    Py_ssize_t block_size               # of one example's strips and panels in a block
    Py_ssize_t n_strips                 # strips of rows of W over all panels of all layers
    Py_ssize_t packed_strips            # likewise, each counted as often as it is wide
    Py_ssize_t widest_out               # columns of the widest W, to whole vectors


cdef Py_ssize_t row_length(Py_ssize_t n) noexcept nogil:
    """Reals from row to row of a tile with n columns: whole vectors, and never a multiple of 1 kB, which would
    make the rows of a tile compete for the same lines of the L1 cache."""
    cdef Py_ssize_t ld = padded(n)
    if ld * <Py_ssize_t> sizeof(real) % 1024 == 0:
        ld += LANES
    return ld


cdef Py_ssize_t tile_count(Py_ssize_t n_rows) noexcept nogil:
    """Tiles that rows are cut into, as even as they come: each reads all of W once."""
    return (n_rows + TILE - 1) // TILE


cdef int useful_threads(double work, int n_threads) noexcept nogil:
    """A thread should have some microseconds of work between barriers."""
    return <int> max(1, min(n_threads, work / 100_000))


cdef Py_ssize_t strip_count(Py_ssize_t n_rows) noexcept nogil:
    return (n_rows + STRIP - 1) // STRIP


cdef Py_ssize_t panel_count(Py_ssize_t columns) noexcept nogil:
    return (columns + 2 * LANES - 1) // (2 * LANES)


cdef void* new_plan(const Spec* spec) noexcept nogil:
    """The plan of a network; NULL where it is refused (see `plan_refusal`) or memory is short."""
    cdef Plan* plan
    cdef Layer* layer
    cdef Py_ssize_t l
    if plan_refusal(spec) != ACCEPTED:
        return NULL
    plan = <Plan*> calloc(1, sizeof(Plan))
    if plan == NULL:
        return NULL
    plan.layers = <Layer*> calloc(spec.n_layers, sizeof(Layer))
    if plan.layers == NULL:
        free(plan)
        return NULL
    plan.n_layers = spec.n_layers
    plan.loss = spec.loss
    plan.loss_row = loss_row(spec.loss)
    plan.loss_number = <real> spec.loss_number
    plan.pair = pair_of(spec.activations[spec.n_layers - 1], spec.loss)
    plan.x_size = plan.widest = row_length(spec.sizes[0])
    for l in range(spec.n_layers):
        layer = &plan.layers[l]
        layer.n_in, layer.n_out = spec.sizes[l], spec.sizes[l + 1]
        layer.g = spec.activations[l]
        layer.activation = activation_row(layer.g)
        layer.number = <real> spec.numbers[l]
        layer.ld_in, layer.ld_out = row_length(layer.n_in), row_length(layer.n_out)
        layer.flat = plan.n_parameters
        layer.packed = plan.packed_size
        layer.transposed = plan.transposed_size
        layer.z_tile = TILE * plan.a_size
        if layer.activation.from_z and l < spec.n_layers - 1:
            plan.a_size += layer.ld_out
        layer.a_tile = TILE * plan.a_size
        layer.strips = plan.block_size
        layer.panels = plan.block_size + strip_count(layer.n_in + 1) * STRIP
        layer.first_strip = plan.n_strips
        layer.strips_before = plan.packed_strips
        plan.n_parameters += (layer.n_in + 1) * layer.n_out
        plan.packed_size += (layer.n_in + 1) * padded(layer.n_out)
        if l > 0:
            plan.transposed_size += layer.n_out * padded(layer.n_in)
        plan.a_size += layer.ld_out
        plan.block_size = layer.panels + padded(layer.n_out)
        plan.n_strips += strip_count(layer.n_in + 1) * panel_count(layer.n_out)
        plan.packed_strips += strip_count(layer.n_in + 1) * padded(layer.n_out)
        plan.widest_out = max(plan.widest_out, padded(layer.n_out))
        plan.widest = max(plan.widest, layer.ld_out)
    plan.layers[0].transposed = plan.transposed_size
    return plan


cdef void free_plan(void* plan) noexcept nogil:
    if plan != NULL:
        free((<Plan*> plan).layers)
        free(plan)


cdef void transpose_weights(
    const Layer* layer, real* transposed, const real* packed, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Rows first to last of W, from panels into the panels of W^T, whose padding is zero from the start."""
    cdef Py_ssize_t start = first // (2 * LANES) * (2 * LANES), stop, i, j, k, width, width_T
    cdef const real* at
    cdef real* to
    if layer.n_out == 1:                # the loops below take 4 weights 180 instructions, of 2-4-1's 1,100 a step
        for i in range(first, last):
            transposed[i] = packed[i * LANES]
        return
    while start < last:                 # a panel of W^T: columns start to stop
        stop = min(start + 2 * LANES, last)
        width_T = panel_width(layer.n_in - start)
        for j from 0 <= j < layer.n_out by 2 * LANES:
            width = panel_width(layer.n_out - j)
            at = packed + j * (layer.n_in + 1)
            to = transposed + start * layer.n_out + j * width_T
            for i in range(max(first, start), stop):
                for k in range(min(width, layer.n_out - j)):
                    to[k * width_T + i - start] = at[i * width + k]
        start += 2 * LANES

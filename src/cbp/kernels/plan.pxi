# The plan of a network: what depends on its shapes and functions alone, computed once.
#
# Needs: layouts, activations, losses, refusals, partition.

cdef void* new_plan(const Spec* spec) noexcept nogil:
    """Make the plan of a network. Return NULL if it is refused (see `plan_refusal`) or memory is short."""
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
    plan.bias = spec.bias
    plan.loss = spec.loss
    plan.probabilities = spec.activations[spec.n_layers - 1] == SOFTMAX and (
        spec.loss == SQUARED_ERROR or spec.loss == CROSS_ENTROPY)
    plan.loss_row = loss_row(spec.loss)
    plan.loss_number = <real> spec.loss_number
    plan.pair = pair_of(spec.activations[spec.n_layers - 1], spec.loss)
    plan.x_size = plan.widest = row_length(spec.sizes[0])
    for l in range(spec.n_layers):
        plan.layers[l].packed = plan.packed_size
        plan.packed_size += (spec.sizes[l] + 1) * padded(spec.sizes[l + 1])
        plan.widest = max(plan.widest, row_length(spec.sizes[l + 1]))
    plan.tile = tile_rows(plan.packed_size, plan.widest)
    for l in range(spec.n_layers):
        layer = &plan.layers[l]
        layer.n_in, layer.n_out = spec.sizes[l], spec.sizes[l + 1]
        layer.n_rows = layer.n_in + spec.bias
        layer.g = spec.activations[l]
        layer.activation = activation_row(layer.g)
        layer.number = <real> spec.numbers[l]
        layer.ld_in, layer.ld_out = row_length(layer.n_in), row_length(layer.n_out)
        layer.flat = plan.n_parameters
        layer.transposed = plan.transposed_size
        layer.z_tile = plan.tile * plan.a_size
        layer.drops = spec.dropout != NULL and spec.dropout[l] > 0
        if layer.drops:
            layer.drop_below = <uint64_t> (spec.dropout[l] * 4294967296.0 + 0.5)
            layer.kept_scale = <real> (1 / (1 - layer.drop_below / 4294967296.0))
            plan.drops = True
        if l < spec.n_layers - 1 and (
                layer.activation.from_z or spec.dropout != NULL and spec.dropout[l + 1] > 0):
            plan.a_size += layer.ld_out
        layer.a_tile = plan.tile * plan.a_size
        layer.slope_tile = layer.z_tile
        layer.strips = plan.block_size
        layer.panels = plan.block_size + strip_count(layer.n_in + 1) * STRIP
        layer.first_strip = plan.n_strips
        layer.strips_before = plan.packed_strips
        plan.n_parameters += layer.n_rows * layer.n_out
        if l > 0:
            plan.transposed_size += layer.n_out * padded(layer.n_in)
        plan.a_size += layer.ld_out
        plan.block_size = layer.panels + padded(layer.n_out)
        plan.n_strips += strip_count(layer.n_in + 1) * panel_count(layer.n_out)
        plan.packed_strips += strip_count(layer.n_in + 1) * padded(layer.n_out)
    plan.layers[0].transposed = plan.transposed_size
    plan.input_noise = spec.input_noise
    plan.alters_inputs = plan.layers[0].drops or plan.input_noise > 0
    plan.drops = plan.drops or plan.alters_inputs
    return plan


cdef void free_plan(void* plan) noexcept nogil:
    if plan != NULL:
        free((<Plan*> plan).layers)
        free(plan)

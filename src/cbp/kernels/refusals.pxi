# Refusals before work starts: codes that have no table row, and losses that do not fit the output's activation.
#
# Needs: activations, losses, updates.
# Gives: pass_refusal, plan_refusal.

cdef inline bint is_loss_of(int g, int loss) noexcept nogil:
    """Whether the loss can be used with an output whose activation is g."""
    if g == SOFTMAX:
        return loss == SQUARED_ERROR or loss == CROSS_ENTROPY or loss == INNER_PRODUCT
    return loss_row(loss).error != NULL or pair_of(g, loss) != NULL


cdef int plan_refusal(const Spec* spec) noexcept nogil:
    """Return the reason why a network can have no plan, or ACCEPTED."""
    cdef int output = spec.activations[spec.n_layers - 1]
    cdef Py_ssize_t l
    for l in range(spec.n_layers - 1):
        if not is_elementwise(spec.activations[l]):
            return UNKNOWN_HIDDEN
    if not is_elementwise(output) and output != SOFTMAX:
        return UNKNOWN_OUTPUT
    return ACCEPTED if is_loss_of(output, spec.loss) else UNKNOWN_LOSS


cdef int pass_refusal(int mode, int optimizer) noexcept nogil:
    """Return the reason why a pass cannot be made, or ACCEPTED."""
    if mode != LOSS and mode != GRADIENT and mode != TRAIN:
        return UNKNOWN_MODE
    return ACCEPTED if optimizer_row(optimizer).update != NULL else UNKNOWN_OPTIMIZER

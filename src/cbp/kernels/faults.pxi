# Faults in the data, found while the examples are read.
#
# Needs: updates, data.
# Gives: all_finite, check_rows, check_targets, keep_first.
#
# Each thread reports the first fault that it finds; of those, the one in the lowest row of X and Y counts. With
# shuffling there may be others in still lower rows, or of another kind: faults.py looks for them.

cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    cdef vec total[4]                   # four chains, so that additions need not wait for each other
    cdef Py_ssize_t i = 0, whole = n // (4 * LANES) * (4 * LANES)
    cdef int c
    for c in range(4):
        total[c] = broadcast(0)
    while i < whole:
        for c in range(4):              # 0, or NaN from the first infinity or NaN on
            total[c] = mul_add(load(x + i + c * LANES), broadcast(0), total[c])
        i += 4 * LANES
    if sum_of_lanes((total[0] + total[1]) + (total[2] + total[3])) != 0:
        return False
    for i in range(whole, n):
        if not isfinite(x[i]):
            return False
    return True


cdef void report(Fault* fault, int kind, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    if fault.kind == NONE:
        fault.kind, fault.row, fault.column = kind, row, column


cdef void check_rows(
    const real* x, Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n,     # (n_rows, n)
    int kind, const Data* data, Py_ssize_t first, Fault* fault,
) noexcept nogil:
    """Report the first value that is not finite; without `data`, rows are numbered from `first` on."""
    cdef Py_ssize_t i, j
    if ld == n and all_finite(x, n_rows * n):
        return
    for i in range(n_rows):
        if not all_finite(x + i * ld, n):
            for j in range(n):
                if not isfinite(x[i * ld + j]):
                    report(fault, kind, first + i if data == NULL else row_of(data, first + i), j)
                    return


cdef void check_range(const Plan* plan, const real* y, Py_ssize_t n, Py_ssize_t row, Fault* fault) noexcept nogil:
    """Report targets that the loss cannot have; those of softmax are probabilities that sum to 1."""
    cdef real least = 0 if plan.probabilities else plan.loss_row.least
    cdef real most = INFINITY if plan.probabilities else plan.loss_row.most
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        if y[j] < least or y[j] > most:
            report(fault, Y_OUT_OF_RANGE, row, j)
            return
        total += y[j]
    if plan.probabilities and not -1e-3 <= total - 1 <= 1e-3:
        report(fault, Y_NOT_SUMMING_TO_ONE, row, 0)


cdef void check_targets(
    const Plan* plan, const Data* data, Py_ssize_t first, Py_ssize_t n_rows, Fault* fault,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, i
    if data.labels != NULL:
        return
    if data.order == NULL or data.Y_gathered:
        check_rows(targets_of(data, first, n), n, n_rows, n, Y_NOT_FINITE, data, first, fault)
    else:
        for i in range(n_rows):
            check_rows(targets_of(data, first + i, n), n, 1, n, Y_NOT_FINITE, data, first + i, fault)
    if plan.probabilities or plan.loss_row.least > -INFINITY or plan.loss_row.most < INFINITY:
        for i in range(n_rows):
            check_range(plan, targets_of(data, first + i, n), n, row_of(data, first + i), fault)


cdef void keep_first(Fault* kept, const Fault* other) noexcept nogil:
    """Keep the fault in the lower row of two; either may be NONE."""
    if other.kind != NONE and (kept.kind == NONE or other.row < kept.row):
        kept[0] = other[0]

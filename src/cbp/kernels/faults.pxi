# Faults in the data, found while the examples are read.
#
# Needs: updates, data.
# Gives: all_finite, check_rows, check_targets, keep_first.
#
# A fault is a value that cannot be used: one that is not finite, or a target that the loss does not allow. Each thread
# reports the first fault that it finds, and the report with the lowest row number in X and Y is kept. With shuffling,
# lower rows that were not read yet may have faults, too. So examples/faults.py searches the rows from the start once
# more, and names the first fault.

cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    cdef vec total[4]                   # four sums, so that an addition need not wait for the one before
    cdef Py_ssize_t i = 0, whole = n // (4 * LANES) * (4 * LANES)
    cdef int c
    for c in range(4):
        total[c] = broadcast(0)
    while i < whole:
        for c in range(4):              # x times 0 is 0, but NaN for infinity and NaN
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
    """Report the first value that is not finite, of the examples from `first` on. The row reported is that of
    the example in X and Y or, without `data`, the example's number."""
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
    """Report a target that the loss does not allow, and probabilities that do not sum to 1 (to within 1e-3)."""
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


cdef void check_given(const real* y, Py_ssize_t n, Py_ssize_t row, Fault* fault) noexcept nogil:
    """Report a target that is infinite, where one that is NaN is missing."""
    cdef Py_ssize_t j
    for j in range(n):
        if not isfinite(y[j]) and y[j] == y[j]:
            report(fault, Y_NOT_FINITE, row, j)
            return


cdef void check_targets(
    const Plan* plan, const Data* data, Py_ssize_t first, Py_ssize_t n_rows, Fault* fault,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, i
    if data.labels != NULL:
        return
    if data.missing:
        for i in range(n_rows):
            check_given(targets_of(data, first + i, n), n, row_of(data, first + i), fault)
    elif data.order == NULL or data.Y_gathered:
        check_rows(targets_of(data, first, n), n, n_rows, n, Y_NOT_FINITE, data, first, fault)
    else:
        for i in range(n_rows):
            check_rows(targets_of(data, first + i, n), n, 1, n, Y_NOT_FINITE, data, first + i, fault)
    if plan.probabilities or plan.loss_row.least > -INFINITY or plan.loss_row.most < INFINITY:
        for i in range(n_rows):
            check_range(plan, targets_of(data, first + i, n), n, row_of(data, first + i), fault)


cdef void keep_first(Fault* kept, const Fault* other) noexcept nogil:
    """Set `kept` to the one of two faults whose row number is lower. The kind of either may be NONE."""
    if other.kind != NONE and (kept.kind == NONE or other.row < kept.row):
        kept[0] = other[0]

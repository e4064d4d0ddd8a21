# Faults in the data, looked for while the examples are read anyway. A thread reports the first it finds, and of those
# the one in the lowest row of X and Y counts; with shuffling there may be others in lower rows still.

cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    """n a multiple of LANES"""
    cdef real[64] lane
    cdef vec total = broadcast(0)
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        total = mul_add(load(x + i), broadcast(0), total)   # 0, or NaN from the first infinity or NaN on
    store(lane, total)
    for i in range(LANES):
        if lane[i] != 0:
            return False
    return True


cdef void report(Fault* fault, int kind, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    if fault.kind == NONE:
        fault.kind, fault.row, fault.column = kind, row, column


cdef void check_row(const real* x, Py_ssize_t n, int kind, Py_ssize_t row, Fault* fault) noexcept nogil:
    cdef Py_ssize_t whole = n // LANES * LANES, j
    if not all_finite(x, whole):
        whole = 0
    for j in range(whole, n):
        if not isfinite(x[j]):
            report(fault, kind, row, j)
            return


cdef void check_inputs(
    const Data* data, Rows x, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n, Fault* fault,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n_rows):
        check_row(x.at + i * x.row, n, X_NOT_FINITE, row_of(data, first + i), fault)


cdef void check_targets(int g, int loss, const real* y, Py_ssize_t n, Py_ssize_t row, Fault* fault) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t j
    check_row(y, n, Y_NOT_FINITE, row, fault)
    if g != SOFTMAX and loss != CROSS_ENTROPY:
        return
    for j in range(n):
        if y[j] < 0 or (y[j] > 1 and g != SOFTMAX):
            report(fault, Y_NOT_IN_UNIT_INTERVAL, row, j)
            return
        total += y[j]
    if g == SOFTMAX and not -1e-3 <= total - 1 <= 1e-3:
        report(fault, Y_NOT_SUMMING_TO_ONE, row, 0)


cdef void keep_first(Fault* kept, const Fault* other) noexcept nogil:
    """Of two faults, if there are, the one in the lower row."""
    if other.kind != NONE and (kept.kind == NONE or other.row < kept.row):
        kept[0] = other[0]

# Single kernels, as tests call them to compare each with its twin in NumPy.
#
# Needs: layouts, products, one_row, packing, activations, softmax, updates, refusals, rest.
#
# Only the codes are checked; the caller answers for the sizes.

cdef inline bint is_left(int layout) noexcept nogil:
    return layout == ROWS or layout == COLUMNS or layout == STRIPS


cdef inline bint is_right(int layout) noexcept nogil:
    return layout == ROWS or layout == PANELS


cdef inline bint is_initial(int initial) noexcept nogil:
    return initial == ZERO or initial == BIAS or initial == ADD


cdef inline Rows left_operand(const Operand* of) noexcept nogil:
    cdef Rows rows
    if of.layout == STRIPS:
        return strips_of(<const real*> of.at, of.extent)
    rows = rows_of(<const real*> of.at, of.extent)
    return transposed(rows) if of.layout == COLUMNS else rows


cdef inline Panels right_operand(const Operand* of, Py_ssize_t first) noexcept nogil:
    if of.layout == PANELS:
        return packed_panels(<real*> of.at, of.extent, first)
    return row_panels(<real*> of.at, of.extent)


cdef bint multiply_as(const Multiplication* of) noexcept nogil:
    cdef Panels C = right_operand(&of.C, of.C_first), B = right_operand(&of.B, 0)
    cdef Rows A = left_operand(&of.A)
    cdef real* row = <real*> of.C.at
    if not (is_right(of.C.layout) and is_left(of.A.layout) and is_right(of.B.layout) and is_initial(of.initial)):
        return False
    if of.way == TILES:
        multiply(C, A, from_column(B, of.left), of.start, of.stop, of.n, of.n_k, <Initial> of.initial)
    elif of.way == ONE_ROW:
        multiply_row(row, A.at, B, of.n, of.n_k, <Initial> of.initial)
    elif of.way == ONE_ROW_AT_REST:
        multiply_row_at_rest(row, A.at, B.at, of.B.extent, of.n, of.n_k)
    elif of.way == OUTER:
        outer_product(C, A.at, B.at, of.stop, of.n)
    elif of.way == SUM_OF_ROWS:
        sum_rows(C, of.start, from_column(B, of.left), of.n_k, of.n, <Initial> of.initial)
    else:
        return False
    return True


cdef bint rearrange(const Rearrangement* of, bint* differ) noexcept nogil:
    """differ: the result of COMPARE_ROWS, of what lies packed at `to` with `source`."""
    cdef Layer layer
    cdef real* to = <real*> of.to
    cdef const real* source = <const real*> of.source
    cdef Py_ssize_t n_rows = of.stop - of.start
    memset(&layer, 0, sizeof(layer))
    layer.n_in, layer.n_out, layer.n_rows = of.n_rows - 1, of.n_columns, of.n_rows
    if of.move == PACK_ROWS:
        pack_rows(&layer, to, source, of.start, of.stop)
    elif of.move == UNPACK_ROWS:
        unpack_rows(&layer, to, source, of.start, of.stop)
    elif of.move == COMPARE_ROWS:
        differ[0] = rows_differ(&layer, to, source, of.start, of.stop)
    elif of.move == TRANSPOSE:
        transpose_weights(&layer, to, source, of.start, of.stop, 0, layer.n_out)
    elif of.move == PACK_PANELS:
        pack_panels(to, of.n_rows, of.start, source, of.ld, n_rows, of.n_columns)
    elif of.move == PACK_STRIPS:
        pack_strips(to, of.n_rows, of.start, source, of.ld, n_rows, of.n_columns)
    else:
        return False
    return True


cdef bint activate_as(
    int g, double number, void* z, void* workspace,    # (n_rows, ld), (n_rows,) to whole vectors
    Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    if g == SOFTMAX:
        softmax_rows(<real*> z, <real*> workspace, ld, n_rows, n)
    elif is_elementwise(g):
        activation_row(g).activate(<real*> z, <const real*> z, n_rows * ld, <real> number)
    else:
        return False
    return True


cdef bint times_derivative_as(
    int g, double number, void* delta, const void* z, const void* a, Py_ssize_t n,
) noexcept nogil:
    cdef ActivationRow row = activation_row(g)
    if not is_elementwise(g):
        return False
    row.times_derivative(<real*> delta, <const real*> (z if row.from_z else a), n, <real> number)
    return True


cdef bint step_as(const Update* of) noexcept nogil:
    cdef Cursor cursor
    cdef Step step
    cdef real* moments[MOST_MOMENTS]
    cdef int i
    if pass_refusal(TRAIN, of.rule.optimizer) != ACCEPTED:
        return False
    memset(&cursor, 0, sizeof(cursor))
    cursor.updates = of.updates
    step = step_constants(&of.rule, of.l2 != 0, True, of.learning_rate, of.m, &cursor)
    step.back = of.back
    for i in range(MOST_MOMENTS):
        moments[i] = <real*> of.moments[i]
    step.update(&step, <real*> of.W, moments, 0, <const real*> of.Delta, <real> of.l2 if of.are_weights else 0,
                of.are_weights, of.n)
    return True

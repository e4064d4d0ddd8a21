# Copies in other layouts: of rows into panels and strips, of W into its transpose.
#
# Needs: layouts.
# Gives: pack_panels, pack_strips, transpose_weights.

cdef void pack_panels(
    real* panels,                       # (capacity, n) in panels; rows at to at + n_rows are written
    Py_ssize_t capacity, Py_ssize_t at,
    const real* rows, Py_ssize_t ld,    # (n_rows, n), readable to whole vectors, zero past n
    Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t p = 0, j = 0, i, v, width
    cdef real* to
    CHECK(at + n_rows <= capacity and ld >= padded(n))
    while j < n:
        width = panel_width(n - j)
        to = panels + p * 2 * LANES * capacity + at * width
        for i in range(n_rows):
            for v in range(width // LANES):
                store(to + i * width + v * LANES, load(rows + i * ld + j + v * LANES))
        j += 2 * LANES
        p += 1


cdef void pack_strips(
    real* strips,                       # (capacity, n + 1) in strips; rows at to at + n_rows are written
    Py_ssize_t capacity, Py_ssize_t at,
    const real* rows, Py_ssize_t ld,    # (n_rows, n)
    Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """Pack activations for the weight gradient, with the bias's input of 1 as the column after the last."""
    cdef Py_ssize_t s, i, j, left
    cdef real* to
    CHECK(at + n_rows <= capacity and ld >= n)
    for s in range((n + 1 + STRIP - 1) // STRIP):
        to = strips + (s * capacity + at) * STRIP
        left = n - s * STRIP
        if left >= STRIP:
            for i in range(n_rows):
                memcpy(to + i * STRIP, rows + i * ld + s * STRIP, STRIP * sizeof(real))
        else:
            for i in range(n_rows):
                for j in range(left):
                    to[i * STRIP + j] = rows[i * ld + s * STRIP + j]
                to[i * STRIP + left] = 1


cdef void transpose_weights(
    const Layer* layer, real* transposed, const real* packed, Py_ssize_t start, Py_ssize_t stop,
    Py_ssize_t left, Py_ssize_t right,
) noexcept nogil:
    """Rows start to stop of W and its columns left to right, from panels into the panels of W^T, whose padding was zero
    before."""
    cdef Py_ssize_t above = start // (2 * LANES) * (2 * LANES), below, i, j, k, width, width_T
    cdef const real* at
    cdef real* to
    if layer.n_out == 1:                # the loops below take 4 weights 180 instructions, of 2-4-1's 1,100 a step
        for i in range(start, stop):
            transposed[i] = packed[i * LANES]
        return
    while above < stop:                 # a panel of W^T has rows above to below of W
        below = min(above + 2 * LANES, stop)
        width_T = panel_width(layer.n_in - above)
        for j from left <= j < right by 2 * LANES:
            width = panel_width(layer.n_out - j)
            at = packed + j * (layer.n_in + 1)
            to = transposed + above * layer.n_out + j * width_T
            for i in range(max(start, above), below):
                for k in range(min(width, layer.n_out - j)):
                    to[k * width_T + i - above] = at[i * width + k]
        above += 2 * LANES

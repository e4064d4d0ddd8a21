# Matrix products: one micro-kernel, the panels and strips it reads, and the loop around it.
#
# Every element of C is one chain of fused multiply-adds over k in order, in every shape of tile, so that a row of
# a product depends on nothing but that row of A: not on its neighbours, the tile, or who computes it.
#
# Two packed layouts:
#   panels   of a matrix of n columns: PANEL columns wide, each panel row after row; a last panel of LANES columns
#            where no more are needed. B and Delta are read and written so; columns past n hold zeros.
#   strips   of a matrix: STRIP columns wide, each strip row after row. The left operand of the weight gradient.
#
# Measured on Zen 3 (f32, AVX2): 94-99 GFLOP/s of 108 from panels and either rows or strips, 60-75 where the panels
# of delta are left unpacked.

cdef enum:
    STRIP = 6                           # rows of a tile: 6 x 2 vectors of sums leave 4 of 16 registers

cdef enum Start:                        # what the sums start from
    ZERO
    BIAS                                # the row of B after the last
    CONTINUE                            # C as it stands


cdef struct Rows:                       # the left operand, element (i, k) at at[i * row + k * col]
    const real* at
    Py_ssize_t row
    Py_ssize_t col
    Py_ssize_t strip                    # from row i to row i + STRIP


cdef struct Panels:
    real* at
    Py_ssize_t panel                    # from one panel to the next
    Py_ssize_t row                      # from one row to the next; 0: packed, so the panel's own width


cdef inline Py_ssize_t panel_width(Py_ssize_t columns) noexcept nogil:
    """Width of the next panel where `columns` are still to come."""
    return 2 * LANES if columns > LANES else LANES


cdef inline Py_ssize_t padded(Py_ssize_t columns) noexcept nogil:
    """Columns rounded up to whole vectors: the width of all panels together."""
    return (columns + LANES - 1) // LANES * LANES


cdef inline Panels packed_panels(real* at, Py_ssize_t n_rows) noexcept nogil:
    cdef Panels panels
    panels.at = at
    panels.panel = 2 * LANES * n_rows
    panels.row = 0
    return panels


cdef inline void tile_body(
    const int n_rows, const int n_vectors,
    real* C, Py_ssize_t C_row,          # (n_rows, n_vectors * LANES)
    const real* S, Py_ssize_t S_row,    # the sums' start, as C; a row of 0 repeats the first
    Rows A,                             # (n_rows, n_k)
    const real* B, Py_ssize_t B_row,    # (n_k, n_vectors * LANES)
    Py_ssize_t n_k,
) noexcept nogil:
    # With n_rows and n_vectors constant, the inner loops unroll and `total` lives in registers.
    cdef vec total[STRIP][2]
    cdef vec b[2]
    cdef vec a
    cdef const real* A_k = A.at
    cdef Py_ssize_t k
    cdef int i, v
    for i in range(n_rows):
        for v in range(n_vectors):
            total[i][v] = load(S + i * S_row + v * LANES)
    # C_ij = S_ij + sum_k A_ik B_kj
    for k in range(n_k):
        for v in range(n_vectors):
            b[v] = load(B + v * LANES)
        for i in range(n_rows):
            a = broadcast(A_k[i * A.row])
            for v in range(n_vectors):
                total[i][v] = a * b[v] + total[i][v]
        A_k += A.col
        B += B_row
    for i in range(n_rows):
        for v in range(n_vectors):
            store(C + i * C_row + v * LANES, total[i][v])


cdef void tile(
    int n_rows, int n_vectors, real* C, Py_ssize_t C_row, const real* S, Py_ssize_t S_row,
    Rows A, const real* B, Py_ssize_t B_row, Py_ssize_t n_k,
) noexcept nogil:
    """`tile_body` for any shape up to STRIP rows and 2 vectors."""
    CHECK(1 <= n_rows <= STRIP and 1 <= n_vectors <= 2)
    if n_vectors == 2:
        if n_rows == 6:
            tile_body(6, 2, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 5:
            tile_body(5, 2, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 4:
            tile_body(4, 2, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 3:
            tile_body(3, 2, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 2:
            tile_body(2, 2, C, C_row, S, S_row, A, B, B_row, n_k)
        else:
            tile_body(1, 2, C, C_row, S, S_row, A, B, B_row, n_k)
    else:
        if n_rows == 6:
            tile_body(6, 1, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 5:
            tile_body(5, 1, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 4:
            tile_body(4, 1, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 3:
            tile_body(3, 1, C, C_row, S, S_row, A, B, B_row, n_k)
        elif n_rows == 2:
            tile_body(2, 1, C, C_row, S, S_row, A, B, B_row, n_k)
        else:
            tile_body(1, 1, C, C_row, S, S_row, A, B, B_row, n_k)


# What the sums of a product without a start begin with.
cdef real[64] ZEROS                     # two vectors of the widest kind


cdef void multiply(
    Panels C,                           # rows first to last of (M, n)
    Rows A,                             # (M, n_k)
    Panels B,                           # (n_k, n), and one row more where start is BIAS
    Py_ssize_t first, Py_ssize_t last,  # first a multiple of STRIP
    Py_ssize_t n, Py_ssize_t n_k,
    Start start,
) noexcept nogil:
    """C = start + A B, for the rows of C from first to last."""
    cdef Py_ssize_t p = 0, j = 0, i, width, B_row, C_row, S_row
    cdef real* c
    cdef const real* b
    cdef const real* s
    cdef Rows a = A
    CHECK(first % STRIP == 0)
    while j < n:
        width = panel_width(n - j)
        B_row = B.row if B.row else width
        C_row = C.row if C.row else width
        b = B.at + p * B.panel
        i = first
        while i < last:
            c = C.at + p * C.panel + i * C_row
            a.at = A.at + i // STRIP * A.strip
            if start == ZERO:
                s, S_row = ZEROS, 0
            elif start == BIAS:
                s, S_row = b + n_k * B_row, 0
            else:
                s, S_row = c, C_row
            tile(<int> min(STRIP, last - i), <int> (width // LANES), c, C_row, s, S_row, a, b, B_row, n_k)
            i += STRIP
        j += 2 * LANES
        p += 1


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
                for j in range(STRIP):
                    to[i * STRIP + j] = rows[i * ld + s * STRIP + j]
        else:
            for i in range(n_rows):
                for j in range(left):
                    to[i * STRIP + j] = rows[i * ld + s * STRIP + j]
                to[i * STRIP + left] = 1

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


cdef inline Rows rows_of(const real* at, Py_ssize_t ld) noexcept nogil:
    """A matrix that lies row by row."""
    cdef Rows rows
    rows.at, rows.row, rows.col, rows.strip = at, ld, 1, STRIP * ld
    return rows


cdef struct Panels:
    real* at
    Py_ssize_t panel                    # from one panel to the next
    Py_ssize_t row                      # from one row to the next; 0: packed, so the panel's own width
    Py_ssize_t first                    # number of the row that lies at `at`


cdef inline Py_ssize_t panel_width(Py_ssize_t columns) noexcept nogil:
    """Width of the next panel where `columns` are still to come."""
    return 2 * LANES if columns > LANES else LANES


cdef inline Py_ssize_t padded(Py_ssize_t columns) noexcept nogil:
    """Columns rounded up to whole vectors: the width of all panels together."""
    return (columns + LANES - 1) // LANES * LANES


cdef inline Panels packed_panels(real* at, Py_ssize_t n_rows, Py_ssize_t first=0) noexcept nogil:
    cdef Panels panels
    panels.at, panels.panel, panels.row, panels.first = at, 2 * LANES * n_rows, 0, first
    return panels


cdef inline Panels row_panels(real* at, Py_ssize_t ld) noexcept nogil:
    """A matrix that lies row by row."""
    cdef Panels panels
    panels.at, panels.panel, panels.row, panels.first = at, 2 * LANES, ld, 0
    return panels


cdef inline Panels from_column(Panels panels, Py_ssize_t left) noexcept nogil:
    """The panels from a column on with which one begins."""
    panels.at += left // (2 * LANES) * panels.panel
    return panels


cdef struct Strips:                     # tiles below each other in one panel
    real* C                             # (rows, width)
    Py_ssize_t C_row
    const real* S                       # the sums' start, as C; a row length of 0 repeats the first
    Py_ssize_t S_row
    Rows A                              # (rows, n_k)
    const real* B                       # (n_k, width)
    Py_ssize_t B_row
    Py_ssize_t n_k


cdef inline void multiply_strips_body(const int n_rows, const int n_vectors, Py_ssize_t n, Strips of) noexcept nogil:
    """n tiles of n_rows rows and n_vectors vectors.

    With n_rows and n_vectors constant, the loops over them unroll and `total` lives in registers; they do so only
    inside another loop (GCC 12), which is why tiles are not a function of their own.
    """
    cdef vec total[2 * STRIP]           # (n_rows, n_vectors)
    cdef vec b[2 * STRIP]
    cdef vec a
    cdef const real* A_k
    cdef const real* B_k
    cdef Py_ssize_t s, k
    cdef int i, v
    for s in range(n):
        for i in range(n_rows):
            for v in range(n_vectors):
                total[i * n_vectors + v] = load(of.S + i * of.S_row + v * LANES)
        A_k, B_k = of.A.at, of.B
        # C_ij = S_ij + sum_k A_ik B_kj
        for k in range(of.n_k):
            for v in range(n_vectors):
                b[v] = load(B_k + v * LANES)
            for i in range(n_rows):
                a = broadcast(A_k[i * of.A.row])
                for v in range(n_vectors):
                    total[i * n_vectors + v] = mul_add(a, b[v], total[i * n_vectors + v])
            A_k += of.A.col
            B_k += of.B_row
        for i in range(n_rows):
            for v in range(n_vectors):
                store(of.C + i * of.C_row + v * LANES, total[i * n_vectors + v])
        of.C += STRIP * of.C_row
        of.S += STRIP * of.S_row
        of.A.at += of.A.strip


cdef void multiply_strips(int n_rows, int n_vectors, Py_ssize_t n, Strips* of) noexcept nogil:
    """`multiply_strips_body` for any tile up to STRIP rows and 2 vectors."""
    CHECK(1 <= n_rows <= STRIP and 1 <= n_vectors <= 2)
    if n_vectors == 2:
        if n_rows == 6:
            multiply_strips_body(6, 2, n, of[0])
        elif n_rows == 5:
            multiply_strips_body(5, 2, n, of[0])
        elif n_rows == 4:
            multiply_strips_body(4, 2, n, of[0])
        elif n_rows == 3:
            multiply_strips_body(3, 2, n, of[0])
        elif n_rows == 2:
            multiply_strips_body(2, 2, n, of[0])
        else:
            multiply_strips_body(1, 2, n, of[0])
    else:
        if n_rows == 6:
            multiply_strips_body(6, 1, n, of[0])
        elif n_rows == 5:
            multiply_strips_body(5, 1, n, of[0])
        elif n_rows == 4:
            multiply_strips_body(4, 1, n, of[0])
        elif n_rows == 3:
            multiply_strips_body(3, 1, n, of[0])
        elif n_rows == 2:
            multiply_strips_body(2, 1, n, of[0])
        else:
            multiply_strips_body(1, 1, n, of[0])


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
    cdef Py_ssize_t whole = (last - first) // STRIP, left = (last - first) % STRIP
    cdef Py_ssize_t p = 0, j = 0, width, still, height
    cdef int n_vectors
    cdef Strips strips
    # A tile of up to 3 rows takes as long as one of 4: where rows can be parted anywhere, two halves are better.
    if 0 < left < 4 and whole > 0 and A.strip == STRIP * A.row:
        whole, left = whole - 1, left + STRIP
    CHECK(first % STRIP == 0)
    strips.n_k = n_k
    while j < n:
        width = panel_width(n - j)
        n_vectors = <int> (width // LANES)
        strips.B, strips.B_row = B.at + p * B.panel, B.row if B.row else width
        strips.C_row = C.row if C.row else width
        strips.C = C.at + p * C.panel + (first - C.first) * strips.C_row
        strips.A = A
        strips.A.at += first // STRIP * A.strip
        if start == CONTINUE:
            strips.S, strips.S_row = strips.C, strips.C_row
        else:
            strips.S, strips.S_row = strips.B + n_k * strips.B_row if start == BIAS else ZEROS, 0
        if whole > 0:
            multiply_strips(STRIP, n_vectors, whole, &strips)
        strips.C += whole * STRIP * strips.C_row
        strips.S += whole * STRIP * strips.S_row
        strips.A.at += whole * A.strip
        still = left
        while still > 0:
            height = still if still <= STRIP else (still + 1) // 2
            multiply_strips(<int> height, n_vectors, 1, &strips)
            strips.C += height * strips.C_row
            strips.S += height * strips.S_row
            strips.A.at += height * A.row
            still -= height
        j += 2 * LANES
        p += 1


cdef inline void multiply_row(
    real* C,                            # (n,), writable to whole vectors
    const real* a,                      # (n_k,)
    Panels B,                           # (n_k, n), and one row more where start is BIAS
    Py_ssize_t n, Py_ssize_t n_k,
    Start start,                        # not CONTINUE
) noexcept nogil:
    """C = start + a B for one row: `multiply` without what it takes to go through many."""
    cdef Py_ssize_t j = 0, k, B_row
    cdef const real* B_k = B.at
    cdef const real* at
    cdef vec left, right, a_k
    while n - j > LANES:
        at, B_row = B_k, B.row if B.row else 2 * LANES
        left = right = broadcast(0)
        if start == BIAS:
            left, right = load(at + n_k * B_row), load(at + n_k * B_row + LANES)
        for k in range(n_k):
            a_k = broadcast(a[k])
            left = mul_add(a_k, load(at), left)
            right = mul_add(a_k, load(at + LANES), right)
            at += B_row
        store(C + j, left)
        store(C + j + LANES, right)
        B_k += B.panel
        j += 2 * LANES
    if j < n:
        B_row = B.row if B.row else LANES
        left = load(B_k + n_k * B_row) if start == BIAS else broadcast(0)
        for k in range(n_k):
            left = mul_add(broadcast(a[k]), load(B_k + k * B_row), left)
        store(C + j, left)


cdef void multiply_row_at_rest(
    real* C,                            # (n,), writable to whole vectors
    const real* a,                      # (n_k,)
    const real* B, Py_ssize_t ld,       # (n_k + 1, n), readable to whole vectors; the last row is the start
    Py_ssize_t n, Py_ssize_t n_k,
) noexcept nogil:
    """C = B[n_k] + a B for one row, from a B that lies row by row: wide tiles, for one row has few chains."""
    cdef Strips strips
    cdef Py_ssize_t j = 0, n_vectors
    strips.C_row = strips.S_row = 0
    strips.A = rows_of(a, 0)
    strips.B_row, strips.n_k = ld, n_k
    while j < n:
        n_vectors = (n - j + LANES - 1) // LANES
        strips.C, strips.B, strips.S = C + j, B + j, B + n_k * ld + j
        if n_vectors >= 8:
            multiply_strips_body(1, 8, 1, strips)
            j += 8 * LANES
        elif n_vectors >= 4:
            multiply_strips_body(1, 4, 1, strips)
            j += 4 * LANES
        elif n_vectors >= 2:
            multiply_strips_body(1, 2, 1, strips)
            j += 2 * LANES
        else:
            multiply_strips_body(1, 1, 1, strips)
            j += LANES


cdef inline void outer_product(
    Panels C,                           # (n_in + 1, n), packed
    const real* a,                      # (n_in,)
    const real* delta,                  # (n,), readable to whole vectors
    Py_ssize_t n_in, Py_ssize_t n,
) noexcept nogil:
    """C = 0 + (a, 1)^T delta: the weight gradient of one example."""
    cdef Py_ssize_t j = 0, k
    cdef real* C_k
    cdef vec left, right, a_k, zero = broadcast(0)      # which -0 is turned into 0 by, as in longer sums
    while n - j > LANES:
        C_k, left, right = C.at, load(delta + j), load(delta + j + LANES)
        for k in range(n_in):
            a_k = broadcast(a[k])
            store(C_k, mul_add(a_k, left, zero))
            store(C_k + LANES, mul_add(a_k, right, zero))
            C_k += 2 * LANES
        store(C_k, left + zero)
        store(C_k + LANES, right + zero)
        C.at += C.panel
        j += 2 * LANES
    if j < n:
        left = load(delta + j)
        for k in range(n_in):
            store(C.at + k * LANES, mul_add(broadcast(a[k]), left, zero))
        store(C.at + n_in * LANES, left + zero)


cdef inline Rows transposed(Rows a) noexcept nogil:
    """Columns of a matrix as rows."""
    cdef Rows columns
    columns.at, columns.row, columns.col, columns.strip = a.at, a.col, a.row, STRIP * a.col
    return columns


cdef inline void sum_rows(
    Panels total, Py_ssize_t row,       # of (row + 1, n), packed
    Panels of, Py_ssize_t n_rows,       # (n_rows, n)
    Py_ssize_t n, Start start,          # ZERO or CONTINUE
) noexcept nogil:
    """A row of panels as the sum of others, in order."""
    cdef Py_ssize_t j = 0, i, of_row = of.row if of.row else 2 * LANES
    cdef const real* of_i
    cdef real* to
    cdef vec left, right
    while n - j > LANES:
        to = total.at + row * 2 * LANES
        left, right = broadcast(0), broadcast(0)
        if start == CONTINUE:
            left, right = load(to), load(to + LANES)
        of_i = of.at
        for i in range(n_rows):
            left = left + load(of_i)
            right = right + load(of_i + LANES)
            of_i += of_row
        store(to, left)
        store(to + LANES, right)
        total.at += total.panel
        of.at += of.panel
        j += 2 * LANES
    if j < n:
        of_row = of.row if of.row else LANES
        to = total.at + row * LANES
        left = load(to) if start == CONTINUE else broadcast(0)
        for i in range(n_rows):
            left = left + load(of.at + i * of_row)
        store(to, left)


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

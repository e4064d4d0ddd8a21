# Matrix products: one micro-kernel, the panels and strips it reads, and the loop around it.
#
# Every element of C is a chain of fused multiply-adds over k in order, in every shape of tile, so that a row of
# a product depends on nothing but that row of A: not on its neighbours, the tile, or who computes it. Where k counts
# examples, which may be many, chains have a bounded length, and their sums are added up in order.
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


cdef struct Rows:                       # the left operand, element (i, k) at at[i * row + k * col]
    const real* at
    Py_ssize_t row
    Py_ssize_t col
    Py_ssize_t strip                    # from row i to row i + STRIP
    Py_ssize_t chain                    # the most of k that are summed in one chain


cdef inline Rows rows_of(const real* at, Py_ssize_t ld) noexcept nogil:
    """A matrix that lies row by row, with one chain for all of k."""
    cdef Rows rows
    rows.at, rows.row, rows.col, rows.strip, rows.chain = at, ld, 1, STRIP * ld, PY_SSIZE_T_MAX
    return rows


cdef inline Rows strips_of(const real* at, Py_ssize_t capacity, Py_ssize_t chain) noexcept nogil:
    """Packed strips of a matrix, (capacity, n), as the rows of its transpose."""
    cdef Rows rows
    rows.at, rows.row, rows.col, rows.strip, rows.chain = at, 1, STRIP, STRIP * capacity, chain
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
    bint add                            # add the sums to C
    const real* S                       # the sums' start, (width,)
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
                total[i * n_vectors + v] = load(of.S + v * LANES)
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
        if of.add:
            for i in range(n_rows):
                for v in range(n_vectors):
                    total[i * n_vectors + v] = load(of.C + i * of.C_row + v * LANES) + total[i * n_vectors + v]
        for i in range(n_rows):
            for v in range(n_vectors):
                store(of.C + i * of.C_row + v * LANES, total[i * n_vectors + v])
        of.C += STRIP * of.C_row
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


cdef inline void multiply_panel(Py_ssize_t n_rows, int n_vectors, Strips of) noexcept nogil:
    """All rows of a panel, by one chain each."""
    cdef Py_ssize_t whole = n_rows // STRIP, left = n_rows % STRIP, height
    # A tile of up to 3 rows takes as long as one of 4: where rows can be parted anywhere, two halves are better.
    if 0 < left < 4 and whole > 0 and of.A.strip == STRIP * of.A.row:
        whole, left = whole - 1, left + STRIP
    if whole > 0:
        multiply_strips(STRIP, n_vectors, whole, &of)
    of.C += whole * STRIP * of.C_row
    of.A.at += whole * of.A.strip
    while left > 0:
        height = left if left <= STRIP else (left + 1) // 2
        multiply_strips(<int> height, n_vectors, 1, &of)
        of.C += height * of.C_row
        of.A.at += height * of.A.row
        left -= height


cdef void multiply(
    Panels C,                           # rows first to last of (M, n)
    Rows A,                             # (M, n_k)
    Panels B,                           # (n_k, n), and one row more where start is BIAS
    Py_ssize_t first, Py_ssize_t last,  # first a multiple of STRIP
    Py_ssize_t n, Py_ssize_t n_k,
    Start start,
) noexcept nogil:
    """C = start + A B, for the rows of C from first to last."""
    cdef Py_ssize_t p = 0, j = 0, k, width
    cdef const real* B_p
    cdef Strips strips
    CHECK(first % STRIP == 0)
    while j < n:
        width = panel_width(n - j)
        B_p, strips.B_row = B.at + p * B.panel, B.row if B.row else width
        strips.C_row = C.row if C.row else width
        strips.C = C.at + p * C.panel + (first - C.first) * strips.C_row
        strips.S = B_p + n_k * strips.B_row if start == BIAS else ZEROS
        strips.A = A
        for k from 0 <= k < n_k by A.chain:
            strips.A.at = A.at + first // STRIP * A.strip + k * A.col
            strips.B = B_p + k * strips.B_row
            strips.n_k, strips.add = min(A.chain, n_k - k), k > 0 or start == ADD
            multiply_panel(last - first, <int> (width // LANES), strips)
            strips.S = ZEROS            # the first chain alone starts from the bias
        j += 2 * LANES
        p += 1


cdef inline void multiply_row(
    real* C,                            # (n,), writable to whole vectors
    const real* a,                      # (n_k,)
    Panels B,                           # (n_k, n), and one row more where start is BIAS
    Py_ssize_t n, Py_ssize_t n_k,
    Start start,                        # ZERO or BIAS
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
    strips.C_row = strips.add = 0
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
    columns.at, columns.row, columns.col, columns.strip, columns.chain = a.at, a.col, a.row, STRIP * a.col, a.chain
    return columns


cdef inline void sum_rows_body(
    const int n_vectors, real* total,   # (n_vectors * LANES,)
    const real* of, Py_ssize_t ld,      # (n_rows, ld)
    Py_ssize_t n_rows, Py_ssize_t longest, Start start,
) noexcept nogil:
    cdef vec sums[2]
    cdef vec chain[2]
    cdef Py_ssize_t i = 0, stop
    cdef int v
    sums[0] = sums[1] = broadcast(0)
    for v in range(n_vectors):
        if start == ADD:
            sums[v] = load(total + v * LANES)
    while i < n_rows:
        stop = i + min(longest, n_rows - i)
        for v in range(n_vectors):
            chain[v] = broadcast(0)
        while i < stop:
            for v in range(n_vectors):
                chain[v] = chain[v] + load(of + i * ld + v * LANES)
            i += 1
        for v in range(n_vectors):
            sums[v] = sums[v] + chain[v]
    for v in range(n_vectors):
        store(total + v * LANES, sums[v])


cdef inline void sum_rows(
    Panels total, Py_ssize_t row,       # of (row + 1, n), packed
    Panels of, Py_ssize_t n_rows,       # (n_rows, n)
    Py_ssize_t n, Py_ssize_t chain, Start start,    # ZERO or ADD
) noexcept nogil:
    """A row of panels as the sum of others: what `multiply` makes of a row of ones."""
    cdef Py_ssize_t j = 0
    while n - j > LANES:
        sum_rows_body(2, total.at + row * 2 * LANES, of.at, of.row if of.row else 2 * LANES, n_rows, chain, start)
        total.at += total.panel
        of.at += of.panel
        j += 2 * LANES
    if j < n:
        sum_rows_body(1, total.at + row * LANES, of.at, of.row if of.row else LANES, n_rows, chain, start)


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

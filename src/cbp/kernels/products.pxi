# Matrix products: one micro-kernel, and the loops around it.
#
# Needs: layouts.
# Gives: multiply, multiply_row, multiply_row_at_rest, outer_product, sum_rows.
#
# Every element of C is a chain of fused multiply-adds over k in order, in every shape of tile. So a row of a product
# depends on its row of A alone: not on neighbours, tiles or threads. Where k counts examples, which may be many, chains
# have a bounded length, and their sums are added in order.
#
# Measured on Zen 3 (f32, AVX2): 94-99 GFLOP/s of 108 from panels and either rows or strips, 60-75 where the panels
# of delta are left unpacked.

cdef inline void multiply_strips_body(
    const int n_rows, const int n_vectors, Py_ssize_t n, MicroTiles of,
) noexcept nogil:
    """n tiles of n_rows rows and n_vectors vectors.

    With constant n_rows and n_vectors, the loops over them unroll and `total` stays in registers. GCC 12 does this only
    inside another loop, so a tile is not a function of its own.
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


cdef void multiply_strips(int n_rows, int n_vectors, Py_ssize_t n, MicroTiles* of) noexcept nogil:
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


# The initial value of products without bias.
cdef real[64] ZEROS                     # two vectors of the widest kind


cdef inline void multiply_panel(Py_ssize_t n_rows, int n_vectors, MicroTiles of) noexcept nogil:
    """All rows of a panel, one chain for each element."""
    cdef Py_ssize_t whole = n_rows // STRIP, left = n_rows % STRIP, height
    # A tile of up to 3 rows takes as long as one of 4. Where rows can be split anywhere, two halves are better.
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
    Panels C,                           # rows start to stop of (M, n)
    Rows A,                             # (M, n_k)
    Panels B,                           # (n_k, n), and one row more where initial is BIAS
    Py_ssize_t start, Py_ssize_t stop,  # start a multiple of STRIP
    Py_ssize_t n, Py_ssize_t n_k,
    Initial initial,
) noexcept nogil:
    """C = initial + A B, for the rows of C from start to stop."""
    cdef Py_ssize_t p = 0, j = 0, k, width
    cdef const real* B_p
    cdef MicroTiles strips
    CHECK(start % STRIP == 0)
    while j < n:
        width = panel_width(n - j)
        B_p, strips.B_row = B.at + p * B.panel, B.row if B.row else width
        strips.C_row = C.row if C.row else width
        strips.C = C.at + p * C.panel + (start - C.first) * strips.C_row
        strips.S = B_p + n_k * strips.B_row if initial == BIAS else ZEROS
        strips.A = A
        for k from 0 <= k < n_k by A.chain:
            strips.A.at = A.at + start // STRIP * A.strip + k * A.col
            strips.B = B_p + k * strips.B_row
            strips.n_k, strips.add = min(A.chain, n_k - k), k > 0 or initial == ADD
            multiply_panel(stop - start, <int> (width // LANES), strips)
            strips.S = ZEROS            # the first chain alone starts from the bias
        j += 2 * LANES
        p += 1


cdef inline void multiply_row(
    real* C,                            # (n,), writable to whole vectors
    const real* a,                      # (n_k,)
    Panels B,                           # (n_k, n), and one row more where initial is BIAS
    Py_ssize_t n, Py_ssize_t n_k,
    Initial initial,                    # ZERO or BIAS
) noexcept nogil:
    """C = initial + a B for one row: `multiply` without its loops over rows."""
    cdef Py_ssize_t j = 0, k, B_row
    cdef const real* B_k = B.at
    cdef const real* at
    cdef vec left, right, a_k
    while n - j > LANES:
        at, B_row = B_k, B.row if B.row else 2 * LANES
        left = right = broadcast(0)
        if initial == BIAS:
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
        left = load(B_k + n_k * B_row) if initial == BIAS else broadcast(0)
        for k in range(n_k):
            left = mul_add(broadcast(a[k]), load(B_k + k * B_row), left)
        store(C + j, left)


cdef void multiply_row_at_rest(
    real* C,                            # (n,), writable to whole vectors
    const real* a,                      # (n_k,)
    const real* B, Py_ssize_t ld,       # (n_k + 1, n), readable to whole vectors
    Py_ssize_t n, Py_ssize_t n_k,
) noexcept nogil:
    """C = B[n_k] + a B for one row, from a B that lies row by row. Tiles are wide, since one row has few chains."""
    cdef MicroTiles strips
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
    cdef vec left, right, a_k, zero = broadcast(0)      # turns -0 into 0, as longer sums do
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


cdef inline void sum_rows_body(
    const int n_vectors, real* total,   # (n_vectors * LANES,)
    const real* of, Py_ssize_t ld,      # (n_rows, ld)
    Py_ssize_t n_rows, Py_ssize_t longest, Initial initial,
) noexcept nogil:
    cdef vec sums[2]
    cdef vec chain[2]
    cdef Py_ssize_t i = 0, stop
    cdef int v
    sums[0] = sums[1] = broadcast(0)
    for v in range(n_vectors):
        if initial == ADD:
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
    Py_ssize_t n, Py_ssize_t chain, Initial initial,    # ZERO or ADD
) noexcept nogil:
    """A row of panels as the sum of others: what `multiply` makes of a row of ones."""
    cdef Py_ssize_t j = 0
    while n - j > LANES:
        sum_rows_body(2, total.at + row * 2 * LANES, of.at, of.row if of.row else 2 * LANES, n_rows, chain, initial)
        total.at += total.panel
        of.at += of.panel
        j += 2 * LANES
    if j < n:
        sum_rows_body(1, total.at + row * LANES, of.at, of.row if of.row else LANES, n_rows, chain, initial)

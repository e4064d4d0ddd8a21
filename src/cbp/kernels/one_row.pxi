# Products of a single row, to the bits that it would have among others.
#
# Needs: layouts, products.
# Gives: multiply_row, multiply_row_at_rest, outer_product, sum_rows.

cdef inline void multiply_row(
    real* C,                            # (n,), writable to whole vectors
    const real* a,                      # (n_k,)
    Panels B,                           # (n_k, n), and one row more where initial is BIAS
    Py_ssize_t n, Py_ssize_t n_k,
    Initial initial,                    # ZERO or BIAS
) noexcept nogil:
    """C = initial + a B for one row: `multiply` without its loops over rows."""
    cdef Py_ssize_t j = 0, k, first, stop, B_row
    cdef const real* B_j = B.at
    cdef const real* at
    cdef vec left, right, left_sum, right_sum, a_k
    while n - j > LANES:
        at, B_row = B_j, B.row if B.row else 2 * LANES
        left = right = left_sum = right_sum = broadcast(0)
        if initial == BIAS:
            left, right = load(at + n_k * B_row), load(at + n_k * B_row + LANES)
        for first from 0 <= first < n_k by CHAIN:
            stop = min(first + CHAIN, n_k)
            for k in range(first, stop):
                a_k = broadcast(a[k])
                left = mul_add(a_k, load(at), left)
                right = mul_add(a_k, load(at + LANES), right)
                at += B_row
            left_sum = left if first == 0 else left_sum + left
            right_sum = right if first == 0 else right_sum + right
            left = right = broadcast(0)
        store(C + j, left_sum)
        store(C + j + LANES, right_sum)
        B_j += B.panel
        j += 2 * LANES
    if j < n:
        at, B_row = B_j, B.row if B.row else LANES
        left = load(at + n_k * B_row) if initial == BIAS else broadcast(0)
        left_sum = broadcast(0)
        for first from 0 <= first < n_k by CHAIN:
            for k in range(first, min(first + CHAIN, n_k)):
                left = mul_add(broadcast(a[k]), load(at + k * B_row), left)
            left_sum = left if first == 0 else left_sum + left
            left = broadcast(0)
        store(C + j, left_sum)


cdef void multiply_row_at_rest(
    real* C,                            # (n,), writable to whole vectors
    const real* a,                      # (n_k,)
    const real* B, Py_ssize_t ld,       # (n_k + 1, n), readable to whole vectors
    Py_ssize_t n, Py_ssize_t n_k,
) noexcept nogil:
    """C = B[n_k] + a B for one row, from a B that lies row by row. Tiles are wide, since one row has few chains."""
    cdef MicroTiles of
    cdef Py_ssize_t j = 0, k, left, wide
    of.C_row, of.B_row = 0, ld
    while j < n:
        left = (n - j + LANES - 1) // LANES
        wide = 8 if left >= 8 else 4 if left >= 4 else 2 if left >= 2 else 1
        of.C, of.S = C + j, B + n_k * ld + j
        for k from 0 <= k < n_k by CHAIN:
            of.A, of.B, of.n_k, of.add = rows_of(a + k, 0), B + k * ld + j, min(CHAIN, n_k - k), k > 0
            if wide == 8:
                multiply_strips_body(1, 8, 1, of)
            elif wide == 4:
                multiply_strips_body(1, 4, 1, of)
            elif wide == 2:
                multiply_strips_body(1, 2, 1, of)
            else:
                multiply_strips_body(1, 1, 1, of)
            of.S = ZEROS
        j += wide * LANES


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
    Py_ssize_t n_rows, Initial initial,
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
        stop = min(i + CHAIN, n_rows)
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
    Py_ssize_t n, Initial initial,      # ZERO or ADD
) noexcept nogil:
    """A row of panels as the sum of others: what `multiply` makes of a row of ones."""
    cdef Py_ssize_t j = 0
    while n - j > LANES:
        sum_rows_body(2, total.at + row * 2 * LANES, of.at, of.row if of.row else 2 * LANES, n_rows, initial)
        total.at += total.panel
        of.at += of.panel
        j += 2 * LANES
    if j < n:
        sum_rows_body(1, total.at + row * LANES, of.at, of.row if of.row else LANES, n_rows, initial)

# Matrix products: the micro-kernels, and the loops around them.
#
# Needs: layouts.
# Gives: PANELS_AT_ONCE, multiply, multiply_inline, multiply_strips_body.
#
# Every element of C is a sum over k, in chains of CHAIN fused multiply-adds that are added in order, in every shape of
# tile. So a row of a product depends on its row of A alone: not on neighbours, tiles or threads. Rounding errors grow
# with the length of a chain and with the number of chains, and not with the product of the two.
#
# A chain also bounds what has to stay in an L1 cache: CHAIN rows of two panels of B, while the strips of A pass.
#
# Measured on Sapphire Rapids (f32, AVX2, squares of 96 to 256): 108-112 GFLOP/s of 115 from rows, 97-105 from strips
# with their packing. On Zen 3, panels of delta that are left unpacked cost a third.

cdef enum:
    UNROLLED = 2                        # of k, in the tiles of large products: with 4, GCC 12 keeps sums in memory
    PAIRS_FROM = 32                     # of k: setting out for a shorter sum takes longer than pairs save
    PANELS_AT_ONCE = 2                  # that each strip passes: it is fetched half as often, and both fit an L1 cache
    LINES_AHEAD = 8                     # of each panel that follows, fetched with a tile: few enough not to wait for


cdef inline void multiply_strips_body(
    const int n_rows, const int n_vectors, Py_ssize_t n, MicroTiles of,
) noexcept nogil:
    """Compute n tiles of n_rows rows and n_vectors vectors.

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


cdef inline void multiply_pairs_body(
    const Py_ssize_t row, const Py_ssize_t col,     # A.row and A.col, constant where they are known
    Py_ssize_t n, MicroTiles of,
) noexcept nogil:
    """Compute n tiles of STRIPS_AT_ONCE strips and 2 vectors in each of the panels, of which B is packed.

    This is what large products consist of: k is unrolled, and a strip of A stays in the L1 cache while the panels pass.
    Meanwhile the part of B that is needed next is fetched into the L2 cache. It may come from another thread's cache,
    which takes longest, and prefetchers stop at the end of a panel. Measured on Sapphire Rapids: a step of
    256-1024-1024-10 takes 5 % less time, one of 784-512-512-10 on two threads 6 %. With vectors of 64 bytes, tiles of
    two strips make steps of these and of 784-256-256-10 2 to 7 % faster: they load half as much of B.
    """
    cdef vec total[4 * STRIP]           # (n_rows, 2)
    cdef vec a, left, right
    cdef const real* A_h[STRIP]         # row h * each of the tile, from k on
    cdef const real* B_k
    cdef real* C
    cdef Py_ssize_t s, p, k, ahead = 0, line = 64 // sizeof(real)
    cdef int n_rows = STRIPS_AT_ONCE * STRIP, lines = STRIPS_AT_ONCE * LINES_AHEAD, h, i, u
    cdef int each = 3 if STRIPS_AT_ONCE == 2 else 1     # rows that share a pointer: 12 would not fit the registers
    for s in range(n):
        for p in range(of.n_panels):
            if ahead < of.n_next:
                for i in range(lines):
                    fetch_ahead(of.next + ahead + i * line)
                    if of.n_next_panels > 1:
                        fetch_ahead(of.next + of.B_panel + ahead + i * line)
                ahead += lines * line
            for h in range(n_rows // each):
                A_h[h] = of.A.at + h * each // STRIP * of.A.strip + h * each % STRIP * row
            for i in range(n_rows):
                total[2 * i] = load(of.S + p * of.S_panel)
                total[2 * i + 1] = load(of.S + p * of.S_panel + LANES)
            B_k = of.B + p * of.B_panel
            for k in range(of.n_k // UNROLLED):
                for u in range(UNROLLED):
                    left, right = load(B_k + u * 2 * LANES), load(B_k + u * 2 * LANES + LANES)
                    for i in range(n_rows):
                        a = broadcast(A_h[i // each][i % each * row + u * col])
                        total[2 * i] = mul_add(a, left, total[2 * i])
                        total[2 * i + 1] = mul_add(a, right, total[2 * i + 1])
                for h in range(n_rows // each):
                    A_h[h] += UNROLLED * col
                B_k += UNROLLED * 2 * LANES
            for u in range(of.n_k % UNROLLED):
                left, right = load(B_k + u * 2 * LANES), load(B_k + u * 2 * LANES + LANES)
                for i in range(n_rows):
                    a = broadcast(A_h[i // each][i % each * row + u * col])
                    total[2 * i] = mul_add(a, left, total[2 * i])
                    total[2 * i + 1] = mul_add(a, right, total[2 * i + 1])
            C = of.C + p * of.C_panel
            for i in range(n_rows):
                if of.add:
                    total[2 * i] = load(C) + total[2 * i]
                    total[2 * i + 1] = load(C + LANES) + total[2 * i + 1]
                store(C, total[2 * i])
                store(C + LANES, total[2 * i + 1])
                C += of.C_row
        of.C += n_rows * of.C_row
        of.A.at += STRIPS_AT_ONCE * of.A.strip


cdef void pairs_of_rows(Py_ssize_t n, const MicroTiles* of) noexcept nogil:
    multiply_pairs_body(of.A.row, 1, n, of[0])


cdef void pairs_of_strips(Py_ssize_t n, const MicroTiles* of) noexcept nogil:
    multiply_pairs_body(1, STRIP, n, of[0])


cdef void multiply_strips(int n_vectors, Py_ssize_t n, MicroTiles* of) noexcept nogil:
    """`multiply_strips_body` for tiles of STRIP rows and 1 or 2 vectors."""
    if n_vectors == 2:
        multiply_strips_body(STRIP, 2, n, of[0])
    else:
        multiply_strips_body(STRIP, 1, n, of[0])


cdef void multiply_lower_tile(int n_rows, int n_vectors, MicroTiles* of) noexcept nogil:
    """The same for one tile of fewer rows. In one function of both, each call would pass more tests."""
    CHECK(1 <= n_rows < STRIP and 1 <= n_vectors <= 2)
    if n_vectors == 2:
        if n_rows == 5:
            multiply_strips_body(5, 2, 1, of[0])
        elif n_rows == 4:
            multiply_strips_body(4, 2, 1, of[0])
        elif n_rows == 3:
            multiply_strips_body(3, 2, 1, of[0])
        elif n_rows == 2:
            multiply_strips_body(2, 2, 1, of[0])
        else:
            multiply_strips_body(1, 2, 1, of[0])
    else:
        if n_rows == 5:
            multiply_strips_body(5, 1, 1, of[0])
        elif n_rows == 4:
            multiply_strips_body(4, 1, 1, of[0])
        elif n_rows == 3:
            multiply_strips_body(3, 1, 1, of[0])
        elif n_rows == 2:
            multiply_strips_body(2, 1, 1, of[0])
        else:
            multiply_strips_body(1, 1, 1, of[0])


# In variables, since GCC would put a function that is called in one place into its caller, and its sums into memory.
cdef void (*PAIRS[2])(Py_ssize_t n, const MicroTiles* of) noexcept nogil
PAIRS[:] = [pairs_of_rows, pairs_of_strips]


cdef void multiply_pairs(Py_ssize_t n, MicroTiles of) noexcept nogil:
    """Compute n strips of rows in each of the panels: STRIPS_AT_ONCE together, and an odd last strip alone."""
    cdef Py_ssize_t tiles = n // STRIPS_AT_ONCE, done = tiles * STRIPS_AT_ONCE, p
    CHECK(of.A.col == 1 or of.A.row == 1 and of.A.col == STRIP)
    if tiles > 0:
        PAIRS[of.A.col != 1](tiles, &of)
    if done < n:
        of.C += done * STRIP * of.C_row
        of.A.at += done * of.A.strip
        for p in range(of.n_panels):
            multiply_strips(2, 1, &of)
            of.C += of.C_panel
            of.B += of.B_panel
            of.S += of.S_panel


# The initial value of products without bias.
cdef real[128] ZEROS                    # eight vectors of the widest kind


cdef inline void multiply_panel(Py_ssize_t n_rows, int n_vectors, MicroTiles of) noexcept nogil:
    """Compute all rows of a panel, one chain for each element."""
    cdef Py_ssize_t whole = full_strips(n_rows, &of.A), left = n_rows - whole * STRIP, height
    if whole > 0:
        multiply_strips(n_vectors, whole, &of)
    of.C += whole * STRIP * of.C_row
    of.A.at += whole * of.A.strip
    while left > 0:
        height = left if left < STRIP else (left + 1) // 2
        multiply_lower_tile(<int> height, n_vectors, &of)
        of.C += height * of.C_row
        of.A.at += height * of.A.row
        left -= height


cdef inline Py_ssize_t full_strips(Py_ssize_t n_rows, const Rows* A) noexcept nogil:
    """Return how many strips of rows are tiles of their full height.

    A tile of up to 3 rows takes as long as one of 4. Where rows can be split anywhere, two halves are better.
    """
    cdef Py_ssize_t left = n_rows % STRIP
    return n_rows // STRIP - (0 < left < 4 and n_rows > STRIP and A.strip == STRIP * A.row)


cdef inline void multiply_singly(
    Panels C, Rows A, Panels B, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n, Py_ssize_t n_k, Initial initial,
) noexcept nogil:
    """`multiply`, panel by panel."""
    cdef Py_ssize_t j = 0, k, width
    cdef const real* B_j = B.at
    cdef real* C_j = C.at
    cdef MicroTiles of
    while j < n:
        width = panel_width(n - j)
        of.B_row, of.C_row = B.row if B.row else width, C.row if C.row else width
        of.C = C_j + (start - C.first) * of.C_row
        of.S = B_j + n_k * of.B_row if initial == BIAS else ZEROS
        of.A = A
        for k from 0 <= k < n_k by CHAIN:
            of.A.at = A.at + start // STRIP * A.strip + k * A.col
            of.B = B_j + k * of.B_row
            of.n_k, of.add = min(CHAIN, n_k - k), k > 0 or initial == ADD
            multiply_panel(stop - start, <int> (width // LANES), of)
            of.S = ZEROS                # the first chain alone starts from the bias
        B_j += B.panel
        C_j += C.panel
        j += 2 * LANES


cdef void multiply_in_pairs(
    Panels C, Rows A, Panels B, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n, Py_ssize_t n_k, Initial initial,
) noexcept nogil:
    """Multiply whole strips of rows in pairs of panels of two vectors, in which B's rows are 2 LANES apart; and the
    rows and the panel that are left, singly."""
    cdef Py_ssize_t strips = full_strips(stop - start, &A), end = start + strips * STRIP, p = 0, k, left
    cdef Py_ssize_t panels = (n + LANES - 1) // (2 * LANES), even = panels * 2 * LANES
    cdef MicroTiles of
    of.C_panel, of.B_panel, of.C_row, of.B_row = C.panel, B.panel, C.row if C.row else 2 * LANES, 2 * LANES
    while p < panels:
        of.n_panels = min(PANELS_AT_ONCE, panels - p)
        of.C = C.at + p * C.panel + (start - C.first) * of.C_row
        of.S, of.S_panel = ZEROS, 0
        if initial == BIAS:
            of.S, of.S_panel = B.at + p * B.panel + n_k * 2 * LANES, B.panel
        of.A = A
        for k from 0 <= k < n_k by CHAIN:
            of.A.at = A.at + start // STRIP * A.strip + k * A.col
            of.B = B.at + p * B.panel + k * 2 * LANES
            of.n_k, of.add = min(CHAIN, n_k - k), k > 0 or initial == ADD
            if k + CHAIN < n_k:         # the next chain of the same panels
                of.next, of.n_next = of.B + CHAIN * 2 * LANES, 2 * LANES * min(CHAIN, n_k - k - CHAIN)
                of.n_next_panels = of.n_panels
            else:                       # the first chain of the panels that follow
                of.next, left = B.at + (p + of.n_panels) * B.panel, panels - p - of.n_panels
                of.n_next = 2 * LANES * min(CHAIN, n_k) if left > 0 or B.continued else 0
                of.n_next_panels = min(PANELS_AT_ONCE, left) if left > 0 else PANELS_AT_ONCE
            multiply_pairs(strips, of)
            of.S, of.S_panel = ZEROS, 0
        p += of.n_panels
    if even < n:                        # the last panel is of one vector
        multiply(from_column(C, even), A, from_column(B, even), start, end, n - even, n_k, initial)
    if end < stop:
        multiply(C, A, B, end, stop, n, n_k, initial)


cdef inline void multiply_inline(
    Panels C,                           # rows start to stop of (M, n)
    Rows A,                             # (M, n_k)
    Panels B,                           # (n_k, n), and one row more where initial is BIAS
    Py_ssize_t start, Py_ssize_t stop,  # start a multiple of STRIP
    Py_ssize_t n, Py_ssize_t n_k,
    Initial initial,
) noexcept nogil:
    """Compute C = initial + A B, for the rows of C from start to stop. In networks of a few units a call of `multiply`
    would take as long as the product."""
    cdef bint packed = B.row == 0 or B.row == 2 * LANES
    CHECK(start % STRIP == 0)
    if packed and n > LANES and n_k >= PAIRS_FROM and A.col in (1, STRIP) and full_strips(stop - start, &A) > 0:
        multiply_in_pairs(C, A, B, start, stop, n, n_k, initial)
    else:
        multiply_singly(C, A, B, start, stop, n, n_k, initial)


cdef void multiply(
    Panels C, Rows A, Panels B, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n, Py_ssize_t n_k, Initial initial,
) noexcept nogil:
    """Do as `multiply_inline`."""
    multiply_inline(C, A, B, start, stop, n, n_k, initial)

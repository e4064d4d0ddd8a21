# What tests and benchmarks ask of the machine and of single functions and products.
#
# Needs: layouts, products, packing, math, activations, partition.

cdef inline vec function_of(int function, vec x) noexcept nogil:
    if function == EXPONENTIAL:
        return vec_exp(x)
    if function == LOGISTIC:
        return vec_sigmoid(x)
    if function == HYPERBOLIC_TANGENT:
        return vec_tanh(x)
    CHECK(function == LOG1P_UNIT)
    return vec_log1p_unit(x)


cdef inline void elementwise_body(const int function, real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef real[64] lane
    cdef Py_ssize_t whole = n // LANES * LANES, i
    if function == LOGISTIC:
        sigmoid(out, x, whole, 0)
    elif function == HYPERBOLIC_TANGENT:
        tanh(out, x, whole, 0)
    else:
        for i from 0 <= i < whole by LANES:
            store(out + i, function_of(function, load(x + i)))
    memset(lane, 0, sizeof(lane))
    memcpy(lane, x + whole, (n - whole) * sizeof(real))
    store(lane, function_of(function, load(lane)))
    memcpy(out + whole, lane, (n - whole) * sizeof(real))


cdef bint elementwise(int function, void* out, const void* x, Py_ssize_t n, int64_t times) noexcept nogil:
    """A function of n reals, as the kernels compute it, `times` times."""
    cdef int64_t i
    for i in range(times):
        if function == EXPONENTIAL:
            elementwise_body(EXPONENTIAL, <real*> out, <const real*> x, n)
        elif function == LOGISTIC:
            elementwise_body(LOGISTIC, <real*> out, <const real*> x, n)
        elif function == HYPERBOLIC_TANGENT:
            elementwise_body(HYPERBOLIC_TANGENT, <real*> out, <const real*> x, n)
        elif function == LOG1P_UNIT:
            elementwise_body(LOG1P_UNIT, <real*> out, <const real*> x, n)
        else:
            return False
    return True


cdef double product(int kind, Py_ssize_t n, int64_t times) noexcept nogil:
    """Products of (n, n) matrices of ones, much as in training by rows of W: FORWARD tile by tile from a packed W,
    ACCUMULATION by groups of strips, with the packing of a and delta.

    Returns the smallest element of the last one; 0 where memory is short, -1 for an unknown kind.
    """
    cdef Py_ssize_t ld = row_length(n), rows = strip_count(n + 1) * STRIP, size = rows * ld + LANES, i, j
    cdef real* ones = <real*> calloc(4 * size, sizeof(real))
    cdef real* C = ones + size
    cdef real* panels = C + size
    cdef double least = n
    cdef Rows a = strips_of(panels + size, n)
    cdef int64_t t
    if kind != FORWARD and kind != ACCUMULATION:
        free(ones)
        return -1
    if ones == NULL:
        return 0
    for i in range(size):
        ones[i] = 1
    pack_panels(panels, n, 0, ones, ld, n, n)
    for t in range(times):
        if kind == FORWARD:
            for i from 0 <= i < n by TILE:
                multiply(row_panels(C + i * ld, ld), rows_of(ones + i * ld, ld), packed_panels(panels, n),
                         0, min(TILE, n - i), n, n, ZERO)
        else:
            pack_strips(panels + size, n, 0, ones, ld, n, n)
            pack_panels(panels, n, 0, ones, ld, n, n)
            for i from 0 <= i < n by LEAST_GROUP * STRIP:
                for j from 0 <= j < n by COLUMNS_AT_ONCE:
                    multiply(from_column(packed_panels(C, n), j), a, from_column(packed_panels(panels, n), j),
                             i, min(i + LEAST_GROUP * STRIP, n), min(COLUMNS_AT_ONCE, n - j), n, ZERO)
    for i in range(n):
        least = min(least, C[i * ld] if kind == FORWARD else C[i * panel_width(n)])
    free(ones)
    return least


cdef real burn_turns(int64_t turns) noexcept nogil:
    """12 chains of fused multiply-adds: as many as a tile has."""
    cdef vec total[12]
    cdef vec factor = broadcast(<real> 0.999), more = broadcast(<real> 1e-3)
    cdef real[64] lane
    cdef int64_t i
    cdef int k
    for k in range(12):
        total[k] = broadcast(<real> k)
    for i in range(turns):
        for k in range(12):
            total[k] = mul_add(total[k], factor, more)
    for k in range(1, 12):
        total[0] = total[0] + total[k]
    store(lane, total[0])
    return lane[0]


cdef void burn_share(int64_t turns, int me, int* team, double* kept) noexcept nogil:
    kept[me] = burn_turns(turns)
    if me == 0:
        team[0] = team_size()


cdef double burn(int n_threads, int64_t turns) noexcept nogil:
    """Do nothing but multiply-adds on n_threads threads: the number of operations done."""
    cdef double* kept = <double*> calloc(n_threads, sizeof(double))
    cdef double total = 0
    cdef int team = 1, t
    n_threads = granted(n_threads)
    if kept == NULL:
        return 0
    if n_threads == 1:
        kept[0] = burn_turns(turns)
    else:
        with parallel(num_threads=n_threads):
            burn_share(turns, threadid(), &team, kept)
    # Every thread's result must be used, or its work would be optimised away.
    for t in range(team):
        total += kept[t]
    free(kept)
    return 24.0 * LANES * turns * team if total == total else 0

# What tests and benchmarks ask of the machine and of single functions.

cdef enum Function:
    EXP
    SIGMOID_FUNCTION
    TANH_FUNCTION
    LOG1P_UNIT


cdef void elementwise(int function, void* out, const void* x, Py_ssize_t n) noexcept nogil:
    """A function of n reals, as the kernels compute it."""
    cdef real[64] lane
    cdef Py_ssize_t i
    cdef vec y
    for i from 0 <= i < n by LANES:
        memset(lane, 0, sizeof(lane))
        memcpy(lane, <const real*> x + i, min(LANES, n - i) * sizeof(real))
        y = load(lane)
        if function == EXP:
            y = vec_exp(y)
        elif function == SIGMOID_FUNCTION:
            y = vec_sigmoid(y)
        elif function == TANH_FUNCTION:
            y = vec_tanh(y)
        else:
            y = vec_log1p_unit(y)
        store(lane, y)
        memcpy(<real*> out + i, lane, min(LANES, n - i) * sizeof(real))


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

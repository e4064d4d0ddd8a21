# What training does to activations at random: dropout, and Gaussian noise on the inputs.
#
# Gives: add_noise, drop_rows, key_of_step.
#
# Every random number is a function of (seed, update, example, layer, unit). An example is numbered by its place in the
# epoch. So nothing is stored, the recursion computes the same numbers again, and they do not depend on threads,
# slices or where a training was resumed.

cdef enum:
    NOISE_BITS = 96                     # whose sum stands for a normal number: see `normal_of`


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """Return the output of SplitMix64 (Steele, Lea and Flood, 2014) for a state."""
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline uint64_t next_of(uint64_t key, uint64_t number) noexcept nogil:
    """Return random number `number` of the sequence that `key` begins."""
    return mixed(key + (number + 1) * <uint64_t> 0x9E3779B97F4A7C15ULL)


cdef inline uint64_t key_of_step(uint64_t seed, int64_t updates) noexcept nogil:
    """Return the key of the minibatch before which there were `updates` updates."""
    return next_of(seed, <uint64_t> updates)


cdef inline uint64_t key_of_row(uint64_t key, Py_ssize_t example, Py_ssize_t l) noexcept nogil:
    return next_of(next_of(key, <uint64_t> example), <uint64_t> l)


cdef void drop_rows(
    real* to, const real* of, Py_ssize_t ld,            # (n_rows, ld)
    const Layer* layer, Py_ssize_t l,                   # whose inputs these are, and its number
    uint64_t key, Py_ssize_t first, Py_ssize_t n_rows,
) noexcept nogil:
    """Set each input of a layer to 0 with probability p, and divide the others by 1 - p (Srivastava et al., 2014).
    NaN and infinity do not become 0, so that they are found."""
    cdef Py_ssize_t n = layer.n_in, i, j
    cdef uint64_t row, bits, below = layer.drop_below
    cdef real factor[2]                 # instead of branches, half of which would be predicted wrongly
    factor[0], factor[1] = 0, layer.kept_scale
    for i in range(n_rows):
        row = key_of_row(key, first + i, l)
        for j in range((n + 1) // 2):   # a random number decides on two inputs
            bits = next_of(row, <uint64_t> j)
            to[2 * j] = of[2 * j] * factor[(bits & 0xFFFFFFFFULL) >= below]
            if 2 * j + 1 < n:
                to[2 * j + 1] = of[2 * j + 1] * factor[(bits >> 32) >= below]
        to += ld
        of += ld


cdef inline double normal_of(uint64_t row, Py_ssize_t j) noexcept nogil:
    """Return a number of mean 0 and variance 1: the sum of NOISE_BITS random bits and a number from 0 to 1. Its
    distribution function is within 6e-4 of the normal one, and its bits depend on no library of functions."""
    cdef uint64_t bits = next_of(row, <uint64_t> (2 * j)), more = next_of(row, <uint64_t> (2 * j + 1))
    cdef double total = count_ones(bits) + count_ones(more & 0xFFFFFFFFULL) + ((more >> 32) + 0.5) / 4294967296.0
    return (total - (NOISE_BITS + 1) / 2.0) / sqrt(NOISE_BITS / 4.0 + 1 / 12.0)


cdef void add_noise(
    real* x, Py_ssize_t ld,             # (n_rows, ld)
    const Plan* plan, uint64_t key, Py_ssize_t first, Py_ssize_t n_rows,
) noexcept nogil:
    """Add normal numbers to the inputs, with the plan's standard deviation."""
    cdef Py_ssize_t i, j
    cdef uint64_t row
    for i in range(n_rows):
        row = key_of_row(key, first + i, plan.n_layers)
        for j in range(plan.layers[0].n_in):
            x[i * ld + j] += <real> (plan.input_noise * normal_of(row, j))

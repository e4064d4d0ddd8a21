# The shuffle of the order in which training takes the examples.

def shuffle(object order, Py_ssize_t start, Py_ssize_t stop, uint64_t state):
    """Do the steps stop - 1 down to start of Fisher and Yates's shuffle of a uint32 array.

    Step i swaps item i with a random one of the items 0 to i. The random numbers are those of SplitMix64 (Steele, Lea
    and Flood, 2014), which begins at `state`; its last state is returned. Lemire's method (2019) brings them into the
    range, where each is as likely as the others.
    """
    cdef Array array = Array(order, sizeof(uint32_t), True)
    cdef uint32_t* items = <uint32_t*> array.at
    cdef uint32_t kept
    cdef Py_ssize_t i
    cdef uint64_t j
    array.expect(stop)
    with nogil:
        for i in range(stop - 1, start - 1, -1):
            j = below(<uint64_t> i + 1, &state)
            kept = items[i]
            items[i] = items[j]
            items[j] = kept
    return state


cdef inline uint64_t next_number(uint64_t* state) noexcept nogil:
    cdef uint64_t z
    state[0] += <uint64_t> 0x9E3779B97F4A7C15ULL
    z = state[0]
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline uint64_t below(uint64_t n, uint64_t* state) noexcept nogil:
    """Return a random whole number from 0 to n - 1 < 2^32, each as likely as the others."""
    cdef uint64_t product = (next_number(state) >> 32) * n
    while (product & 0xFFFFFFFFULL) < n and (product & 0xFFFFFFFFULL) < (<uint64_t> 0x100000000ULL - n) % n:
        product = (next_number(state) >> 32) * n
    return product >> 32

# Where an example's row of X and Y, and its weight, are.

cdef inline Py_ssize_t row_of(const Data* data, Py_ssize_t example) noexcept nogil:
    return <Py_ssize_t> data.order[example] if data.order != NULL else example


cdef inline const real* example_of(const Data* data, Py_ssize_t example, Py_ssize_t n) noexcept nogil:
    """An example's row of X."""
    return <const real*> data.X + (example - data.offset if data.X_gathered else row_of(data, example)) * n


cdef inline const real* targets_of(const Data* data, Py_ssize_t example, Py_ssize_t n) noexcept nogil:
    """An example's row of Y."""
    return <const real*> data.Y + (example - data.offset if data.Y_gathered else row_of(data, example)) * n


cdef inline real weight_at(const Data* data, Py_ssize_t example) noexcept nogil:
    return (<const real*> data.weights)[row_of(data, example)] if data.weights != NULL else 1

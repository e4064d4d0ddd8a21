# Arrays whose addresses the kernels are given: checked, and kept alive.

cdef bint view_ready(object array, Py_buffer* view, Py_ssize_t itemsize, bint writable):
    """Take a view of an ndarray if it is C-contiguous, with native, aligned floats of that size; else return False.

    The dtype is compared here, since a request for the buffer's format (PyBUF_FORMAT) would take NumPy longer than all
    the rest of this function.
    """
    cdef object wanted = FLOAT32 if itemsize == 4 else FLOAT64
    if type(array) is not Ndarray:
        return False
    if array.dtype is not wanted and array.dtype != wanted:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
    except (ValueError, BufferError):
        return False
    # The size is checked again: in a Python without the GIL, another thread may have changed the dtype meanwhile.
    if view.itemsize == itemsize and <size_t> view.buf % itemsize == 0:
        return True
    PyBuffer_Release(view)
    return False


cdef bint has_shape(Py_buffer* view, Py_ssize_t m, Py_ssize_t n):
    """Whether the shape is (m, n), or (n,) where m = 1."""
    if view.ndim == 1:
        return m == 1 and view.shape[0] == n
    return view.ndim == 2 and view.shape[0] == m and view.shape[1] == n


cdef class Array:
    """A C-contiguous array, which this object keeps alive, and its address `at`; NULL for None."""

    def __cinit__(self, object array, Py_ssize_t itemsize, bint writable=False):
        self.at = NULL
        if array is None:
            return
        PyObject_GetBuffer(array, &self.view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
        self.held = True
        if self.view.itemsize != itemsize:
            raise TypeError(f"expected items of {itemsize} bytes, got {self.view.itemsize}")
        self.at = self.view.buf
        self.length = self.view.len // itemsize

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    cdef int expect(self, Py_ssize_t length) except -1:
        if self.at != NULL and self.length < length:
            raise ValueError(f"expected {length} items, got {self.length}")
        return 0

# Arrays as the kernels need them: their addresses, kept alive.

cdef bint view_ready(object array, Py_buffer* view, Py_ssize_t itemsize, bint writable):
    """Take a view of an ndarray of native, aligned floats of that size, C-contiguous; False where it is not one.

    To ask NumPy for the format would take it longer than all else here.
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
    # The size again: without the GIL another thread might have changed the dtype meanwhile.
    if view.itemsize == itemsize and <size_t> view.buf % itemsize == 0:
        return True
    PyBuffer_Release(view)
    return False


cdef bint has_shape(Py_buffer* view, Py_ssize_t m, Py_ssize_t n):
    """Whether it is (m, n), or (n,) for m = 1."""
    if view.ndim == 1:
        return m == 1 and view.shape[0] == n
    return view.ndim == 2 and view.shape[0] == m and view.shape[1] == n


cdef class Array:
    """A C-contiguous array kept alive, and its address; NULL for None."""

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

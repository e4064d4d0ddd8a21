"""What `_probes` shares of `_core`."""
from cpython.pycapsule cimport PyCapsule_GetPointer

from cbp.kernels cimport table as t


cdef class Array:
    cdef Py_buffer view
    cdef bint held
    cdef void* at
    cdef Py_ssize_t length              # in items

    cdef int expect(self, Py_ssize_t length) except -1


cdef inline const t.Table* table_of(object capsule) except NULL:
    """The C functions in the capsule of a kernel module."""
    return <const t.Table*> PyCapsule_GetPointer(capsule, "cbp.kernels.Table")

cdef tuple names_by_code(const char* (*name_of)(int) noexcept nogil)
cdef int code_of(const char* (*name_of)(int) noexcept nogil, str name, str argument) except -1

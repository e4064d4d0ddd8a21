"""Declarations of `_core` that `_probes` uses too."""
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.string cimport strcmp

from cbp.kernels cimport table as t


cdef class Array:
    cdef Py_buffer view
    cdef bint held
    cdef void* at
    cdef Py_ssize_t length              # in items

    cdef int expect(self, Py_ssize_t length) except -1


cdef inline const t.Table* table_of(object capsule) except NULL:
    """Return the table of C functions in the capsule of a kernel module."""
    return <const t.Table*> PyCapsule_GetPointer(capsule, "cbp.kernels.Table")


cdef inline tuple names_by_code(const char* (*name_of)(int) noexcept nogil):
    """Return the names that a kernel module has for its codes 0, 1, 2, …"""
    cdef list found = []
    while name_of(<int> len(found)) != NULL:
        found.append(name_of(<int> len(found)).decode())
    return tuple(found)


cdef inline int code_of(const char* (*name_of)(int) noexcept nogil, str name, str argument) except -1:
    """Return the code of a name; raise ValueError for a name that the kernels do not know."""
    cdef bytes wanted = name.encode()
    cdef int code = 0
    while name_of(code) != NULL:
        if strcmp(name_of(code), wanted) == 0:
            return code
        code += 1
    raise ValueError(f"{argument} must be one of {', '.join(names_by_code(name_of))}, got {name!r}")

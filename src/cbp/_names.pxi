# Names and codes of activations, losses and optimisers, and what is refused.

cdef tuple names_by_code(const char* (*name_of)(int) noexcept nogil):
    """The names that a kernel module has for its codes 0, 1, 2, …"""
    cdef list found = []
    while name_of(<int> len(found)) != NULL:
        found.append(name_of(<int> len(found)).decode())
    return tuple(found)


cdef int code_of(const char* (*name_of)(int) noexcept nogil, str name, str argument) except -1:
    """The code of a name; ValueError for one that the kernels do not know."""
    cdef bytes wanted = name.encode()
    cdef int code = 0
    while name_of(code) != NULL:
        if strcmp(name_of(code), wanted) == 0:
            return code
        code += 1
    raise ValueError(f"{argument} must be one of {', '.join(names_by_code(name_of))}, got {name!r}")


cdef object refusal(int kind, str got):
    """The error where the kernels have made no plan or no pass."""
    return MemoryError() if kind == t.ACCEPTED else ValueError(f"{REFUSALS[kind]}, got {got}")

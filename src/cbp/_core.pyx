"""The calls from Python into the C functions of the kernels: buffers, handles, errors.

Nothing is validated here beyond what memory safety needs: the calling modules have checked every argument, and pass
C-contiguous arrays of the right dtype. Only `Engine.predict_ready` and `Pass.evaluate` take arrays as users gave them.
They return without a result where an array is not as the kernels need it. The classes release the GIL around
everything that takes time.

Words of this module:

at rest   A vector at rest is flat, W(1), b(1), W(2), b(2), …, each row-major, as users see `Network.parameters`.
packed    A pass works on a copy of the parameters in another layout, of panels, which the kernels compute with.
bound     Examples are bound to a pass while the pass has the addresses of their arrays.
settled   The settled state of the optimiser is the one that `Pass.write_state` set or the last successful
          `Pass.unpack` left. A restorable pass that fails goes back to it.
"""
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from numpy import dtype, ndarray, zeros

from cbp.kernels cimport table as t

cdef enum:
    MOST_READY_LAYERS = 16              # layers of weights up to which `predict_ready` works
    MOST_READY_WORK = 100_000           # examples times parameters below which it takes more than one example: one
    #                                     thread is enough for that, and Ctrl-C can wait
    LEAST_WORK = 2_000                  # examples times parameters below which it keeps the GIL

cdef type Ndarray = ndarray
cdef object FLOAT32 = dtype("float32"), FLOAT64 = dtype("float64")

FAULTS = {
    t.X_NOT_FINITE: "X_NOT_FINITE",
    t.Y_NOT_FINITE: "Y_NOT_FINITE",
    t.Y_OUT_OF_RANGE: "Y_OUT_OF_RANGE",
    t.Y_NOT_SUMMING_TO_ONE: "Y_NOT_SUMMING_TO_ONE",
    t.LOSS_NOT_FINITE: "LOSS_NOT_FINITE",
}
MODES = {"loss": t.LOSS, "gradient": t.GRADIENT, "train": t.TRAIN}

include "_calls.pxi"
include "_buffers.pxi"
include "_refusals.pxi"
include "_engine.pxi"
include "_pass.pxi"
include "_shuffle.pxi"


def hyperparameters():
    """Return the names of the hyper-parameters that `Pass.set_rule` takes as keyword arguments."""
    return tuple(name for name in NO_RULE if name not in ("optimizer",))


def describe(object capsule):
    """Return facts about a kernel module: the bytes of a vector, the version of OpenMP (0: none), the compiler."""
    cdef const t.Table* table = table_of(capsule)
    return {
        "vector_bytes": table.vector_bytes,
        "openmp": table.openmp,
        "compiler": table.compiler.decode(),
    }


def names(object capsule):
    """Return the names that the kernels know, in tuples that have the order of the codes."""
    cdef const t.Table* table = table_of(capsule)
    return {
        "activations": names_by_code(table.activation_name),
        "losses": names_by_code(table.loss_name),
        "optimizers": names_by_code(table.optimizer_name),
    }


def most_threads(object capsule):
    """Return the number of threads that OpenMP was told to use in the calling thread, or else chose; 1 without OpenMP.

    LLVM's runtime answers less than 1 where OMP_NUM_THREADS is not a number.
    """
    return table_of(capsule).most_threads()


def default_threads(object capsule):
    """Return what `most_threads` was when the kernel module was loaded, if that was the number of processors.

    Then nobody is taken to have set it, and OpenMP to have counted the processors. Otherwise return 0.
    """
    return table_of(capsule).default_threads


def team_limit(object capsule):
    """Return the most threads that OpenMP would give a team of the calling thread, however many are asked for."""
    return table_of(capsule).team_limit()


def places(object capsule):
    """Return the places that OpenMP binds threads to, each a frozenset of the numbers of processors.

    Where OpenMP does not bind threads, the list is empty, or with LLVM's runtime has one place, of all processors.
    """
    cdef const t.Table* table = table_of(capsule)
    cdef int i, k, n
    cdef int* processors
    cdef list found = []
    for i in range(table.n_places()):
        n = table.place(i, NULL)
        processors = <int*> calloc(max(n, 1), sizeof(int))
        if processors == NULL:
            raise MemoryError
        table.place(i, processors)
        found.append(frozenset([processors[k] for k in range(n)]))
        free(processors)
    return found


def burn(object capsule, int n_threads, int64_t turns):
    """Run `turns` turns of nothing but multiply-adds on n_threads threads; return the number of their operations."""
    cdef BurnCall call
    call.table = table_of(capsule)
    call.n_threads, call.turns = n_threads, turns
    with nogil:
        dispatch(burn_here, &call, &call.n_threads, 12.0 * turns)
    return call.operations

"""The border between Python and the kernels: buffers, handles, errors.

Nothing is validated here beyond what memory safety needs: the modules above have checked every argument, and pass
C-contiguous arrays of the right dtype. Only `predict_ready` and `evaluate` take what users gave, and refuse what
is not as the kernels need it. The classes release the GIL around everything that takes time.
"""
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from numpy import dtype, ndarray, zeros

from cbp.kernels cimport table as t

cdef enum:
    MOST_READY_LAYERS = 16              # of weights, for `predict_ready` …
    MOST_READY_WORK = 100_000           # … and examples times parameters: one thread is enough, and Ctrl-C can wait
    LEAST_WORK = 2_000                  # examples times parameters for less than which the GIL is kept

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
    """The names that `Pass.set_rule` takes, by name."""
    return tuple(name for name in NO_RULE if name not in ("optimizer",))


def describe(object capsule):
    """Facts about a kernel module: bytes of a vector, version of OpenMP (0: serial), compiler."""
    cdef const t.Table* table = table_of(capsule)
    return {
        "vector_bytes": table.vector_bytes,
        "openmp": table.openmp,
        "compiler": table.compiler.decode(),
    }


def names(object capsule):
    """The names that the kernels know, each tuple in the order of their codes."""
    cdef const t.Table* table = table_of(capsule)
    return {
        "activations": names_by_code(table.activation_name),
        "losses": names_by_code(table.loss_name),
        "optimizers": names_by_code(table.optimizer_name),
    }


def most_threads(object capsule):
    """The number of threads that OpenMP was told to use in the calling thread, or chose: 1 without OpenMP.

    Less than 1 from LLVM's runtime, where OMP_NUM_THREADS is not a number.
    """
    return table_of(capsule).most_threads()


def default_threads(object capsule):
    """What `most_threads` was at first, where that was the number of processors; else 0, for somebody had set it."""
    return table_of(capsule).default_threads


def team_limit(object capsule):
    """The most threads that OpenMP would give a team of the calling thread, however many it were asked for."""
    return table_of(capsule).team_limit()


def places(object capsule):
    """The places that OpenMP binds threads to, each a frozenset of processors' numbers; none without binding.

    LLVM's runtime has one place, of all processors, where it does not bind.
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
    """Floating-point operations done by `turns` turns of nothing but multiply-adds on n_threads threads."""
    cdef BurnCall call
    call.table = table_of(capsule)
    call.n_threads, call.turns = n_threads, turns
    with nogil:
        dispatch(burn_here, &call, &call.n_threads, 12.0 * turns)
    return call.operations

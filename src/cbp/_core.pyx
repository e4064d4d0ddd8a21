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
from libc.string cimport memset, strcmp

from numpy import dtype, ndarray

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
cdef dict REFUSALS = {
    t.UNKNOWN_HIDDEN: "activations must be names of activations, and softmax that of the output alone",
    t.UNKNOWN_OUTPUT: "the last of activations must be the name of an activation",
    t.UNKNOWN_LOSS: "loss must be the name of a loss that fits the output's activation",
    t.UNKNOWN_MODE: "mode must be a code of MODES",
    t.UNKNOWN_OPTIMIZER: "optimizer must be the name of an optimizer",
}


cdef dict no_rule():
    """All hyper-parameters, and that they are 0."""
    cdef t.Hyperparameters rule
    memset(&rule, 0, sizeof(rule))
    return rule


cdef dict NO_RULE = no_rule()

include "_calls.pxi"


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


cdef class Engine:
    """A network's shapes and parameters in the kernels' hands.

    Parameters
    ----------
    capsule : capsule
        The table of a kernel module.
    itemsize : int
        Bytes of its `real`.
    sizes : tuple of int
        s(1) … s(L).
    activations : tuple of (str, float)
        Of layers 2 … L: the name, and the number that goes with it, such as the slope of leaky_relu.
    loss : (str, float)
        Likewise.
    parameters : array
        The flat vector at rest, and at least 128 bytes more than it needs, which kernels read and never use.
    """

    cdef const t.Table* table
    cdef object capsule
    cdef void* plan
    cdef int64_t version                # of the parameters at rest: counts the writes …
    cdef bint exposed                   # … as long as nobody else can write
    cdef Array parameters
    cdef Py_ssize_t itemsize
    cdef readonly Py_ssize_t n_layers, n_in, n_out, n_parameters

    def __cinit__(self, object capsule, Py_ssize_t itemsize, tuple sizes, tuple activations, tuple loss,
                  object parameters):
        cdef t.Spec spec
        cdef Py_ssize_t l
        self.capsule = capsule
        self.table = table_of(capsule)
        self.itemsize = itemsize
        self.n_layers = len(activations)
        self.n_in, self.n_out = sizes[0], sizes[self.n_layers]
        cdef Py_ssize_t* c_sizes = <Py_ssize_t*> calloc(self.n_layers + 1, sizeof(Py_ssize_t))
        cdef int* c_activations = <int*> calloc(self.n_layers, sizeof(int))
        cdef double* c_numbers = <double*> calloc(self.n_layers, sizeof(double))
        try:
            if c_sizes == NULL or c_activations == NULL or c_numbers == NULL:
                raise MemoryError
            for l in range(self.n_layers + 1):
                c_sizes[l] = sizes[l]
            for l in range(self.n_layers):
                name, c_numbers[l] = activations[l]
                c_activations[l] = code_of(self.table.activation_name, name, "activation")
                self.n_parameters += (c_sizes[l] + 1) * c_sizes[l + 1]
            spec.n_layers, spec.sizes, spec.activations, spec.numbers = self.n_layers, c_sizes, c_activations, c_numbers
            name, spec.loss_number = loss
            spec.loss = code_of(self.table.loss_name, name, "loss")
            self.parameters = Array(parameters, itemsize, True)
            self.parameters.expect(self.n_parameters + 128 // itemsize)
            self.plan = self.table.new_plan(&spec)
            if self.plan == NULL:
                raise refusal(self.table.plan_refusal(&spec), f"activations {activations}, loss {loss}")
        finally:
            free(c_sizes)
            free(c_activations)
            free(c_numbers)

    def __dealloc__(self):
        if self.table != NULL:
            self.table.free_plan(self.plan)

    def note_write(self):
        """The parameters at rest have been changed."""
        self.version += 1

    def expose(self):
        """From now on they may be changed at any time, without a word."""
        self.exposed = True

    def forward(self, object X, Py_ssize_t m, list out, int n_threads):
        """Activations of m examples into the arrays of `out`, one a layer of weights; None: not wanted.

        Returns None, or (row, column) of the first value of X that is not finite.
        """
        cdef t.Fault fault
        cdef Array x = Array(X, self.itemsize)
        cdef list arrays = [Array(array, self.itemsize, True) for array in out]
        cdef void** pointers = <void**> calloc(self.n_layers, sizeof(void*))
        cdef Py_ssize_t l
        cdef ForwardCall call
        if pointers == NULL:
            raise MemoryError
        try:
            x.expect(m * self.n_in)
            for l in range(self.n_layers):
                pointers[l] = (<Array> arrays[l]).at
            (<Array> arrays[self.n_layers - 1]).expect(m * self.n_out)
            memset(&fault, 0, sizeof(fault))
            call.table, call.plan, call.out, call.parameters = self.table, self.plan, pointers, self.parameters.at
            call.X, call.m, call.n_threads, call.fault = x.at, m, n_threads, &fault
            with nogil:
                dispatch(forward_here, &call, &call.n_threads, <double> m * self.n_parameters)
            if not call.enough:
                raise MemoryError
        finally:
            free(pointers)
        return (fault.row, fault.column) if fault.kind != t.NONE else None

    def predict_ready(self, object X, object out):
        """Outputs of one example or a few, on one thread, where X and out are arrays that need no conversion: (s(1),)
        and (s(L),), or (m, s(1)) and (m, s(L)).

        Returns False where they are not, or where X holds what it must not, with nothing promised of `out`.
        """
        cdef Py_buffer x, y
        cdef t.Fault fault
        cdef void* pointers[MOST_READY_LAYERS]
        cdef Py_ssize_t l, m
        cdef bint done = False
        if self.n_layers > MOST_READY_LAYERS or not view_ready(X, &x, self.itemsize, False):
            return False
        if not view_ready(out, &y, self.itemsize, True):
            PyBuffer_Release(&x)
            return False
        m = x.shape[0] if x.ndim == 2 else 1
        if (m == 1 or m < MOST_READY_WORK // self.n_parameters) and x.ndim == y.ndim and (
                has_shape(&x, m, self.n_in) and has_shape(&y, m, self.n_out)):
            for l in range(self.n_layers - 1):
                pointers[l] = NULL
            pointers[self.n_layers - 1] = y.buf
            fault.kind = t.NONE
            if m * self.n_parameters < LEAST_WORK:
                done = self.table.forward(self.plan, pointers, self.parameters.at, x.buf, m, 1, &fault)
            else:
                with nogil:
                    done = self.table.forward(self.plan, pointers, self.parameters.at, x.buf, m, 1, &fault)
            done = done and fault.kind == t.NONE
        PyBuffer_Release(&x)
        PyBuffer_Release(&y)
        return done


cdef class Pass:
    """Training, a gradient or a loss under way: the kernels' workspace, and a cursor to go on from.

    Parameters
    ----------
    engine : Engine
    mode : int
        By MODES.
    batch : int
        Examples of a minibatch.
    n_threads : int
        The most that `advance` may be given.
    optimizer, n_moments : str, int
        Its name, and the vectors of its state.
    inputs : bool
        Whether the gradient with respect to the inputs is wanted.
    at_hand : int
        Examples that will be bound at a time, in order; default: a minibatch.
    restorable : bool
        Whether training that fails goes back to the optimiser's state from before `pack`; that takes memory for
        moments twice.
    """

    cdef Engine engine
    cdef const t.Table* table           # kept apart: a garbage cycle clears `engine` before the end
    cdef void* state
    cdef t.Data data
    cdef t.Hyperparameters rule
    cdef Array rates                    # of each step, where it trains
    cdef t.Cursor cursor
    cdef tuple arrays                   # what `data` points to
    cdef readonly Py_ssize_t batch
    cdef readonly int n_threads
    cdef int mode
    cdef readonly int n_moments
    cdef int64_t updates                # of the optimiser's state as it was when settled
    cdef bint restorable, moving        # … which steps have left, or may have
    cdef int64_t version                # of the parameters at rest when last seen

    def __cinit__(self, Engine engine, int mode, Py_ssize_t batch, int n_threads, str optimizer="sgd",
                  int n_moments=0, bint inputs=False, Py_ssize_t at_hand=0, bint restorable=False):
        self.engine = engine
        self.table = engine.table
        self.batch, self.n_threads, self.mode, self.restorable = batch, n_threads, mode, restorable
        cdef int code = code_of(engine.table.optimizer_name, optimizer, "optimizer")
        if not 0 <= n_moments <= t.MOST_MOMENTS:
            raise ValueError(f"n_moments must be 0 to {t.MOST_MOMENTS}, got {n_moments}")
        self.rule.optimizer, self.n_moments = code, n_moments
        self.rates = Array(None, sizeof(double))
        with nogil:
            self.state = engine.table.new_pass(engine.plan, mode, code, n_moments, batch, inputs, at_hand or batch,
                                               n_threads, restorable)
        if self.state == NULL:
            raise refusal(self.table.pass_refusal(mode, code), f"mode {mode}, optimizer {optimizer}")

    def __dealloc__(self):
        if self.table != NULL:
            self.table.free_pass(self.state)

    def set_rule(self, *, double l2=0, object rates=None, **numbers):
        """The penalty and the optimiser's hyper-parameters for the steps to come; those not named are 0.

        rates: float64, the learning rate of each step of a pass.
        """
        cdef dict rule = NO_RULE.copy()
        rule.update(numbers)
        if len(rule) > len(NO_RULE):
            raise TypeError(f"expected hyper-parameters among {', '.join(NO_RULE)}, got {', '.join(numbers)}")
        rule["optimizer"], rule["l2"] = self.rule.optimizer, l2
        self.rule = rule
        self.rates = Array(rates, sizeof(double))

    def bind(self, object X, object Y, object labels, object weights, object order, Py_ssize_t m, *,
             object inputs=None, bint check=True, bint X_gathered=False, bint Y_gathered=False,
             Py_ssize_t offset=0, Py_ssize_t available=-1):
        """The examples to go through: see `Data` in kernels/table.pxd for the shapes."""
        cdef Engine engine = self.engine
        cdef Array x = Array(X, engine.itemsize), y = Array(Y, engine.itemsize)
        cdef Array w = Array(weights, engine.itemsize), dx = Array(inputs, engine.itemsize, True)
        cdef Array c = Array(labels, sizeof(int32_t)), o = Array(order, sizeof(uint32_t))
        cdef Py_ssize_t part = m - offset if available < 0 else available - offset
        x.expect(part * engine.n_in if X_gathered else m * engine.n_in)
        y.expect(part * engine.n_out if Y_gathered else m * engine.n_out)
        w.expect(m)
        c.expect(m)
        o.expect(m)
        dx.expect(m * engine.n_in)
        self.arrays = (x, y, w, dx, c, o)
        self.data.X, self.data.Y, self.data.weights, self.data.inputs = x.at, y.at, w.at, dx.at
        self.data.labels, self.data.order = <const int32_t*> c.at, <const uint32_t*> o.at
        self.data.m, self.data.check = m, check
        self.data.X_gathered, self.data.Y_gathered = X_gathered, Y_gathered
        self.data.offset, self.data.available = offset, m if available < 0 else available

    def release(self):
        """Hold on to no examples any more."""
        self.arrays = None
        memset(&self.data, 0, sizeof(self.data))

    def pack(self, int n_threads):
        """Take the parameters over from their place at rest, as far as they have changed there, and go to the first
        example, with the optimiser's state as it was when settled."""
        memset(&self.cursor, 0, sizeof(self.cursor))
        self.cursor.updates = self.updates
        self.moving = True
        cdef bint unchanged = not self.engine.exposed and self.version == self.engine.version
        self.version = self.engine.version
        with nogil:
            self.engine.table.pack(self.state, self.engine.parameters.at, unchanged, own_team(n_threads))

    def unpack(self, int n_threads):
        """Write the parameters back to rest, and settle the optimiser's state; False, with nothing written and the
        state from before, where a parameter is not finite."""
        cdef bint finite
        if not self.moving:                 # Ctrl-C came before `pack`, or after the last `unpack`
            return True
        with nogil:
            finite = self.engine.table.unpack(self.state, self.engine.parameters.at, own_team(n_threads))
        if finite:
            self.engine.version += 1        # each by one: others may have written meanwhile
            self.version += 1
            if self.cursor.weight != 0:     # else there was no step
                self.table.settle(self.state)
            self.updates, self.moving = self.cursor.updates, False
        return finite

    def advance(self, double budget, int n_threads):
        """Go on for about `budget` multiply-adds, or until the bound examples are used up or a fault is found."""
        if self.mode == t.TRAIN and self.rates.length * self.batch < self.data.m:
            raise ValueError(f"expected a rate for each step of {self.data.m} examples, got {self.rates.length}")
        with nogil:
            self.go_on(budget, n_threads)

    def update(self, object D, double rate, int n_threads):
        """A step against a gradient from outside, at rest, with the penalty in it; between `pack` and `unpack`."""
        cdef Array gradient = Array(D, self.engine.itemsize)
        gradient.expect(self.engine.n_parameters)
        if gradient.at == NULL or self.mode != t.TRAIN:
            raise ValueError("update needs a gradient, and mode TRAIN")
        with nogil:
            self.table.update(self.state, gradient.at, &self.rule, rate, &self.cursor, own_team(n_threads))

    cdef void go_on(self, double budget, int n_threads) noexcept nogil:
        cdef AdvanceCall call
        # The work of a forward pass, the least of any mode.
        cdef double work = <double> (self.data.available - self.cursor.first) * self.engine.n_parameters
        call.table, call.state, call.data, call.rule = self.table, self.state, &self.data, &self.rule
        call.rates = <const double*> self.rates.at
        call.cursor, call.budget, call.n_threads = &self.cursor, budget, n_threads
        dispatch(advance_here, &call, &call.n_threads, min(budget, work))

    def evaluate(self, object X, object Y, object gradient, double l2):
        """J of one batch, (m, s(1)) and (m, s(L)), or (m,) for one output, in one go; in mode GRADIENT also D, at rest.

        Returns None where X or Y needs conversion, or holds what it must not.
        """
        cdef Engine engine = self.engine
        cdef Py_buffer x, y
        cdef Array D = Array(gradient, engine.itemsize, True)
        cdef bint fits
        D.expect(engine.n_parameters)
        if (D.at != NULL) != (self.mode == t.GRADIENT):
            raise ValueError("gradient must be given in mode GRADIENT, and only there")
        if not view_ready(X, &x, engine.itemsize, False):
            return None
        if not view_ready(Y, &y, engine.itemsize, False):
            PyBuffer_Release(&x)
            return None
        fits = has_shape(&x, self.batch, engine.n_in) and (
            y.ndim == 2 and has_shape(&y, self.batch, engine.n_out)
            or y.ndim == 1 and y.shape[0] == self.batch and engine.n_out == 1)
        if fits:
            memset(&self.data, 0, sizeof(self.data))
            memset(&self.cursor, 0, sizeof(self.cursor))
            self.data.X, self.data.Y, self.data.m, self.data.available = x.buf, y.buf, self.batch, self.batch
            self.data.check = True
            self.rule.l2 = l2
            with nogil:
                self.table.pack(self.state, engine.parameters.at, False, 1)
                while self.cursor.fault.kind == t.NONE and self.cursor.first < self.batch:
                    self.go_on(1e300, self.n_threads)
                fits = self.cursor.fault.kind == t.NONE
                if fits and D.at != NULL:
                    self.table.read_gradient(self.state, D.at, engine.parameters.at, l2, self.cursor.weight)
            memset(&self.data, 0, sizeof(self.data))
        PyBuffer_Release(&x)
        PyBuffer_Release(&y)
        return self.loss if fits else None

    def read_gradient(self, object gradient):
        """D at rest, after a whole batch in mode GRADIENT."""
        cdef Array D = Array(gradient, self.engine.itemsize, True)
        D.expect(self.engine.n_parameters)
        with nogil:
            self.engine.table.read_gradient(self.state, D.at, self.engine.parameters.at, self.rule.l2,
                                            self.cursor.weight)

    def read_state(self, list moments):
        """The optimiser's state as it was when settled: its moments, at rest, and the number of updates, returned.

        None where there is none: within a pass that is not restorable. No other thread may call `pack` or `unpack`
        meanwhile: between the two, steps write where this reads.
        """
        cdef list arrays = [Array(moment, self.engine.itemsize, True) for moment in moments]
        cdef int which
        self._check_moments(arrays)
        if self.moving and not self.restorable:
            return None
        for which in range(self.n_moments):
            self.table.read_moment(self.state, which, (<Array> arrays[which]).at)
        return self.updates

    def write_state(self, int64_t updates, list moments):
        """Set the optimiser's state."""
        cdef list arrays = [Array(moment, self.engine.itemsize) for moment in moments]
        cdef int which
        self._check_moments(arrays)
        for which in range(self.n_moments):
            self.table.write_moment(self.state, which, (<Array> arrays[which]).at)
        self.updates = updates

    def _check_moments(self, list arrays):
        cdef Array array
        if len(arrays) != self.n_moments:
            raise ValueError(f"expected {self.n_moments} moments, got {len(arrays)}")
        for array in arrays:
            array.expect(self.engine.n_parameters)

    @property
    def stride(self):
        """Examples that must be bound to go on."""
        return self.table.stride(self.state)

    @property
    def finished(self):
        """Whether all m examples are through."""
        return self.cursor.first >= self.data.m

    @property
    def starved(self):
        """Whether the examples bound are used up, but not all m."""
        return self.cursor.starved

    @property
    def position(self):
        """The next example."""
        return self.cursor.first + self.cursor.done

    @property
    def step(self):
        """Minibatches completed since `pack`."""
        return self.cursor.step

    @property
    def team(self):
        """The most threads that any call since `pack` had."""
        return self.cursor.team

    @property
    def loss(self):
        """Mean over the examples since `pack` of their minibatch's J; weights count where there are any."""
        return self.cursor.loss / self.cursor.weight if self.cursor.weight else 0.0

    @property
    def fault(self):
        """None, or (kind, row, column)."""
        cdef t.Fault* fault = &self.cursor.fault
        return None if fault.kind == t.NONE else (FAULTS[fault.kind], fault.row, fault.column)


def shuffle(object order, Py_ssize_t start, Py_ssize_t stop, uint64_t state):
    """Fisher and Yates's shuffle of items stop - 1 down to start of a uint32 array with those before them.

    The numbers are SplitMix64's (Steele, Lea and Flood, 2014) from `state`, which is returned as it then stands;
    Lemire's method (2019) makes them even in their range.
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
    """A whole number from 0 to n - 1 < 2^32, each as likely as the others."""
    cdef uint64_t product = (next_number(state) >> 32) * n
    while (product & 0xFFFFFFFFULL) < n and (product & 0xFFFFFFFFULL) < (<uint64_t> 0x100000000ULL - n) % n:
        product = (next_number(state) >> 32) * n
    return product >> 32


def hyperparameters():
    """The names that `Pass.set_rule` takes, but for the penalty."""
    return tuple(name for name in NO_RULE if name not in ("optimizer", "l2"))


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

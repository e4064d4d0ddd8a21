# The engine: a network in the kernels' hands.

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
    bias : bool
        Whether layers have biases.
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
                  bint bias, object parameters):
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
                self.n_parameters += (c_sizes[l] + bias) * c_sizes[l + 1]
            spec.n_layers, spec.sizes, spec.activations, spec.numbers = self.n_layers, c_sizes, c_activations, c_numbers
            name, spec.loss_number = loss
            spec.bias = bias
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
            memset(&fault, 0, sizeof(fault))
            if m * self.n_parameters < LEAST_WORK:
                done = self.table.forward(self.plan, pointers, self.parameters.at, x.buf, m, 1, &fault)
            else:
                with nogil:
                    done = self.table.forward(self.plan, pointers, self.parameters.at, x.buf, m, 1, &fault)
            done = done and fault.kind == t.NONE
        PyBuffer_Release(&x)
        PyBuffer_Release(&y)
        return done

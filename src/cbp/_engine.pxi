# The engine: the shapes and parameters of one network, as the kernels take them.

cdef class Engine:
    """The shapes and parameters of one network, as the kernels take them.

    Parameters
    ----------
    capsule : capsule
        The table of a kernel module.
    itemsize : int
        Bytes of the module's floating-point type.
    sizes : tuple of int
        s(1) … s(L).
    activations : tuple of (str, float)
        The activation of each of the layers 2 … L: its name and its number, such as the slope of leaky_relu; 0 for
        one that has no number.
    loss : (str, float)
        The name of the loss and its number, likewise.
    bias : bool
        Whether layers have biases.
    dropout : tuple of float
        Shares of the layers' inputs that training drops, one for each layer of weights; empty: none.
    input_noise : float
        Standard deviation of what training adds to the inputs.
    parameters : array
        The flat vector at rest, followed by at least 128 bytes more. The kernels read these, and ignore their values.
    """

    cdef const t.Table* table
    cdef object capsule
    cdef void* plan
    cdef int64_t version                # the number of writes to the parameters at rest, valid until …
    cdef bint exposed                   # … users have been given the array, and may write to it uncounted
    cdef Array parameters
    cdef Py_ssize_t itemsize
    cdef readonly Py_ssize_t n_layers, n_in, n_out, n_parameters

    def __cinit__(self, object capsule, Py_ssize_t itemsize, tuple sizes, tuple activations, tuple loss,
                  bint bias, object parameters, tuple dropout=(), double input_noise=0):
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
        cdef double* c_dropout = <double*> calloc(self.n_layers, sizeof(double))
        try:
            if c_sizes == NULL or c_activations == NULL or c_numbers == NULL or c_dropout == NULL:
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
            for l in range(len(dropout)):
                c_dropout[l] = dropout[l]
            spec.dropout, spec.input_noise = c_dropout if dropout else NULL, input_noise
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
            free(c_dropout)

    def __dealloc__(self):
        if self.table != NULL:
            self.table.free_plan(self.plan)

    def note_write(self):
        """Count a change of the parameters at rest."""
        self.version += 1

    def expose(self):
        """Note that from now on the parameters at rest may change at any time without a call of `note_write`."""
        self.exposed = True

    def forward(self, object X, Py_ssize_t m, list out, int n_threads):
        """Write the activations of m examples to the arrays of `out`, one for each layer of weights.

        An entry of `out` is None where that layer is not wanted. Return None, or (row, column) of the first value of X
        that is not finite.
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
        """Write the outputs of one example or a few to `out`, on one thread, if X and `out` need no conversion.

        Their shapes are (s(1),) and (s(L),), or (m, s(1)) and (m, s(L)). Return False if an array is not as the kernels
        need it, the work is too much, or X has a value that is not finite; the contents of `out` are then undefined.
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

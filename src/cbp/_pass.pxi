# Passes over examples: each trains, or computes a gradient or a loss, and can be interrupted and continued.

cdef dict no_rule():
    """Return all hyper-parameters, each with the value 0."""
    cdef t.Hyperparameters rule
    memset(&rule, 0, sizeof(rule))
    return rule


cdef dict NO_RULE = no_rule()


cdef class Pass:
    """A pass over examples that trains, or computes a gradient or a loss: the kernels' workspace, and a cursor that
    says how far the pass has come.

    Parameters
    ----------
    engine : Engine
    mode : int
        One of the values of MODES.
    batch : int
        Examples of a minibatch.
    n_threads : int
        The most threads that `advance` may be given.
    optimizer, n_moments : str, int
        The name of the optimiser, and the number of vectors (moments) that are its state.
    inputs : bool
        Whether the gradient with respect to the inputs is wanted.
    bound : int
        The number of examples that will be bound at a time, in the order of training; default: a minibatch.
    restorable : bool
        Whether the pass, if it fails, goes back to the settled state of the optimiser. Then the moments take twice the
        memory.
    clips : bool
        Whether clip_norm or clip_value will be above 0.
    averages : bool
        Whether the last moment is the moving average of the parameters. `unpack` then writes the average to rest, and
        training goes on from the parameters that were averaged, unless those at rest have been changed since.
    """

    cdef Engine engine
    cdef const t.Table* table           # engine.table, kept since `engine` may be cleared before __dealloc__
    cdef void* state
    cdef t.Data data
    cdef t.Hyperparameters rule
    cdef Array rates                    # the learning rate of each step, in mode TRAIN
    cdef t.Cursor cursor
    cdef tuple arrays                   # what `data` points to
    cdef readonly Py_ssize_t batch
    cdef readonly int n_threads
    cdef int mode
    cdef readonly int n_moments
    cdef readonly int64_t updates       # the optimiser's steps up to its settled state
    cdef bint restorable, moving        # moving: from `pack` to a successful `unpack`, when steps may change the state
    cdef int64_t version                # the value of engine.version up to which the packed parameters are known

    def __cinit__(self, Engine engine, int mode, Py_ssize_t batch, int n_threads, str optimizer="sgd",
                  int n_moments=0, bint inputs=False, Py_ssize_t bound=0, bint restorable=False, bint clips=False,
                  bint averages=False):
        cdef t.PassSpec spec
        self.engine = engine
        self.table = engine.table
        self.batch, self.n_threads, self.mode, self.restorable = batch, n_threads, mode, restorable
        cdef int code = code_of(engine.table.optimizer_name, optimizer, "optimizer")
        if not 0 <= n_moments <= t.MOST_MOMENTS:
            raise ValueError(f"n_moments must be 0 to {t.MOST_MOMENTS}, got {n_moments}")
        self.rule.optimizer, self.n_moments = code, n_moments
        self.rates = Array(None, sizeof(double))
        spec.mode, spec.optimizer, spec.n_moments = mode, code, n_moments
        spec.batch, spec.bound, spec.n_threads = batch, bound or batch, n_threads
        spec.inputs, spec.restorable, spec.clips, spec.averages = inputs, restorable, clips, averages
        with nogil:
            self.state = engine.table.new_pass(engine.plan, &spec)
        if self.state == NULL:
            raise refusal(self.table.pass_refusal(mode, code), f"mode {mode}, optimizer {optimizer}")

    def __dealloc__(self):
        if self.table != NULL:
            self.table.free_pass(self.state)

    def set_rule(self, object penalties=None, object rates=None, double whole=0, **numbers):
        """Set the penalties and the optimiser's hyper-parameters for the next steps; those not named are 0.

        penalties: float64, (2, n_layers), l1 and l2 for each layer of weights. rates: float64, the learning rate of
        each step of a pass. whole: the weight of all examples whose J has the penalties, of which each minibatch has
        its part; 0: each minibatch has a J of its own.
        """
        cdef dict rule = NO_RULE.copy()
        rule.update(numbers)
        if len(rule) > len(NO_RULE):
            raise TypeError(f"expected hyper-parameters among {', '.join(NO_RULE)}, got {', '.join(numbers)}")
        rule["optimizer"] = self.rule.optimizer
        self.rule = rule
        self.rates = Array(rates, sizeof(double))
        self._set_penalties(penalties, whole)

    cdef int _set_penalties(self, object penalties, double whole) except -1:
        """Set l1 and l2 of each layer of weights, float64, (2, n_layers); None sets both to 0."""
        cdef Py_ssize_t n = self.engine.n_layers
        cdef Array found = Array(penalties, sizeof(double))
        if found.at == NULL:
            found = Array(zeros(2 * n), sizeof(double))
        found.expect(2 * n)
        self.table.set_penalties(self.state, <const double*> found.at, <const double*> found.at + n, whole)
        return 0

    def bind(self, object X, object Y, object labels, object weights, object order, Py_ssize_t m, *,
             object inputs=None, object outputs=None, bint check=True, bint X_gathered=False, bint Y_gathered=False,
             Py_ssize_t offset=0, Py_ssize_t available=-1, Py_ssize_t base=0, object losses=None, bint missing=False):
        """Bind the examples to go through; kernels/table.pxd has the shapes, in `Data`.

        base: the number of the first example in all arrays, if these have none of those before.
        """
        cdef Engine engine = self.engine
        cdef Array x = Array(X, engine.itemsize), y = Array(Y, engine.itemsize)
        cdef Array w = Array(weights, engine.itemsize), dx = Array(inputs, engine.itemsize, True)
        cdef Array a = Array(outputs, engine.itemsize, True), j = Array(losses, sizeof(double))
        cdef Array c = Array(labels, sizeof(int32_t)), o = Array(order, sizeof(uint32_t))
        cdef Py_ssize_t part = m - offset if available < 0 else available - offset, rows = m - base
        x.expect(part * engine.n_in if X_gathered else rows * engine.n_in)
        y.expect(part * engine.n_out if Y_gathered else rows * engine.n_out)
        w.expect(rows)
        c.expect(rows)
        o.expect(m)
        dx.expect(m * engine.n_in)
        a.expect(rows * engine.n_out)
        j.expect(rows)
        self.arrays = (x, y, w, dx, c, o, a, j)
        self.data.X, self.data.Y, self.data.sample_weight, self.data.inputs = x.at, y.at, w.at, dx.at
        self.data.labels, self.data.order = <const int32_t*> c.at, <const uint32_t*> o.at
        self.data.outputs, self.data.losses = a.at, <const double*> j.at
        self.data.m, self.data.check, self.data.base, self.data.missing = m, check, base, missing
        self.data.X_gathered, self.data.Y_gathered = X_gathered, Y_gathered
        self.data.offset, self.data.available = offset, m if available < 0 else available

    def release(self):
        """Drop the references to the arrays of the examples."""
        self.arrays = None
        memset(&self.data, 0, sizeof(self.data))

    def pack(self, int n_threads):
        """Begin a pass at the first example, with the parameters at rest and the settled state of the optimiser.

        Parameters that have not changed since the last `unpack` are not packed again.
        """
        memset(&self.cursor, 0, sizeof(self.cursor))
        self.cursor.updates = self.updates
        self.moving = True
        cdef bint unchanged = not self.engine.exposed and self.version == self.engine.version
        self.version = self.engine.version
        with nogil:
            self.engine.table.pack(self.state, self.engine.parameters.at, unchanged, own_team(n_threads))

    def unpack(self, int n_threads):
        """Write the parameters back to rest, and settle the optimiser's state.

        If a parameter is not finite, write nothing, keep the settled state from before, and return False.
        """
        cdef bint finite
        if not self.moving:                 # Ctrl-C came before `pack`, or after the last `unpack`
            return True
        with nogil:
            finite = self.engine.table.unpack(self.state, self.engine.parameters.at, own_team(n_threads))
        if finite:
            self.engine.version += 1        # both by one: they still differ if others have written since `pack`
            self.version += 1
            if self.cursor.weight != 0:     # else no step has moved the moments from their settled place
                self.table.settle(self.state)
            self.updates, self.moving = self.cursor.updates, False
        return finite

    def advance(self, double budget, int n_threads):
        """Continue the pass for about `budget` multiply-adds, or until the bound examples end or a fault is found."""
        cdef Py_ssize_t left = self.data.m - self.cursor.first
        if self.mode == t.TRAIN and (self.rates.length - self.cursor.step) * self.batch < left:
            raise ValueError(f"expected a rate for each step of {self.data.m} examples, got {self.rates.length}")
        with nogil:
            self.go_on(budget, n_threads)

    def outputs_ahead(self, object outputs, int n_threads):
        """Write the outputs of the minibatch that comes next to `outputs`, (n_rows, s(L)), each to its example's row.

        Its dropout and noise are those of its step. All of the minibatch must be bound.
        """
        cdef Array a = Array(outputs, self.engine.itemsize, True)
        cdef AheadCall call
        cdef double work = <double> min(self.batch, self.data.m) * self.engine.n_parameters
        a.expect((self.data.m - self.data.base) * self.engine.n_out)
        if a.at == NULL or self.cursor.first + min(self.batch, self.data.m - self.cursor.first) > self.data.available:
            raise ValueError("outputs_ahead needs an array for the outputs, and all of the minibatch")
        cdef void* kept = self.data.outputs
        self.data.outputs = a.at
        call.table, call.state, call.data, call.rule = self.table, self.state, &self.data, &self.rule
        call.cursor, call.n_threads = &self.cursor, n_threads
        with nogil:
            dispatch(ahead_here, &call, &call.n_threads, work)
        self.data.outputs = kept

    def update(self, object D, double rate, int n_threads):
        """Make one step of the optimiser with a gradient D that the caller has computed, between `pack` and `unpack`.

        D is laid out as the parameters at rest, and includes the derivative of the penalty.
        """
        cdef Array gradient = Array(D, self.engine.itemsize)
        gradient.expect(self.engine.n_parameters)
        if gradient.at == NULL or self.mode != t.TRAIN:
            raise ValueError("update needs a gradient, and mode TRAIN")
        with nogil:
            self.table.update(self.state, gradient.at, &self.rule, rate, &self.cursor, own_team(n_threads))

    cdef void go_on(self, double budget, int n_threads) noexcept nogil:
        cdef AdvanceCall call
        # The forward pass alone, the least work that any mode does; a round is done however small the budget is.
        cdef double work = <double> (self.data.available - self.cursor.first) * self.engine.n_parameters
        cdef double least = <double> self.batch * self.engine.n_parameters
        call.table, call.state, call.data, call.rule = self.table, self.state, &self.data, &self.rule
        call.rates = <const double*> self.rates.at
        call.cursor, call.budget, call.n_threads = &self.cursor, budget, n_threads
        dispatch(advance_here, &call, &call.n_threads, min(max(budget, least), work))

    def evaluate(self, object X, object Y, object gradient, object penalties):
        """Compute J of one batch in a single call, and in mode GRADIENT also its gradient D, laid out as at rest.

        X is (m, s(1)), Y (m, s(L)), or (m,) for one output. Return J, or None if X or Y needs conversion or has a value
        that the loss does not allow.
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
            self._set_penalties(penalties, 0)
            with nogil:
                self.table.pack(self.state, engine.parameters.at, False, 1)
                while self.cursor.fault.kind == t.NONE and self.cursor.first < self.batch:
                    self.go_on(1e300, self.n_threads)
                fits = self.cursor.fault.kind == t.NONE
                if fits and D.at != NULL:
                    self.table.read_gradient(self.state, D.at, engine.parameters.at, self.cursor.weight)
            memset(&self.data, 0, sizeof(self.data))
        PyBuffer_Release(&x)
        PyBuffer_Release(&y)
        return self.loss if fits else None

    def read_gradient(self, object gradient):
        """Write the gradient D, laid out as at rest, after a whole batch in mode GRADIENT."""
        cdef Array D = Array(gradient, self.engine.itemsize, True)
        D.expect(self.engine.n_parameters)
        with nogil:
            self.engine.table.read_gradient(self.state, D.at, self.engine.parameters.at, self.cursor.weight)

    def read_state(self, list moments):
        """Write the settled moments, but those for which None is given, laid out as at rest. Return how many updates
        led to them.

        Return None between `pack` and `unpack` of a pass that is not restorable, which keeps no settled state. No other
        thread may call `pack` or `unpack` at the same time: the steps after them may overwrite the moments that this
        call reads.
        """
        cdef list arrays = [Array(moment, self.engine.itemsize, True) for moment in moments]
        cdef int which
        self._check_moments(arrays)
        if self.moving and not self.restorable:
            return None
        for which in range(self.n_moments):
            if (<Array> arrays[which]).at != NULL:
                self.table.read_moment(self.state, which, True, (<Array> arrays[which]).at)
        return self.updates

    def read_place(self, object parameters, list moments):
        """Write the parameters and moments after the last step, laid out as at rest; return the arguments of
        `write_place`: the first example of the next minibatch, the number of steps in the pass and of all since the
        state was fresh, and the sums of the losses and of the weights.

        Inside a minibatch write nothing, and return None.
        """
        cdef Array W = Array(parameters, self.engine.itemsize, True)
        cdef list arrays = [Array(moment, self.engine.itemsize, True) for moment in moments]
        cdef int which
        self._check_moments(arrays)
        W.expect(self.engine.n_parameters)
        if self.cursor.done != 0:
            return None
        self.table.read_parameters(self.state, W.at)
        for which in range(self.n_moments):     # before the first step they are in their settled place
            self.table.read_moment(self.state, which, self.cursor.weight == 0, (<Array> arrays[which]).at)
        return (self.cursor.first, self.cursor.step, self.cursor.updates, self.cursor.loss, self.cursor.weight)

    def write_place(self, Py_ssize_t first, Py_ssize_t step, int64_t updates, double loss, double weight):
        """Move the cursor, after `pack`, to a place that `read_place` has returned."""
        self.cursor.first, self.cursor.step, self.cursor.updates = first, step, updates
        self.cursor.loss, self.cursor.weight = loss, weight

    def write_state(self, int64_t updates, list moments):
        """Set the settled state of the optimiser: the number of its updates, and its moments, laid out as at rest.

        For a new pass, None stands for a moment of zeros, or for an average that begins with the parameters at rest.
        """
        cdef list arrays = [Array(moment, self.engine.itemsize) for moment in moments]
        cdef int which
        self._check_moments(arrays)
        for which in range(self.n_moments):
            if (<Array> arrays[which]).at != NULL:
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
        """The number of examples that must be bound to continue: those of a minibatch, or of a part of a long one."""
        return self.table.stride(self.state)

    @property
    def finished(self):
        """Whether the pass has gone through all m examples."""
        return self.cursor.first >= self.data.m

    @property
    def needs_data(self):
        """Whether the pass has stopped because the bound examples are used up, before all m are."""
        return self.cursor.needs_data

    @property
    def position(self):
        """The number of the next example, in the order of training."""
        return self.cursor.first + self.cursor.done

    @property
    def step(self):
        """The number of minibatches completed since `pack`."""
        return self.cursor.step

    @property
    def team(self):
        """The most threads that any call since `pack` has used."""
        return self.cursor.team

    @property
    def loss(self):
        """The mean of J over the minibatches since `pack`, weighted by the examples, or their weights, in each."""
        return self.cursor.loss / self.cursor.weight if self.cursor.weight else 0.0

    @property
    def last_loss(self):
        """J of the last minibatch, before its step; NaN if its weights are all 0. Only between two minibatches."""
        return self.cursor.latest / self.cursor.m if self.cursor.m else NAN

    @property
    def fault(self):
        """None, or the fault that was found: (kind, row, column), where the kind is one of FAULTS."""
        cdef t.Fault* fault = &self.cursor.fault
        return None if fault.kind == t.NONE else (FAULTS[fault.kind], fault.row, fault.column)

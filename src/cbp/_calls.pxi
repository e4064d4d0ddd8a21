# The calls of kernels that may open a team of threads.
#
# Such a call runs in the calling thread. The exception is the thread in which a child of fork starts: it must not open
# teams, so another thread, the deputy, runs the call for it (deputy.h).

cdef extern from "deputy.h" nogil:
    void c_note_fork "note_fork"()
    bint is_orphan()
    bint hand_over(void (*job)(void*) noexcept nogil, void* argument)

cdef enum:
    HAND_OVER_FROM = 2_000_000          # the least multiply-adds for which the deputy is woken


cdef struct ForwardCall:
    const t.Table* table
    void* plan
    void** out
    const void* parameters
    const void* X
    Py_ssize_t m
    int n_threads
    t.Fault* fault
    bint enough


cdef struct AdvanceCall:
    const t.Table* table
    void* state
    const t.Data* data
    const t.Hyperparameters* rule
    const double* rates
    t.Cursor* cursor
    double budget
    int n_threads


cdef struct AheadCall:
    const t.Table* table
    void* state
    const t.Data* data
    const t.Hyperparameters* rule
    t.Cursor* cursor
    int n_threads


cdef struct BurnCall:
    const t.Table* table
    int n_threads
    int64_t turns
    double operations


cdef void forward_here(void* call_) noexcept nogil:
    cdef ForwardCall* call = <ForwardCall*> call_
    call.enough = call.table.forward(call.plan, call.out, call.parameters, call.X, call.m, call.n_threads, call.fault)


cdef void advance_here(void* call_) noexcept nogil:
    cdef AdvanceCall* call = <AdvanceCall*> call_
    call.table.advance(call.state, call.data, call.rule, call.rates, call.cursor, call.budget, call.n_threads)


cdef void ahead_here(void* call_) noexcept nogil:
    cdef AheadCall* call = <AheadCall*> call_
    call.table.outputs_ahead(call.state, call.data, call.rule, call.cursor, call.n_threads)


cdef void burn_here(void* call_) noexcept nogil:
    cdef BurnCall* call = <BurnCall*> call_
    call.operations = call.table.burn(call.n_threads, call.turns)


cdef void dispatch(void (*here)(void*) noexcept nogil, void* call, int* n_threads, double work) noexcept nogil:
    """Make a call of about `work` multiply-adds, in this thread or by the deputy. `n_threads` points to the number of
    threads in the call, which is set to 1 if the call cannot open a team."""
    if n_threads[0] > 1 and is_orphan():
        if work >= HAND_OVER_FROM and hand_over(here, call):
            return
        n_threads[0] = 1
    here(call)


cdef inline int own_team(int n_threads) noexcept nogil:
    """Return the threads for a call that is too short for the deputy: 1 if the calling thread must not open teams."""
    return 1 if is_orphan() else n_threads


def note_fork():
    """Note, in a child of fork, that the calling thread is the copy of the thread that called fork."""
    c_note_fork()

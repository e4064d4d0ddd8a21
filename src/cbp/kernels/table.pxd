"""What crosses the border between `_core` and a compiled kernel module: plain C structs and a table of functions.

A kernel module is compiled for one precision and one instruction set, `_core` for the baseline; `void*` stands
for `real*` here, since only the module knows its `real`.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t


cdef enum Activation:
    IDENTITY
    SIGMOID
    TANH
    RELU
    LEAKY_RELU
    ELU
    SELU
    SOFTPLUS
    SILU
    GELU
    EXP
    SOFTMAX                             # of rows, for outputs alone


cdef enum Loss:
    SQUARED_ERROR
    CROSS_ENTROPY
    ABSOLUTE_ERROR
    HUBER
    LOG_COSH
    QUANTILE
    POISSON
    GAMMA
    INNER_PRODUCT                       # sum_j y_j a_j, whose gradient is a vector-Jacobian product
    SUM_OF_OUTPUTS


cdef enum Optimizer:
    SGD
    ADAM
    ADAMW
    RMSPROP
    ADAGRAD
    NADAM


cdef enum Mode:
    LOSS                                # forward and the loss
    GRADIENT                            # … and Delta
    TRAIN                               # … and the optimiser's step


cdef enum Initial:                      # what the sums of a product start from
    ZERO
    BIAS                                # the row of B after the last
    ADD                                 # zero; the sums are then added to C


cdef enum FaultKind:
    NONE
    X_NOT_FINITE
    Y_NOT_FINITE
    Y_OUT_OF_RANGE
    Y_NOT_SUMMING_TO_ONE
    LOSS_NOT_FINITE


cdef enum Refusal:                      # of a plan or a pass, for a code that the kernels do not know
    ACCEPTED
    UNKNOWN_HIDDEN                      # activation: softmax is for outputs alone
    UNKNOWN_OUTPUT
    UNKNOWN_LOSS                        # or one that does not fit the output
    UNKNOWN_MODE
    UNKNOWN_OPTIMIZER


ctypedef struct Fault:                  # the first that was found in the data
    int kind
    Py_ssize_t row                      # of X and Y
    Py_ssize_t column


ctypedef struct Spec:                   # the network
    Py_ssize_t n_layers                 # weight layers, L - 1
    const Py_ssize_t* sizes             # (n_layers + 1,)
    const int* activations              # (n_layers,) of the layers' outputs
    const double* numbers               # (n_layers,) what they are named with, such as the slope of leaky_relu
    int loss
    double loss_number                  # the loss's parameter, such as the delta of huber
    bint bias                           # whether layers have biases


cdef enum:
    MOST_MOMENTS = 3                    # vectors of an optimiser's state, each as long as the parameters


ctypedef struct Hyperparameters:        # of the optimiser, but for the learning rate, and the penalty
    int optimizer
    double momentum                     # SGD, RMSprop
    bint nesterov
    double beta1                        # Adam and its kin
    double beta2
    double epsilon                      # all but SGD
    double weight_decay                 # AdamW
    double decay                        # RMSprop
    bint centered
    double momentum_decay               # Nadam


ctypedef struct Data:                   # the examples of one call, each array C-contiguous
    const void* X                       # (n_rows, s(1))
    const void* Y                       # (n_rows, s(L)), or NULL with labels
    const int32_t* labels               # (n_rows,) or NULL
    const void* sample_weight           # (n_rows,) or NULL: all ones
    const uint32_t* order               # (m,) rows in the order of training, or NULL: 0, 1, 2, …
    Py_ssize_t m                        # examples to go through
    bint X_gathered                     # X and Y may hold a part of the m examples instead, in the order of
    bint Y_gathered                     # training: those from offset …
    Py_ssize_t offset
    Py_ssize_t available                # … to before this one
    void* inputs                        # (m, s(1)) receives dJ/dX in mode GRADIENT, or NULL
    bint check                          # look for faults in X and Y


ctypedef struct Cursor:                 # how far a pass has come; all zero at the start of one
    Py_ssize_t first                    # example with which the current minibatch starts
    Py_ssize_t done                     # rows of it (of each partial sum, where there are several) gone through
    Py_ssize_t step                     # minibatches completed in this pass
    int64_t updates                     # optimiser steps since its state was fresh
    double m                            # of it: its examples, or the sum of their weights
    double batch_loss                   # sum of the losses of the rows done
    double loss                         # sum of J, each minibatch's times its weight
    double weight                       # sum of the weights of the minibatches completed
    double product                      # Nadam's product of the momenta so far, …
    int64_t factors                     # … and their number
    bint needs_data                     # stopped because all bound examples are used up
    int team                            # the most threads so far
    Fault fault


# What probes are asked for: measurements in probes.pxi, single kernels in singles.pxi.

cdef enum Function:
    EXPONENTIAL
    LOGISTIC
    HYPERBOLIC_TANGENT
    LOG1P_UNIT


cdef enum Product:                      # to be timed
    FORWARD
    ACCUMULATION


cdef enum Layout:
    ROWS                                # row by row, `extent` reals from one to the next
    COLUMNS                             # the transpose of such rows; left operand only
    STRIPS                              # `extent` rows have room, left operand only
    PANELS                              # likewise, C and right operand only


cdef enum Way:                          # to multiply
    TILES
    ONE_ROW
    ONE_ROW_AT_REST
    OUTER
    SUM_OF_ROWS


cdef enum Move:
    PACK_ROWS
    UNPACK_ROWS
    COMPARE_ROWS
    TRANSPOSE
    PACK_PANELS
    PACK_STRIPS


ctypedef struct Operand:
    void* at
    int layout
    Py_ssize_t extent


ctypedef struct Multiplication:         # C = initial + A B, or what `way` makes of it
    int way
    int initial
    Operand C                           # (M, n)
    Operand A                           # (M, n_k)
    Operand B                           # (n_k, n), and one row more where initial is BIAS
    Py_ssize_t C_first                  # number of the row that lies where C does
    Py_ssize_t start                    # rows start to stop of C
    Py_ssize_t stop
    Py_ssize_t left                     # column of B's panels with which its columns begin
    Py_ssize_t n
    Py_ssize_t n_k
    Py_ssize_t chain                    # the most of k that are summed in one chain


ctypedef struct Rearrangement:
    int move
    void* to
    const void* source
    Py_ssize_t n_rows                   # of panels and strips: all that have room; of W, b counts as the last
    Py_ssize_t n_columns
    Py_ssize_t start                    # rows start to stop
    Py_ssize_t stop
    Py_ssize_t ld                       # of rows that are packed into panels or strips


ctypedef struct Update:                 # of n reals, whole vectors
    Hyperparameters rule
    double learning_rate
    double l2
    int64_t updates                     # before this one
    double m
    bint are_weights                    # not biases, which are exempt from penalty and decay
    Py_ssize_t back                     # a moment is read so many reals from where it is written
    void* W
    void* moments[3]                    # MOST_MOMENTS
    const void* Delta
    Py_ssize_t n


ctypedef struct Probes:                 # each returns whether it knows the codes that it was given, unless it says else
    bint (*elementwise)(int function, void* out, const void* x, Py_ssize_t n, int64_t times) noexcept nogil
    double (*product)(int kind, Py_ssize_t n, int64_t times) noexcept nogil     # the smallest element, or -1
    bint (*multiply)(const Multiplication* of) noexcept nogil
    bint (*rearrange)(const Rearrangement* of, bint* differ) noexcept nogil
    bint (*activate)(int g, double number, void* z, void* workspace, Py_ssize_t ld, Py_ssize_t n_rows,
                     Py_ssize_t n) noexcept nogil
    bint (*times_derivative)(int g, double number, void* delta, const void* z, const void* a,
                             Py_ssize_t n) noexcept nogil
    bint (*step)(const Update* of) noexcept nogil


ctypedef struct Table:
    int vector_bytes
    int openmp                          # the version's date, 0 without
    const char* compiler
    int default_threads                 # of OpenMP, where nobody had set a number when the module was loaded; else 0
    int (*most_threads)() noexcept nogil
    int (*team_limit)() noexcept nogil
    int (*n_places)() noexcept nogil
    int (*place)(int i, int* processors) noexcept nogil
    double (*burn)(int n_threads, int64_t turns) noexcept nogil

    # Names by code, counted from 0; NULL past the last.
    const char* (*activation_name)(int g) noexcept nogil
    const char* (*loss_name)(int loss) noexcept nogil
    const char* (*optimizer_name)(int optimizer) noexcept nogil

    int (*plan_refusal)(const Spec* spec) noexcept nogil
    void* (*new_plan)(const Spec* spec) noexcept nogil
    void (*free_plan)(void* plan) noexcept nogil

    bint (*forward)(void* plan, void** out, const void* parameters, const void* X, Py_ssize_t m,
                    int n_threads, Fault* fault) noexcept nogil

    int (*pass_refusal)(int mode, int optimizer) noexcept nogil
    void* (*new_pass)(void* plan, int mode, int optimizer, int n_moments, Py_ssize_t batch, bint inputs,
                      Py_ssize_t bound, int n_threads, bint restorable) noexcept nogil
    void (*free_pass)(void* state) noexcept nogil
    Py_ssize_t (*stride)(void* state) noexcept nogil
    void (*pack)(void* state, const void* parameters, bint unchanged, int n_threads) noexcept nogil
    bint (*unpack)(void* state, void* parameters, int n_threads) noexcept nogil
    void (*settle)(void* state) noexcept nogil
    void (*read_parameters)(void* state, void* parameters) noexcept nogil
    void (*read_moment)(void* state, int which, bint settled, void* moment) noexcept nogil
    void (*write_moment)(void* state, int which, const void* moment) noexcept nogil
    # (n_layers,) each: of |W| and of W^2 / 2
    void (*set_penalties)(void* state, const double* l1, const double* l2) noexcept nogil
    void (*read_gradient)(void* state, void* gradient, const void* parameters, double weight) noexcept nogil
    # rates: the learning rate of each step of the pass; NULL but in mode TRAIN
    void (*advance)(void* state, const Data* data, const Hyperparameters* rule, const double* rates, Cursor* cursor,
                    double budget, int n_threads) noexcept nogil
    # a step against a gradient from outside, (n_parameters,) at rest, with the penalty in it
    void (*update)(void* state, const void* D, const Hyperparameters* rule, double rate, Cursor* cursor,
                   int n_threads) noexcept nogil

    Probes probes

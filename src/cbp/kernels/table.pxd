"""The interface between `_core` and a compiled kernel module: plain C structs and a table of functions.

A kernel module is compiled for one precision and one instruction set, `_core` for the baseline instruction set. Arrays
of `real` are `void*` here, since only a kernel module knows what `real` is. Vectors "at rest" have the flat layout that
users see: for each layer W row by row, then b.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


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
    SOFTMAX                             # of each row; only for outputs


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
    LOSS                                # compute the loss
    GRADIENT                            # … and Delta
    TRAIN                               # … and the optimiser's step


cdef enum Initial:                      # the value from which the sums of a product C = A B start
    ZERO
    BIAS                                # row n_k of B, which follows those that are multiplied
    ADD                                 # zero, and the sums are then added to C


cdef enum FaultKind:
    NONE
    X_NOT_FINITE
    Y_NOT_FINITE
    Y_OUT_OF_RANGE
    Y_NOT_SUMMING_TO_ONE
    LOSS_NOT_FINITE


cdef enum Refusal:                      # why a plan or a pass cannot be made: a code that the kernels do not know
    ACCEPTED
    UNKNOWN_HIDDEN                      # activation of a hidden layer, which softmax cannot be
    UNKNOWN_OUTPUT
    UNKNOWN_LOSS                        # unknown, or does not fit the output's activation
    UNKNOWN_MODE
    UNKNOWN_OPTIMIZER


ctypedef struct Fault:                  # the first one found in the data
    int kind
    Py_ssize_t row                      # of X and Y
    Py_ssize_t column


ctypedef struct Spec:                   # the network
    Py_ssize_t n_layers                 # weight layers, L - 1
    const Py_ssize_t* sizes             # (n_layers + 1,)
    const int* activations              # (n_layers,) of the layers' outputs
    const double* numbers               # (n_layers,) the activations' parameters, such as the slope of leaky_relu
    int loss
    double loss_number                  # the loss's parameter, such as the delta of huber
    bint bias                           # whether layers have biases
    const double* dropout               # (n_layers,) shares of the layers' inputs that training drops; NULL: none
    double input_noise                  # standard deviation of what training adds to the inputs


cdef enum:
    MOST_MOMENTS = 4                    # vectors of an optimiser's state, each as long as the parameters


ctypedef struct Hyperparameters:        # of the optimiser; learning rates and penalties are passed separately
    int optimizer
    double momentum                     # SGD, RMSprop
    bint nesterov
    double beta1                        # Adam, AdamW, Nadam
    double beta2
    double epsilon                      # all but SGD
    double weight_decay                 # AdamW
    double decay                        # RMSprop
    bint centered
    double momentum_decay               # Nadam
    double clip_norm                    # the most that the norm of D, of all layers, may be; 0: no limit
    double clip_value                   # … and each element of D; 0: no limit
    double ema                          # decay rate of the parameters' moving average
    uint64_t seed                       # of dropout and noise


ctypedef struct PassSpec:               # what a pass is made for
    int mode
    int optimizer
    int n_moments
    Py_ssize_t batch                    # examples of a minibatch
    Py_ssize_t bound                    # examples, in the order of training, that are made available at a time
    int n_threads                       # the most
    bint inputs                         # whether the gradient with respect to the inputs is wanted
    bint restorable                     # whether the moments from before are kept until the pass has succeeded
    bint clips                          # whether D is limited
    bint averages                       # whether the last moment is the moving average of the parameters


ctypedef struct Data:                   # the examples of one call, each array C-contiguous
    const void* X                       # (n_rows, s(1))
    const void* Y                       # (n_rows, s(L)), or NULL with labels
    const int32_t* labels               # (n_rows,) or NULL
    const void* sample_weight           # (n_rows,) or NULL: all ones
    const uint32_t* order               # (m,) rows in the order of training, or NULL: 0, 1, 2, …
    Py_ssize_t m                        # examples to go through
    bint X_gathered                     # X has only the examples from `offset` to before `available`, already copied
    bint Y_gathered                     # to the order of training; likewise Y
    Py_ssize_t offset
    Py_ssize_t available                # the examples from this one on cannot be read yet
    void* inputs                        # (m, s(1)) receives dJ/dX in mode GRADIENT, or NULL
    void* outputs                       # (n_rows, s(L)) receives a(L), or NULL
    const double* losses                # (n_rows,) each example's loss, where it is not the plan's; or NULL
    Py_ssize_t base                     # without `order`, the number of the example in the first row of all arrays
    bint missing                        # a target that is NaN has no part in its example's loss
    bint check                          # look for faults in X and Y


ctypedef struct Cursor:                 # how far a pass has come; all fields are 0 at its start, but for `updates`
    Py_ssize_t first                    # the first example of the current minibatch
    Py_ssize_t done                     # examples of it already processed; with partial sums, of each of them
    Py_ssize_t step                     # minibatches completed in this pass
    int64_t updates                     # steps of the optimiser since its state was new
    double m                            # of the current minibatch: its number of examples, or the sum of their weights
    double batch_loss                   # sum of the losses of the examples already processed
    double loss                         # sum of m J over the minibatches completed
    double latest                       # m J of the last of them
    double weight                       # sum of m over the minibatches completed
    double product                      # Nadam: the product of the momenta so far, …
    int64_t factors                     # … and how many they are
    bint needs_data                     # whether the pass has stopped because the next round goes beyond `available`
    int team                            # the most threads that the pass has used so far
    Fault fault


# Arguments of probes, by which tests and benchmarks call single functions: measurements in probes.pxi, single kernels
# in singles.pxi.

cdef enum Function:
    EXPONENTIAL
    LOGISTIC
    HYPERBOLIC_TANGENT
    LOG1P_UNIT


cdef enum Product:                      # which product to time
    FORWARD
    ACCUMULATION


cdef enum Layout:
    ROWS                                # row by row, with `extent` reals from one row to the next
    COLUMNS                             # the transpose of a matrix in ROWS; only for the left operand
    STRIPS                              # packed, with room for `extent` rows; only for the left operand
    PANELS                              # packed, with room for `extent` rows; only for C and the right operand


cdef enum Way:                          # which function multiplies
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


ctypedef struct Multiplication:         # C = initial + A B, or the special case that `way` computes
    int way
    int initial
    Operand C                           # (M, n)
    Operand A                           # (M, n_k)
    Operand B                           # (n_k, n), and one row more where initial is BIAS
    Py_ssize_t C_first                  # number of the row that is stored first in C
    Py_ssize_t start                    # rows start to stop of C are computed
    Py_ssize_t stop
    Py_ssize_t left                     # the column of the panels that is the first column of B
    Py_ssize_t n
    Py_ssize_t n_k


ctypedef struct Rearrangement:
    int move
    void* to
    const void* source
    Py_ssize_t n_rows                   # for which panels or strips have room; for W, its rows and that of b
    Py_ssize_t n_columns
    Py_ssize_t start                    # rows start to stop
    Py_ssize_t stop
    Py_ssize_t ld                       # row length of a matrix that is packed into panels or strips


ctypedef struct Update:                 # a step for n reals, n a multiple of LANES
    Hyperparameters rule
    double learning_rate
    double l2
    int64_t updates                     # the number of steps before this one
    double m
    bint are_weights                    # else they are biases, to which penalty and weight decay do not apply
    Py_ssize_t back                     # distance, in reals, from where a moment is written to where it is read
    void* W
    void* moments[4]                    # MOST_MOMENTS
    const void* Delta
    Py_ssize_t n


ctypedef struct Probes:                 # a `bint` returned says whether all codes given are known
    bint (*elementwise)(int function, void* out, const void* x, Py_ssize_t n, int64_t times) noexcept nogil
    double (*product)(int kind, Py_ssize_t n, int64_t times) noexcept nogil     # the smallest element; -1: unknown
    bint (*multiply)(const Multiplication* of) noexcept nogil
    bint (*rearrange)(const Rearrangement* of, bint* differ) noexcept nogil
    bint (*activate)(int g, double number, void* z, void* workspace, Py_ssize_t ld, Py_ssize_t n_rows,
                     Py_ssize_t n) noexcept nogil
    bint (*times_derivative)(int g, double number, void* delta, const void* z, const void* a,
                             Py_ssize_t n) noexcept nogil
    bint (*step)(const Update* of) noexcept nogil


ctypedef struct Table:
    int vector_bytes
    int openmp                          # date of the OpenMP version; 0 without OpenMP
    const char* compiler
    int default_threads                 # of OpenMP when the module was loaded; 0 if a number had been set
    int (*most_threads)() noexcept nogil
    int (*team_limit)() noexcept nogil
    int (*n_places)() noexcept nogil
    int (*place)(int i, int* processors) noexcept nogil
    double (*burn)(int n_threads, int64_t turns) noexcept nogil

    # These return the name that belongs to a code. Codes count from 0; past the last one the name is NULL.
    const char* (*activation_name)(int g) noexcept nogil
    const char* (*loss_name)(int loss) noexcept nogil
    const char* (*optimizer_name)(int optimizer) noexcept nogil

    int (*plan_refusal)(const Spec* spec) noexcept nogil
    void* (*new_plan)(const Spec* spec) noexcept nogil
    void (*free_plan)(void* plan) noexcept nogil

    bint (*forward)(void* plan, void** out, const void* parameters, const void* X, Py_ssize_t m,
                    int n_threads, Fault* fault) noexcept nogil

    int (*pass_refusal)(int mode, int optimizer) noexcept nogil
    void* (*new_pass)(void* plan, const PassSpec* spec) noexcept nogil
    void (*free_pass)(void* state) noexcept nogil
    Py_ssize_t (*stride)(void* state) noexcept nogil
    void (*pack)(void* state, const void* parameters, bint unchanged, int n_threads) noexcept nogil
    bint (*unpack)(void* state, void* parameters, int n_threads) noexcept nogil
    void (*settle)(void* state) noexcept nogil
    void (*read_parameters)(void* state, void* parameters) noexcept nogil
    void (*read_moment)(void* state, int which, bint settled, void* moment) noexcept nogil
    void (*write_moment)(void* state, int which, const void* moment) noexcept nogil
    # l1, l2: (n_layers,) each, the penalties of |W| and of W^2 / 2; whole: the weight of all examples whose J has them,
    # or 0, where each minibatch has a J of its own
    void (*set_penalties)(void* state, const double* l1, const double* l2, double whole) noexcept nogil
    void (*read_gradient)(void* state, void* gradient, const void* parameters, double weight) noexcept nogil
    # rates: the learning rate of each step of the pass; NULL unless the mode is TRAIN
    void (*advance)(void* state, const Data* data, const Hyperparameters* rule, const double* rates, Cursor* cursor,
                    double budget, int n_threads) noexcept nogil
    # writes data.outputs of the minibatch that comes next
    void (*outputs_ahead)(void* state, const Data* data, const Hyperparameters* rule, Cursor* cursor,
                          int n_threads) noexcept nogil
    # D: a gradient that the caller has computed, (n_parameters,) at rest, which includes the penalty
    void (*update)(void* state, const void* D, const Hyperparameters* rule, double rate, Cursor* cursor,
                   int n_threads) noexcept nogil

    Probes probes

/* Runs the compiled core without Python, and compares its results with those of the reference: for machines that are
 * only emulated.
 *
 * KERNELS is the C file that Cython makes of backprop.pyx. The functions of it that are called here need only those
 * functions of Python that are defined below. run.py defines the others that the file names: they report the call.
 */

/* pyconfig.h is that of the machine that compiles, so it does not tell the byte order of the target. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WORDS_BIGENDIAN 1
#endif
#include KERNELS

#include <stdio.h>

/* Cython calls these before and after a parallel region; their names depend on Python's version. There is no GIL. */
int PyGILState_Check(void) { return 0; }
#if PY_VERSION_HEX < 0x030D0000
PyThreadState *_PyThreadState_UncheckedGet(void) { return NULL; }
#else
PyThreadState *PyThreadState_GetUnchecked(void) { return NULL; }
#endif
PyThreadState *PyThreadState_Swap(PyThreadState *state) { return NULL; }

typedef struct {
    const char *name;
    int n_layers, loss, optimizer;
    Py_ssize_t m, batch, n_parameters;
    double J;
    const Py_ssize_t *sizes;
    const int *activations;
    const double *parameters, *X, *Y, *outputs, *gradient, *trained;
} Case;

#include "vectors.h"

#define CORE(name) __pyx_f_3cbp_7kernels_8backprop_##name
#define STRUCT(name) struct __pyx_t_3cbp_7kernels_5table_##name
#define CODE(name) __pyx_e_3cbp_7kernels_5table_##name
#define TOLERANCE (sizeof(real) == 4 ? 2e-5 : 1e-12)

static int failures;

static real *reals(const double *from, Py_ssize_t n)
{
    /* Kernels read up to two vectors past the parameters. */
    real *to = calloc(n + 32, sizeof(real));
    for (Py_ssize_t i = 0; from && i < n; i++) to[i] = (real)from[i];
    return to;
}

static void compare(const Case *c, const char *what, int n_threads, const real *found, const double *expected, Py_ssize_t n)
{
    double most = 0, scale = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        scale = fmax(scale, fabs(expected[i]));
        most = fmax(most, isfinite(found[i]) ? fabs(found[i] - expected[i]) : INFINITY);
    }
    int right = most <= TOLERANCE * scale;
    printf("%-8s %-10s %d threads  %.1e %s\n", c->name, what, n_threads, most / scale, right ? "" : "WRONG");
    failures += !right;
}

static void all(void *pass, STRUCT(Data) *data, STRUCT(Hyperparameters) *rule, const double *rates,
                STRUCT(Cursor) *cursor, int n_threads)
{
    while (cursor->first < data->m && cursor->fault.kind == 0)
        CORE(advance)(pass, data, rule, rates, cursor, 1e6, n_threads);
    if (cursor->fault.kind) printf("fault %d\n", cursor->fault.kind), failures++;
}

/* Checks a case, and returns the parameters after training, which the caller must free. */
static real *run(const Case *c, int n_threads)
{
    static const double numbers[8]; /* the parameters of activations, which have none here */
    STRUCT(Spec) spec = {c->n_layers, c->sizes, c->activations, numbers, c->loss, 0, 1};
    STRUCT(Fault) fault = {0};
    STRUCT(Data) data = {0};
    STRUCT(Hyperparameters) rule = {0};
    double rates[4096]; /* one for each step, and more than there are steps */
    double none[8] = {0}, l2[8] = {L2, L2, L2, L2, L2, L2, L2, L2};
    STRUCT(Cursor) cursor = {0};
    Py_ssize_t n_in = c->sizes[0], n_out = c->sizes[c->n_layers];
    void *plan = CORE(new_plan)(&spec), *out[8] = {0}, *pass;
    real *parameters = reals(c->parameters, c->n_parameters), *X = reals(c->X, c->m * n_in);
    real *Y = reals(c->Y, c->m * n_out), *D = reals(NULL, c->n_parameters), *outputs = reals(NULL, c->m * n_out);
    real J;

    out[c->n_layers - 1] = outputs;
    CORE(forward)(plan, out, parameters, X, c->m, n_threads, &fault);
    compare(c, "outputs", n_threads, outputs, c->outputs, c->m * n_out);

    data.X = X, data.Y = Y, data.m = data.available = c->m, data.check = 1;
    for (int i = 0; i < 4096; i++) rates[i] = RATE;
    rule.optimizer = c->optimizer, rule.nesterov = 1;
    rule.momentum = MOMENTUM, rule.beta1 = BETA1, rule.beta2 = BETA2, rule.epsilon = EPSILON;
    pass = CORE(new_pass)(plan, CODE(GRADIENT), c->optimizer, 0, c->m, 0, c->m, n_threads, 0);
    CORE(set_penalties)(pass, none, l2);
    CORE(pack)(pass, parameters, 0, n_threads);
    all(pass, &data, &rule, NULL, &cursor, n_threads);
    CORE(read_gradient)(pass, D, parameters, cursor.weight);
    CORE(free_pass)(pass);
    J = (real)(cursor.loss / cursor.weight);
    compare(c, "loss", n_threads, &J, &c->J, 1);
    compare(c, "gradient", n_threads, D, c->gradient, c->n_parameters);

    pass = CORE(new_pass)(plan, CODE(TRAIN), c->optimizer, c->optimizer == CODE(ADAM) ? 2 : 1, c->batch, 0, c->batch, n_threads, 0);
    CORE(set_penalties)(pass, none, l2);
    CORE(pack)(pass, parameters, 0, n_threads);
    memset(&cursor, 0, sizeof cursor);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        cursor.first = 0;
        all(pass, &data, &rule, rates, &cursor, n_threads);
    }
    CORE(unpack)(pass, parameters, n_threads);
    CORE(free_pass)(pass);
    CORE(free_plan)(plan);
    compare(c, "trained", n_threads, parameters, c->trained, c->n_parameters);
    free(X), free(Y), free(D), free(outputs);
    return parameters;
}

int main(void)
{
    printf("real of %zu bytes, vectors of %d, OpenMP %d\n", sizeof(real), VBYTES, openmp_version());
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        real *one = run(&CASES[i], 1), *three = run(&CASES[i], 3);
        if (memcmp(one, three, CASES[i].n_parameters * sizeof(real))) {
            printf("%s: other bits with other threads WRONG\n", CASES[i].name);
            failures++;
        }
        free(one), free(three);
    }
    printf("%d failures\n", failures);
    return failures > 0;
}

/* The time that FANN takes for an example: fann SIZES n batch seconds, with SIZES as in 784-30-10.
 *
 * batch: one epoch of gradients, then one update (FANN_TRAIN_BATCH); otherwise an update an example
 * (FANN_TRAIN_INCREMENTAL). Prints the nanoseconds of an example, and the mean squared errors of the first
 * and the last epoch, by which one sees that it learns.
 */
#include <fann.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double uniform(void) { return rand() / (double)RAND_MAX; }

int main(int argc, char** argv)
{
    if (argc != 5) return 2;
    unsigned int sizes[16], n_layers = 0;
    for (char* part = strtok(argv[1], "-"); part && n_layers < 16; part = strtok(NULL, "-"))
        sizes[n_layers++] = atoi(part);
    int n = atoi(argv[2]), batch = atoi(argv[3]);
    double seconds = atof(argv[4]);

    struct fann* net = fann_create_standard_array(n_layers, sizes);
    fann_set_activation_function_hidden(net, FANN_SIGMOID);
    fann_set_activation_function_output(net, FANN_SIGMOID);
    /* g(z) = 1 / (1 + exp(-2 s z)), the textbook's with a steepness s of a half */
    fann_set_activation_steepness_hidden(net, 0.5);
    fann_set_activation_steepness_output(net, 0.5);
    fann_set_training_algorithm(net, batch ? FANN_TRAIN_BATCH : FANN_TRAIN_INCREMENTAL);
    fann_set_learning_rate(net, 0.1f);
    fann_set_learning_momentum(net, 0.0f);
    fann_randomize_weights(net, -0.1f, 0.1f);

    /* one feature is raised by the example's class */
    unsigned int n_in = sizes[0], n_out = sizes[n_layers - 1];
    struct fann_train_data* data = fann_create_train(n, n_in, n_out);
    srand(1);
    for (int i = 0; i < n; i++) {
        unsigned int class = rand() % (n_out > 1 ? n_out : 2);
        for (unsigned int j = 0; j < n_in; j++)
            data->input[i][j] = 2 * uniform() - 1 + 2 * (j == class);
        for (unsigned int k = 0; k < n_out; k++)
            data->output[i][k] = n_out > 1 ? k == class : class;
    }

    float first = fann_train_epoch(net, data), last = first;  /* warms up, too */
    long epochs = 0;
    double start = now(), took;
    do {
        last = fann_train_epoch(net, data);
        epochs++;
    } while ((took = now() - start) < seconds);
    printf("%.3f %g %g\n", took / epochs / n * 1e9, first, last);
    fann_destroy_train(data);
    fann_destroy(net);
    return 0;
}

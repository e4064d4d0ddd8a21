"""fit and partial_fit: against the reference stepped by hand; the record, the optimiser's state, refusals."""

import numpy as np
import pytest

import cbp
from cbp import reference
from cbp.training import passes

OPTIMIZERS = {
    "sgd": cbp.SGD(0.3),
    "momentum": cbp.SGD(0.1, momentum=0.9),
    "nesterov": cbp.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": cbp.Adam(0.02),
    "adam, other constants": cbp.Adam(0.05, beta1=0.5, beta2=0.9, epsilon=1e-3),
    "adam without first moment": cbp.Adam(0.01, beta1=0.0),
}


def data(sizes=(3, 5, 4), m=50, seed=0, output="softmax"):
    rng = np.random.default_rng(seed)
    Y = rng.integers(0, sizes[-1], size=m) if output == "softmax" else rng.uniform(size=(m, sizes[-1]))
    return rng.normal(size=(m, sizes[0])), Y


def make(sizes=(3, 5, 4), **options):
    return cbp.Network(sizes, **{"hidden": "tanh", "dtype": "float64", "rng": 1, **options})


def by_hand(net):
    """The reference's training, from the parameters of a network."""
    return reference.Training(net.weights, net.biases, [*net.hidden, net.output], net.loss_name, l2=net.l2)


def fit_by_hand(net, X, Y, *, epochs, batch_size, optimizer, sample_weight=None):
    """What `fit(…, shuffle=False)` is to do: the parameters, and each epoch's loss."""
    run, how = by_hand(net), (batch_size, optimizer.kernel, optimizer.rule())
    whole = len(X) if sample_weight is None else np.sum(sample_weight)
    losses = [run.epoch(X, Y, *how, sample_weight=sample_weight, whole=whole) for _ in range(epochs)]
    return run.parameters, losses


def assert_fit_is_as_by_hand(net, X, Y, tolerance=1e-10, **options):
    parameters, losses = fit_by_hand(net, X, Y, **options)
    history = net.fit(X, Y, shuffle=False, **options)
    assert np.abs(net.parameters - parameters).max() < tolerance * np.abs(parameters).max()
    assert history.losses == pytest.approx(losses, rel=tolerance)


# --- against the reference -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 16, 50, 64, None])  # 50 examples: 16 leave a batch of 2
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_optimizer(optimizer, batch_size):
    assert_fit_is_as_by_hand(make(l2=0.3), *data(), epochs=3, batch_size=batch_size, optimizer=optimizer)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_single_precision(optimizer):
    X, Y = data()
    X = X.astype(np.float32)
    net = make(l2=0.3, dtype="float32")
    assert_fit_is_as_by_hand(net, X, Y, tolerance=2e-5, epochs=3, batch_size=16, optimizer=optimizer)


@pytest.mark.parametrize("batch_size", [96, 127, 128, 129, 200, None])
@pytest.mark.parametrize("m", [300, 513])
def test_batches_that_are_summed_in_parts(m, batch_size):
    net = make(l2=0.3)
    assert_fit_is_as_by_hand(
        net, *data(m=m), epochs=2, batch_size=batch_size, optimizer=cbp.SGD(0.5, momentum=0.5)
    )


@pytest.mark.parametrize("batch_size", [7, 200, None])
def test_a_network_too_large_for_that(batch_size):
    sizes = [130, 140, 10]
    assert_fit_is_as_by_hand(
        make(sizes, l2=0.3), *data(sizes, 250), epochs=2, batch_size=batch_size, optimizer=cbp.Adam(0.01)
    )


@pytest.mark.parametrize(
    ("hidden", "output", "loss"),
    [
        ("sigmoid", "sigmoid", "cross_entropy"),
        ("relu", "identity", "squared_error"),
        ("identity", "tanh", "squared_error"),
        ("tanh", "softmax", "squared_error"),
    ],
)
def test_other_outputs_and_losses(hidden, output, loss):
    net = make(hidden=hidden, output=output, loss=loss)
    X, Y = data(output=output)
    Y = np.eye(4)[Y] if output == "softmax" else Y
    assert_fit_is_as_by_hand(net, X, Y, epochs=3, batch_size=16, optimizer=cbp.SGD(0.2))


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_sample_weights_and_a_batch_without_any(optimizer):
    weight = np.random.default_rng(2).uniform(0, 3, size=50)
    weight[[3, 5, 40]] = 0
    weight[16:32] = 0  # no step, no decay of moments, no bias correction
    assert_fit_is_as_by_hand(
        make(l2=0.3), *data(), epochs=3, batch_size=16, optimizer=optimizer, sample_weight=weight
    )


def test_ridge_regression_has_a_closed_solution():
    X, Y = data((4, 2), 30, output="identity")
    net = make([4, 2], output="identity", l2=2.0)
    net.fit(X, Y, epochs=500, batch_size=None, optimizer=cbp.SGD(0.2, momentum=0.8))
    A = np.column_stack([X, np.ones(30)])
    solution = np.linalg.solve(A.T @ A + 2.0 * np.diag([1, 1, 1, 1, 0]), A.T @ Y)
    np.testing.assert_allclose(net.parameters.reshape(5, 2), solution, rtol=1e-9)


# --- the record ------------------------------------------------------------------------------------------


def test_history():
    X, Y = data()
    net, seen = make(l2=0.8), []

    def callback(epoch):
        assert net.history[-1] is epoch
        seen.append((epoch, net.parameters.copy()))

    history = net.fit(X, Y, epochs=3, batch_size=16, validation_data=data(m=20, seed=9), callbacks=[callback])
    assert history is net.history
    assert list(history) == [epoch for epoch, _ in seen]
    assert [epoch.number for epoch in history] == [1, 2, 3]
    activations = [*net.hidden, net.output]
    for epoch, parameters in seen:
        twin = make()
        twin.parameters = parameters
        # The data term alone, after the epoch.
        J, *_ = reference.gradient(
            twin.weights, twin.biases, activations, "cross_entropy", *data(m=20, seed=9)
        )
        assert epoch.validation_loss == pytest.approx(J, rel=1e-12)
        assert epoch.seconds > 0
        assert epoch.examples_per_second == pytest.approx(50 / epoch.seconds)
        assert type(epoch.loss) is type(epoch.validation_loss) is float
    assert make().fit(X, Y, epochs=1)[0].validation_loss is None


def test_validation_data_may_be_weighted():
    X, Y = data(m=20, seed=9)
    weight = np.arange(20) % 3
    net = make()
    epoch = net.fit(*data(), epochs=1, validation_data=(X, Y, weight))[0]
    assert epoch.validation_loss == net.loss(X, Y, weight)


def test_no_epochs():
    net = make()
    before = net.parameters.copy()
    net.fit(*data(), epochs=1)
    trained = net.parameters.copy()
    assert (trained != before).any()
    assert len(net.fit(*data(), epochs=0)) == 0
    assert len(net.history) == 0
    np.testing.assert_array_equal(net.parameters, trained)


def test_the_defaults_of_fit():
    net, twin = make(), make()
    history = net.fit(*data())
    twin.fit(*data(), epochs=100, batch_size=32, optimizer=cbp.Adam(1e-3, 0.9, 0.999, 1e-8), shuffle=True)
    assert len(history) == 100
    np.testing.assert_array_equal(net.parameters, twin.parameters)


@pytest.mark.parametrize("answer", [True, np.True_, None, False, np.False_])
def test_a_callback_stops_by_true_alone(answer):
    numbers = []
    net, twin = make(), make()
    history = net.fit(
        *data(),
        epochs=4,
        callbacks=[lambda e: answer if e.number == 2 else None, lambda e: numbers.append(e.number)],
    )
    n = 2 if answer else 4
    assert len(history) == n
    assert numbers == [*range(1, n + 1)]  # the others hear of the last epoch too
    twin.fit(*data(), epochs=n)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


# --- the optimiser's state -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_partial_fits_are_the_epochs_of_a_fit(optimizer, dtype):
    net, twin, late = (make(dtype=dtype, l2=0.1) for _ in range(3))
    options = {"batch_size": 16, "shuffle": False}
    net.fit(*data(), epochs=4, optimizer=optimizer, **options)
    part = {**options, "n_examples": 50}
    for _ in range(4):
        assert twin.partial_fit(*data(), optimizer=optimizer, **part) is twin
    np.testing.assert_array_equal(twin.parameters, net.parameters)
    late.fit(*data(), epochs=2, optimizer=optimizer, **options)  # leaves its state for what follows
    late.partial_fit(*data(), **part)
    late.partial_fit(*data(), optimizer=optimizer, **part)
    np.testing.assert_array_equal(late.parameters, net.parameters)


@pytest.mark.parametrize(
    ("first", "second"),
    [(cbp.Adam(0.02), cbp.SGD(0.1, momentum=0.9)), (cbp.SGD(0.1, momentum=0.9), cbp.Adam(0.02))],
)
def test_an_optimizer_of_another_class_starts_afresh(first, second):
    net, twin = make(), make()
    net.fit(*data(), epochs=2, optimizer=first)
    twin.parameters = net.parameters
    for network in (net, twin):
        network.partial_fit(*data(), optimizer=second, shuffle=False)
        network.partial_fit(*data(), shuffle=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


SCHEDULES = {
    "learning rate of sgd": [cbp.SGD(0.3), cbp.SGD(0.1), cbp.SGD(0.3)],
    "learning rate with momentum": [cbp.SGD(0.1, momentum=0.9), cbp.SGD(0.02, momentum=0.9)],
    "momentum": [cbp.SGD(0.1, momentum=0.5), cbp.SGD(0.1, momentum=0.9, nesterov=True)],
    "momentum from 0": [cbp.SGD(0.1), cbp.SGD(0.1, momentum=0.9), cbp.SGD(0.1, momentum=0.5)],
    "momentum to 0 and back": [cbp.SGD(0.1, momentum=0.9), cbp.SGD(0.1), cbp.SGD(0.1, momentum=0.9)],
    "learning rate of adam": [cbp.Adam(0.02), cbp.Adam(0.005)],
    "all of adam": [cbp.Adam(0.02), cbp.Adam(0.01, beta1=0.5, beta2=0.9, epsilon=1e-3), cbp.Adam(0.02)],
}


def pass_by_hand(run, X, Y, optimizer):
    """One pass over the examples, by the reference."""
    run.epoch(X, Y, 16, optimizer.kernel, optimizer.rule(), whole=len(X))
    if isinstance(optimizer, cbp.SGD) and optimizer.momentum == 0:
        for velocity, *_ in run.moments:
            velocity[:] = 0  # none is kept


@pytest.mark.parametrize("optimizers", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("how", ["partial_fit", "fit first"])
def test_other_hyper_parameters_keep_the_state(optimizers, how):
    net = make(l2=0.3)
    X, Y = data()
    run = by_hand(net)
    for i, optimizer in enumerate(optimizers):
        for _ in range(2):
            if how == "fit first" and i == 0 and run.t == 0:
                net.fit(X, Y, epochs=1, batch_size=16, shuffle=False, optimizer=optimizer)
            else:
                net.partial_fit(X, Y, batch_size=16, shuffle=False, optimizer=optimizer, n_examples=len(X))
            pass_by_hand(run, X, Y, optimizer)
    np.testing.assert_allclose(net.parameters, run.parameters, rtol=1e-9, atol=1e-12)
    # None goes on with the last one.
    net.partial_fit(X, Y, batch_size=16, shuffle=False, n_examples=len(X))
    pass_by_hand(run, X, Y, optimizers[-1])
    np.testing.assert_allclose(net.weights[0], run.weights[0], rtol=1e-9, atol=1e-12)


def test_a_failed_partial_fit_does_not_change_the_hyper_parameters():
    net, twin = make(), make()
    for network in (net, twin):
        network.partial_fit(*data(), optimizer=cbp.Adam(0.02), shuffle=False)
    X, Y = data()
    X[-1, 0] = np.nan
    with pytest.raises(ValueError, match="X must be finite"):
        net.partial_fit(X, Y, optimizer=cbp.Adam(0.9), shuffle=False)
    for network in (net, twin):
        network.partial_fit(*data(), shuffle=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


# --- what a callback sets --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [16, None])
def test_l2_set_in_a_callback_holds_from_the_next_epoch(batch_size):
    net, twin = make(l2=0.3), make(l2=0.3)
    options = {"batch_size": batch_size, "shuffle": False, "optimizer": cbp.Adam(0.02)}

    def change(epoch):
        net.l2 = [2.0, 0.0, 0.5][epoch.number - 1]

    history = net.fit(*data(), epochs=3, callbacks=[change], **options)
    losses = []
    for l2 in (0.3, 2.0, 0.0):
        twin.l2 = l2
        before = twin.parameters.copy()
        twin.partial_fit(*data(), **options, n_examples=50)
        if batch_size is None:
            after, twin.parameters = twin.parameters.copy(), before
            losses.append(twin.loss(*data()))
            twin.parameters = after
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    if batch_size is None:
        assert history.losses == pytest.approx(losses, rel=1e-12)
    assert net.l2 == 0.5


@pytest.mark.parametrize("numbers", [(1, 4, 2), (3, 1, 3), (None, 2, None)])
@pytest.mark.parametrize("way", ["attribute", "process"])
def test_n_threads_set_in_a_callback_holds_from_the_next_epoch(monkeypatch, numbers, way):
    sizes, used = [64, 90, 30, 5], []
    options = {"batch_size": 200, "optimizer": cbp.Adam(0.02)}
    original = passes.run_through

    def run_through(run, examples, n_threads, **options):
        used.append(n_threads)
        assert n_threads <= run.n_threads
        return original(run, examples, n_threads, **options)

    def set_threads(n):
        if way == "attribute":
            net.n_threads = n
        else:
            cbp.set_num_threads(n)

    twin = make(sizes, n_threads=1)
    twin.fit(*data(sizes, 1000), epochs=4, **options)
    net = make(sizes)
    monkeypatch.setattr(passes, "run_through", run_through)
    try:
        set_threads(2)
        callback = lambda epoch: set_threads([*numbers, None][epoch.number - 1])  # noqa: E731
        net.fit(*data(sizes, 1000), epochs=4, callbacks=[callback], **options)
    finally:
        cbp.set_num_threads(None)
    default = cbp.get_num_threads()
    assert used == [2, *(n or default for n in numbers)]
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_fit_starts_afresh():
    net, twin = make(), make()
    net.fit(*data(), epochs=2, optimizer=cbp.Adam(0.02))
    twin.parameters = net.parameters
    for network in (net, twin):
        network.fit(*data(), epochs=1, optimizer=cbp.Adam(0.02), shuffle=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_partial_fit_leaves_the_history_alone():
    net = make()
    history = net.fit(*data(), epochs=2)
    net.partial_fit(*data())
    assert net.history is history
    assert len(history) == 2


# --- arguments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": "all"}, TypeError, "batch_size must be a whole number, got 'all'"),
        (
            {"optimizer": "adam"},
            TypeError,
            r"optimizer must be .* cbp.SGD\(...\) or cbp.Adam\(...\), or None, got 'adam'",
        ),
        (
            {"optimizer": np.ones(2)},
            TypeError,
            r"or None, got array\(\[1., 1.\]\)$",
        ),
        (
            {"optimizer": cbp.Adam},
            TypeError,
            r"optimizer must be .*cbp.SGD.*'cbp.optimizers.adam.Adam'>; call it: cbp.Adam\(\)",
        ),
        (
            {"validation_data": np.zeros((3, 3))},
            TypeError,
            r"validation_data must be \(X, Y\) or .*got ndarray",
        ),
        ({"validation_data": ([[1, 2, 3]],)}, TypeError, "got tuple of length 1"),
        ({"validation_data": [1, 2, 3, 4]}, TypeError, "got list of length 4"),
        ({"validation_data": ([[1, 2]], [0])}, ValueError, "X of validation_data must have 3 columns, got 2"),
        (
            {"validation_data": ([[1, 2, 3]], [9])},
            ValueError,
            "Y of validation_data must hold class labels from 0",
        ),
        (
            {"callbacks": print},
            TypeError,
            r"callbacks must be an iterable of callables, got builtin_function.*; for one .* \[callable\]",
        ),
        ({"callbacks": [print, 3]}, TypeError, r"callbacks\[1\] must be callable, got int"),
    ],
)
def test_refusals(options, error, message):
    net = make()
    net.fit(*data(), epochs=1)
    before, state, history = net.parameters.copy(), net._state, net.history
    with pytest.raises(error, match=message):
        net.fit(*data(), **options)
    np.testing.assert_array_equal(net.parameters, before)
    assert net._state is state
    assert net.history is history


def test_a_network_can_be_trained_once_at_a_time():
    net = make()

    def callback(epoch):
        for method in (net.fit, net.partial_fit):
            with pytest.raises(RuntimeError, match="this network is being trained already"):
                method(*data())

    history = net.fit(*data(), epochs=2, callbacks=[callback])
    assert history is net.history
    assert len(history) == 2
    net.fit(*data(), epochs=1)

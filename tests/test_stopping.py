"""The promise: whatever ends a fit early leaves the network and its history consistent, and able to go on."""

import _thread
import re
import signal
import threading
import time

import numpy as np
import pytest

import cbp
from cbp import kernels
from cbp.training import passes, runs

# Seconds until Ctrl-C is heard. Vectors of two registers, which only tests build, take several times as long.
SOON = 0.5 if kernels.isa() == "wide" else 0.2


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """A process in the background may have been started without."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, kept)


def data(m=100, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 3)), rng.integers(0, 4, size=m)


def make(**options):
    return cbp.Network([3, 5, 4], **{"hidden": "tanh", "rng": 1, **options})


def assert_goes_on(net):
    """The network trains on as one with its parameters would that nothing happened to."""
    twin = make(dtype=net.dtype, output=net.output)
    twin.parameters = net.parameters
    for network in (net, twin):
        Y = data()[1] if net.output == "softmax" else np.eye(4)[data()[1]]
        network.fit(data()[0], Y, epochs=2, shuffle=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    assert len(net.history) == 2


# --- faults in the data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 32, None])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("array", ["X", "Y"])
def test_numbers_that_are_not_finite(array, value, shuffle, batch_size, dtype):
    net = make(dtype=dtype, output="identity")
    X, Y = data()[0], np.eye(4)[data()[1]]
    {"X": X, "Y": Y}[array][70, 1] = value
    before = net.parameters.copy()
    for method, options in ((net.fit, {"epochs": 3}), (net.partial_fit, {})):
        with pytest.raises(ValueError, match=f"{array} must be finite, got {value:g} in row 70, column 1"):
            method(X, Y, batch_size=batch_size, shuffle=shuffle, **options)
        np.testing.assert_array_equal(net.parameters, before)
    assert len(net.history) == 0
    assert_goes_on(net)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4, 32, None])
def test_faults_in_examples_without_weight(batch_size, shuffle):
    X, labels = data()
    weight = np.zeros(100)
    weight[:5], X[70, 1] = 1, np.nan
    net = make()
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="X must be finite, got nan in row 70, column 1"):
        net.fit(X, labels, epochs=30, batch_size=batch_size, shuffle=shuffle, sample_weight=weight)
    np.testing.assert_array_equal(net.parameters, before)
    assert_goes_on(net)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "loss", "gradient"])
@pytest.mark.parametrize(
    ("output", "value", "message"),
    [
        ("identity", 1e300, r"Y must fit into float32, got 1e\+300 in row 70, column 1"),
        ("sigmoid", 1.001, r"Y must lie in \[0, 1\] for this loss, got 1.001 in row 70, column 1"),
        ("sigmoid", -1e-30, r"Y must lie in \[0, 1\] for this loss, got -1e-30 in row 70, column 1"),
        ("softmax", -0.25, r"Y must lie in \[0, 1\] for this loss, got -0.25 in row 70, column 1"),
        ("softmax", 0.5, "Y must hold probabilities that sum to 1 in each row, got a sum of 1.5 in row 70"),
        ("softmax", np.nan, "Y must be finite, got nan in row 70, column 1"),
    ],
)
def test_targets_out_of_range(output, value, message, method):
    net = make(output=output)
    X, Y = data()[0], np.eye(4)[np.zeros(100, int)]
    Y[70, 1] = value
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=message):
        getattr(net, method)(X, Y)
    np.testing.assert_array_equal(net.parameters, before)


def test_probabilities_may_miss_one_by_rounding():
    net = make()
    Y = np.full((100, 4), 0.25)
    Y[:, 0] += 0.0009
    assert np.isfinite(net.loss(data()[0], Y))
    with pytest.raises(ValueError, match="sum of 1.0018 in row 0"):
        net.loss(data()[0], Y + np.eye(4)[0] * 0.0009)


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        ("X", np.nan, "X of validation_data must be finite, got nan in row 7, column 2"),
        ("Y", -1.0, r"Y of validation_data must lie in \[0, 1\]"),
    ],
)
def test_faults_in_validation_data(array, value, message):
    net = make(output="sigmoid")
    X, Y = data(20)[0], np.eye(4)[data(20)[1]]
    {"X": X, "Y": Y}[array][7, 2] = value
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=message):
        net.fit(data()[0], np.eye(4)[data()[1]], validation_data=(X, Y))
    np.testing.assert_array_equal(net.parameters, before)
    assert len(net.history) == 0
    assert_goes_on(net)


# --- divergence ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "dtype", "last_good"), [(1, "float64", 15), (5, "float64", 15), (5, "float32", 3)]
)
def test_a_loss_that_is_no_longer_finite(m, dtype, last_good):
    """b squared / 2 is the loss, and every step makes b larger by a factor of -1e10.

    Losses are doubles, whose squares end at 1.8e308, so that 1e160 is too large, after 16 steps; in single
    precision b itself is at 1e40, after 4.
    """
    net = cbp.Network([1, 1], output="identity", dtype=dtype)
    net.parameters = [0, 1]
    seen = [net.parameters.copy()]
    epoch, step = divmod(last_good + 1, m)
    with pytest.raises(FloatingPointError, match=f"epoch {epoch + 1}: the loss is .* at step {step + 1};"):
        net.fit(
            np.zeros((m, 1)), np.zeros(m), epochs=100, batch_size=1, optimizer=cbp.SGD(1e10 + 1),
            callbacks=[lambda _: seen.append(net.parameters.copy())],
        )  # fmt: skip
    assert len(net.history) == epoch == len(seen) - 1
    np.testing.assert_array_equal(net.parameters, seen[-1])
    assert abs(net.parameters[1]) == pytest.approx(10.0 ** (10 * m * epoch), rel=1e-5)


def test_parameters_that_are_no_longer_finite():
    net = cbp.Network([1, 1], output="identity", dtype="float64")
    net.parameters = [0, 1e100]
    with pytest.raises(FloatingPointError, match="epoch 1: the parameters are no longer finite at step 1"):
        net.fit([[0]], [0], optimizer=cbp.SGD(1e300))
    assert net.parameters.tolist() == [0, 1e100]
    net.fit([[0]], [0], epochs=1, optimizer=cbp.SGD(1.0))
    assert net.parameters.tolist() == [0, 0]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_the_state_after_divergence_is_that_of_the_parameters(failing):
    """In a first epoch the one from before; later none, for a fit goes back to an epoch without a state."""
    X, labels = data()
    net, twin = make(), make()
    for network in (net, twin):
        network.fit(X, labels, epochs=1, optimizer=cbp.SGD(0.1, momentum=0.5))
    good = net.parameters.copy()

    def spoil(epoch):
        net.parameters[:] = np.inf if epoch.number == failing - 1 else good

    if failing == 1:
        net.parameters[:] = np.inf
    with pytest.raises(FloatingPointError):
        net.fit(X, labels, epochs=3, optimizer=cbp.SGD(0.2, momentum=0.9), callbacks=[spoil], shuffle=False)
    net.parameters[:] = good
    if failing > 1:
        twin.fit(X, labels, epochs=0)  # leaves nothing but fresh state
    for network in (net, twin):
        network.partial_fit(X, labels, shuffle=False)  # by the last optimiser, or by Adam where there is none
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_what_comes_after_divergence_has_no_state_of_it():
    X, Y = data()[0], np.eye(4)[data()[1]]
    net = make(output="identity")
    with pytest.raises(FloatingPointError):
        net.fit(X, Y, epochs=500, optimizer=cbp.SGD(50.0, momentum=0.9), shuffle=False)
    assert 0 < len(net.history) < 500
    twin = make(output="identity")
    twin.parameters = net.parameters
    for network in (net, twin):
        network.partial_fit(X / 1e9, Y, shuffle=False, optimizer=cbp.SGD(1e-9, momentum=0.9))
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_a_loss_that_overflows_without_training_is_infinite():
    net = make(output="identity", dtype="float64")
    X, Y = data()[0], np.eye(4)[data()[1]]
    assert net.loss(X, Y * 1e200) == net.gradient(X, Y * 1e200).loss == np.inf
    history = net.fit(X, Y, epochs=2, validation_data=(X, Y * 1e200))
    assert history.validation_losses == [np.inf, np.inf]
    assert np.isfinite(history.losses).all()


# --- callbacks that raise, and Ctrl-C --------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [cbp.SGD(0.1, momentum=0.9), cbp.Adam(0.01)])
@pytest.mark.parametrize("how", ["signal", "error"])
def test_ended_by_a_callback(how, optimizer):
    def callback(epoch):
        if epoch.number == 2 and how == "signal":
            signal.raise_signal(signal.SIGINT)
        elif epoch.number == 2:
            raise LookupError("none of the network's business")

    net, twin = make(), make()
    options = {"optimizer": optimizer, "batch_size": 16, "shuffle": False}
    with pytest.raises(KeyboardInterrupt if how == "signal" else LookupError):
        net.fit(*data(), epochs=5, callbacks=[callback], **options)
    twin.fit(*data(), epochs=2, **options)
    assert net.history.losses == twin.history.losses
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    for network in (net, twin):  # the state is there as well
        network.partial_fit(*data(), **options)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    assert_goes_on(net)


def interrupted_after(seconds, call):
    """Run the call, send Ctrl-C after some seconds, and return the processor time until it was obeyed.

    Not the time on the clock, which on a busy machine says little.
    """
    sent = []

    def send():
        sent.append(time.process_time())
        _thread.interrupt_main()

    timer = threading.Timer(seconds, send)
    timer.start()
    try:
        call()
    except KeyboardInterrupt:
        return time.process_time() - sent[0]
    finally:
        timer.cancel()
        timer.join()
    raise AssertionError("it ended by itself")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_epoch_whose_validation_is_cut_short_counts(monkeypatch, error):
    X, labels = data()
    net, twin, asked = make(), make(), []
    loss = passes.loss

    def cut_short(*arguments):
        asked.append(1)
        if len(asked) == 4:  # the third epoch's; the first is a look at the data
            raise error
        return loss(*arguments)

    monkeypatch.setattr(passes, "loss", cut_short)
    with pytest.raises(error):
        net.fit(X, labels, epochs=5, validation_data=(X, labels))
    monkeypatch.undo()
    twin.fit(X, labels, epochs=3)
    assert net.history.losses == twin.history.losses
    assert [epoch.validation_loss is None for epoch in net.history] == [False, False, True]
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_ctrl_c_keeps_the_steps_made_so_far(monkeypatch):
    X, labels = data(10_000)
    done = []

    def advance(self, n):
        done.append(n)
        if sum(done) > 12_000:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(passes, "FIRST_BUDGET", 1e5)
    monkeypatch.setattr(runs.Progress, "advance", advance)
    net, twin = make(), make()
    options = {"batch_size": 16, "shuffle": False, "optimizer": cbp.Adam()}
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, labels, epochs=5, **options)
    monkeypatch.undo()
    steps = sum(done) - 10_000
    assert 2000 < steps < 10_000
    assert len(net.history) == 1
    twin.fit(X, labels, epochs=1, **options)
    twin.partial_fit(X[:steps], labels[:steps], **options)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    for network in (net, twin):
        network.partial_fit(*data(), **options)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


@pytest.mark.unsanitized
@pytest.mark.parametrize("batch_size", [1, 1000, None])
@pytest.mark.parametrize("sizes", [[2, 4, 4], [200, 300, 4]])
def test_ctrl_c_within_an_epoch(sizes, batch_size):
    m = 1_000_000 if sizes[0] == 2 else 40_000
    rng = np.random.default_rng(0)
    X = np.broadcast_to(rng.normal(size=(1000, 1, sizes[0])), (1000, m // 1000, sizes[0]))
    X = X.reshape(m, sizes[0]).astype(np.float32)
    labels = np.arange(m) % 4
    net = cbp.Network(sizes, rng=0, n_threads=1)
    seen = [net.parameters.copy()]

    def fit():
        net.fit(
            X, labels, epochs=10_000, batch_size=batch_size,
            callbacks=[lambda _: seen.append(net.parameters.copy())],
        )  # fmt: skip

    assert interrupted_after(0.3, fit) < SOON
    # Ctrl-C may come between the end of an epoch and its callback, or in the callback.
    assert len(net.history) - (len(seen) - 1) in (0, 1)
    assert np.isfinite(net.parameters).all()
    before = net.parameters.copy()
    net.fit(X[:100], labels[:100], epochs=1)
    assert len(net.history) == 1
    assert (net.parameters != before).any()


@pytest.mark.unsanitized
@pytest.mark.parametrize("method", ["loss", "gradient", "predict"])
def test_ctrl_c_in_other_calls(method):
    rng = np.random.default_rng(0)
    net = cbp.Network([20, 1000, 1000, 4], rng=0, n_threads=1)
    X = np.repeat(rng.normal(size=(1000, 20)).astype(np.float32), 200, axis=0)
    arguments = [X] if method == "predict" else [X, np.zeros(len(X), int)]

    def call():
        while True:
            getattr(net, method)(*arguments)

    assert interrupted_after(0.2, call) < SOON
    assert net.predict(X[:3]).shape == (3, 4)


async def answers_later(epoch):
    return True


OTHER_ANSWERS = {
    "int": lambda epoch: 1,
    "float": lambda epoch: 0.0,
    "str": lambda epoch: "stop",
    "ndarray": lambda epoch: np.array(True),
    "Epoch": lambda epoch: epoch,
    "list": lambda epoch: [],
    "coroutine": answers_later,
}


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize(("kind", "callback"), OTHER_ANSWERS.items(), ids=OTHER_ANSWERS)
def test_an_answer_that_is_neither_true_nor_false_is_refused_and_nothing_lost(kind, callback):
    net, twin = make(), make()
    options = {"optimizer": cbp.Adam(0.01), "batch_size": 16, "shuffle": False}
    callbacks = [lambda epoch: None, lambda epoch: callback(epoch) if epoch.number == 2 else False]
    message = rf"^callbacks\[1\] must return True to stop the training, False or None .* got {kind}$"
    with pytest.raises(TypeError, match=message):
        net.fit(*data(), epochs=4, callbacks=callbacks, **options)
    twin.fit(*data(), epochs=2, **options)
    assert net.history.losses == twin.history.losses
    for network in (net, twin):
        network.partial_fit(*data(), **options)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


@pytest.mark.parametrize(
    ("optimizer", "l2", "advice"),
    [
        (cbp.SGD(1e30), 0.0, "try a learning_rate below 1e+30, or X and Y scaled to a range of about 1"),
        (cbp.Adam(2.5e37), 0.0, "try a learning_rate below 2.5e+37, or X and Y scaled"),
        (cbp.SGD(0.1, momentum=0.5), 1e38, "try a learning_rate below 0.1, an l2 below 1e+38, or X and Y"),
        (cbp.SGD(0), 0.0, "try X and Y scaled to a range of about 1"),
    ],
)
def test_divergence_says_what_to_try(optimizer, l2, advice):
    net = make(output="identity", l2=l2)
    X, Y = data()[0], np.eye(4)[data()[1]]
    if optimizer == cbp.SGD(0):
        Y = Y * 3e38  # whose sum overflows, and 0 times infinity is not a number
    with pytest.raises(FloatingPointError) as caught:
        net.fit(X, Y, optimizer=optimizer, shuffle=False)
    assert re.match(
        r"epoch \d+: the (loss is|parameters are) no longer finite at step \d+; ", str(caught.value)
    )
    assert advice in str(caught.value)


def test_an_error_within_an_epoch_keeps_the_state_that_belongs_to_the_parameters(monkeypatch):
    X, Y = data()
    net = make().partial_fit(X, Y, shuffle=False)
    state, parameters = net._state, net.parameters.copy()
    monkeypatch.setattr(
        passes, "bind_part", lambda *arguments: (_ for _ in ()).throw(OSError("the file is gone"))
    )
    with pytest.raises(OSError, match="the file is gone"):
        net.partial_fit(X, Y, shuffle=False)
    assert net._state is state
    np.testing.assert_array_equal(net.parameters, parameters)


def test_ctrl_c_before_parameters_that_are_not_finite(monkeypatch):
    X, Y = data()
    net = make(output="identity", loss="squared_error")
    before = net.parameters.copy()

    def interrupt(run, *arguments, **options):
        run.pack(1)
        net.parameters[:] = np.nan
        run.pack(1)
        net.parameters[:] = before
        raise KeyboardInterrupt

    monkeypatch.setattr(passes, "run_through", interrupt)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, np.eye(4)[Y], epochs=1)
    np.testing.assert_array_equal(net.parameters, before)
    assert net._state is None


def test_slices_of_the_tiniest_steps_are_short():
    """A step costs more than its multiply-adds: the first slice of a fit counts that too."""
    net = cbp.Network([1, 2], rng=0)
    examples = net._examples(np.zeros((100_000, 1)), np.zeros(100_000), None, None)
    ticks = []
    run = passes.new_pass(net._engine, "train", examples, 1, 1)
    run.set_rule(rates=np.zeros(100_000))
    run.pack(1)
    passes.run_through(run, examples, 1, tick=ticks.append)
    assert ticks[0] <= 5_000

"""The promise: what partial_fit keeps packed between calls is never seen but in the time that it saves."""

import copy
import ctypes
import gc
import itertools
import os
import pickle
import weakref

import numpy as np
import pytest

import cbp
from cbp.optimizers.base import OptimizerState
from cbp.training import passes
from cbp.training.steps import Steps

OPTIMIZERS = [
    cbp.SGD(0.1),
    cbp.SGD(0.05, momentum=0.9),
    cbp.SGD(0.05, momentum=0.5, nesterov=True),
    cbp.Adam(0.01),
]
SIZES = {
    "tiny": [2, 4, 1],
    "odd": [3, 5, 17, 33, 2],
    "one layer": [7, 3],
    "by partial sums": [20, 30, 4],
    "by rows": [130, 140, 10],
    "by columns": [211, 100, 20, 7],
}


def make(sizes=(3, 5, 17, 33, 2), **options):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    return cbp.Network(sizes, **{"hidden": "tanh", "output": output, "rng": 1, **options})


def data(sizes=(3, 5, 17, 33, 2), m=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, sizes[0])), rng.integers(0, max(2, sizes[-1]), size=m)


def assert_same(net, twin):
    """Of the same bits now, and going on to the same: of the same state."""
    assert net.parameters.tobytes() == twin.parameters.tobytes()
    pair = copy.deepcopy(net), copy.deepcopy(twin)
    for network in pair:
        network.partial_fit(*data(net.sizes, m=9, seed=5), shuffle=False)
    assert pair[0].parameters.tobytes() == pair[1].parameters.tobytes()


# --- the same bits as without ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_one_call_after_the_other(sizes, optimizer, dtype):
    """Against a network that is copied before each call, and so has nothing packed."""
    net, twin = (make(sizes, dtype=dtype, l2=0.1, n_threads=2) for _ in range(2))
    cases = itertools.product([1, 32, 200, 1, 7], [1, 32, None], [True, False])
    for i, (m, batch_size, shuffle) in enumerate(cases):
        X, Y = data(sizes, m, seed=i)
        options = {
            "batch_size": batch_size,
            "shuffle": shuffle,
            "sample_weight": np.arange(1, m + 1) % 3 + (m == 1) if i % 4 == 0 else None,
            "optimizer": optimizer if i % 5 == 0 else None,
        }
        twin = copy.deepcopy(twin)
        for network in (net, twin):
            network.l2 = 0.1 * (i % 3)
            network.n_threads = 1 + i % 3
            network.partial_fit(X, Y, **options)
        # Only some of the times, since to have been looked at makes a difference to what is trusted.
        if i % 7 == 6:
            assert net.parameters.tobytes() == twin.parameters.tobytes()
    assert_same(net, twin)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_whatever_comes_between(optimizer):
    other = cbp.Adam(0.02) if isinstance(optimizer, cbp.SGD) else cbp.SGD(0.1, momentum=0.5)

    def fit_and_go_on(net):
        net.fit(*data(), epochs=2, optimizer=optimizer)

    def fail_to_fit(net):
        with pytest.raises(ValueError, match="X must be finite"):
            net.fit(np.where(np.arange(3) == 1, np.nan, data()[0]), data()[1], epochs=5, optimizer=other)

    between = {
        "predict": lambda net: net.predict(data()[0]),
        "gradient": lambda net: net.gradient(*data()),
        "another class": lambda net: net.partial_fit(*data(), optimizer=other),
        "back": lambda net: net.partial_fit(*data(), optimizer=optimizer),
        "fit": fit_and_go_on,
        "no epochs": lambda net: net.fit(*data(), epochs=0, optimizer=optimizer),
        "failed fit": fail_to_fit,
        "pickle": pickle.dumps,
        "copy": copy.copy,
    }
    for name, call in between.items():
        net, twin = make(), make()
        for network in (net, twin):
            network.partial_fit(*data(seed=1), optimizer=optimizer)
        twin = copy.deepcopy(twin)
        for network in (net, twin):
            call(network)
        twin = copy.deepcopy(twin)
        for network in (net, twin):
            network.partial_fit(*data(seed=2))
        assert net.parameters.tobytes() == twin.parameters.tobytes(), name


def test_the_pass_is_kept_as_long_as_it_serves():
    net = make()
    X, Y = data(m=100)

    def kept(m, **options):
        net.partial_fit(X[:m], Y[:m], **options)
        return net._state

    first = kept(40, optimizer=cbp.Adam(0.01))
    assert isinstance(first, Steps)
    for options in ({"optimizer": cbp.Adam(0.02, epsilon=1e-6)}, {"shuffle": False}, {"batch_size": 32}):
        assert kept(40, **options) is first
    assert kept(100) is first  # minibatches of 32 all the same
    assert kept(31) is not first
    assert kept(31) is not kept(31, batch_size=5)
    gone = weakref.ref(net._state)
    net.fit(X, Y, epochs=1)
    gc.collect()
    assert gone() is None
    assert type(net._state) is OptimizerState


def test_examples_are_let_go():
    net = make(dtype="float64")
    X, Y = data()
    gone = weakref.ref(X)
    net.partial_fit(X, Y)
    del X
    gc.collect()
    assert gone() is None


# --- writes at rest --------------------------------------------------------------------------------------


def scale(net):
    net.parameters *= 1.5


def assign(net):
    net.parameters = np.linspace(-1, 1, net.n_parameters)


def assign_weights(net):
    net.weights = [W[::-1].copy() for W in make().weights]


def assign_biases(net):
    net.biases = [np.full(b.shape, 0.25) for b in make().biases]


def one_layer(net):
    net.weights[1] -= 0.5


def one_bias(net):
    net.biases[-1] = [1, 2]


def a_slice(net):
    net.weights[2:][0][5:7] = 3


def through_a_buffer(net):
    np.frombuffer(memoryview(net.parameters), net.dtype)[7] = 5


def by_address(net):
    """As compiled code does that was given the address once."""
    address = net.parameters.ctypes.data
    ctypes.memset(address + 4 * net.dtype.itemsize, 0, net.dtype.itemsize)


WRITES = [
    scale, assign, assign_weights, assign_biases, one_layer, one_bias, a_slice, through_a_buffer, by_address,
]  # fmt: skip


@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_every_write_is_seen(write, looked_at):
    net, twin = make(), make()
    for network in (net, twin):
        if looked_at:
            assert network.parameters.any()
        network.partial_fit(*data(), optimizer=cbp.Adam(0.01))
        for _ in range(2):
            network.partial_fit(*data())
            write(network)
            if network is twin:
                packed_anew = copy.deepcopy(twin)
                packed_anew.partial_fit(*data())
            network.partial_fit(*data())
    assert net.parameters.tobytes() == twin.parameters.tobytes() == packed_anew.parameters.tobytes()


def test_views_from_long_before_are_seen():
    net = make()
    parameters, weights, bias = net.parameters, net.weights, net.biases[1]
    net.partial_fit(*data(), optimizer=cbp.SGD(0.1, momentum=0.5))
    for write in (lambda: parameters.fill(0.1), lambda: weights[2].fill(-0.1), lambda: bias.fill(1)):
        write()
        twin = copy.deepcopy(net)
        for network in (net, twin):
            network.partial_fit(*data())
        assert net.parameters.tobytes() == twin.parameters.tobytes()


# What computes from the parameters, and gives nothing away by which they could be written.
READS = {
    "predict": lambda net, path: net.predict(data()[0]),
    "predict_labels": lambda net, path: net.predict_labels(data()[0]),
    "activations": lambda net, path: net.activations(data()[0]),
    "accuracy": lambda net, path: net.accuracy(*data()),
    "r2": lambda net, path: net.r2(data()[0], np.eye(2)[data()[1]]),
    "loss": lambda net, path: net.loss(*data()),
    "gradient": lambda net, path: net.gradient(*data(), inputs=True),
    "check_gradient": lambda net, path: net.check_gradient(*data(m=2)),
    "thetas": lambda net, path: net.thetas,
    "save": lambda net, path: net.save(path),
    "copy": lambda net, path: copy.copy(net),
    "pickle": lambda net, path: pickle.dumps(net),
    "repr": lambda net, path: repr(net),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_does_not_make_later_calls_compare(read, tmp_path):
    """So a change behind the network's back is not seen, while it is once `parameters` has been looked at."""
    nets = unread, net, looked_at = make(), make(), make()
    for network in nets:
        network.partial_fit(*data(), optimizer=cbp.SGD(0.1))
    read(net, tmp_path / "net.npz")
    assert looked_at.parameters.any()
    for network in (net, looked_at):
        network._parameters[:] = 0
    for network in nets:
        network.partial_fit(*data())
    assert net.parameters.tobytes() == unread.parameters.tobytes() != looked_at.parameters.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [cbp.SGD(0.0), cbp.SGD(0.0, momentum=0.9), cbp.Adam(0.0)], ids=str)
def test_every_single_parameter_is_seen_to_the_bit(optimizer, dtype):
    """With a rate of 0 a step leaves parameters as they were, unless it takes those it had packed."""
    net = make(dtype=dtype)
    net.partial_fit(*data(m=3), optimizer=optimizer)
    for i in range(net.n_parameters):
        net.parameters[i] = np.nextafter(net.parameters[i], np.inf, dtype=dtype)
        expected = net.parameters.copy()
        net.partial_fit(*data(m=3))
        assert net.parameters.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_that_share_the_copying_see_every_part(dtype):
    """So many parameters that several threads compare them, take them over and write them back."""
    sizes = (301, 403, 37, 3)
    net, twin = make(sizes, dtype=dtype, n_threads=3), make(sizes, dtype=dtype, n_threads=1)
    rng = np.random.default_rng(0)
    for network in (net, twin):
        network.partial_fit(*data(sizes, m=4), optimizer=cbp.Adam(0.01), shuffle=False)
    for _ in range(40):
        i = rng.integers(net.n_parameters)
        twin = copy.deepcopy(twin)
        for network in (net, twin):
            network.parameters[i] += 0.5
            network.partial_fit(*data(sizes, m=4), shuffle=False)
        assert net.parameters.tobytes() == twin.parameters.tobytes()
    assert net._state.run.n_threads == 3
    bad = np.zeros(net.n_parameters)
    bad[-1] = np.nan
    net.parameters = bad
    with pytest.raises(FloatingPointError):
        net.partial_fit(*data(sizes, m=4), shuffle=False)
    assert np.isnan(net.parameters[-1])


def test_the_sign_of_zero_is_seen():
    net = make()
    net.parameters = np.zeros(net.n_parameters)
    net.partial_fit(*data(m=3), optimizer=cbp.SGD(0.0))
    net.parameters[:] = -0.0
    twin = copy.deepcopy(net)
    for network in (net, twin):
        network.partial_fit(*data(m=3))
    assert np.signbit(net.parameters).any()
    assert net.parameters.tobytes() == twin.parameters.tobytes()


def test_writes_of_a_callback_are_seen():
    net, twin = make(), make()

    def halve(epoch):
        net.parameters = 0.5 * np.frombuffer(net.parameters, net.dtype)

    def fill(epoch):
        net.biases[0][:] = epoch.number

    options = {"optimizer": cbp.SGD(0.1), "shuffle": False}
    net.fit(*data(), epochs=3, callbacks=[halve, fill], **options)
    for number in (1, 2, 3):
        twin.partial_fit(*data(), **options)
        twin.parameters *= 0.5
        twin.biases[0][:] = number
    assert net.parameters.tobytes() == twin.parameters.tobytes()


# --- what fails leaves everything from before ------------------------------------------------------------


def fail_in_the_data(net, steps):
    X, Y = data(m=10 * steps)
    X[-1, 1] = np.nan
    with pytest.raises(ValueError, match="X must be finite"):
        net.partial_fit(X, Y if net.output == "softmax" else np.eye(2)[Y], batch_size=10, shuffle=False)


def fail_in_the_loss(net, steps):
    X, Y = data(m=10 * steps)
    X[-1] = np.finfo(net.dtype).max / 4
    with pytest.raises(
        FloatingPointError, match=f"(loss is|parameters are) no longer finite at step {steps};"
    ):
        net.partial_fit(X, np.eye(2)[Y] * 3, batch_size=10, shuffle=False)


def fail_in_the_parameters(net, steps):
    X, Y = data(m=10 * steps)
    Y = np.eye(2)[Y]
    Y[-1] = 1e15 if net.dtype == np.float32 else 1e150
    optimizer = type(net._state.optimizer)(1e37 if net.dtype == np.float32 else 1e300)
    with pytest.raises(FloatingPointError, match=f"parameters are no longer finite at step {steps};"):
        net.partial_fit(X, Y, batch_size=10, shuffle=False, optimizer=optimizer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(
    ("fail", "steps"),
    [
        *itertools.product([fail_in_the_data, fail_in_the_loss], [1, 2, 5]),
        (fail_in_the_parameters, 1),  # its rate would leave nothing finite for a second step
    ],
)
@pytest.mark.parametrize("sizes", [(3, 5, 2), (3, 150, 120, 2)], ids=["small", "large"])
def test_failures_leave_parameters_and_state(sizes, fail, steps, optimizer, dtype):
    options = {"output": "identity", "hidden": "identity", "dtype": dtype}
    net, twin = make(sizes, **options), make(sizes, **options)
    targets = np.eye(2)[data()[1]]
    for network in (net, twin):
        network.partial_fit(data()[0], targets, optimizer=optimizer, batch_size=10, shuffle=False)
    for _ in range(2):
        fail(net, steps)
        np.testing.assert_array_equal(net.parameters, twin.parameters)
    for i in range(3):
        for network in (net, twin):
            network.partial_fit(data(seed=i)[0], targets, batch_size=10, shuffle=False)
        np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_a_write_before_a_failure_stays():
    net = make()
    net.partial_fit(*data(), optimizer=cbp.Adam(0.01), batch_size=10, shuffle=False)
    net.biases[0][:] = 2
    before, twin = net.parameters.copy(), copy.deepcopy(net)
    fail_in_the_data(net, 3)
    np.testing.assert_array_equal(net.parameters, before)
    assert_same(net, twin)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_ctrl_c_keeps_the_steps_made_so_far(monkeypatch, optimizer):
    net, twin = make(), make()
    for network in (net, twin):
        network.partial_fit(*data(), optimizer=optimizer, batch_size=10, shuffle=False)
    original, done = passes.run_through, []

    def run_through(*arguments, **options):
        def tick(n):
            done.append(n)
            if sum(done) >= 200:
                raise KeyboardInterrupt

        return original(*arguments, **{**options, "tick": tick, "budget": 1.0})

    monkeypatch.setattr(passes, "run_through", run_through)
    monkeypatch.setattr(passes, "SLICE_SECONDS", 0.0)
    X, Y = data(m=1000, seed=1)
    with pytest.raises(KeyboardInterrupt):
        net.partial_fit(X, Y, batch_size=10, shuffle=False)
    monkeypatch.undo()
    n = sum(done)
    assert 200 <= n < 1000
    twin.partial_fit(X[:n], Y[:n], batch_size=10, shuffle=False)
    assert_same(net, twin)
    for network in (net, twin):
        network.partial_fit(*data(seed=2), batch_size=10, shuffle=False)
    assert_same(net, twin)


# --- copies, also in the middle --------------------------------------------------------------------------


def copied_in_the_middle(monkeypatch, call):
    """A copy made when steps have been taken that do not stand yet."""
    original, copies = passes.run_through, []

    def run_through(*arguments, **options):
        result = original(*arguments, **options)
        copies.append(copy.deepcopy(net))
        return result

    net = make()
    net.partial_fit(*data(), optimizer=cbp.Adam(0.01), shuffle=False)
    before = copy.deepcopy(net)
    monkeypatch.setattr(passes, "run_through", run_through)
    call(net)
    monkeypatch.undo()
    return before, copies, net


def test_a_copy_within_a_partial_fit_is_of_what_was_before(monkeypatch):
    before, copies, net = copied_in_the_middle(
        monkeypatch, lambda net: net.partial_fit(*data(seed=1), batch_size=10, shuffle=False)
    )
    assert_same(copies[0], before)
    before.partial_fit(*data(seed=1), batch_size=10, shuffle=False)
    assert_same(net, before)


def test_a_copy_within_a_fit_has_the_state_of_no_other_epoch(monkeypatch):
    before, copies, _ = copied_in_the_middle(
        monkeypatch, lambda net: net.fit(*data(), epochs=2, optimizer=cbp.Adam(0.01), shuffle=False)
    )
    assert_same(copies[0], before)  # the fit has left nothing yet
    twin = make()
    twin.parameters = copies[1].parameters
    assert_same(copies[1], twin)  # within the second epoch there is no state that belongs to the first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("middle", [False, True])
def test_a_child_of_fork_goes_on(monkeypatch, middle):
    net, twin = make(n_threads=2), make()
    for network in (net, twin):
        network.partial_fit(*data(), optimizer=cbp.Adam(0.01), batch_size=10, shuffle=False)
    receive, send = os.pipe()
    original = passes.run_through

    def fork(*arguments, **options):
        monkeypatch.undo()
        result = original(*arguments, **options)
        child()
        return result

    def child():
        if os.fork() == 0:
            try:
                for _ in range(2):
                    net.partial_fit(*data(seed=1), batch_size=10, shuffle=False)
                os.write(send, net.parameters.tobytes())
            finally:
                os._exit(0)
        os.close(send)

    if middle:
        monkeypatch.setattr(passes, "run_through", fork)
        net.partial_fit(*data(seed=3), batch_size=10, shuffle=False)
    else:
        child()
    with os.fdopen(receive, "rb") as stream:
        found = stream.read()
    os.wait()
    for _ in range(2):
        twin.partial_fit(*data(seed=1), batch_size=10, shuffle=False)
    assert found == twin.parameters.tobytes()

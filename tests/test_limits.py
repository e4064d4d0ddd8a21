"""The promise: limits of the gradient, accumulation and moving averages are those of the reference."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cbp
from cbp import reference
from cbp.optimizers.base import Optimizer

SIZES = [[3, 2], [2, 4, 1], [3, 5, 17, 33, 2], [20, 30, 4], [130, 140, 10], [211, 100, 20, 7]]
LIMITS = [{"clip_norm": 0.05}, {"clip_value": 0.002}, {"clip_norm": 0.05, "clip_value": 0.01}]
KINDS = [cbp.SGD, cbp.Adam, cbp.AdamW, cbp.Nadam, cbp.RMSprop, cbp.Adagrad]


def make(sizes, **options):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    return cbp.Network(sizes, **{"output": output, "rng": 1, "hidden": "tanh", **options})


def data(sizes, m=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, sizes[0])), rng.integers(0, max(2, sizes[-1]), size=m)


def twin_of(net):
    penalties = {"l2": net.l2, "l1": net.l1}
    return reference.Training(net.weights, net.biases, [*net.hidden, net.output], net.loss_name, **penalties)


# --- the reference ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_limits(sizes, limits, kind, bias):
    X, Y = data(sizes, 300)
    for batch_size, weighted in itertools.product((7, 300), (False, True)):
        net = make(sizes, dtype="float64", bias=bias, l2=0.3, l1=0.01)
        # An epsilon that hides the rounding errors of gradients near 0.
        small = {} if kind is cbp.SGD else {"epsilon": 1e-3}
        twin, optimizer = twin_of(net), kind(0.01, **small, **limits)
        w = np.random.default_rng(1).random(300) if weighted else None
        history = net.fit(
            X, Y, epochs=1, batch_size=batch_size, shuffle=False, sample_weight=w, optimizer=optimizer
        )
        whole = 300 if w is None else w.sum()
        J = twin.epoch(X, Y, batch_size, kind.kernel, optimizer.rule(), sample_weight=w, whole=whole)
        assert history[0].loss == pytest.approx(J, rel=1e-12)
        np.testing.assert_allclose(net.parameters, twin.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_limit_that_binds_is_the_length_of_a_step(sizes):
    X, Y = data(sizes, 40)
    for dtype, digits in (("float64", 1e-12), ("float32", 1e-5)):
        net = make(sizes, dtype=dtype)
        before = net.parameters.astype(np.float64)
        assert np.linalg.norm(net.gradient(X, Y).parameters) > 1e-3
        net.fit(X, Y, epochs=1, batch_size=None, optimizer=cbp.SGD(1.0, clip_norm=1e-3))
        moved = np.linalg.norm(net.parameters - before)
        assert moved == pytest.approx(1e-3, rel=digits, abs=np.finfo(dtype).eps * np.abs(before).max())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_limit_that_never_binds_leaves_the_bits(sizes, dtype, kind):
    X, Y = data(sizes, 300)
    for batch_size, bias, l1 in itertools.product((7, 300), (True, False), (0.0, 0.01)):
        found = set()
        for limits in ({}, {"clip_norm": 1e6}, {"clip_value": 1e6}):
            net = make(sizes, dtype=dtype, bias=bias, l2=0.3, l1=l1)
            net.fit(X, Y, epochs=2, batch_size=batch_size, optimizer=kind(0.01, **limits))
            found.add(net.parameters.tobytes())
        assert len(found) == 1


def test_gradients_of_any_size():
    """Squares that no float32 holds, and a limit that none of them reaches."""
    net = make([1, 1], dtype="float32", output="identity", bias=False, init="zeros")
    net.fit([[1e12]], [[1e12]], epochs=1, optimizer=cbp.SGD(1.0, clip_norm=1e6))
    assert net.parameters == pytest.approx(1e6)
    net.parameters = [0]
    net.fit([[1e-12]], [[1e-12]], epochs=1, optimizer=cbp.SGD(1e24, clip_norm=1.0))
    assert net.parameters == pytest.approx(1.0)


# --- accumulation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_accumulation_is_one_step_with_the_mean_of_the_gradients(sizes):
    X, Y = data(sizes, 60)
    net = make(sizes, dtype="float64")
    theta = net.parameters.copy()
    twin = make(sizes, dtype="float64")
    for start in range(0, 60, 24):  # three minibatches of 8, and at the end one of 8 and one of 4
        parts = [slice(i, min(i + 8, 60)) for i in range(start, min(start + 24, 60), 8)]
        weights = [part.stop - part.start for part in parts]
        D = [twin.gradient(X[part], Y[part]).parameters for part in parts]
        theta -= 0.5 * np.average(D, axis=0, weights=weights)
        twin.parameters = theta
    net.fit(X, Y, epochs=1, batch_size=8, shuffle=False, optimizer=cbp.SGD(0.5, accumulate=3))
    np.testing.assert_allclose(net.parameters, theta, rtol=1e-11, atol=1e-13)


# --- the moving average -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [7, 300])
@pytest.mark.parametrize("ema", [0.5, 0.999])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_moving_averages(sizes, ema, batch_size):
    X, Y = data(sizes, 300)
    net = make(sizes, dtype="float64", l2=0.1)
    twin, optimizer = twin_of(net), cbp.Adam(0.01)
    seen = []
    history = net.fit(
        *(X, Y),
        epochs=3,
        batch_size=batch_size,
        shuffle=False,
        optimizer=optimizer,
        ema=ema,
        validation_data=(X, Y),
        callbacks=[lambda epoch: seen.append(net.parameters.copy())],
    )
    for epoch, parameters in zip(history, seen, strict=True):
        J = twin.epoch(X, Y, batch_size, "adam", optimizer.rule(), whole=300, ema=ema)
        n = len(twin.weights)
        wanted = np.concatenate(
            [part.ravel() for pair in zip(twin.averages[:n], twin.averages[n:], strict=True) for part in pair]
        )
        assert epoch.loss == pytest.approx(J, rel=1e-12)
        np.testing.assert_allclose(parameters, wanted, rtol=1e-10, atol=1e-13)
    assert history[-1].validation_loss == pytest.approx(net.loss(X, Y) - _penalty(net), rel=1e-12)
    assert net.parameters.tobytes() == seen[-1].tobytes()


def _penalty(net):
    return net.l2 / 2 / 300 * sum(float((W**2).sum()) for W in net.weights)


def test_training_goes_on_from_what_a_callback_writes():
    X, Y = data([3, 5, 2], 20)
    net = make([3, 5, 2])

    def reset(epoch):
        net.parameters = np.zeros(net.n_parameters)

    net.fit(X, Y, epochs=2, batch_size=None, ema=0.9, optimizer=cbp.SGD(0.0), callbacks=[reset])
    assert not net.parameters.any()


# --- the same bits, and refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [*SIZES, [300, 150, 40, 10]], ids=str)
def test_threads(sizes, dtype):
    X, Y = data(sizes, 700)
    for batch_size in (32, 500):
        found = set()
        for n_threads in (1, 2, 3, 8):
            net = make(sizes, dtype=dtype, n_threads=n_threads, l2=0.1)
            optimizer = cbp.Adam(0.01, clip_norm=0.1, clip_value=0.01, accumulate=2)
            net.fit(X, Y, epochs=2, batch_size=batch_size, ema=0.99, optimizer=optimizer)
            found.add(net.parameters.tobytes())
        assert len(found) == 1


def test_partial_fit_goes_on():
    X, Y = data([20, 30, 4], 64)
    nets = [make([20, 30, 4]) for _ in range(2)]
    optimizer = cbp.Adam(0.01, clip_norm=0.05)
    nets[0].fit(X, Y, epochs=1, batch_size=8, shuffle=False, optimizer=optimizer, l2_per="batch")
    for start in range(0, 64, 16):
        rows = slice(start, start + 16)
        nets[1].partial_fit(X[rows], Y[rows], batch_size=8, shuffle=False, optimizer=optimizer)
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    nets[1].partial_fit(X, Y, batch_size=8, shuffle=False, optimizer=cbp.Adam(0.01))  # without the limit
    nets[0].partial_fit(X, Y, batch_size=8, shuffle=False, optimizer=cbp.Adam(0.01, clip_norm=1e9))
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_every_optimiser_has(kind):
    assert issubclass(kind, Optimizer)
    assert "clip" not in repr(kind(0.5))
    assert repr(kind(0.5, clip_norm=2.0)).endswith("clip_norm=2.0)")
    assert kind(0.5, clip_norm=2.0) != kind(0.5)
    for name in ("clip_norm", "clip_value"):
        for value, error in ((0, ValueError), (-1, ValueError), (float("inf"), ValueError), ("1", TypeError)):
            with pytest.raises(error, match=f"{name} must be"):
                kind(**{name: value})
    for value, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="accumulate must be"):
            kind(accumulate=value)


@pytest.mark.parametrize("value", [0, 1, -0.1, float("nan"), "0.9", True, 1 - 1e-12])
def test_refusals_of_averages(value):
    net = make([3, 2])
    with pytest.raises((TypeError, ValueError), match="ema must be"):
        net.fit([[1, 2, 3]], [0], ema=value)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    m=st.integers(1, 150),
    batch_size=st.integers(1, 160),
    norm=st.floats(1e-3, 10),
    n_threads=st.integers(1, 4),
)
def test_any_shape(sizes, m, batch_size, norm, n_threads):
    sizes = [*sizes, 2]
    X, Y = data(sizes, m)
    net = make(sizes, n_threads=n_threads, dtype="float64")
    twin, optimizer = twin_of(net), cbp.SGD(0.1, clip_norm=norm)
    net.fit(X, Y, epochs=1, batch_size=batch_size, optimizer=optimizer, shuffle=False, ema=0.9)
    twin.epoch(X, Y, batch_size, "sgd", optimizer.rule(), ema=0.9)
    n = len(twin.weights)
    wanted = [each for pair in zip(twin.averages[:n], twin.averages[n:], strict=True) for each in pair]
    np.testing.assert_allclose(
        net.parameters, np.concatenate([part.ravel() for part in wanted]), rtol=1e-10, atol=1e-12
    )

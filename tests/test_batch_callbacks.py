"""The promise: batch callbacks see each step with the exact loss of its minibatch, and change no bit."""

import copy
import gc
import math
import os
import pickle
import subprocess
import sys
import time
import weakref
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import cbp
from cbp.training.epochs import Training

OPTIMIZERS = [cbp.SGD(0.05), cbp.SGD(0.05, momentum=0.9), cbp.Adam(0.01), cbp.Nadam(0.01), cbp.RMSprop(0.01)]
NETWORKS = {  # each takes another way through the kernels
    "small": {"sizes": [3, 5, 4]},
    "penalised": {"sizes": [3, 5, 4], "l2": [0.3, 0.1], "l1": 0.01, "dtype": "float64"},
    "by columns": {"sizes": [1500, 200, 4], "l2": 0.3, "n_threads": 2},
    "of several tiles": {"sizes": [70, 90, 40, 4], "hidden": "relu", "n_threads": 3},
}


def make(sizes=(3, 5, 4), **options):
    return cbp.Network(sizes, **{"hidden": "tanh", "rng": 1, **options})


def data(m, n_inputs=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, n_inputs)), rng.integers(0, 4, size=m), rng.uniform(0.1, 2, size=m)


def steps_of(net, *arguments, **options):
    """Train, and return the steps."""
    steps = []
    net.fit(*arguments, **options, batch_callbacks=[steps.append])
    return steps


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_one_minibatch_at_a_time(options, optimizer, weighted, monkeypatch):
    """The last batch is a short one."""
    X, Y, w = data(107, options["sizes"][0])
    w = w if weighted else None
    whole = 107 if w is None else w.astype(options.get("dtype", "float32")).sum(dtype=np.float64)
    nets, alone = (make(**options), make(**options)), []
    steps = steps_of(
        nets[0], X, Y, epochs=3, batch_size=25, shuffle=False, optimizer=optimizer, sample_weight=w
    )
    one_epoch = Training.epoch

    def epoch(*arguments, **options):
        found = one_epoch(*arguments, **options)
        alone.append(found.loss)
        return found

    monkeypatch.setattr(Training, "epoch", epoch)
    for _ in range(3):
        for start in range(0, 107, 25):
            part = slice(start, start + 25)
            nets[1].partial_fit(
                X[part], Y[part], optimizer=optimizer, batch_size=None, shuffle=False,
                sample_weight=None if w is None else w[part], n_examples=whole,
            )  # fmt: skip
    assert [step.loss for step in steps] == alone
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)
    assert [step.number for step in steps] == [*range(1, 16)]
    assert [step.epoch for step in steps] == [1] * 5 + [2] * 5 + [3] * 5
    assert {step.learning_rate for step in steps} == {optimizer.learning_rate}


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("batch_size", [1, 25, 107, None])
def test_they_change_no_bit(options, batch_size):
    X, Y, w = data(107, options["sizes"][0])
    found = []
    for hooks in ([], [lambda step: None, lambda step: False]):
        net = make(**options)
        history = net.fit(
            X, Y, epochs=3, batch_size=batch_size, sample_weight=w, validation_fraction=0.2,
            batch_callbacks=hooks,
        )  # fmt: skip
        net.partial_fit(X, Y)
        found.append((history.losses, history.validation_losses, history.stopped, net.parameters.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("sizes", [[300, 600, 200, 4], [3, 5, 4]])
def test_batches_longer_than_a_round(sizes, n_threads):
    X, Y, _ = data(3000, sizes[0])
    net, twin = make(sizes, l2=0.1, n_threads=n_threads), make(sizes, l2=0.1)
    steps = steps_of(net, X, Y, epochs=3, batch_size=None)
    history = twin.fit(X, Y, epochs=3, batch_size=None)
    assert [(step.number, step.epoch) for step in steps] == [(1, 1), (2, 2), (3, 3)]
    assert [step.loss for step in steps] == history.losses == net.history.losses
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    steps = steps_of(net, X, Y, epochs=2, batch_size=1300)
    assert [(step.number, step.epoch) for step in steps] == [(i, 1 + (i > 3)) for i in range(1, 7)]
    for epoch in net.history:
        losses = [step.loss for step in steps if step.epoch == epoch.number]
        assert np.average(losses, weights=[1300, 1300, 400]) == pytest.approx(epoch.loss, rel=1e-12)


def test_a_memory_mapped_file_that_is_read_by_parts(tmp_path, monkeypatch):
    X, Y, _ = data(1000)
    np.save(tmp_path / "X.npy", X)  # float64, so that parts are converted
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    monkeypatch.setattr("cbp.training.passes.PART_BYTES", 1)
    found = steps_of(make(), mapped, Y, epochs=2, batch_size=64)
    assert found == steps_of(make(), X, Y, epochs=2, batch_size=64)
    assert len(found) == 2 * 16


def test_minibatches_whose_weights_are_all_0():
    X, Y, w = data(40)
    w[10:20] = w[30:] = 0
    net, twin = make(), make()
    steps = steps_of(net, X, Y, sample_weight=w, batch_size=10, shuffle=False, epochs=2)
    assert [math.isnan(step.loss) for step in steps] == [False, True] * 4
    assert [step.number for step in steps] == [*range(1, 9)]
    kept = w > 0
    alone = steps_of(twin, X[kept], Y[kept], sample_weight=w[kept], batch_size=10, shuffle=False, epochs=2)
    assert [step.loss for step in steps[::2]] == [step.loss for step in alone]
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def after(n, X, Y, **options):
    """A network after n steps of 10 examples each."""
    net = make(**options)
    for i in range(n):
        rows = np.arange(10 * i, 10 * i + 10) % len(X)
        net.partial_fit(X[rows], Y[rows], batch_size=10, shuffle=False, n_examples=len(X))
    return net


SETTINGS = {"epochs": 5, "batch_size": 10, "shuffle": False}


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 20])
@pytest.mark.parametrize("answer", [True, np.True_])
def test_to_stop(n, answer):
    """After the 4th and 8th step an epoch has ended, and is recorded."""
    X, Y, _ = data(40)
    net, seen, epochs = make(l2=0.1), [], []
    history = net.fit(
        X, Y, **SETTINGS, callbacks=[epochs.append],
        batch_callbacks=[lambda step: answer if step.number == n else None, seen.append],
    )  # fmt: skip
    assert [step.number for step in seen] == [*range(1, n + 1)]  # the others are called, too
    assert history.stopped == "callback"
    assert len(history) == len(epochs) == n // 4
    np.testing.assert_array_equal(net.parameters, after(n, X, Y, l2=0.1).parameters)
    # The optimiser's state is the one after that step.
    twin = after(n, X, Y, l2=0.1)
    for each in (net, twin):
        each.partial_fit(X, Y, shuffle=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


class Own(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize("n", [1, 3, 4, 6])
@pytest.mark.parametrize("kind", [ValueError, FloatingPointError, SystemExit, Own, KeyboardInterrupt])
def test_exceptions_leave_the_parameters_after_the_last_step(n, kind):
    X, Y, _ = data(40)
    net, cause, seen = make(), OSError("the cause"), []

    def fails(step):
        if step.number == n:
            raise kind("from a hook") from cause

    with pytest.raises(kind, match="from a hook") as caught:
        net.fit(X, Y, **SETTINGS, batch_callbacks=[fails, seen.append])
    assert caught.value.__cause__ is cause
    assert caught.value.__context__ is cause or caught.value.__context__ is None
    assert caught.traceback[-1].name == "fails"
    assert len(seen) == n - 1
    assert net.history.stopped == ("interrupted" if kind is KeyboardInterrupt else "error")
    assert len(net.history) == (n - 1) // 4
    twin = after(n, X, Y)
    for each in (net, twin):
        each.partial_fit(X, Y, shuffle=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_an_exception_keeps_nothing_in_memory():
    X, Y, _ = data(40)
    X = X.astype("f4").view(type("Watched", (np.ndarray,), {}))
    alive = weakref.ref(X)

    def fails(step):
        raise RuntimeError

    gc.disable()
    try:
        with pytest.raises(RuntimeError):
            make().fit(X, Y, batch_callbacks=[fails])
        del X
        assert alive() is None
    finally:
        gc.enable()


def test_the_order_of_calls():
    X, Y, _ = data(25)
    calls = []
    make().fit(
        X, Y, epochs=2, batch_size=10, validation_data=(X, Y),
        callbacks=[lambda epoch: calls.append(f"epoch {epoch.number}")],
        batch_callbacks=(
            lambda step: calls.append(f"a{step.number}"), lambda step: calls.append(f"b{step.number}")
        ),
    )  # fmt: skip
    assert " ".join(calls) == "a1 b1 a2 b2 a3 b3 epoch 1 a4 b4 a5 b5 a6 b6 epoch 2"


def test_the_network_has_the_parameters_from_before_the_epoch():
    X, Y, _ = data(40)
    net, twin = make(), make()
    epochs, seen, copies = [net.parameters.copy()], [], []

    def look(step):
        seen.append(net.parameters.copy())
        copies.append(copy.copy(net).parameters.copy())
        np.testing.assert_array_equal(net.predict(X), twin.predict(X))
        with pytest.raises(RuntimeError, match="being trained already"):
            net.fit(X, Y)

    def keep(epoch):
        epochs.append(net.parameters.copy())
        twin.parameters = net.parameters

    net.fit(X, Y, epochs=2, batch_size=10, batch_callbacks=[look], callbacks=[keep])
    for found in (seen, copies):
        np.testing.assert_array_equal(found, np.repeat(epochs[:2], 4, axis=0))


def test_what_they_set_holds_from_the_next_epoch_on():
    X, Y, _ = data(40)
    net, twin = make(), make()

    def set_l2(step):
        if step.number == 2:
            net.l2 = 0.7
            net.parameters = np.zeros(net.n_parameters)  # overwritten

    net.fit(X, Y, epochs=2, batch_callbacks=[set_l2])
    twin.fit(X, Y, epochs=2, callbacks=[lambda epoch: setattr(twin, "l2", 0.7)])
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_early_stopping_and_a_limit_of_time():
    X, Y, _ = data(40)
    net, seen = make(), []
    rule = cbp.EarlyStopping(monitor="loss", mode="max", patience=100)
    history = net.fit(
        X, Y, epochs=10, batch_size=10, early_stopping=rule,
        batch_callbacks=[lambda step: step.number == 18],
        callbacks=[lambda epoch: seen.append(net.parameters.copy())],
    )  # fmt: skip
    assert (history.stopped, history.best.number, len(history)) == ("callback", 1, 4)
    np.testing.assert_array_equal(net.parameters, seen[0])
    steps = []

    def slow(step):
        steps.append(step)
        time.sleep(0.02)

    history = net.fit(X, Y, epochs=10, batch_size=1, max_seconds=0.1, batch_callbacks=[slow])
    assert history.stopped == "max_seconds"
    assert len(history) == 0
    assert 1 <= len(steps) <= 5


def test_divergence_is_found_before_the_call():
    X, Y, _ = data(40)
    net = make(output="identity")
    before, seen = net.parameters.copy(), []
    with pytest.raises(FloatingPointError):
        net.fit(X * 1e6, np.eye(4)[Y], optimizer=cbp.SGD(1e30), batch_size=10, batch_callbacks=[seen.append])
    assert len(seen) >= 1
    assert all(math.isfinite(step.loss) for step in seen)
    assert net.history.stopped == "not_finite"
    np.testing.assert_array_equal(net.parameters, before)


def test_a_step_is_a_value():
    step = cbp.Step(3, 1, 0.5, 0.01)
    assert step == cbp.Step(number=3, epoch=1, loss=0.5, learning_rate=0.01)
    assert pickle.loads(pickle.dumps(step)) == step
    assert repr(step) == "Step(number=3, epoch=1, loss=0.5, learning_rate=0.01)"
    with pytest.raises(FrozenInstanceError):
        step.loss = 0
    kinds = {type(value) for value in vars_of(steps_of(make(), *data(40)[:2], epochs=1)[0])}
    assert kinds == {int, float}


def vars_of(step):
    return [step.number, step.epoch, step.loss, step.learning_rate]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (print, r"batch_callbacks must be an iterable of callables, got .*; for one .* \[callable\]"),
        (3, "batch_callbacks must be an iterable of callables, got int"),
        ([print, 3], r"batch_callbacks\[1\] must be callable, got int"),
        ([lambda step: None, lambda step: 1], r"batch_callbacks\[1\] must return True to stop .*, got int"),
        ([lambda step: "no"], r"batch_callbacks\[0\] must return True to stop .*, got str"),
    ],
)
def test_refusals(value, message):
    X, Y, _ = data(40)
    with pytest.raises(TypeError, match=message):
        make().fit(X, Y, batch_callbacks=value)


def test_no_epochs_and_no_functions():
    X, Y, _ = data(40)
    assert steps_of(make(), X, Y, epochs=0) == []
    assert make().fit(X, Y, epochs=1, batch_callbacks=iter([])).stopped == "epochs"


FORK = """
import os, signal, time
import numpy as np
import cbp
from cbp import _core

made = []
def new_pass(*arguments, **options):
    made.append(original(*arguments, **options))
    return made[-1]
original, _core.Pass = _core.Pass, new_pass

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(2000, 100)), rng.integers(0, 10, size=2000)

def team():
    made.clear()
    net = cbp.Network([100, 200, 10], n_threads=2)
    net.fit(X, Y, epochs=5, batch_size=200, batch_callbacks=[lambda step: None])
    return max(run.team for run in made)

# Several times: on a busy machine a team may work alone for a while.
found = max(team() for _ in range(5))
child = os.fork()
if child == 0:
    signal.alarm(60)
    end = time.monotonic() + 50
    while team() != found and time.monotonic() < end:
        time.sleep(0.1)
    os._exit(17 if time.monotonic() < end else 1)
print(found, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_of_fork_uses_its_threads():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "17"

"""The promise: training stops when it should, says why, and leaves the best parameters."""

import _thread
import copy
import pickle
import time

import numpy as np
import pytest

import cbp
from cbp.training.history import Epoch, History
from cbp.training.stopping import Watch


def data(m=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 3))
    return X, (X @ rng.normal(size=(3, 4)) + rng.normal(size=(m, 4))).argmax(axis=1)


def make(**options):
    return cbp.Network([3, 30, 4], **{"hidden": "tanh", "rng": 1, "dtype": "float64", **options})


def watched(values, rule, monitor="validation_loss"):
    """What a watch makes of epochs with these values: where it stops, and the parameters it keeps."""
    watch = Watch(rule, rule.mode == "max")
    for number, value in enumerate(values, 1):
        watch.see(Epoch(number, value, value, 0.1, 1.0), np.array([number]))
        if watch.patience_is_over:
            break
    return (
        number,
        watch.best and watch.best.number,
        None if watch.parameters is None else int(watch.parameters[0]),
    )


@pytest.mark.parametrize(
    ("options", "values", "expected"),
    [
        ({"patience": 2}, [3, 2, 2.5, 2.6, 1], (4, 2, 2)),
        ({"patience": 1}, [3, 3, 1], (2, 1, 1)),  # an equal value is no improvement
        ({"patience": 3}, [3, 2, 1], (3, 3, 3)),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.2, 2.1, 0], (5, 5, 5)),
        ({"patience": 2, "min_delta": 1}, [3, 2.6, 2.2, 0], (3, 1, 1)),
        ({"patience": 2, "mode": "max"}, [1, 2, 1.5, 1.7, 3], (4, 2, 2)),
        ({"patience": 2, "warm_up": 2}, [0, 0, 3, 2, 4, 5, 1], (6, 4, 4)),
        ({"patience": 2}, [np.nan, 2, np.nan, np.inf, 1], (4, 2, 2)),
        ({"patience": 2}, [np.nan, np.nan, 1], (2, None, None)),
        ({"patience": 2, "restore_best": False}, [3, 2, 2.5, 2.6, 1], (4, 2, None)),
        ({"patience": 2, "monitor": "loss"}, [3, 2, 2.5, 2.6, 1], (4, 2, 2)),
    ],
)
def test_the_rule(options, values, expected):
    assert watched(values, cbp.EarlyStopping(**options)) == expected


def test_fit_stops_and_goes_back_to_the_best_epoch():
    X, Y = data()
    net, seen = make(), []
    history = net.fit(
        X, Y, epochs=500, optimizer=cbp.Adam(0.05), validation_data=data(60, 1), early_stopping=True,
        callbacks=[lambda epoch: seen.append(net.parameters.copy())],
    )  # fmt: skip
    assert history.stopped == "patience"
    assert history.best == min(history, key=lambda epoch: epoch.validation_loss)
    assert len(history) == history.best.number + 10
    np.testing.assert_array_equal(net.parameters, seen[history.best.number - 1])
    assert "stopped by patience" in repr(history)
    for twin in (copy.copy(history), pickle.loads(pickle.dumps(history))):
        assert (twin.stopped, twin.best) == (history.stopped, history.best)
    net.partial_fit(X, Y)  # goes on from the restored parameters
    assert np.isfinite(net.loss(X, Y))


@pytest.mark.parametrize("flag", [None, False, np.False_, True, np.True_])
def test_flags(flag):
    net = make()
    history = net.fit(
        *data(), epochs=60, optimizer=cbp.Adam(0.1), validation_fraction=0.3, early_stopping=flag
    )
    assert history.stopped == ("patience" if flag else "epochs")


def test_all_epochs_are_trained_as_without():
    """Watching changes no bit of the epochs."""
    X, Y = data()
    seen = []
    for options in ({}, {"early_stopping": cbp.EarlyStopping(monitor="loss", restore_best=False)}):
        net = make()
        history = net.fit(X, Y, epochs=8, **options)
        seen.append((history.losses, net.parameters.tolist()))
        assert history.stopped == "epochs"
    assert seen[0] == seen[1]


def interrupt(number):
    return lambda epoch: _thread.interrupt_main() if epoch.number == number else None


@pytest.mark.parametrize("on_interrupt", [False, True])
def test_ctrl_c(on_interrupt):
    X, Y = data()
    net, seen = make(), []
    rule = cbp.EarlyStopping(monitor="loss", mode="max", patience=100, on_interrupt=on_interrupt)
    with pytest.raises(KeyboardInterrupt):
        net.fit(
            X, Y, epochs=1000, early_stopping=rule,
            callbacks=[lambda epoch: seen.append(net.parameters.copy()), interrupt(5)],
        )  # fmt: skip
    assert net.history.stopped == "interrupted"
    assert net.history.best.number == 1  # the first, since more is better here
    assert np.array_equal(net.parameters, seen[0]) == on_interrupt


def test_why_training_ended():
    X, Y = data()
    assert History().stopped is None
    net = make()
    assert net.fit(X, Y, epochs=2).stopped == "epochs"
    assert net.fit(X, Y, epochs=0).stopped == "epochs"
    assert net.fit(X, Y, epochs=5, callbacks=[lambda epoch: epoch.number == 2]).stopped == "callback"
    broken = make(output="identity")
    with pytest.raises(FloatingPointError):
        broken.fit(X, np.eye(4)[Y], optimizer=cbp.SGD(1e30))
    assert broken.history.stopped == "not_finite"

    def fails(epoch):
        raise RuntimeError("from a callback")

    with pytest.raises(RuntimeError, match="from a callback"):
        net.fit(X, Y, callbacks=[fails])
    assert net.history.stopped == "error"


def test_max_seconds():
    X, Y = data(20_000)
    net = make()
    before = net.parameters.copy()
    started = time.monotonic()
    history = net.fit(X, Y, epochs=10**9, batch_size=1, max_seconds=0.2)
    assert history.stopped == "max_seconds"
    assert 0.2 <= time.monotonic() - started < 20
    assert not np.array_equal(net.parameters, before)
    assert net.fit(X[:10], Y[:10], epochs=3, max_seconds=1000).stopped == "epochs"


def test_an_epoch_that_is_complete_is_recorded():
    """One of a single slice is trained wholly or not at all."""
    X, Y = data(10)
    for _ in range(20):
        net = make()
        before = net.parameters.copy()
        history = net.fit(X, Y, epochs=10**9, max_seconds=1e-3)
        assert history.stopped == "max_seconds"
        again = make()
        again.fit(X, Y, epochs=len(history))
        np.testing.assert_array_equal(net.parameters, again.parameters)
        assert len(history) > 0 or np.array_equal(net.parameters, before)


@pytest.mark.parametrize("how", ["callback", "max_seconds"])
def test_the_best_comes_back_after_other_ends(how):
    X, Y = data(2000)
    net, seen = make(), []
    rule = cbp.EarlyStopping(monitor="loss", min_delta=1e9, patience=10**6)
    end = {"max_seconds": 0.3} if how == "max_seconds" else {}
    history = net.fit(
        X, Y, epochs=10**9, early_stopping=rule, **end,
        callbacks=[
            lambda epoch: seen.append(net.parameters.copy()),
            lambda epoch: how == "callback" and epoch.number == 3,
        ],
    )  # fmt: skip
    assert (history.stopped, history.best.number) == (how, 1)
    np.testing.assert_array_equal(net.parameters, seen[0])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"early_stopping": True},
            ValueError,
            "early_stopping monitors 'validation_loss', which is not recorded: give validation_data",
        ),
        (
            {"early_stopping": 5},
            TypeError,
            "cbp.EarlyStopping, True or False, got 5",
        ),
        ({"early_stopping": cbp.EarlyStopping}, TypeError, "call it: cbp.EarlyStopping()"),
        ({"max_seconds": 0}, ValueError, "max_seconds must be above 0 and finite, got 0"),
        ({"max_seconds": "1"}, TypeError, "max_seconds must be a number, got str"),
        (
            {"validation_fraction": 1},
            ValueError,
            "above 0 and less than 1, got 1",
        ),
        ({"validation_fraction": True}, TypeError, "validation_fraction must be a number, got bool"),
        ({"validation_fraction": 0.999}, ValueError, "validation_fraction must leave examples to train on"),
        ({"validation_fraction": 0.1, "validation_data": data()}, ValueError, "not both"),
    ],
)
def test_refusals(options, error, message):
    net = make()
    before = net.parameters.copy()
    with pytest.raises(error) as caught:
        net.fit(*data(), **options)
    assert message in str(caught.value)
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
        ({"patience": 1.5}, TypeError, "patience must be a whole number, got 1.5"),
        ({"min_delta": -1}, ValueError, "min_delta must be at least 0"),
        (
            {"monitor": 3},
            TypeError,
            "monitor must be the name of a loss or a metric, got 3",
        ),
        ({"mode": "less"}, ValueError, "mode must be 'min', 'max' or None, got 'less'"),
        ({"restore_best": 1}, TypeError, "restore_best must be True or False"),
        ({"warm_up": -1}, ValueError, "warm_up must be at least 0"),
    ],
)
def test_refusals_of_the_rule(options, error, message):
    with pytest.raises(error) as caught:
        cbp.EarlyStopping(**options)
    assert message in str(caught.value)

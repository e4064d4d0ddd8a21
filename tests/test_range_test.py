"""The promise: the range test leaves the network as it is, and suggests a rate at which training works."""

import copy

import numpy as np
import pytest

import cbp

DIGITS = cbp.datasets.load_digits()


@pytest.mark.parametrize("optimizer", [cbp.SGD(), cbp.Adam(), cbp.RMSprop()], ids=lambda o: type(o).__name__)
def test_the_suggestion_trains_better_than_rates_far_from_it(optimizer):
    from dataclasses import replace

    net = cbp.Network([64, 32, 10], hidden="relu", rng=0)
    found = cbp.find_learning_rate(net, DIGITS.x_train, DIGITS.y_train, optimizer=optimizer)
    losses = []
    for factor in (1, 1e-2, 1e2):
        twin = copy.deepcopy(net)
        rate = replace(optimizer, learning_rate=factor * found.suggestion)
        try:
            twin.fit(DIGITS.x_train, DIGITS.y_train, epochs=5, optimizer=rate)
            losses.append(twin.loss(DIGITS.x_test, DIGITS.y_test))
        except FloatingPointError:
            losses.append(np.inf)
    assert losses[0] == min(losses)
    assert losses[0] < 0.5


def test_the_network_stays_as_it_is():
    net = cbp.Network([64, 16, 10], rng=0, dropout=0.2)
    net.fit(DIGITS.x_train, DIGITS.y_train, epochs=1)
    twin = copy.deepcopy(net)
    history = net.history
    cbp.find_learning_rate(net, DIGITS.x_train, DIGITS.y_train)
    assert net.history is history
    for network in (net, twin):
        network.partial_fit(DIGITS.x_train, DIGITS.y_train)
    assert net.parameters.tobytes() == twin.parameters.tobytes()


def test_what_is_returned():
    net = cbp.Network([64, 16, 10], rng=0)
    found = cbp.find_learning_rate(net, DIGITS.x_train, DIGITS.y_train, start=1e-5, end=1e3, n_steps=90)
    assert 10 < len(found.rates) <= 90
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    assert found.rates[0] == pytest.approx(1e-5)
    ratios = found.rates[1:] / found.rates[:-1]
    np.testing.assert_allclose(ratios, 1e8 ** (1 / 89), rtol=1e-9)
    weights = 0.9 ** np.arange(len(found.losses))[::-1]
    assert found.smoothed[-1] == pytest.approx(np.average(found.losses, weights=weights))
    assert found.suggestion in found.rates
    assert repr(found) == f"RangeTest({len(found.rates)} steps, suggestion {found.suggestion:.2g})"


def test_the_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    net = cbp.Network([64, 16, 10], rng=0)
    found = cbp.find_learning_rate(net, DIGITS.x_train, DIGITS.y_train)
    ax = found.plot()
    assert ax.get_xscale() == "log"
    assert ax.get_lines()[0].get_ydata().tolist() == found.losses.tolist()
    assert found.plot(ax) is ax
    ax.figure.canvas.draw()


def test_refusals():
    net = cbp.Network([64, 16, 10], rng=0)
    for options, words in (
        ({"start": 0}, "start must be above 0"),
        ({"start": 1, "end": 1}, "end must be above 1"),
        ({"n_steps": 9}, "n_steps must be at least 10"),
    ):
        with pytest.raises(ValueError, match=words):
            cbp.find_learning_rate(net, DIGITS.x_train, DIGITS.y_train, **options)
    with pytest.raises(ValueError, match="Y must have shape"):
        cbp.find_learning_rate(net, DIGITS.x_train, DIGITS.y_train[:-1])

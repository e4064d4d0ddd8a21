"""The promise: a step against a gradient from outside has the bits of one that training makes itself."""

import numpy as np
import pytest

import cbp
from cbp.training.steps import Extent, Steps, at_rest

OPTIMIZERS = [
    cbp.SGD(0.3),
    cbp.SGD(0.3, momentum=0.9),
    cbp.SGD(0.3, momentum=0.9, nesterov=True),
    cbp.Adam(0.05),
    cbp.AdamW(0.05, weight_decay=0.3),
    cbp.Nadam(0.05),
    cbp.RMSprop(0.05, centered=True, momentum=0.5),
    cbp.Adagrad(0.3),
]
# Small, by partial sums, by rows, by columns, and in several rounds.
CASES = {
    "small": ([3, 5, 2], 24, 1),
    "partial sums": ([5, 17, 3], 300, 1),
    "rows": ([96, 130, 33], 50, 2),
    "columns": ([480, 65, 3], 48, 2),
    "segments": ([60, 300, 3], 4700, 1),
}


@pytest.mark.parametrize(("dtype", "bias"), [("float32", True), ("float64", False)])
@pytest.mark.parametrize(("sizes", "m", "n_threads"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_same_bits(optimizer, sizes, m, n_threads, dtype, bias):
    rng = np.random.default_rng(1)
    penalties = {"l2": [0.7, *[0.3] * (len(sizes) - 2)], "l1": [0.0, *[0.2] * (len(sizes) - 2)]}
    options = {"hidden": "tanh", **penalties, "bias": bias, "dtype": dtype, "rng": 2, "n_threads": n_threads}
    net, twin = cbp.Network(sizes, **options), cbp.Network(sizes, **options)
    X, Y = rng.normal(size=(m, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], size=m)
    state = at_rest(twin._state_for(optimizer))
    steps = Steps(twin._engine, state, optimizer, twin.dtype, Extent(m, m, n_threads, restorable=True))
    for _ in range(3):
        net.partial_fit(X, Y, batch_size=None, optimizer=optimizer, shuffle=False)
        D = twin.gradient(X, Y).parameters
        steps.set_rule(optimizer, None, 1)
        steps.run.pack(n_threads)
        steps.run.update(D, optimizer.learning_rate, n_threads)
        assert steps.run.unpack(n_threads)
        twin._engine.note_write()
        assert twin.parameters.tobytes() == net.parameters.tobytes()
    found, expected = steps.at_rest(), at_rest(net._state)
    assert found.updates == expected.updates == 3
    assert list(found.moments) == list(expected.moments) == list(optimizer.moments)
    for name, moment in expected.moments.items():
        assert found.moments[name].tobytes() == moment.tobytes()


def test_a_step_that_fails_leaves_everything_alone():
    net = cbp.Network([3, 2], rng=0)
    steps = Steps(
        net._engine,
        at_rest(net._state_for(cbp.Adam())),
        cbp.Adam(),
        net.dtype,
        Extent(1, 1, 1, restorable=True),
    )
    before = net.parameters.copy()
    steps.set_rule(cbp.Adam(), None, 1)
    steps.run.pack(1)
    steps.run.update(np.full(net.n_parameters, np.nan, "float32"), 0.1, 1)
    assert not steps.run.unpack(1)
    assert net.parameters.tobytes() == before.tobytes()
    assert steps.at_rest().updates == 0


def test_what_it_refuses():
    net = cbp.Network([3, 2], rng=0)
    steps = Steps(
        net._engine,
        at_rest(net._state_for(cbp.Adam())),
        cbp.Adam(),
        net.dtype,
        Extent(1, 1, 1, restorable=True),
    )
    with pytest.raises(ValueError, match="expected 8 items, got 7"):
        steps.run.update(np.zeros(7, "float32"), 0.1, 1)
    with pytest.raises(TypeError, match="expected items of 4 bytes, got 8"):
        steps.run.update(np.zeros(8), 0.1, 1)
    with pytest.raises(TypeError, match="expected hyper-parameters among .*beta1.*, got friction"):
        steps.run.set_rule(friction=1)

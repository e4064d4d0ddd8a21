"""The promise: training can be written down between any two steps, and goes on elsewhere to the same bits."""

import pickle

import numpy as np
import pytest

import cbp
from cbp.training import passes
from cbp.training.epochs import Training

OPTIMIZERS = [
    cbp.SGD(0.05),
    cbp.SGD(0.05, momentum=0.9),
    cbp.Adam(0.01),
    cbp.AdamW(0.01),
    cbp.Nadam(0.01),
    cbp.RMSprop(0.01, centered=True, momentum=0.5),
    cbp.Adagrad(0.05),
]
CASES = {
    "small": ([3, 5, 2], 500, 24, {}),
    "one row": ([3, 5, 2], 150, 1, {}),
    "partial sums": ([5, 17, 3], 900, 300, {}),
    "rows": ([96, 130, 33], 300, 50, {}),
    "columns": ([480, 65, 3], 300, 48, {"n_threads": 2}),
    "no biases": ([30, 20, 3], 500, 32, {"bias": False, "l1": 0.1}),
}
EPOCHS = 3


def train(sizes, m, batch, optimizer, *, going_on, weighted, state=None, options=None, X=None):
    """Train for EPOCHS epochs, those of `state` among them.

    Returns the parameters, the losses of the epochs that this call ended, and the states between slices.
    """
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(m, sizes[0])).astype("float32")
    Y, w = rng.integers(0, sizes[-1], m), rng.uniform(size=m) if weighted else None
    net = cbp.Network(sizes, hidden="tanh", rng=5 if state is None else 99, l2=0.1, **(options or {}))
    examples = net._examples(drawn if X is None else X, Y, w, None)
    states, losses = [], []
    with net._training(examples, optimizer, batch, True, going_on=going_on, state=state) as run:
        states.append(run.state())
        for number in range(run.epochs_before, EPOCHS):
            losses.append(run.epoch(number, lambda n: states.append(run.state())).loss)
            states.append(run.state())
    return net, losses, states


@pytest.fixture
def short_slices(monkeypatch):
    """Slices of a step or a few, so that there are many states to take."""
    monkeypatch.setattr(passes, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(passes, "FIRST_BUDGET", 1e5)


def assert_same_end(net, losses, other, other_losses):
    assert other.parameters.tobytes() == net.parameters.tobytes()
    assert other_losses == losses[-len(other_losses) :]
    assert other._shuffler.bit_generator.state == net._shuffler.bit_generator.state
    mine, its = pickle.loads(pickle.dumps(net)), pickle.loads(pickle.dumps(other))
    assert its._state.updates == mine._state.updates
    for name, moment in mine._state.moments.items():
        assert its._state.moments[name].tobytes() == moment.tobytes()


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("going_on", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("case", CASES)
def test_any_place_goes_on_to_the_same_bits(case, optimizer, going_on):
    sizes, m, batch, options = CASES[case]
    how = {"going_on": going_on, "weighted": going_on}
    net, losses, states = train(sizes, m, batch, optimizer, options=options, **how)
    states = [state for state in states if state is not None]
    within = [state for state in states if state.place is not None]
    assert len(within) >= EPOCHS
    assert len(states) - len(within) == EPOCHS + 1
    for state in [*states[:: max(1, len(states) // 4)], within[0], within[-1]]:
        if state.epochs == EPOCHS:
            continue
        threads = {**options, "n_threads": 3 - options.get("n_threads", 1)}
        kept = pickle.loads(pickle.dumps(state))
        other, others, _ = train(sizes, m, batch, optimizer, options=threads, state=kept, **how)
        assert_same_end(net, losses, other, others)


@pytest.mark.usefixtures("short_slices")
def test_a_mapped_array_goes_on_too(tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "PART_BYTES", 256 * 40 * 4)
    X = np.random.default_rng(3).normal(size=(2000, 40))
    np.save(tmp_path / "X.npy", X)
    how = {"going_on": False, "weighted": False, "X": np.load(tmp_path / "X.npy", mmap_mode="r")}
    net, losses, states = train([40, 30, 4], 2000, 50, cbp.Adam(), **how)
    within = [state for state in states if state is not None and state.place is not None]
    assert {state.place[0] % 256 for state in within} != {0}
    for state in within[:: len(within) // 5]:
        other, others, _ = train([40, 30, 4], 2000, 50, cbp.Adam(), state=state, **how)
        assert_same_end(net, losses, other, others)


@pytest.mark.usefixtures("short_slices")
def test_inside_a_minibatch_there_is_no_state_and_between_them_there_is():
    # Three rounds a minibatch, and a slice for each.
    _, _, states = train([60, 300, 3], 9400, 4700, cbp.SGD(0.1), going_on=False, weighted=False)
    assert None in states
    assert any(state is not None and state.place is not None for state in states)


def test_to_take_a_state_changes_nothing():
    sizes, m, batch, options = CASES["rows"]
    how = {"going_on": True, "weighted": True, "options": options}
    net, losses, states = train(sizes, m, batch, cbp.Adam(), **how)
    before = pickle.dumps(states[0])
    other, others, _ = train(sizes, m, batch, cbp.Adam(), state=states[0], **how)
    assert_same_end(net, losses, other, others)
    assert pickle.dumps(states[0]) == before


def test_after_a_failure_there_is_none():
    net = cbp.Network([3, 5, 2], output="identity", rng=0)
    examples = net._examples(np.ones((8, 3)), np.ones((8, 2)), None, None)
    with net._training(examples, cbp.SGD(1e30), 2, True, going_on=False) as run:
        with pytest.raises(FloatingPointError):
            run.epoch(1, lambda n: None)
        assert run.state() is None


def test_a_state_of_another_training_is_refused():
    _, _, states = train([3, 5, 2], 60, 20, cbp.Adam(), going_on=False, weighted=False)
    message = (
        r"the training state is of \(32, 20, 60\) parameters, batch and shuffled examples, this training of"
    )
    for sizes, m, batch in (([3, 6, 2], 60, 20), ([3, 5, 2], 61, 20), ([3, 5, 2], 60, 30)):
        with pytest.raises(ValueError, match=message):
            train(sizes, m, batch, cbp.Adam(), going_on=False, weighted=False, state=states[0])


def test_the_record_is_of_plain_values():
    """So that any format can hold it."""
    _, _, states = train([3, 5, 2], 60, 20, cbp.Adam(), going_on=False, weighted=False)
    state = states[-1]
    assert (state.epochs, state.batch, state.place) == (EPOCHS, 20, None)
    assert state.optimizer.updates == EPOCHS * 3
    assert list(state.optimizer.moments) == ["mean", "square"]
    assert state.order.dtype == np.uint32
    assert state.generator["bit_generator"] == "PCG64"
    assert not isinstance(state, Training)

"""The promise: batches of one's own train as the same examples in fit, and are read one ahead."""

import itertools
import threading
import time

import numpy as np
import pytest

import cbp


def data(m=100, n=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, n)), rng.integers(0, 3, size=m)


def make(sizes=(5, 9, 3), **options):
    return cbp.Network(list(sizes), hidden="tanh", **{"rng": 3, "l2": 0.1, **options})


def cut(arrays, size):
    return [tuple(array[i : i + size] for array in arrays) for i in range(0, len(arrays[0]), size)]


class Squares:
    def loss(self, a, y):
        return ((a - y) ** 2).sum(axis=1) / 2

    def error(self, a, y):
        return a - y


# --- the same as fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", [
    {},
    {"optimizer": cbp.Adam(cbp.schedules.Exponential(0.05, gamma=0.99), clip_norm=0.5)},
    {"ema": 0.9},
    {"early_stopping": cbp.EarlyStopping(monitor="loss", patience=1, min_delta=0.1)},
])  # fmt: skip
@pytest.mark.parametrize(("sizes", "size"), [
    ((5, 9, 3), 16), ((5, 9, 3), 1), ((20, 30, 3), 150), ((130, 140, 3), 64), ((211, 100, 3), 32),
])  # fmt: skip
def test_the_bits_of_fit(sizes, size, how, dtype):
    X, Y = data(300, sizes[0])
    w = np.random.default_rng(1).uniform(size=300)
    nets = [make(sizes, dtype=dtype, dropout=0.2) for _ in range(2)]
    fitted = nets[0].fit(
        *(X, Y), sample_weight=w, epochs=3, batch_size=size, shuffle=False, l2_per="batch",
        validation_data=(X, Y), **how,
    )  # fmt: skip
    history = nets[1].fit_batches(cut((X, Y, w), size), epochs=3, validation_data=(X, Y), **how)
    assert nets[1].parameters.tobytes() == nets[0].parameters.tobytes()
    assert history.losses == fitted.losses
    assert history.validation_losses == fitted.validation_losses
    assert history.stopped == fitted.stopped
    assert nets[1].history is history


def test_a_loss_of_ones_own_and_missing_targets():
    X, _ = data()
    Y = np.random.default_rng(1).normal(size=(100, 3))
    nets = [make(loss=Squares(), output="identity") for _ in range(2)]
    nets[0].fit(X, Y, epochs=2, shuffle=False, l2_per="batch")
    nets[1].fit_batches(cut((X, Y), 32), epochs=2)
    assert nets[1].parameters.tobytes() == nets[0].parameters.tobytes()
    Y[::7, 1] = np.nan
    nets = [make(output="identity") for _ in range(2)]
    nets[0].fit(X, Y, epochs=2, shuffle=False, l2_per="batch", missing="ignore")
    nets[1].fit_batches(cut((X, Y), 32), epochs=2, missing="ignore")
    assert nets[1].parameters.tobytes() == nets[0].parameters.tobytes()


def test_n_examples():
    X, Y = data(96)
    nets = [make() for _ in range(2)]
    nets[0].fit(X, Y, epochs=2, shuffle=False)
    nets[1].fit_batches(cut((X, Y), 32), epochs=2, n_examples=96)
    assert nets[1].parameters.tobytes() == nets[0].parameters.tobytes()


def test_accumulation_joins_batches():
    X, Y = data(100)
    nets = [make() for _ in range(2)]
    how = {"epochs": 2, "optimizer": cbp.SGD(0.1, accumulate=3)}
    nets[0].fit(X, Y, batch_size=16, shuffle=False, l2_per="batch", **how)
    nets[1].fit_batches(cut((X, Y), 16), **how)
    assert nets[1].parameters.tobytes() == nets[0].parameters.tobytes()


@pytest.mark.parametrize("order", [(3, 40, 7, 200, 1), (200, 1, 3)])
def test_batches_of_any_size(order):
    X, Y = data(sum(order))
    net, twin = make(dtype="float64"), make(dtype="float64")
    ends = np.cumsum(order)
    batches = [(X[end - n : end], Y[end - n : end]) for n, end in zip(order, ends, strict=True)]
    history = net.fit_batches(batches, epochs=2, ema=0.9, optimizer=cbp.Adam(0.01))
    losses = []
    average, t = twin.parameters.copy(), 0
    for _ in range(2):
        total = 0.0
        for x, y in batches:
            total += len(x) * twin.gradient(x, y).loss
            twin.partial_fit(x, y, batch_size=None, optimizer=cbp.Adam(0.01), shuffle=False)
            t += 1
            average += (1 - min(0.9, (1 + t) / (10 + t))) * (twin.parameters - average)
        losses.append(total / len(X))
    np.testing.assert_allclose(net.parameters, average, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(history.losses, losses, rtol=1e-12)


# --- reading ------------------------------------------------------------------------------------------------


def test_an_endless_generator():
    X, Y = data()
    read = []

    def endless():
        for i in itertools.count():
            read.append(i)
            yield X[i % 4 : i % 4 + 10], Y[i % 4 : i % 4 + 10]

    net = make()
    seen = []
    history = net.fit_batches(endless(), epochs=3, steps_per_epoch=7, batch_callbacks=[seen.append])
    assert len(history) == 3
    assert [step.number for step in seen] == list(range(1, 22))
    assert [step.epoch for step in seen] == [1] * 7 + [2] * 7 + [3] * 7
    assert 21 <= len(read) <= 24  # what is read ahead


def test_a_list_is_read_again():
    X, Y = data(64)
    nets = [make() for _ in range(2)]
    nets[0].fit_batches(cut((X, Y), 16) * 3, epochs=2)
    nets[1].fit_batches(cut((X, Y), 16), epochs=2, steps_per_epoch=12)
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


def test_the_next_batch_is_read_meanwhile():
    X, Y = data()
    threads = set()

    def batches():
        for _ in range(5):
            threads.add(threading.current_thread())
            time.sleep(0.001)
            yield X, Y

    make().fit_batches(batches())
    assert threads - {threading.main_thread()}
    for _ in range(100):
        if not any(thread.name == "cbp batches" for thread in threading.enumerate()):
            break
        time.sleep(0.05)
    assert not any(thread.name == "cbp batches" for thread in threading.enumerate())


def test_reading_ends_with_the_training():
    X, Y = data()
    closed = []

    def batches():
        try:
            while True:
                yield X, Y
        finally:
            closed.append(True)

    source = batches()
    history = make().fit_batches(source, batch_callbacks=[lambda step: step.number == 5], steps_per_epoch=99)
    assert history.stopped == "callback"
    history = make().fit_batches(batches(), max_seconds=0.2, steps_per_epoch=10**9)
    assert history.stopped == "max_seconds"


# --- errors -------------------------------------------------------------------------------------------------


def test_errors_of_the_source_are_raised():
    X, Y = data()

    def batches(seconds):
        for _ in range(3):
            time.sleep(seconds)
            yield X, Y
        raise OSError("the tape is torn")

    for seconds in (0, 0.001):
        net = make()
        before = net.parameters.tobytes()
        with pytest.raises(OSError, match="the tape is torn"):
            net.fit_batches(batches(seconds))
        assert net.parameters.tobytes() == before


@pytest.mark.parametrize(
    ("batches", "options", "kind", "words"),
    [
        (lambda X, Y: [], {}, ValueError, "batches must have at least one batch, got none"),
        (lambda X, Y: 3, {}, TypeError, "batches must be an iterable of"),
        (lambda X, Y: [X], {}, TypeError, r"batches must give \(X, Y\) .*, got ndarray as batch 0"),
        (lambda X, Y: [(X, Y), (X[:, :2], Y)], {}, ValueError, "X of batch 1 must have 5 columns, got 2"),
        (lambda X, Y: [(X, Y), (X, Y[:-1])], {}, ValueError, "Y of batch 1 must have shape"),
        (lambda X, Y: iter([(X, Y)]), {"epochs": 2}, ValueError, "batches has nothing for epoch 2"),
        (
            lambda X, Y: iter([(X, Y)]),
            {"steps_per_epoch": 3},
            ValueError,
            "batches has ended after 1 batches, within epoch 1",
        ),
        (lambda X, Y: [(X, Y)], {"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be at least 1"),
        (lambda X, Y: [(X, Y)], {"metrics": ["f1"]}, ValueError, "and there is none"),
        (
            lambda X, Y: [(X, Y)],
            {"optimizer": cbp.SGD(cbp.schedules.OneCycle(0.1))},
            ValueError,
            "total_steps of OneCycle must be given",
        ),
    ],
)  # fmt: skip
def test_refusals(batches, options, kind, words):
    X, Y = data()
    net = make()
    before = net.parameters.tobytes()
    with pytest.raises(kind, match=words):
        net.fit_batches(batches(X, Y), **options)
    if "epochs" not in options:
        assert net.parameters.tobytes() == before


def test_faults_name_the_batch():
    X, Y = data()
    bad = X.copy()
    bad[7, 2] = np.inf
    with pytest.raises(ValueError, match="X of batch 2 must be finite, got inf in row 7, column 2"):
        make().fit_batches([(X, Y), (X, Y), (bad, Y)])


def test_a_known_number_of_steps_serves_schedules():
    X, Y = data()
    seen = []
    schedule = cbp.schedules.OneCycle(0.1)
    make().fit_batches(
        [(X, Y)], epochs=3, steps_per_epoch=10, optimizer=cbp.SGD(schedule), batch_callbacks=[seen.append]
    )
    assert [step.learning_rate for step in seen] == schedule.rates(30).tolist()


def test_more_steps_than_rates_at_first(monkeypatch):
    from cbp.training import stream

    monkeypatch.setattr(stream, "STEPS_AT_FIRST", 4)
    X, Y = data(10)
    seen = []
    schedule = cbp.schedules.Exponential(0.1, gamma=0.9)
    how = {"optimizer": cbp.SGD(schedule), "epochs": 2, "batch_callbacks": [seen.append]}
    make().fit_batches(cut((X, Y), 1), **how)
    assert [step.learning_rate for step in seen] == schedule.rates(20).tolist()


@pytest.mark.parametrize("seconds", [0, 0.001])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_source_may_reuse_its_memory(accumulate, seconds):
    X, Y = data(160)
    X = X.astype("f4")

    def batches():
        x, y = np.empty((16, 5), "f4"), np.empty(16, np.int32)
        for start in range(0, 160, 16):
            x[:], y[:] = X[start : start + 16], Y[start : start + 16]
            time.sleep(seconds)
            yield x, y

    nets = [make() for _ in range(2)]
    optimizer = cbp.SGD(0.1, accumulate=accumulate)
    nets[0].fit_batches(cut((X, Y), 16), optimizer=optimizer)
    nets[1].fit_batches(batches(), optimizer=optimizer)
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


def test_a_larger_batch_after_many_steps(monkeypatch):
    from cbp.training import stream

    monkeypatch.setattr(stream, "STEPS_AT_FIRST", 4)
    X, Y = data(8)
    sizes = [2] * 20 + [8] + [2] * 40
    seen = []
    schedule = cbp.schedules.Exponential(0.1, gamma=0.9)
    batches = [(X[:n], Y[:n]) for n in sizes]
    make().fit_batches(batches, optimizer=cbp.SGD(schedule), batch_callbacks=[seen.append])
    assert [step.learning_rate for step in seen] == schedule.rates(61).tolist()
    plateau = cbp.SGD(cbp.schedules.Plateau(0.1, monitor="accuracy"))
    with pytest.raises(ValueError, match="Plateau monitors 'accuracy', which is not recorded"):
        make().fit_batches(batches, optimizer=plateau, metrics=["accuracy"], validation_data=(X, Y))


def test_names_of_columns_of_the_first_batch():
    pandas = pytest.importorskip("pandas")
    X, Y = data(64)
    frames = [pandas.DataFrame(X[i : i + 16], columns=list("abcde")) for i in range(0, 64, 16)]
    frames[1:] = [frame[list("edcba")] for frame in frames[1:]]
    labels = [Y[i : i + 16] for i in range(0, 64, 16)]
    nets = [make() for _ in range(2)]
    held_out = (pandas.DataFrame(X, columns=list("abcde"))[list("badce")], Y)
    history = nets[0].fit_batches(list(zip(frames, labels, strict=True)), validation_data=held_out)
    other = nets[1].fit_batches(cut((X, Y), 16), validation_data=(X, Y))
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    assert history.validation_losses == other.validation_losses
    assert nets[0].feature_names == tuple("abcde")


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    X, Y = data()
    net = make()
    net.feature_names = list("abcde")
    frame = pandas.DataFrame(X, columns=list("abcde"))[list("edcba")]
    net.fit_batches([(frame, Y)])
    twin = make()
    twin.fit_batches([(X, Y)])
    assert net.parameters.tobytes() == twin.parameters.tobytes()
    with pytest.raises(ValueError, match="X of batch 0"):
        net.fit_batches([(frame.rename(columns={"a": "f"}), Y)])

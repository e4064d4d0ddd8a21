"""The promise: training that is killed at any moment goes on from its checkpoint to the same bits."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cbp
from cbp.files import checkpoint as files
from cbp.training import passes

OPTIMIZERS = [
    cbp.SGD(0.05),
    cbp.SGD(0.05, momentum=0.9, nesterov=True),
    cbp.Adam(0.01, clip_norm=1.0),
    cbp.AdamW(0.01, accumulate=2),
    cbp.Nadam(0.01),
    cbp.RMSprop(0.01, centered=True, momentum=0.5, clip_value=0.1),
    cbp.Adagrad(0.05),
]


class Cut(Exception):
    """Stands for whatever ends a process."""


def data(m=150, n=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, n)), rng.integers(0, 3, size=m)


def make(sizes=(5, 9, 3), **options):
    return cbp.Network(list(sizes), hidden="tanh", rng=3, l2=0.1, **options)


def facts(net):
    """All of a trained network but times: parameters, generator, history, the optimiser's state."""
    history = net.history
    epochs = [(epoch.number, epoch.loss, epoch.validation_loss) for epoch in history]
    state = net.__getstate__()["_state"]
    moments = {name: moment.tobytes() for name, moment in state.moments.items()}
    best = None if history.best is None else history.best.number
    return (
        *(net.parameters.tobytes(), net._shuffler.bit_generator.state, epochs, history.stopped, best),
        *(
            None if history.validation_rows is None else history.validation_rows.tolist(),
            state.updates,
            moments,
        ),
    )


@pytest.fixture
def short_slices(monkeypatch):
    monkeypatch.setattr(passes, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(passes, "FIRST_BUDGET", 1.0)


def cut_after(net, step, *arguments, **options):
    """Fit as far as some step, so that nothing but the checkpoint is left."""

    def stop(seen):
        if seen.number == step:
            raise Cut

    try:
        net.fit(*arguments, batch_callbacks=[stop], **options)
    except Cut:
        return True
    return False


# --- the same bits ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_slices")
@settings(max_examples=150, deadline=None)
@given(
    optimizer=st.sampled_from(OPTIMIZERS),
    dropout=st.sampled_from([0.0, 0.5, (0.2, 0.3)]),
    shuffle=st.booleans(),
    ema=st.sampled_from([None, 0.9]),
    stopping=st.sampled_from([None, 1, 3]),
    fraction=st.sampled_from([None, 0.2]),
    batch_size=st.sampled_from([1, 16, 64, None]),
    weighted=st.booleans(),
    every=st.sampled_from(["epoch", cbp.Every(steps=1), cbp.Every(steps=3), cbp.Every(seconds=1e-9)]),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    n_threads=st.sampled_from([1, 2, 3]),
)
def test_resumed_is_straight(
    tmp_path_factory, optimizer, dropout, shuffle, ema, stopping, fraction, batch_size, weighted, every, cuts,
    n_threads,
):  # fmt: skip
    path = tmp_path_factory.mktemp("run") / "net.checkpoint"
    X, Y = data(70)
    how = {
        "optimizer": optimizer,
        "shuffle": shuffle,
        "ema": ema,
        "epochs": 4,
        "batch_size": batch_size,
        "validation_fraction": fraction,
        "sample_weight": np.random.default_rng(1).uniform(size=70) if weighted else None,
        "class_weight": {1: 2.0} if weighted else None,
        "early_stopping": None,
    }
    if stopping is not None:
        monitor = "loss" if fraction is None else "validation_loss"
        how["early_stopping"] = cbp.EarlyStopping(patience=stopping, monitor=monitor, min_delta=0.01)
    straight = make(dropout=dropout)
    straight.fit(X, Y, **how)
    net = make(dropout=dropout)
    done = not cut_after(net, cuts[0], X, Y, checkpoint=path, checkpoint_every=every, **how)
    for cut in cuts[1:]:
        if done:
            break
        seen = 0

        def stop(step, cut=cut):
            nonlocal seen
            seen += 1
            if seen == cut:
                raise Cut

        try:
            cbp.resume(path, X, Y, how["sample_weight"], batch_callbacks=[stop], n_threads=n_threads)
        except Cut:
            continue
        done = True
    resumed = cbp.resume(path, X, Y, how["sample_weight"], n_threads=n_threads)
    assert facts(resumed) == facts(straight)


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("sizes", [(20, 30, 3), (130, 140, 3), (211, 100, 20, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes(sizes, dtype, tmp_path):
    X, Y = data(400, sizes[0])
    for batch_size in (32, 300):
        straight = make(sizes, dtype=dtype, dropout=0.2, n_threads=2)
        straight.fit(X, Y, epochs=3, batch_size=batch_size)
        for step in (1, 2, 5):
            net = make(sizes, dtype=dtype, dropout=0.2)
            every = cbp.Every(steps=1)
            path = tmp_path / "net"
            cut_after(
                net, step, X, Y, epochs=3, batch_size=batch_size, checkpoint=path, checkpoint_every=every
            )
            for n_threads in (1, 3):
                copy = tmp_path / f"copy{n_threads}"
                copy.write_bytes(path.read_bytes())
                assert facts(cbp.resume(copy, X, Y, n_threads=n_threads)) == facts(straight)


def test_after_the_time_is_up_or_a_callback(tmp_path):
    X, Y = data(3000)
    straight = make()
    straight.fit(X, Y, epochs=30, batch_size=4)
    path = tmp_path / "net"
    net = make()
    history = net.fit(X, Y, epochs=30, batch_size=4, checkpoint=path, max_seconds=0.01)
    assert history.stopped == "max_seconds"
    again = cbp.resume(path, X, Y, max_seconds=0.01)
    assert again.history.stopped == "max_seconds"
    assert len(again.history) >= len(history)
    stopped = cbp.resume(path, X, Y, callbacks=[lambda epoch: epoch.number >= 20])
    assert stopped.history.stopped == "callback"
    assert len(stopped.history) == 20
    done = cbp.resume(path, X, Y, batch_callbacks=[lambda step: step.epoch == 25])
    assert (done.history.stopped, len(done.history)) == ("callback", 24)
    assert facts(cbp.resume(path, X, Y)) == facts(straight)
    assert facts(cbp.resume(path, X, Y)) == facts(straight)  # nothing is left to do


def test_interrupted(tmp_path):
    X, Y = data(300)
    straight = make()
    straight.fit(X, Y, epochs=5)
    net, path = make(), tmp_path / "net"

    def interrupt(step):
        if step.number == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, epochs=5, checkpoint=path, batch_callbacks=[interrupt])
    description = files.read(path)[0]
    assert description["stopped"] == "interrupted"
    steps = []
    assert facts(cbp.resume(path, X, Y, batch_callbacks=[steps.append])) == facts(straight)
    assert steps[0].number == 18  # nothing is lost


def test_validation_data_and_a_loss_of_ones_own(tmp_path):
    class Squares:
        def loss(self, a, y):
            return ((a - y) ** 2).sum(axis=1) / 2

        def error(self, a, y):
            return a - y

    X, Y = data()
    how = {"epochs": 6, "validation_data": (X[:50], Y[:50]), "early_stopping": True}
    straight = make(loss=Squares(), output="identity")
    straight.fit(X, Y, **how)
    net, path = make(loss=Squares(), output="identity"), tmp_path / "net"
    assert cut_after(net, 12, X, Y, checkpoint=path, checkpoint_every=cbp.Every(steps=2), **how)
    resumed = cbp.resume(path, X, Y, validation_data=(X[:50], Y[:50]), loss=Squares())
    assert facts(resumed) == facts(straight)
    net = make(loss=Squares(), output="identity")
    cut_after(net, 12, X, Y, checkpoint=path, **how)
    with pytest.raises(RuntimeError, match="saved with the loss Squares"):
        cbp.resume(path, X, Y, validation_data=(X[:50], Y[:50]))


def test_arrays_in_other_layouts_are_the_same_data(tmp_path):
    X, Y = data()
    straight = make()
    straight.fit(X, Y, epochs=3)
    net, path = make(), tmp_path / "net"
    assert cut_after(net, 7, X, Y, epochs=3, checkpoint=path)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert facts(cbp.resume(path, mapped, Y.tolist())) == facts(straight)


# --- killed processes ---------------------------------------------------------------------------------------

TRAIN = """
import sys
import numpy as np
import cbp

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(2000, 5)), rng.integers(0, 3, size=2000)
path, resumes = sys.argv[1], len(sys.argv) > 2
if resumes:
    net = cbp.resume(path, X, Y, n_threads=1)
else:
    net = cbp.Network([5, 9, 3], rng=3, dropout=0.1)
    print("ready", flush=True)
    often = cbp.Every(seconds=1e-3)
    net.fit(X, Y, epochs=200, batch_size=4, ema=0.99, checkpoint=path, checkpoint_every=often)
import hashlib
print(hashlib.sha256(net.parameters.tobytes()).hexdigest())
"""


def train(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *arguments], stdout=subprocess.PIPE, text=True, **options
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_killed_processes(tmp_path):
    n = int(os.environ.get("CBP_KILLS", "8"))
    path = str(tmp_path / "net")
    with train(path) as process:
        wanted = process.stdout.read().split()[-1]
    rng = random.Random(4)
    for _ in range(n):
        Path(path).unlink(missing_ok=True)
        with train(path) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.01, 0.6))
            process.kill()
        if not Path(path).exists():
            continue  # it was killed before the first step
        assert cbp.files.checkpoint.read(path)[0]["format"] == "cbp checkpoint"
        with train(path, "resume") as process:
            assert process.stdout.read().split()[-1] == wanted


# --- what is refused ----------------------------------------------------------------------------------------


def test_other_data_are_refused(tmp_path):
    X, Y = data()
    w = np.ones(150)
    net, path = make(), tmp_path / "net"
    cut_after(net, 7, X, Y, epochs=3, sample_weight=w, checkpoint=path)
    others = [(X[:-1], Y[:-1], w[:-1]), (X[::-1], Y, w), (X, (Y + 1) % 3, w), (X, Y, 2 * w), (X, Y, None)]
    for other in others:
        with pytest.raises(
            ValueError, match="X, Y and sample_weight must be those that the training began with"
        ):
            cbp.resume(path, *other)
    with pytest.raises(
        ValueError, match="validation_data must be given as fit was given it: then it was None"
    ):
        cbp.resume(path, X, Y, w, validation_data=(X, Y))
    cut_after(make(), 7, X, Y, epochs=3, validation_data=(X, Y), checkpoint=path)
    with pytest.raises(ValueError, match="validation_data must be given as fit was given it: now it is None"):
        cbp.resume(path, X, Y)


def test_files_that_are_no_checkpoints(tmp_path):
    X, Y = data()
    path = tmp_path / "net"
    make().save(path)
    with pytest.raises(cbp.ModelFileError, match=r"is not a checkpoint of cbp; cbp\.load reads networks"):
        cbp.resume(path, X, Y)
    path.write_bytes(b"PK and more")
    with pytest.raises(cbp.ModelFileError, match="is not a checkpoint of cbp"):
        cbp.resume(path, X, Y)
    with pytest.raises(FileNotFoundError):
        cbp.resume(tmp_path / "none", X, Y)
    cut_after(make(), 7, X, Y, epochs=3, checkpoint=path)
    description, arrays = files.read(path)
    for key in ("state", "settings", "history", "generator", "architecture"):
        files.write(path, {**description, key: {"class": "os.system"}}, arrays)
        with pytest.raises(cbp.ModelFileError, match="holds no whole checkpoint"):
            cbp.resume(path, X, Y)
    files.write(path, {**description, "version": 2}, arrays)
    with pytest.raises(cbp.ModelFileError, match="version 2 of the format; this cbp reads 1"):
        cbp.resume(path, X, Y)
    content = path.read_bytes()
    for length in (10, 500, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(cbp.ModelFileError):
            cbp.resume(path, X, Y)


def test_bad_values_are_refused_before_any_work(tmp_path):
    X, Y = data()
    net = make()
    before = net.parameters.tobytes()
    for every in ("step", 3, None, cbp.Every):
        with pytest.raises(TypeError, match="checkpoint_every must be 'epoch', cbp.Every"):
            net.fit(X, Y, checkpoint=tmp_path / "net", checkpoint_every=every)
    for arguments in ({}, {"steps": 1, "seconds": 1}):
        with pytest.raises(ValueError, match="Every needs steps or seconds"):
            cbp.Every(**arguments)
    for arguments in ({"steps": 0}, {"seconds": 0}, {"seconds": float("inf")}):
        with pytest.raises(ValueError, match="must be"):
            cbp.Every(**arguments)
    with pytest.raises(FileNotFoundError):
        net.fit(X, Y, checkpoint=tmp_path / "no" / "net")
    with pytest.raises(TypeError, match="optimizer, for a checkpoint, must be .*, got function"):
        net.fit(X, Y, checkpoint=tmp_path / "net", optimizer=cbp.SGD(lambda step: 0.1))
    net.metadata["now"] = object()
    with pytest.raises(TypeError, match=r"metadata\['now'\]"):
        net.fit(X, Y, checkpoint=tmp_path / "net")
    assert net.parameters.tobytes() == before


def test_a_disk_that_fills_up_keeps_the_steps(tmp_path, monkeypatch):
    X, Y = data()
    net, path = make(), tmp_path / "net"
    real, calls = files.write_whole, []

    def write(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(*arguments, **options)

    monkeypatch.setattr(files, "write_whole", write)
    with pytest.raises(OSError, match="No space"):
        net.fit(X, Y, epochs=5, checkpoint=path)
    assert [epoch.number for epoch in net.history] == [1, 2]
    monkeypatch.undo()
    straight = make()
    straight.fit(X, Y, epochs=5)
    assert facts(cbp.resume(path, X, Y)) == facts(straight)


def test_the_file_holds_text_and_numbers(tmp_path):
    X, Y = data()
    path = tmp_path / "net"
    make().fit(X, Y, epochs=1, checkpoint=path)
    with np.load(path, allow_pickle=False) as archive:
        names, description = set(archive.files), json.loads(str(archive["description"]))
    assert {"parameters", "at_rest", "order", "moment mean", "moment square"} < names
    assert description["settings"]["epochs"] == 1
    assert description["stopped"] == "epochs"


def test_names_of_columns_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, Y = data()
    frame = pandas.DataFrame(X, columns=list("abcde"))
    path = tmp_path / "net"
    cut_after(make(), 7, frame, Y, epochs=3, checkpoint=path)
    resumed = cbp.resume(path, frame[list("edcba")], Y)
    assert resumed.feature_names == tuple("abcde")
    straight = make()
    straight.fit(frame, Y, epochs=3)
    assert facts(resumed) == facts(straight)


def test_arguments_of_resume(tmp_path):
    X, Y = data()
    path = tmp_path / "net"
    make().fit(X, Y, epochs=1, checkpoint=path)
    with pytest.raises(ValueError, match="n_threads must be at least 1"):
        cbp.resume(path, X, Y, n_threads=0)
    with pytest.raises(TypeError, match="loss must be an object with methods"):
        cbp.resume(path, X, Y, loss="huber")
    with pytest.raises(TypeError, match="checkpoint_every must be 'epoch'"):
        make().fit(X, Y, checkpoint_every=3)


def test_stopped_by_a_callback_with_early_stopping(tmp_path):
    """The best parameters come back at the end; a resumed training goes on from the last ones."""
    X, Y = data()
    how = {"epochs": 12, "validation_data": (X[:50], Y[50:100]), "optimizer": cbp.Adam(0.3)}
    how["early_stopping"] = cbp.EarlyStopping(patience=20, min_delta=1.0)  # the first stays the best
    straight = make()
    straight.fit(X, Y, **how)
    net, path = make(), tmp_path / "net"
    net.fit(X, Y, checkpoint=path, callbacks=[lambda epoch: epoch.number == 6], **how)
    assert net.history.best.number < 6
    resumed = cbp.resume(path, X, Y, validation_data=(X[:50], Y[50:100]))
    assert facts(resumed) == facts(straight)


def test_steps_of_long_minibatches_after_a_break(tmp_path):
    X, Y = data(6000)
    net, path = make((5, 300, 3)), tmp_path / "net"
    net.fit(X, Y, epochs=3, batch_size=None, checkpoint=path, batch_callbacks=[lambda step: step.number == 1])
    steps = []
    cbp.resume(path, X, Y, batch_callbacks=[steps.append])
    assert [step.number for step in steps] == [2, 3]
    assert all(step.loss > 0 for step in steps)

"""What goes wrong on the command line: one line on stderr, the right status, nothing lost."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import cbp
from cbp import benchmark
from cbp.cli import main

QUICK = ["--threads", "1", "--quiet", "--epochs", "1"]


@pytest.fixture
def fails(capsys):
    """Return a function that checks that a command fails in the proper form, and returns the message."""

    def fails(*arguments):
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert re.fullmatch("cbp: error: [^\n]+\n", err)
        return err.removeprefix("cbp: error: ").rstrip("\n")

    return fails


@pytest.fixture
def arrays(tmp_path):
    """Return a file of arrays to train on."""
    path = tmp_path / "arrays.npz"
    np.savez(path, x_train=np.arange(80.0).reshape(40, 2), y_train=np.arange(40) % 2)
    return path


def start(*arguments, **options):
    """Start the command line as a process of its own."""
    command = [sys.executable, "-m", "cbp", *map(str, arguments)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, encoding="utf-8", **pipes)


# --- what was typed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("bogus", "argument COMMAND: invalid choice: 'bogus'"),
        ("train --bogus", "unrecognized arguments: --bogus"),
        ("train --hidden 8,x", "argument --hidden: a whole number from 1 up is needed, not 'x'"),
        ("train --hidden 0", "argument --hidden: a whole number from 1 up is needed, not '0'"),
        ("train --hidden 8,,8", "argument --hidden: a whole number from 1 up is needed, not ''"),
        ("train --hidden 9999999999999999999999", "sizes "),
        ("train --activation ,", "--activation must .*"),
        ("train --hidden none --activation mish", "--activation must be one of .* got 'mish'.*"),
        ("train --hidden none --activation relu,tanh", "--activation must be one name, or one for each .*"),
        ("train --activation rleu", "--activation must be one of .* got 'rleu'; did you mean 'relu'"),
        (
            "train --activation relu,tanh",
            "--activation must be one name, or one for each .* 1 hidden layer, got 2 names",
        ),
        ("train --epochs 0", "argument --epochs: a whole number from 1 up is needed, not '0'"),
        ("train --batch-size 1.5", "argument --batch-size: a whole number from 1 up is needed, not '1.5'"),
        ("train --lr 0", "argument --lr: a number above 0 is needed, not '0'"),
        ("train --lr nan", "argument --lr: a number above 0 is needed, not 'nan'"),
        ("train --l2 -1", "argument --l2: a number from 0 up is needed, not '-1'"),
        ("train --l2 inf", "argument --l2: a number from 0 up is needed, not 'inf'"),
        ("train --optimizer adm", "argument --optimizer: invalid choice: 'adm'"),
        ("train --momentum 0.9", "--momentum goes with --optimizer sgd"),
        ("train --momentum 1", "argument --momentum: a number from 0 to below 1 is needed, not '1'"),
        ("train --seed -1", "argument --seed: a whole number from 0 up is needed, not '-1'"),
        ("train --dtype half", "argument --dtype: invalid choice: 'half'"),
        ("train --threads 0", "argument --threads: a whole number from 1 up is needed, not '0'"),
        ("train --target y", "--target needs a FILE to train on"),
        ("train --test-fraction 0.5", "--test-fraction needs a FILE to train on"),
        ("train absent.npz", "absent.npz: No such file or directory"),
        ("train absent", "absent: No such file or directory"),
        ("train .", ".: Is a directory"),
        ("train --epochs 5 --epochs 6", "argument --epochs: it is there twice, and takes one value"),
        ("train x --target a --target b", "argument --target: it is there twice, and takes one value"),
        ("train --seed 0 --seed 0", "argument --seed: it is there twice, and takes one value"),
        ("train --hidden 8 --hidden 4", "argument --hidden: it is there twice, and takes one value"),
        ("predict a b --output c --output d", "argument --output: it is there twice, and takes one value"),
        ("bench --seconds 1 --seconds 2", "argument --seconds: it is there twice, and takes one value"),
        ("train x --header --no-header", "argument --no-header: not allowed with argument --header"),
        ("train x --decimal ab", "argument --decimal: a single character is needed, .* not 'ab'"),
        ("train x --gaps fill", "argument --gaps: invalid choice: 'fill'"),
        ("train --gaps drop", "--gaps needs a FILE to train on"),
        ("train --no-header", "--no-header needs a FILE to train on"),
        ("train --missing-values x", "--missing-values needs a FILE to train on"),
        ("predict", "the following arguments are required: MODEL, FILE"),
        ("predict absent.npz absent.npz", "absent.npz: No such file or directory"),
        ("bench more", "unrecognized arguments: more"),
        ("bench --threads 0", "argument --threads: a whole number from 1 up is needed, not '0'"),
        ("bench --seconds 0", "argument --seconds: a number above 0 is needed, not '0'"),
        ("bench --dtype half", "argument --dtype: invalid choice: 'half'"),
        ("bench --json absent/figures.json", ".*absent/figures.json: No such file or directory"),
    ],
)
def test_wrong_arguments_are_told(fails, arguments, message):
    assert re.match(message, fails(*arguments.split()))


def test_wrong_files_are_told(fails, arrays, tmp_path):
    assert "an .npz file has none to choose" in fails("train", arrays, "--target", "y")
    empty = tmp_path / "empty.npz"
    empty.touch()
    assert fails("train", empty) == f"{empty} is no readable .npz file: it is no archive of arrays"


def test_a_wrong_target_is_told_with_the_nearest(fails, tmp_path):
    pytest.importorskip("pandas")
    table = tmp_path / "table.csv"
    table.write_text("size,kind\n1,a\n2,b\n")
    assert fails("train", table, "--target", "Kind") == "there is no column 'Kind': did you mean 'kind'?"


def test_missing_packages_are_told(fails, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    told = fails("train", tmp_path / "table.csv")
    assert told == "reading tables needs pandas: pip install 'cython-backprop[csv]'"
    told = fails("train", "--plot", tmp_path / "losses.png")
    assert told == "--plot needs matplotlib: pip install 'cython-backprop[plot]'"


def test_models_of_another_kind_are_told(fails, arrays, tmp_path, capsys):
    assert fails("predict", arrays, arrays).startswith(f"{arrays} ")
    bare = tmp_path / "bare.npz"
    cbp.Network([2, 2], rng=0).save(bare)
    told = f"{bare} was not written by train --save: it has no scaling of inputs"
    assert fails("predict", bare, arrays) == told
    other = tmp_path / "other.npz"
    assert main(["train", str(arrays), *QUICK, "--save", str(other)]) == 0
    capsys.readouterr()  # what training has printed
    net = cbp.load(other)
    del net.metadata["table"]["layout"]  # as before there was any
    net.save(bare)
    told = f"{bare} was written by another version of train --save, and must be trained anew (no record of "
    assert fails("predict", bare, arrays) == f"{told}a preprocessor: 'layout')"
    net = cbp.Network([3, 2], rng=0)
    net.metadata = cbp.load(other).metadata
    net.save(other)
    assert "is damaged" in fails("predict", other, arrays)


def test_a_loss_that_diverges_is_told(fails, arrays):
    assert "finite" in fails("train", arrays, "--quiet", "--epochs", 9, "--optimizer", "sgd", "--lr", 1e38)


def test_an_instruction_set_that_is_not_there_is_told():
    process = start("train", "--quiet", env={**os.environ, "CBP_ISA": "x87"})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert re.fullmatch("cbp: error: CBP_ISA must be one of x86-64-v4, [^\n]+, got 'x87'\n", err)


def test_a_benchmark_of_wrong_results_is_told(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "TOLERANCE", {"float32": 0.0})
    assert main(["bench", "--threads", "1"]) == 2
    out, err = capsys.readouterr()
    assert "network, batch" not in out
    assert re.fullmatch("cbp: error: 2-4-1, batch 4, n_threads=1: the result is not that of [^\n]+\n", err)


# --- what is to be written -------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--save", "--history", "--plot"])
def test_paths_that_cannot_be_written_are_told_before_training(fails, tmp_path, option, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(cbp.Network, "fit", None)
    absent = tmp_path / "absent" / "file.png"
    assert fails("train", option, absent) == f"{absent}: No such file or directory"
    assert fails("train", option, tmp_path) == f"{tmp_path}: Is a directory"
    if os.geteuid():  # root may write everywhere
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        assert "Permission denied" in fails("train", option, closed / "file.png")


def test_nothing_is_overwritten_by_mistake(fails, arrays, tmp_path):
    before = arrays.read_bytes()
    assert "is named twice" in fails("train", arrays, "--save", arrays)
    link = tmp_path / "link.npz"
    link.symlink_to(arrays)
    assert "is named twice" in fails("train", arrays, "--save", link)
    twice = tmp_path / "twice"
    assert "is named twice" in fails("train", arrays, "--save", twice, "--history", twice)
    assert "is named twice" in fails("predict", twice, arrays, "--output", arrays)
    assert arrays.read_bytes() == before
    assert not twice.exists()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_network_of_nan_predicts_nothing(fails, tmp_path, arrays, capsys, task):
    model, new, found = (tmp_path / name for name in ("model.npz", "new.npz", "found.csv"))
    np.savez(new, x=np.ones((3, 2)))
    assert main(["train", str(arrays), *QUICK, "--task", task, "--save", str(model)]) == 0
    capsys.readouterr()
    net = cbp.load(model)
    net.weights[0][1, 0] = np.nan
    net.save(model)
    message = "the parameters of the network are not finite: weights[0][1, 0] is nan"
    assert fails("predict", model, new, "--output", found) == message
    assert not found.exists()


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs /dev/null")
def test_a_device_is_not_replaced_by_a_model(fails):
    assert "is a device or a pipe" in fails("train", "--save", os.devnull)


def test_a_drawing_of_an_unknown_kind_is_told_before_training(fails, tmp_path):
    pytest.importorskip("matplotlib")
    assert "the name must end in one of " in fails("train", "--plot", tmp_path / "losses.xyz")


def test_what_can_still_be_written_is_written(tmp_path, arrays, capsys, monkeypatch):
    def refuse(net, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(cbp.Network, "save", refuse)
    model, losses = tmp_path / "model.npz", tmp_path / "losses.csv"
    files = ["--save", str(model), "--history", str(losses)]
    assert main(["train", str(arrays), *QUICK, *files]) == 2
    out, err = capsys.readouterr()
    assert err == f"cbp: error: {model}: No space left on device\n"
    assert "test accuracy" in out
    assert losses.exists()


# --- how it ends -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_keeps_what_was_reached(tmp_path):
    model, losses = tmp_path / "model.npz", tmp_path / "losses.csv"
    process = start(
        *("train", "--epochs", 10**6, "--threads", 1, "--save", model, "--history", losses),
        # A job in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # The last line before the training.
    assert any(line.startswith("network") for line in process.stdout)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"^cbp: interrupted in epoch \d+: the network is as far as it got$", err, re.M)
    assert "Traceback" not in err
    assert "test accuracy" in out
    assert cbp.load(model).metadata["table"]["target"]["name"] == "digit"
    assert losses.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_a_closed_pipe_ends_it_quietly(arrays):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        process = start("train", arrays, *QUICK, stdout=stdout)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_closed_streams_are_no_trouble(arrays):
    command = f"'{sys.executable}' -m cbp train '{arrays}' {' '.join(QUICK)}"
    for ending, status in ((">&-", 0), ("2>&-", 0), ("--bogus 2>&-", 2)):
        done = subprocess.run(["sh", "-c", f"{command} {ending}"], capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stderr) == (status, "")
        assert "error" not in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_once():
    with open("/dev/full", "w") as stdout:
        process = start("info", stdout=stdout)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "cbp: error: No space left on device\n"

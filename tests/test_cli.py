"""The command line, from the arguments to the files it leaves and the status it ends with."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cbp
from cbp.cli import main

QUICK = ["--threads", "1", "--quiet"]


@pytest.fixture
def run(capsys):
    """Return a function that runs the command line, and returns its status, stdout and stderr."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def accuracy(out):
    """Return the test accuracy that was printed, in percent."""
    return float(re.search(r"test accuracy ([\d.]+)%", out)[1])


def rows_of(path):
    """Return the rows of a table, a dict each."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def animals(tmp_path):
    """Return a table of which a network can learn all: numbers, categories, booleans, and awkward names."""
    pytest.importorskip("pandas")
    path = tmp_path / "animals.csv"
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["weight, kg", "Fell", "tame", "legs", "Tier"])
        for _ in range(240):
            heavy, tame = rng.random() < 0.5, rng.random() < 0.5
            weight = rng.normal(30 if heavy else 5, 1)
            kind = ("Kuh, groß" if tame else "волк") if heavy else ('"cat"' if tame else "fox")
            writer.writerow([f"{weight:.3f}", rng.choice(["rot", "weiß"]), str(tame).lower(), 4, kind])
    return path


@pytest.fixture
def arrays(tmp_path):
    """Return arrays of numbers whose targets are a linear function of them."""
    path = tmp_path / "arrays.npz"
    x = np.random.default_rng(0).normal(size=(400, 3))
    y = 100 + x @ [10.0, -20.0, 5.0]
    np.savez(path, x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    return path


# --- train -----------------------------------------------------------------------------------------------


def test_without_arguments_the_digits_are_learnt():
    done = subprocess.run(
        [sys.executable, "-m", "cbp", "train"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "COLUMNS": ""},
    )
    out = done.stdout
    assert done.returncode == 0
    assert accuracy(out) >= 97
    assert done.stderr == ""  # the progress is for terminals
    assert all(len(line) < 80 for line in out.splitlines())
    for pattern in (
        r"^data +handwritten digits: 1,348 examples to train on, 449 to test with$",
        r"^network +64-128-10, softmax; 9,610 parameters in float32, \d+ threads?$",
        r"^time +[\d.]+ s, \d+ epochs$",
        r"^speed +[\d,]+ examples/s$",
        r"^share +[\d.]+% of the machine's peak: [\d.]+ of [\d.]+ GFLOP/s, \d+ threads?$",
    ):
        assert re.search(pattern, out, re.M)


@pytest.mark.parametrize(
    ("columns", "longest"), [("60", 59), ("80", 79), ("", 79), ("0", 79), ("10", 40), ("200", 199)]
)
def test_lines_are_cut_to_the_terminal(run, monkeypatch, columns, longest):
    monkeypatch.setenv("COLUMNS", columns)
    layers = ["--hidden", "8,8,8,8", "--activation", "sigmoid,tanh,relu,identity"]
    _, out, _ = run("train", *layers, "--threads", 1, "--epochs", 1)
    line = next(line for line in out.splitlines() if line.startswith("network"))
    whole = (
        "network   64-8-8-8-8-10, sigmoid and tanh and relu and identity and softmax; "
        "826 parameters in float32, 1 thread"
    )
    assert len(line) <= longest
    if longest < len(whole):
        assert line.endswith(" ...")
        assert whole.startswith(line.removesuffix(" ..."))
        assert len(line) > longest - 15  # a word less
    else:
        assert line == whole


def test_the_same_seed_gives_the_same_result(run):
    first, again, other = (
        run("train", *QUICK, "--epochs", 2, "--seed", seed)[1].splitlines()[0] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_more_threads_than_there_can_be_do_no_harm(run):
    status, out, _ = run("train", "--quiet", "--threads", 100_000)
    assert status == 0
    assert re.search(r"^share .* 1,024 threads$", out, re.M)


def mnist():
    """Return where the MNIST digits are, or None."""
    path = Path(os.environ.get("CBP_MNIST", ""))
    return path if path.is_file() else None


@pytest.mark.unsanitized
@pytest.mark.skipif(mnist() is None, reason="CBP_MNIST does not name MNIST's .npz file")
def test_mnist_is_learnt_to_the_textbook_s_accuracy(run):
    options = ["--hidden", 128, "--epochs", 10, "--optimizer", "sgd", "--lr", 0.2]
    status, out, _ = run("train", mnist(), "--quiet", *options)
    assert status == 0
    assert accuracy(out) >= 97.8


@pytest.mark.parametrize(
    "options",
    [
        ["--optimizer", "sgd", "--lr", 0.05, "--momentum", 0.9],
        ["--hidden", "24,16", "--activation", "tanh,sigmoid", "--dtype", "float64"],
        ["--hidden", "none", "--epochs", 300],
        ["--l2", 0.01, "--batch-size", 1000, "--epochs", 300, "--threads", 2],
    ],
    ids=["sgd", "deep", "shallow", "full batch"],
)
def test_options_reach_the_network(run, animals, options):
    status, out, err = run("train", animals, "--quiet", *options)
    assert (status, err) == (0, "")
    assert accuracy(out) >= 95


def test_what_was_found_in_a_table_is_told(run, animals):
    status, out, _ = run("train", animals, "--epochs", 1)
    assert status == 0
    assert "data      animals.csv: 180 examples to train on, 60 to test with\n" in out
    assert "inputs    5, from 3 columns\n" in out
    assert "note      legs: left out, the same in every row\n" in out
    assert "target    Tier (the last column): 4 classes, '\"cat\"', 'Kuh, groß', 'fox', ...\n" in out
    assert "network   5-128-4, relu and softmax; 1,284 parameters in float32" in out
    _, out, _ = run("train", animals, "--epochs", 1, "--target", "weight, kg", "--ignore", "legs")
    assert re.search(r"^target    weight, kg: a number, [\d.]+ on average$", out, re.M)


def test_numbers_are_scored_in_their_own_unit(run, arrays):
    status, out, _ = run("train", arrays, *QUICK)
    assert status == 0
    error, explained = map(float, re.search(r"test RMSE ([\d.]+), R² ([\d.]+)", out).groups())
    assert error < 2  # of a spread of 23
    assert explained > 0.99


def test_without_test_examples_the_training_is_scored(run, animals):
    assert "training accuracy" in run("train", animals, *QUICK, "--epochs", 1, "--test-fraction", 0)[1]


def test_the_losses_are_written_and_drawn(run, tmp_path):
    pytest.importorskip("matplotlib")
    table, drawing = tmp_path / "losses.csv", tmp_path / "losses.png"
    status, _, _ = run("train", *QUICK, "--epochs", 3, "--history", table, "--plot", drawing)
    assert status == 0
    rows = rows_of(table)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(float(row["validation_loss"]) > 0 for row in rows)
    assert drawing.read_bytes().startswith(b"\x89PNG")


# --- predict ---------------------------------------------------------------------------------------------


def test_predictions_are_names_of_classes(run, animals, tmp_path):
    model, output = tmp_path / "model.npz", tmp_path / "predictions.csv"
    assert run("train", animals, *QUICK, "--save", model)[0] == 0
    rows = rows_of(animals)
    # The target gone, the columns in another order, one more among them.
    anew = tmp_path / "new.csv"
    with anew.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["legs", "more", "tame", "Fell", "weight, kg"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | {"more": ""} for row in rows)
    assert run("predict", model, anew, "--output", output) == (0, "", "")
    predictions = rows_of(output)
    assert list(predictions[0]) == ["Tier"]
    right = np.mean([found["Tier"] == row["Tier"] for found, row in zip(predictions, rows, strict=True)])
    assert right > 0.97
    assert run("predict", model, anew) == (0, output.read_text(encoding="utf-8"), "")


def test_predictions_are_numbers_in_their_own_unit(run, arrays, tmp_path):
    model = tmp_path / "model.npz"
    run("train", arrays, *QUICK, "--save", model)
    status, out, _ = run("predict", model, arrays)
    header, *found = out.splitlines()
    assert (status, header) == (0, "y")
    with np.load(arrays) as given:
        y = given["y_test"]
    assert np.sqrt(np.mean((np.array(found, float) - y) ** 2)) < 2
    assert all(len(number) < 12 for number in found)  # the digits of float32, not of float64


def test_images_are_predicted_whole_or_flattened(run, tmp_path):
    model = tmp_path / "model.npz"
    run("train", *QUICK, "--epochs", 20, "--save", model)
    digits = cbp.datasets.load_digits()
    outputs = []
    for name, x in (("flat", digits.x_test), ("square", digits.x_test.reshape(-1, 8, 8))):
        np.savez(tmp_path / f"{name}.npz", images=x)
        outputs.append(run("predict", model, tmp_path / f"{name}.npz")[1])
    assert outputs[0] == outputs[1]
    found = np.array(outputs[0].splitlines()[1:], int)
    assert np.mean(found == digits.y_test) > 0.95


def test_unknown_categories_are_told_on_stderr(run, animals, tmp_path):
    model = tmp_path / "model.npz"
    run("train", animals, *QUICK, "--epochs", 1, "--save", model)
    anew = tmp_path / "new.csv"
    anew.write_text('"weight, kg",Fell,tame,legs\n3,blau,true,4\n', encoding="utf-8")
    status, out, err = run("predict", model, anew)
    assert (status, len(out.splitlines())) == (0, 2)
    assert err == "cbp: Fell: 'blau' unknown to the model, taken for none of the known categories\n"


# --- bench -----------------------------------------------------------------------------------------------


def test_bench_prints_a_table_and_writes_its_figures(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "figures.json"
    status, out, err = run("bench", "--seconds", 0.01, "--threads", 2, "--dtype", "float64", "--json", path)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert all(len(line) < 80 for line in lines)
    assert re.match(r"peak +[\d.,]+ GFLOP/s on 1 thread, [\d.,]+ GFLOP/s on 2 threads$", lines[3])
    head, *rows = lines[5:]
    assert head.split("  ")[0] == "network, batch"
    assert len({len(line) for line in (head, *rows)}) == 1
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert (figures["dtype"], figures["cbp"]) == ("float64", cbp.__version__)
    assert list(figures["peak_gflops"]) == ["1", "2"]
    assert len(rows) == len(figures["results"]) == 13
    for row, result in zip(rows, figures["results"], strict=True):
        *name, threads, step, rate, gflops, share = row.replace(",", "").split()
        assert " ".join(name) == result["workload"].replace(",", "")
        assert int(threads) == result["n_threads"]
        assert float(step) == pytest.approx(result["step_us"], rel=0.01)
        assert float(rate) == pytest.approx(result["examples_per_second"], abs=0.5)
        assert float(gflops) == pytest.approx(result["gflops"], rel=0.01)
        assert float(share[:-1]) == pytest.approx(100 * result["share_of_peak"], abs=0.051)
        assert share[-1] == "%"
        assert len(result["rounds_us"]) == 7


# --- the rest --------------------------------------------------------------------------------------------


def test_info_and_version_and_help(run, capsys):
    status, out, _ = run("info")
    cbp.show_versions()
    assert (status, out) == (0, capsys.readouterr().out)
    assert run("--version") == (0, f"cbp {cbp.__version__}\n", "")
    status, out, _ = run()
    assert status == 0
    assert out == run("--help")[1]
    for command in ("train", "predict", "bench", "info"):
        assert command in out
        assert f"usage: cbp {command}" in run(command, "--help")[1]

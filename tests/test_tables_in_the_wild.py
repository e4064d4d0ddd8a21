"""Tables as people write them: small ones in each dialect, from the file to the predictions."""

import csv
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from cbp.cli import main
from cbp.tabular import Choices, Classes, load_examples
from cbp.tabular.targets import Quantity

pytest.importorskip("pandas")


@pytest.fixture
def run(capsys):
    """Return a function that runs the command line without an error, and returns stdout and stderr."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert status == 0, captured.err
        return captured.out, captured.err

    return run


# --- gaps ------------------------------------------------------------------------------------------------


def person(i):
    return [
        "ABCD"[i % 4],
        str(150 + i % 50) if i % 9 else "",
        ("Rom", "Wien", "")[i % 3],
        ("no", "yes")[i % 50 > 25],
    ]


PEOPLE = "name;height;city;paid\n" + "".join(";".join(person(i)) + "\n" for i in range(300))


@pytest.mark.parametrize("gaps", ["impute", "drop", "error"])
def test_every_row_gets_a_line_whatever_it_lacks(tmp_path, run, capsys, gaps):
    data, model = tmp_path / "people.csv", tmp_path / "model.npz"
    data.write_text(PEOPLE)
    out, _ = run(
        "train", data, "--threads", 1, "--save", model, "--gaps", "drop" if gaps == "error" else gaps
    )
    assert ("rows without a value are left out" in out) == (gaps != "impute")
    rows = [line.split(";") for line in PEOPLE.splitlines()[1:]]
    status = main(["predict", str(model), str(data), *(["--gaps", "error"] if gaps == "error" else [])])
    out, err = capsys.readouterr()
    found = list(csv.reader(io.StringIO(out)))
    assert (len(found), status) == (301, 2 if gaps == "error" else 0)
    assert found[0] == ["paid"]
    complete = [all(row) for row in rows]
    if gaps == "impute":
        assert all(cell in ("no", "yes") for (cell,) in found[1:])
        assert "height (34): gaps filled with the median, and an input that says where" in err
        assert "city (100): gaps are a category of their own" in err
    else:
        assert [bool(cell) for (cell,) in found[1:]] == complete
        assert f"{300 - sum(complete)} rows with gaps are not predicted, the first in line 2" in err
    right = [cell == row[-1] for (cell,), row, whole in zip(found[1:], rows, complete, strict=True) if whole]
    assert np.mean(right) > 0.95


def test_cells_that_cannot_be_read_cost_no_other_row_its_prediction(tmp_path, run):
    data, model = tmp_path / "people.csv", tmp_path / "model.npz"
    data.write_text(PEOPLE)
    run("train", data, "--threads", 1, "--save", model)
    (tmp_path / "new.csv").write_text("name;city;height\nA;Rom;tall\nB;Rom;199\nA;Oslo;151\n")
    out, err = run("predict", model, tmp_path / "new.csv")
    assert out.splitlines()[2:] == ["yes", "no"]
    assert (
        "cbp: height (1): cells that are not numbers are taken for gaps, the first is 'tall' in line 2\n"
        in err
    )
    assert "cbp: city: 'Oslo' unknown to the model" in err


# --- whole files -----------------------------------------------------------------------------------------

HOUSES = [
    (
        f"{40 + 3 * i % 160}",
        f"{(i * 37 % 1000) / 8:.3f}",
        ("brick", "wood", "stone")[i % 3],
        900 * (40 + 3 * i % 160),
    )
    for i in range(240)
]


def table(dialect, header=True):
    """Return the text of the same table in a dialect: how numbers are written and cells are joined."""
    number, price, joiner = dialect
    lines = [joiner.join(("area", "dist", "wall", "price"))] if header else []
    for area, distance, wall, cost in HOUSES:
        lines.append(joiner.join([area, number(distance), wall, price(cost)]))
    return "\n".join(lines) + "\n"


def point(text):
    return text


def comma(text):
    return text.replace(".", ",")


DIALECTS = {
    "plain": (point, str, ","),
    "thousands": (point, lambda y: f'"{y:,}"', ","),
    "dollars": (point, lambda y: f'"${y:,}"', ","),
    "german": (comma, lambda y: f"{y:,} €".replace(",", "."), ";"),
    "french": (comma, lambda y: f"{y:,},00".replace(",", "\u202f", f"{y:,}".count(",")), ";"),
    "swiss": (point, lambda y: f"CHF {y:,}".replace(",", "'"), ";"),
    "tabs": (comma, str, "\t"),
    "bars": (point, lambda y: f"{y:,}", "|"),
    "columns": (point, str, "   "),
}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_changes_nothing(tmp_path, dialect, encoding):
    if dialect == "french" and encoding == "cp1252":
        pytest.skip("has no narrow blank")
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    plain.write_text(table(DIALECTS["plain"]))
    other.write_bytes(table(DIALECTS[dialect]).encode(encoding))
    wanted, found = (load_examples(path, Choices()) for path in (plain, other))
    assert isinstance(wanted.table.target, Quantity)
    assert found.table.target == wanted.table.target
    assert found.table.inputs == wanted.table.inputs
    for one, another in zip(found[:4], wanted[:4], strict=True):
        np.testing.assert_array_equal(one, another)
    assert wanted.remarks == []
    headless = tmp_path / "headless.csv"
    headless.write_bytes(table(DIALECTS[dialect], header=False).encode(encoding))
    found = load_examples(headless, Choices())
    assert found.table.target.name == "4"
    np.testing.assert_array_equal(found.x_train, wanted.x_train)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("header", [True, False])
def test_a_dialect_is_predicted_from_as_it_was_learnt(tmp_path, run, dialect, header):
    data, model = tmp_path / "data.txt", tmp_path / "model.npz"
    data.write_text(table(DIALECTS[dialect], header), encoding="utf-8")
    out, _ = run("train", data, "--threads", 1, "--save", model)
    assert float(re.search(r"R² ([\d.]+)", out)[1]) > 0.99
    # A single row, from which nothing could be recognised: here 1,234 and 1.234 have one meaning alone.
    lines = data.read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join([lines[0], lines[-1]][not header :]) + "\n", encoding="utf-8")
    out, err = run("predict", model, data)
    assert float(out.splitlines()[1]) == pytest.approx(HOUSES[-1][3], rel=0.1)
    assert err == ""


def test_long_numbers_and_codes_are_not_merged(tmp_path, run):
    ids = [str(10**18 + k) for k in range(3)]
    rows = [f"{i % 3},{ids[i % 3]},0{i % 7}" for i in range(120)]
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    data.write_text("x,id,code\n" + "\n".join(rows) + "\n")
    for target, column in (("id", 1), ("code", 2)):
        run("train", data, "--target", target, "--threads", 1, "--save", model, "--hidden", 32)
        out, _ = run("predict", model, data)
        found = out.splitlines()[1:]
        assert set(found) <= {row.split(",")[column] for row in rows}


def test_a_target_of_written_numbers_is_a_number_and_names_are_classes(tmp_path):
    path = tmp_path / "data.csv"
    for cells, target in (('"{0},300"', Quantity), ("{0}%", Quantity), ("${0}", Quantity), ("k{0}", Classes)):
        path.write_text("x,y\n" + "".join(f"{i / 7},{cells.format(i % 40 + 1)}\n" for i in range(240)))
        assert isinstance(load_examples(path, Choices()).table.target, target)


def test_columns_of_many_names_need_no_memory(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,name,y\n" + "".join(f"{i / 7},n{i % 5000},{i % 2}\n" for i in range(20_000)))
    examples = load_examples(path, Choices())
    assert examples.x_train.shape[1] == 101
    assert examples.remarks == ["name: the 100 most frequent of 4,978 categories are inputs"]


def test_probabilities_are_a_column_each(tmp_path, run):
    data, model = tmp_path / "people.csv", tmp_path / "model.npz"
    data.write_text(PEOPLE)
    run("train", data, "--threads", 1, "--save", model)
    out, _ = run("predict", model, data, "--probabilities")
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["paid", "no", "yes"]
    shares = np.array([row[1:] for row in rows], float)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert [row[0] for row in rows] == [("no", "yes")[k] for k in shares.argmax(axis=1)]


def test_probabilities_of_numbers_are_refused(tmp_path, run, capsys):
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    data.write_text(table(DIALECTS["plain"]))
    run("train", data, "--threads", 1, "--epochs", 1, "--save", model)
    assert main(["predict", str(model), str(data), "--probabilities"]) == 2
    assert capsys.readouterr().err == "cbp: error: --probabilities needs classes, where 'price' is a number\n"


def test_options_for_columns_add_up(tmp_path, run):
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, 400)
    data = tmp_path / "data.csv"
    data.write_text(
        "a,b,noise,y\n"
        + "".join(f"{k + 1 / (i + 2):.5f},{-k},{rng.normal():.5f},{'uv'[k]}\n" for i, k in enumerate(kinds))
    )
    quick = ["--threads", 1, "--quiet", "--epochs", 30]
    accuracies = [
        float(re.search(r"accuracy ([\d.]+)%", run("train", data, *quick, *ignored)[0])[1])
        for ignored in ([], ["--ignore", "a"], ["--ignore", "a", "--ignore", "b"], ["--ignore", "a,b"])
    ]
    assert accuracies[:2] == [100, 100]
    assert accuracies[2] == accuracies[3] < 75


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_pipes_carry_utf_8_whatever_the_locale(tmp_path, run):
    data, model = tmp_path / "städte.csv", tmp_path / "model.npz"
    data.write_text(PEOPLE.replace("yes", "süß").replace("no", "волк"), encoding="utf-8")
    run("train", data, "--threads", 1, "--save", model)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "cbp", "predict", str(model), "-"]
    done = subprocess.run(command, input=data.read_bytes(), capture_output=True, env=environment, timeout=60)
    assert done.returncode == 0
    assert set(done.stdout.decode("utf-8").split("\n")[1:-1]) == {"süß", "волк"}
    command[-1] = str(data)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as closed:
        closed.stdout.close()
        assert b"error" not in closed.stderr.read()
        assert closed.wait(60) == 141


def test_a_lone_accent_is_no_reason_to_stop(tmp_path):
    path = tmp_path / "data.csv"
    text = "größe;y\n" + "".join(f"{i},{i % 10};{'uv'[i % 2]}\n" for i in range(60))
    path.write_bytes(text.encode("cp1252"))
    examples = load_examples(path, Choices())
    assert examples.table.inputs.names == ["größe"]
    assert examples.remarks == [
        "the text is not UTF-8, and was read as cp1252 (--encoding NAME overrules)",
        "größe: decimal comma",
    ]

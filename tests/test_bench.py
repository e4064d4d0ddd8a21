"""The benchmarks: that their reference agrees with cbp, that rivals train the same, that reports render."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"
pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not here")


@pytest.fixture(scope="module")
def bench():
    """The modules, which are scripts beside each other and have common names: found, and forgotten again."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCH))
    import chart
    import check
    import harness
    import public
    import report
    import rivals
    import tables
    import ulp
    import workloads

    yield SimpleNamespace(
        check=check,
        chart=chart,
        ulp=ulp,
        harness=harness,
        public=public,
        report=report,
        rivals=rivals,
        tables=tables,
        workloads=workloads,
    )
    sys.path.remove(str(BENCH))
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


KINDS = [
    ("sgd", "sigmoid", "softmax", "cross_entropy"),
    ("momentum", "relu", "softmax", "cross_entropy"),
    ("adam", "tanh", "sigmoid", "cross_entropy"),
    ("adam", "tanh", "identity", "squared_error"),
]


def small(bench, kind, **changes):
    optimizer, hidden, output, loss = kind
    w = bench.workloads.Workload(
        "test", (5, 7, 3), batch=8, n=96, hidden=hidden, output=output, loss=loss, optimizer=optimizer,
        learning_rate=0.01, dtype="float64",
    )  # fmt: skip
    return replace(w, **changes)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("name", ["Cbp", "NumPy"])
def test_reference_agrees_with_trainers(bench, kind, name):
    w = small(bench, kind)
    trainer = next(r for r in bench.rivals.TRAINERS if r.__name__ == name)
    errors, wrong = bench.check.Reference(w).judge(trainer(w, 1).result())
    assert wrong == ""
    assert max(errors.values()) < 1e-9


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_reference_notices_another_rate(bench, kind):
    w = small(bench, kind)
    trainer = bench.rivals.TRAINERS[0](replace(w, learning_rate=0.012), 1)
    assert bench.check.Reference(w).judge(trainer.result())[1].startswith("wrong result")


def test_gradient_of_reference_is_that_of_cbp(bench):
    w = small(bench, KINDS[3])
    X, Y = w.data()
    D = bench.check.gradient(w, w.parameters(), X, Y)
    found = bench.rivals.in_cbp.network(w, w.parameters(), 1).gradient(X, Y)
    assert found.loss == pytest.approx(bench.check.loss(w, w.parameters(), X, Y), rel=1e-12)
    for (W, b), of_W, of_b in zip(D, found.weights, found.biases, strict=True):
        np.testing.assert_allclose(of_W, W, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(of_b, b, rtol=1e-10, atol=1e-14)


def test_every_workload_is_whole(bench):
    numbers = {w.number for w in bench.workloads.GRID}
    assert {"1", "3", "4", "5", "6", "7", "8", "9", "digits"} <= numbers
    for w in bench.workloads.GRID:
        assert w.n % w.batch == 0
        assert w.flop > 0
    assert len({w.name for w in bench.workloads.GRID}) == len(bench.workloads.GRID)


@pytest.mark.parametrize("what", ["exp", "sigmoid", "tanh"])
def test_oracle_of_functions_is_exact(bench, what):
    mpmath = pytest.importorskip("mpmath")
    if not bench.ulp.WIDE:
        pytest.skip("long double is a double here")
    x = np.linspace(*bench.ulp.GRIDS[what], 101)
    truth = {"exp": mpmath.exp, "tanh": mpmath.tanh, "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z))}[what]
    with mpmath.workdps(40):
        for z, found in zip(x, bench.ulp.exactly(what, x), strict=True):
            exact, high = truth(mpmath.mpf(float(z))), float(found)
            got = mpmath.mpf(high) + mpmath.mpf(float(found - np.longdouble(high)))  # both halves
            assert abs(got - exact) <= abs(exact) * mpmath.mpf(2) ** -61  # a 250th of a unit of float64


def settings(bench):
    """Two rounds of three settings, one of which failed."""
    Setting = bench.harness.Setting
    return [
        Setting("cbp", 1, rounds_us=[1.0, 2.0, 3.0], cpu_us=[1.0, 2.0, 3.0]),
        Setting("NumPy", 1, rounds_us=[8.0, 8.0], cpu_us=[8.0, 8.0], blas=["openblas"]),
        Setting("JAX", 2, failure="wrong result: loss off by 1.0e+00"),
    ]


HEAD = {"cpu": "a CPU", "cpus": 1, "caches": "L1", "os": "an OS", "versions": {"numpy": "2"}, "cbp": None,
        "peak_gflops": {"float32": {1: 100.0}}, "date": "2000-01-01", "rounds": 7}  # fmt: skip


def a_part(bench):
    w = small(bench, KINDS[0])
    part = bench.report.Part("steps", "Steps", absent=["PyTorch"])
    part.compare("a case", "µs a step", settings(bench))
    part.text.append(bench.report.summary([(w, settings(bench))], {1: 100.0}))
    part.text.append(bench.report.workload_table(w, settings(bench), {1: 100.0}))
    return part


def test_document(bench):
    part = a_part(bench)
    text = bench.report.document(HEAD, [part])
    assert part.failed
    assert "- Failed: JAX on a case: wrong result: loss off by 1.0e+00" in text
    assert "Not installed, skipped: PyTorch" in text
    assert "openblas" in text
    assert part.compared == [{"case": "a case", "unit": "µs a step", "times": {"cbp": 2.0, "NumPy": 8.0}}]
    rows = [line for line in text.splitlines() if line.startswith("| cbp")]
    assert [cell.strip() for cell in rows[0].split("|")][1:4] == ["cbp", "1", "2.00"]


def test_tables_are_rectangular(bench):
    for block in bench.report.document(HEAD, [a_part(bench)]).split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


def test_json_has_no_nan(bench):
    values = bench.harness.for_json([float("nan"), {"a": (1.23456789, float("inf"))}, "text", 3])
    assert values == [None, {"a": [1.23457, None]}, "text", 3]


def test_chart(bench, tmp_path):
    pytest.importorskip("matplotlib")
    part = a_part(bench)
    source = tmp_path / "record.json"
    source.write_text(bench.harness.json_text(HEAD | {"parts": [part.as_dict()]}))
    bench.chart.draw(source, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert bench.chart.ratios(part.compared) == [("a case", {"NumPy": 4.0})]


def test_no_table_is_both_tuned_on_and_kept_back(bench):
    tuning, kept_back = (
        {(t.source, t.name) for t in part} for part in (bench.public.TUNING, bench.public.KEPT_BACK)
    )
    assert not tuning & kept_back
    assert len(kept_back) >= 10
    assert set(bench.public.SOURCES) >= {source for source, _ in tuning | kept_back}


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_the_error_on_a_table_is_that_of_the_command_line(bench, tmp_path, task):
    """An input that tells nothing: the average is predicted, whose error is known, or nearly so."""
    pandas = pytest.importorskip("pandas")
    y = np.repeat([0.0, 0.0, 3.0], 20) if task == "regression" else np.repeat(["a", "a", "b"], 20)
    frame = pandas.DataFrame({"x": np.tile([0, 1], 30), "y": y})
    frame.to_csv(tmp_path / "table.csv", index=False)
    table = bench.public.Table("sklearn", "unrelated", "y", task)
    for seed in range(2):
        found = bench.tables.ours(tmp_path / "table.csv", table, seed)
        average = bench.tables.theirs(tmp_path / "table.csv", table, seed)["average"]
        assert found == pytest.approx(average, rel=0.1)
        assert average == (pytest.approx(2**0.5, rel=0.2) if task == "regression" else 1 / 3)

"""What ``cbp bench`` measures: that it does the work it counts, and looks at its result first."""

import numpy as np
import pytest

import cbp
from cbp import benchmark, flops
from cbp.benchmark import WORKLOADS, Workload

STEP = Workload((3, 5, 4), 6)
ONE = Workload((3, 5, 4), None)


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch):
    monkeypatch.setattr(benchmark, "ROWS", 260)  # to make them takes longer than all else


def setting(workload, dtype="float32", n_threads=1):
    """One workload, made ready."""
    return benchmark.settings([workload], dtype, [n_threads])[0]


# --- operations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "forward", "training"),
    [
        ((2, 3), 12, 24),  # a W and a' delta
        ((2, 4, 1), 24, 56),  # and delta W', but not down to the inputs
        ((784, 30, 10), 47_640, 95_880),
        ((5, 4, 3, 2), 76, 188),
    ],
)
def test_operations_of_an_example(sizes, forward, training):
    assert flops.prediction(sizes) == forward
    assert flops.training(sizes) == training
    assert Workload(sizes, 7).step_flops == 7 * training
    assert Workload(sizes, None).step_flops == forward


# --- the check -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_results_are_those_of_the_reference(workload, dtype):
    made = setting(workload, dtype, n_threads=2)
    before = made.net.parameters.copy()
    made.check()
    np.testing.assert_array_equal(made.net.parameters, before)


@pytest.mark.parametrize("workload", [STEP, ONE], ids=["step", "predict"])
@pytest.mark.parametrize("wrong", [1e-3, np.nan])
def test_a_wrong_result_is_told(workload, wrong, monkeypatch):
    made = setting(workload)
    right = made.expected()[1]
    monkeypatch.setattr(
        benchmark.Setting, "expected", lambda self: (np.zeros_like(right), right + wrong * abs(right).max())
    )
    with pytest.raises(ArithmeticError, match=f"{workload.name}, n_threads=1: the result is not that of cbp"):
        made.check()


# --- the rounds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "rows", "epochs"), [(1, 6, 1), (7, 42, 1), (43, 258, 1), (2 * 43, 258, 2)])
def test_a_round_takes_its_steps(steps, rows, epochs, monkeypatch):
    seen = []
    monkeypatch.setattr(
        cbp.Network, "fit", lambda net, X, Y, **options: seen.append((len(X), len(Y), options["epochs"]))
    )
    made = setting(STEP)
    made.steps = steps
    made.run()
    assert seen == [(rows, rows, epochs)]


def test_every_round_trains_from_the_same_parameters():
    made = setting(STEP)
    made.steps = 20
    before = made.net.parameters.copy()
    assert made.run() > 0
    assert len(made.net.history) == 1
    np.testing.assert_array_equal(made.net.parameters, before)


@pytest.mark.parametrize("workload", [STEP, ONE], ids=["step", "predict"])
def test_calibration_fills_the_time(workload, monkeypatch):
    made = setting(workload)
    monkeypatch.setattr(benchmark.Setting, "run", lambda self: 1e-4)  # a step
    made.calibrate(0.05)
    assert 250 <= made.steps <= 500
    made.steps = 1
    made.calibrate(1e-9)  # less than a step
    assert made.steps == 1


def test_figures():
    report = benchmark.measure("float64", 2, 0.01, rounds=3, workloads=[STEP, ONE])
    assert [(s.workload, s.n_threads) for s in report.settings] == [(STEP, 1), (STEP, 2), (ONE, 1)]
    assert list(report.peaks) == [1, 2]
    assert 0 < report.peaks[1] <= report.peaks[2]
    for s in report.settings:
        assert s.net.dtype == np.float64
        assert s.net.n_threads == s.n_threads
        assert len(s.rounds_us) == 3
        assert s.step_us == sorted(s.rounds_us)[1] > 0
        assert s.examples_per_second == pytest.approx(s.workload.examples / (s.step_us * 1e-6))
        assert s.gflops == pytest.approx(s.workload.step_flops / (s.step_us * 1e-6) / 1e9)
        assert s.as_dict(2.0)["share_of_peak"] == s.gflops / 2


def test_threads_by_default():
    try:
        cbp.set_num_threads(3)
        assert benchmark.thread_counts() == [1, 3]
        assert benchmark.thread_counts(2) == [1, 2]
        cbp.set_num_threads(1)
        assert benchmark.thread_counts() == [1]
    finally:
        cbp.set_num_threads(None)

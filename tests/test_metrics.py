"""The promise: metrics are scikit-learn's on the same outputs, recorded each epoch, and good to stop by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cbp
from cbp.metrics import METRICS, area

sklearn_metrics = pytest.importorskip  # of the tests that compare with it


def outputs(kind, m, n, seed, ties):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 4, (m, n)) / 4 if ties else rng.random((m, n))
    if kind == "labels":
        return rng.integers(0, n, m), a
    if kind == "classes":
        return np.eye(n)[rng.integers(0, n, m)], a
    return (rng.random((m, n)) if kind == "numbers" else rng.integers(0, 2, (m, n)).astype(float)), a


def naive(name, Y, a, w, exclusive):
    """The definitions, in loops."""
    m, n = a.shape
    if name in ("mae", "rmse", "r2"):
        each = []
        for j in range(n):
            error = [(Y[i, j] - a[i, j]) for i in range(m)]
            if name == "mae":
                each.append(sum(w[i] * abs(error[i]) for i in range(m)) / sum(w))
            elif name == "rmse":
                each.append((sum(w[i] * error[i] ** 2 for i in range(m)) / sum(w)) ** 0.5)
            else:
                mean = sum(w[i] * Y[i, j] for i in range(m)) / sum(w)
                spread = sum(w[i] * (Y[i, j] - mean) ** 2 for i in range(m))
                each.append(1 - sum(w[i] * error[i] ** 2 for i in range(m)) / spread)
        return sum(each) / n
    given = [[Y[i] == j if Y.ndim == 1 else Y[i, j] >= 0.5 for j in range(n)] for i in range(m)]
    found = [[a[i].argmax() == j if exclusive else a[i, j] >= 0.5 for j in range(n)] for i in range(m)]
    if name == "accuracy":
        if exclusive:
            return sum(w[i] for i in range(m) if given[i] == found[i]) / sum(w)
        return sum(w[i] * (given[i][j] == found[i][j]) for i in range(m) for j in range(n)) / sum(w) / n
    each = []
    for j in range(n):
        if name == "auc":
            pairs = [
                (w[i] * w[k], (a[i, j] > a[k, j]) + (a[i, j] == a[k, j]) / 2)
                for i in range(m) for k in range(m) if given[i][j] and not given[k][j]
            ]  # fmt: skip
            total = sum(weight for weight, _ in pairs)
            each.append(sum(weight * order for weight, order in pairs) / total if total else np.nan)
        elif not exclusive or any(given[i][j] or found[i][j] for i in range(m)):
            right = sum(w[i] for i in range(m) if given[i][j] and found[i][j])
            both = sum(w[i] * (int(given[i][j]) + int(found[i][j])) for i in range(m))
            each.append(2 * right / both if both else 0.0)
        else:
            each.append(None)
    if exclusive and n == 2:
        return each[1] if each[1] is not None else 0.0
    each = [value for value in each if value is not None]
    return sum(each) / len(each)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(METRICS)),
    kind=st.sampled_from(["labels", "classes", "units", "numbers"]),
    m=st.integers(2, 12),
    n=st.integers(1, 4),
    seed=st.integers(0, 1000),
    ties=st.booleans(),
    weighted=st.booleans(),
)
def test_metrics_are_their_definitions(name, kind, m, n, seed, ties, weighted):
    classes = METRICS[name].classes
    if classes == (kind == "numbers") or (kind in ("labels", "classes") and n == 1):
        return
    Y, a = outputs(kind, m, n, seed, ties)
    w = np.random.default_rng(seed).integers(0, 3, m).astype(float) if weighted else np.ones(m)
    if np.count_nonzero(w) < 2:
        return
    exclusive = kind in ("labels", "classes")
    if exclusive and name == "auc" and kind == "classes":
        a = a / a.sum(axis=1, keepdims=True) if a.sum(axis=1).all() else a
    ours = METRICS[name].value(Y, a, w if weighted else None, exclusive)
    assert ours == pytest.approx(naive(name, Y, a, w, exclusive), rel=1e-12, abs=1e-12, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(["two", "many", "one unit", "units", "numbers"]),
    m=st.integers(4, 60),
    seed=st.integers(0, 1000),
    ties=st.booleans(),
    weighted=st.booleans(),
)
def test_metrics_are_scikit_learns(kind, m, seed, ties, weighted):
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    n = {"two": 2, "many": 4, "one unit": 1, "units": 3, "numbers": 3}[kind]
    a = rng.integers(1, 5, (m, n)) / 4 if ties else rng.random((m, n))
    w = rng.random(m) + 0.1 if weighted else None
    value = lambda name, Y, exclusive: METRICS[name].value(Y, a, w, exclusive)  # noqa: E731
    if kind == "numbers":
        Y = rng.random((m, n))
        wanted = {
            "r2": sk.r2_score(Y, a, sample_weight=w),
            "mae": sk.mean_absolute_error(Y, a, sample_weight=w),
            "rmse": sk.root_mean_squared_error(Y, a, sample_weight=w),
        }
        exclusive = False
    elif kind in ("two", "many"):
        a /= a.sum(axis=1, keepdims=True)
        Y = np.concatenate([np.arange(n), rng.integers(0, n, m - n)])
        found = a.argmax(axis=1)
        average = "binary" if n == 2 else "macro"
        score = a[:, 1] if n == 2 else a
        wanted = {
            "accuracy": sk.accuracy_score(Y, found, sample_weight=w),
            "f1": sk.f1_score(Y, found, average=average, sample_weight=w, zero_division=0),
            "auc": sk.roc_auc_score(Y, score, average="macro", multi_class="ovr", sample_weight=w),
        }
        exclusive = True
    else:
        Y = rng.integers(0, 2, (m, n)).astype(float)
        Y[0], Y[1] = 0, 1
        given_, found = (Y[:, 0], a[:, 0] >= 0.5) if n == 1 else (Y, a >= 0.5)
        average = "binary" if n == 1 else "macro"
        wanted = {
            "f1": sk.f1_score(given_, found, average=average, sample_weight=w, zero_division=0),
            "auc": sk.roc_auc_score(given_, a[:, 0] if n == 1 else a, average="macro", sample_weight=w),
        }
        exclusive = False
    for name, number in wanted.items():
        assert value(name, Y, exclusive) == pytest.approx(number, rel=1e-12, abs=1e-12)


def test_an_area_without_two_sides_is_no_number():
    assert np.isnan(area(np.array([True, True]), np.array([0.1, 0.2]), None))
    assert area(np.array([True, False]), np.array([0.1, 0.2]), None) == 0


# --- in training --------------------------------------------------------------------------------------------


def data(m=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 4)), rng.integers(0, 3, m)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_what_is_recorded(n_threads):
    X, Y = data()
    net = cbp.Network([4, 8, 3], rng=0, dtype="float64", n_threads=n_threads)
    twin = cbp.Network([4, 8, 3], rng=0, dtype="float64")
    seen = []

    def margin(Y, outputs, sample_weight):
        seen.append((Y.copy(), outputs.copy(), sample_weight))
        return outputs.max(axis=1).mean()

    w = np.random.default_rng(1).uniform(size=60)
    history = net.fit(
        *(X, Y),
        epochs=2,
        shuffle=False,
        sample_weight=w,
        validation_data=(X[:20], Y[:20]),
        metrics=["accuracy", "f1", "auc", margin, ("again", margin)],
        optimizer=cbp.SGD(0.5),
    )
    names = ["accuracy", "f1", "auc", "margin", "again"]
    for epoch in history:
        assert list(epoch.metrics) == [*names, *(f"validation_{name}" for name in names)]
        before = np.concatenate([_step(twin, X, Y, w, rows) for rows in (slice(0, 32), slice(32, 60))])
        assert epoch.metrics["accuracy"] == pytest.approx(np.average(before.argmax(axis=1) == Y, weights=w))
        assert epoch.metrics["margin"] == pytest.approx(before.max(axis=1).mean(), rel=1e-12)
        assert epoch.metrics["validation_accuracy"] == twin.accuracy(X[:20], Y[:20])
        assert epoch.metrics["again"] == epoch.metrics["margin"]
    assert net.parameters.tobytes() == twin.parameters.tobytes()
    assert seen[-1][2] is None
    assert history[-1]["validation_f1"] == history[-1].metrics["validation_f1"]


def _step(twin, X, Y, w, rows):
    outputs = twin.predict(X[rows])
    twin.partial_fit(X[rows], Y[rows], sample_weight=w[rows], optimizer=cbp.SGD(0.5), shuffle=False)
    return outputs


def test_metrics_change_no_bit():
    X, Y = data()
    found = set()
    for metrics in ((), ["accuracy", "auc"]):
        net = cbp.Network([4, 8, 3], rng=0, dropout=0.2)
        net.fit(X, Y, epochs=3, metrics=metrics)
        found.add(net.parameters.tobytes())
    assert len(found) == 1


def test_numbers_of_a_regression():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(50, 4)), rng.normal(size=50)
    net = cbp.Network([4, 8, 1], output="identity", rng=0)
    history = net.fit(X, Y, epochs=2, metrics=["r2", "mae", "rmse"], validation_data=(X, Y))
    errors = net.predict(X)[:, 0].astype(float) - Y
    last = history[-1].metrics
    assert last["validation_r2"] == pytest.approx(net.r2(X, Y), rel=1e-12)
    assert last["validation_mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-12)
    assert last["validation_rmse"] == pytest.approx((errors**2).mean() ** 0.5, rel=1e-12)


def test_rows_that_are_set_aside():
    X, Y = data()
    net = cbp.Network([4, 8, 3], rng=0)
    history = net.fit(X, Y, epochs=1, validation_fraction=0.25, metrics=["accuracy"])
    rows = history.validation_rows
    assert history[0].metrics["validation_accuracy"] == net.accuracy(X[rows], Y[rows])


def test_early_stopping_by_a_metric():
    digits = cbp.datasets.load_digits()
    net = cbp.Network([64, 16, 10], rng=0)
    stopping = cbp.EarlyStopping(patience=3, monitor="validation_accuracy")
    history = net.fit(
        *(digits.x_train, digits.y_train),
        epochs=200,
        metrics=["accuracy"],
        validation_fraction=0.2,
        early_stopping=stopping,
    )
    assert history.stopped == "patience"
    reached = [epoch["validation_accuracy"] for epoch in history]
    assert history.best["validation_accuracy"] == max(reached)
    rows = history.validation_rows
    assert net.accuracy(digits.x_train[rows], digits.y_train[rows]) == max(reached)


def constant(Y, outputs, sample_weight):
    return 1.0


REFUSED = [
    (
        {"metrics": "accuracy"},
        TypeError,
        "metrics must be an iterable of names and functions, got 'accuracy'",
    ),
    ({"metrics": ["accurate"]}, ValueError, r"metrics\[0\] must be one of accuracy, r2, mae"),
    ({"metrics": [3]}, TypeError, r"metrics\[0\] must be a name, a function or both, got 3"),
    ({"metrics": ["r2"]}, ValueError, "'r2' does not fit .*; accuracy, auc, f1 do"),
    ({"metrics": ["f1", "f1"]}, ValueError, "'f1', which is taken"),
    ({"metrics": [("loss", constant)]}, ValueError, "'loss', which is taken"),
    ({"metrics": [("seconds", constant)]}, ValueError, "'seconds', which is taken"),
    ({"metrics": [("validation_x", constant)]}, ValueError, "'validation_x', which is taken"),
    (
        {"early_stopping": cbp.EarlyStopping(monitor="accuracy")},
        ValueError,
        "early_stopping monitors 'accuracy', which is not recorded: there are loss",
    ),
    (
        {"early_stopping": cbp.EarlyStopping(monitor="constant"), "metrics": [constant]},
        ValueError,
        "mode must be 'min' or 'max' to monitor 'constant'",
    ),
]


@pytest.mark.parametrize(("options", "kind", "words"), REFUSED)
def test_refusals(options, kind, words):
    X, Y = data()
    net = cbp.Network([4, 8, 3], rng=0)
    before = net.parameters.tobytes()
    with pytest.raises(kind, match=words):
        net.fit(X, Y, **options)
    assert net.parameters.tobytes() == before


def test_what_does_not_fit_numbers():
    net = cbp.Network([4, 8, 3], output="identity", rng=0)
    X, Y = data()
    with pytest.raises(ValueError, match="'accuracy' does not fit .*; r2, mae, rmse do"):
        net.fit(X, np.eye(3)[Y], metrics=["accuracy"])
    with pytest.raises(ValueError, match="'mae' needs all targets, and missing is 'ignore'"):
        net.fit(X, np.eye(3)[Y], metrics=["mae"], missing="ignore")
    with pytest.raises(TypeError, match="the metric 'wrong' must return a number, got str"):
        net.fit(X, np.eye(3)[Y], metrics=[("wrong", lambda Y, outputs, w: "much")], validation_data=(X, Y))


def test_resuming_with_functions(tmp_path):
    X, Y = data()
    path = tmp_path / "net"

    def stop(step):
        if step.number == 9:
            raise KeyboardInterrupt

    how = {"metrics": ["accuracy", constant], "validation_data": (X, Y), "epochs": 4}
    straight = cbp.Network([4, 8, 3], rng=0)
    straight.fit(X, Y, **how)
    net = cbp.Network([4, 8, 3], rng=0)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, checkpoint=path, batch_callbacks=[lambda step: stop(step)], **how, batch_size=16)
    straight = cbp.Network([4, 8, 3], rng=0)
    straight.fit(X, Y, **how, batch_size=16)
    with pytest.raises(ValueError, match="metrics must be given again.*: constant"):
        cbp.resume(path, X, Y, validation_data=(X, Y))
    resumed = cbp.resume(path, X, Y, validation_data=(X, Y), metrics=how["metrics"])
    assert [epoch.metrics for epoch in resumed.history] == [epoch.metrics for epoch in straight.history]

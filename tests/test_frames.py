"""The promise: a data frame goes by the names of its columns, whatever their order, where it has names."""

import copy
import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

import cbp
from cbp.examples.conversion import place
from cbp.training import passes

RNG = np.random.default_rng(0)
NAMES = ("age", "height", "weight", "income")
X = RNG.normal(size=(60, 4)) * [1, 2, 3, 4]
LABELS = (X[:, :3] / [1, 2, 3]).argmax(axis=1)
SHUFFLED = [2, 0, 3, 1]  # its own kind of order: not a swap, which would be its own inverse


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    """A function that makes a data frame of columns and their names."""
    package = pytest.importorskip(request.param)
    return lambda array, names=NAMES: package.DataFrame(
        {name: np.ascontiguousarray(array[:, j]) for j, name in enumerate(names)}
    )


def in_other_order(frame, array=X):
    return frame(array[:, SHUFFLED], [NAMES[j] for j in SHUFFLED])


def make(output="softmax", **options):
    return cbp.Network([4, 5, 3], output=output, **{"rng": 1, "dtype": "float64", **options})


def fitted(x, **options):
    net = make()
    net.fit(x, LABELS, epochs=10, optimizer=cbp.Adam(0.05), **options)
    return net


# --- what is kept ----------------------------------------------------------------------------------------


def test_fit_keeps_the_names_and_an_array_has_none(frame):
    net = make()
    assert net.feature_names is None
    net.fit(frame(X), LABELS, epochs=1)
    assert net.feature_names == NAMES
    net.fit(X, LABELS, epochs=1)
    assert net.feature_names is None
    net.fit(frame(X), LABELS, epochs=0)
    assert net.feature_names == NAMES
    net.fit(frame(X, ["a", "b", "c", "d"]), LABELS, epochs=1)
    assert net.feature_names == ("a", "b", "c", "d")


def test_copies_and_files_keep_the_names(frame, tmp_path):
    net = fitted(frame(X))
    net.save(tmp_path / "net.npz")
    for again in (
        copy.copy(net),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        cbp.load(tmp_path / "net.npz"),
    ):
        assert again.feature_names == NAMES
        np.testing.assert_array_equal(again.predict(in_other_order(frame)), net.predict(X))


def test_files_and_pickles_without_names(tmp_path):
    net = make()
    path = tmp_path / "net.npz"
    net.save(path)
    with np.load(path) as archive:
        description = json.loads(str(archive["description"]))
    assert "feature_names" not in description  # as files of earlier versions
    assert cbp.load(path).feature_names is None
    state = net.__getstate__()
    assert "_feature_names" not in state
    again = cbp.Network.__new__(cbp.Network)
    again.__setstate__(state)
    assert again.feature_names is None


@pytest.mark.parametrize("names", [["a", "b"], "abcd", 4, ["a", "b", "c", 4], {"a": 1}])
def test_a_file_with_other_names_is_damaged(tmp_path, names):
    path = tmp_path / "net.npz"
    make().save(path)
    with np.load(path) as archive:
        description, parameters = json.loads(str(archive["description"])), archive["parameters"]
    text = json.dumps({**description, "feature_names": names})
    np.savez(path, description=np.array(text), parameters=parameters)
    with pytest.raises(cbp.ModelFileError, match="feature_names"):
        cbp.load(path)


def test_names_may_be_set(frame):
    net = make()
    net.feature_names = [*NAMES]
    assert net.feature_names == NAMES
    np.testing.assert_array_equal(net.predict(in_other_order(frame)), net.predict(X))
    for value, error, message in [
        (NAMES[:3], ValueError, "feature_names must hold a name for each of the 4 inputs, got 3"),
        (["a", "b", "c", 1], TypeError, r"feature_names\[3\] must be a string, got 1"),
        ("abcd", TypeError, "feature_names must be a sequence of strings or None, got 'abcd'"),
    ]:
        with pytest.raises(error, match=message):
            net.feature_names = value
        assert net.feature_names == NAMES
    net.feature_names = None
    np.testing.assert_array_equal(net.predict(in_other_order(frame)), net.predict(X[:, SHUFFLED]))


# --- in another order ------------------------------------------------------------------------------------

CALLS = {
    "predict": lambda net, x: net.predict(x),
    "call": lambda net, x: net(x),
    "predict_labels": lambda net, x: net.predict_labels(x),
    "activations": lambda net, x: np.hstack(net.activations(x)),
    "accuracy": lambda net, x: net.accuracy(x, LABELS),
    "weighted accuracy": lambda net, x: net.accuracy(x, LABELS, LABELS + 0.5),
    "r2": lambda net, x: net.r2(x, np.eye(3)[LABELS]),
    "loss": lambda net, x: net.loss(x, LABELS),
    "gradient": lambda net, x: net.gradient(x, LABELS).parameters,
    "inputs": lambda net, x: net.gradient(x, LABELS, inputs=True).inputs,  # in the order of feature_names
    "check_gradient": lambda net, x: net.check_gradient(x, LABELS),
    "partial_fit": lambda net, x: net.partial_fit(x, LABELS, shuffle=False).parameters,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_method_takes_columns_in_any_order(frame, call):
    expected = call(fitted(X), X)
    wrong = call(fitted(X), X[:, SHUFFLED])
    assert not np.array_equal(wrong, expected)  # else the test would say nothing
    for x in (frame(X), in_other_order(frame), X, X.tolist()):
        np.testing.assert_array_equal(call(fitted(frame(X)), x), expected)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["age", "height", "weight", "wage"], "missing 'income', unexpected 'wage'"),
        (["age", "height", "weight"], "missing 'income';"),
        (["age", "height", "weight", "income", "id"], "trained on: unexpected 'id';"),
        (["Age", "height", "weight", "income"], "missing 'age', unexpected 'Age'"),
    ],
)
def test_every_method_refuses_other_columns(frame, call, columns, message):
    net = fitted(frame(X))
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=f"X must have the columns .*{message}"):
        call(net, frame(np.zeros((60, len(columns))), columns))
    np.testing.assert_array_equal(net.parameters, before)
    assert net.feature_names == NAMES


def test_many_missing_names_are_cut(frame):
    net = cbp.Network([30, 2])
    net.feature_names = [f"x{i}" for i in range(30)]
    with pytest.raises(
        ValueError, match="missing 'x0', 'x1', 'x2', 'x3', 'x4' and 25 more, unexpected 'age'"
    ):
        net.predict(frame(X))


def test_validation_data_go_by_the_names_of_the_training(frame):
    x, y = X[:20], LABELS[:20]
    expected = make().fit(X, LABELS, epochs=2, validation_data=(x, y)).validation_losses
    net = make()
    history = net.fit(frame(X), LABELS, epochs=2, validation_data=(in_other_order(frame, x), y))
    assert history.validation_losses == expected
    # Of this training, not of the one before.
    net = fitted(frame(X, ["a", "b", "c", "d"]))
    net.parameters, net._shuffler = make().parameters, make()._shuffler
    history = net.fit(frame(X), LABELS, epochs=2, validation_data=(in_other_order(frame, x), y))
    assert history.validation_losses == expected
    with pytest.raises(ValueError, match="X of validation_data must have the columns .*: missing 'age'"):
        net.fit(frame(X), LABELS, validation_data=(frame(x, ["a", *NAMES[1:]]), y))
    history = make().fit(X, LABELS, epochs=2, validation_data=(frame(x, ["a", "b", "c", "d"]), y))
    assert history.validation_losses == expected  # an array trained on has no names


def test_a_second_fit_goes_on_with_the_inputs_it_had(frame):
    net, twin = fitted(frame(X)), fitted(X)
    net.fit(in_other_order(frame), LABELS, epochs=1)
    twin.fit(X, LABELS, epochs=1)
    assert net.feature_names == NAMES
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_partial_fit_names_what_has_no_names(frame):
    net, twin = make(), make()
    net.partial_fit(X, LABELS)
    assert net.feature_names is None
    net.partial_fit(in_other_order(frame), LABELS)
    assert net.feature_names == tuple(NAMES[j] for j in SHUFFLED)
    net.partial_fit(X[:, SHUFFLED], LABELS)  # an array: by its order
    assert net.feature_names == tuple(NAMES[j] for j in SHUFFLED)
    net.partial_fit(frame(X), LABELS)
    for x in (X, X[:, SHUFFLED], X[:, SHUFFLED], X[:, SHUFFLED]):
        twin.partial_fit(x, LABELS)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_a_row_of_a_frame():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=NAMES)
    net = fitted(table)
    row = table[[NAMES[j] for j in SHUFFLED]].iloc[7]
    np.testing.assert_array_equal(net.predict(row), net.predict(X[7]))
    assert net.predict_labels(row) == net.predict_labels(X[7])
    np.testing.assert_array_equal(net.predict(row.reset_index(drop=True)), net.predict(X[7, SHUFFLED]))
    with pytest.raises(ValueError, match="X must have the columns .*: missing 'income', unexpected 'wage'"):
        net.predict(row.rename({"income": "wage"}))


# --- what has no names, or several of one ----------------------------------------------------------------


def test_only_strings_are_names():
    pandas = pytest.importorskip("pandas")
    numbered = pandas.DataFrame(X)
    pairs = pandas.DataFrame(X, columns=pandas.MultiIndex.from_product([["a", "b"], ["c", "d"]]))
    for table in (numbered, numbered[SHUFFLED], pairs):
        assert fitted(table).feature_names is None
    net = fitted(pandas.DataFrame(X, columns=NAMES))
    np.testing.assert_array_equal(net.predict(numbered), net.predict(X))
    mixed = pandas.DataFrame(X, columns=["age", 1, 2, 3])
    with pytest.raises(TypeError, match="columns of X must be named by strings only, .* got 'age' and 1"):
        make().fit(mixed, LABELS)
    with pytest.raises(TypeError, match="columns of X must be named by strings only"):
        net.predict(mixed)


def test_names_that_are_not_unique():
    pandas = pytest.importorskip("pandas")
    twice = pandas.DataFrame(X, columns=["a", "b", "b", "c"])
    net = fitted(twice)
    assert net.feature_names == ("a", "b", "b", "c")
    np.testing.assert_array_equal(net.predict(twice), net.predict(X))  # in the same order nothing is unclear
    for columns in ([2, 1, 0, 3], [3, 2, 1, 0]):
        with pytest.raises(ValueError, match="since their names are not unique: 'b'$"):
            net.predict(twice.iloc[:, columns].copy())
    net = fitted(pandas.DataFrame(X, columns=["a", "b", "c", "d"]))
    with pytest.raises(ValueError, match="not unique: 'd'$"):
        net.predict(pandas.DataFrame(np.zeros((2, 5)), columns=["a", "b", "c", "d", "d"]))


class Table:
    """What another library's data frame might be."""

    def __init__(self, array, columns):
        self.array, self.columns, self.shape = array, columns, array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_any_frame_will_do():
    net = fitted(Table(X, [*NAMES]))
    assert net.feature_names == NAMES
    np.testing.assert_array_equal(
        net.predict(Table(X[:, SHUFFLED], (NAMES[j] for j in SHUFFLED))), net.predict(X)
    )
    for columns in (lambda: NAMES, 4, None, SimpleNamespace()):  # of some other meaning
        assert fitted(Table(X, columns)).feature_names is None
    rows = X.view(np.recarray)
    rows.columns = [*NAMES]
    assert fitted(rows).feature_names is None


# --- failures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, ("a", "b", "c", "d")])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("fault", ["X", "Y", "shape", "option", "diverged"])
def test_a_failure_leaves_the_names(frame, fault, method, before):
    net = make("identity")
    x, y = X.copy(), np.eye(3)[LABELS]
    if before:
        net.fit(frame(x, before), y, epochs=1)
    names = before if method == "partial_fit" and before else NAMES
    options = {"batch_size": 0} if fault == "option" else {}
    if fault == "X":
        x[50, 1] = np.nan
    y[50, 1] = {"Y": np.nan, "diverged": 1e300}.get(fault, 0)
    with pytest.raises(FloatingPointError if fault == "diverged" else ValueError):
        getattr(net, method)(frame(x, names), y[:30] if fault == "shape" else y, **options)
    assert net.feature_names == before


def test_names_go_with_the_parameters_when_a_fit_is_cut_short(frame, monkeypatch):
    net = fitted(frame(X, ["a", "b", "c", "d"]))

    def stop(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(frame(X), LABELS, callbacks=[stop])
    assert net.feature_names == NAMES  # which the parameters are trained on by now
    calls = []
    run_through = passes.run_through

    def diverge(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise FloatingPointError("the loss is no longer finite")
        return run_through(*args, **options)

    monkeypatch.setattr(passes, "run_through", diverge)
    with pytest.raises(FloatingPointError):
        net.fit(frame(X, ["a", "b", "c", "d"]), LABELS)
    assert net.feature_names == ("a", "b", "c", "d")


def test_faults_name_the_column(frame):
    bad = X.copy()
    bad[3, 2] = np.inf
    for call in (make().fit, make().partial_fit):
        with pytest.raises(ValueError, match=r"X must be finite, got inf in row 3, column 2 \('weight'\)"):
            call(frame(bad), LABELS)
    net = fitted(frame(X))
    with pytest.raises(ValueError, match=r"X must be finite, got inf in row 3, column 2 \('weight'\)"):
        net.predict(in_other_order(frame, bad))


@pytest.mark.parametrize("names", [["a", 5], [5, "b"], ["a", "b"], [5, 6], ["a"], None])
def test_a_place_has_the_name_of_its_own_column(names):
    for column in (0, 1):
        known = names is not None and column < len(names) and isinstance(names[column], str)
        called = f" ({names[column]!r})" if known else ""
        assert place((3, column), names) == f"in row 3, column {column}{called}"

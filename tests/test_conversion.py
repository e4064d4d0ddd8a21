"""The promise: what does not hold numbers is refused by its place and value, with what to do about it."""

import datetime
import decimal
import re

import numpy as np
import pytest

import cbp

X = np.random.default_rng(0).normal(size=(5, 3))
LABELS = np.arange(5) % 2
WHEN = datetime.datetime(2020, 1, 2)

CALLS = {
    "predict": lambda values: cbp.Network([3, 2]).predict(values),
    "fit": lambda values: cbp.Network([3, 2]).fit(values, LABELS),
    "accuracy": lambda values: cbp.Network([3, 2]).accuracy(values, LABELS),
}
TIMES = "; convert times to numbers, such as (t - t.min()) / numpy.timedelta64(1, 's')"
DURATIONS = "; divide by a unit, such as numpy.timedelta64(1, 's')"
COMPLEX = "; give .real and .imag, or the magnitude, as columns of their own"
MISSING = "; fill missing values, or drop their rows, first"
CATEGORIES = "; encode categories as numbers, such as a column of 0 and 1 for each"
CLASSES = "; number the classes from 0, as numpy.unique(..., return_inverse=True) does"
FROM_TEXT = "; text is not read as numbers; convert with .astype(float)"


class Refusing:
    """An array of another library that does not become one of NumPy's."""

    requires_grad = True

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )


def with_object(value):
    """Numbers and one object, in row 1, column 2."""
    array = np.ones((5, 3), object)
    array[1, 2] = array[4, 0] = value
    return array


REFUSED = {
    "Decimal": (
        with_object(decimal.Decimal("0.5")),
        "hold numbers, got Decimal('0.5') in row 1, column 2; convert with .astype(float)",
    ),
    "numbers as text": ([["1", "2", "3.5"]], "hold real numbers, got dtype <U3" + FROM_TEXT),
    "numbers as bytes": (np.array([[b"1", b"2", b"3"]]), "hold real numbers, got dtype |S1" + FROM_TEXT),
    "text among numbers": (with_object("7"), "hold numbers, got '7' in row 1, column 2" + FROM_TEXT),
    "a category among numbers": (
        with_object("red"),
        "hold numbers, got 'red' in row 1, column 2" + CATEGORIES,
    ),
    "categories": (np.array([["red"] * 3]), "hold real numbers, got dtype <U3" + CATEGORIES),
    "None": (with_object(None), "hold numbers, got None in row 1, column 2" + MISSING),
    "complex": (X + 1j, "hold real numbers, got dtype complex128" + COMPLEX),
    "a complex object": (with_object(2j), "hold numbers, got 2j in row 1, column 2" + COMPLEX),
    "times": (X.astype("M8[s]"), "hold real numbers, got dtype datetime64[s]" + TIMES),
    "durations": (X.astype("m8[s]"), "hold real numbers, got dtype timedelta64[s]" + DURATIONS),
    "a time": (with_object(WHEN), "got datetime.datetime(2020, 1, 2, 0, 0) in row 1, column 2" + TIMES),
    "a date": (with_object(WHEN.date()), "got datetime.date(2020, 1, 2) in row 1, column 2" + TIMES),
    "a duration": (
        with_object(datetime.timedelta(1)),
        "got datetime.timedelta(days=1) in row 1, column 2" + DURATIONS,
    ),
    "an array": (
        with_object([1, 2]),
        "got [1, 2] in row 1, column 2; make one array of them with numpy.stack",
    ),
    "a long object": (with_object({"a" * 99}), f"got {{'{'a' * 55}... in row 1, column 2"),
    "fields": (
        np.zeros(5, [("a", "f8"), ("b", "f8")]),
        "hold real numbers, got dtype [('a', '<f8'), ('b', '<f8')]; "
        "convert with numpy.lib.recfunctions.structured_to_unstructured",
    ),
    "floats that NumPy does not know": (
        np.zeros((5, 3), "V2"),
        "hold real numbers, got dtype |V2; convert with .astype('float32')",
    ),
    "a tensor that requires grad": (
        Refusing(),
        "cannot be read as an array: Can't call numpy() on Tensor that requires grad. "
        "Use tensor.detach().numpy() instead.",
    ),
    "a list of them": ([Refusing(), Refusing()], "cannot be read as an array: Can't call numpy() on Tensor"),
    "masked": (
        np.ma.masked_less(X, 0),
        "not have masked values, whose mask would be lost: fill them first, with .filled(value)",
    ),
    "rows of which one is masked": (
        [np.ma.masked_less(row, 0) for row in X],
        "not have masked values, whose mask would be lost: fill them first, with .filled(value)",
    ),
    "a generator": ((row for row in X), "hold numbers, got generator; collect what it yields with list(...)"),
    "a path": ("data.csv", "hold numbers, got str"),
    "a dict": ({"a": [1]}, "hold numbers, got dict"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_array_of_numbers(call, values, message):
    must = "" if message.startswith("cannot") else ".*"
    with pytest.raises(TypeError, match=f"^X {must}{re.escape(message)}"):
        call(values)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [[1, 2, 3], [1, 2, 3], [1, 2]],
            "X must be a rectangular array, got length 3 in row 0 and length 2 in row 2",
        ),
        ([[1, 2, 3], 4], "got length 3 in row 0 and a single value in row 1"),
        ([4, (1, 2, 3)], "got a single value in row 0 and length 3 in row 1"),
        ([[1, 2, 3], [1, 2, [3]]], "got rows whose entries differ in shape"),
    ],
)
def test_rows_of_different_lengths(rows, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cbp.Network([3, 2]).predict(rows)


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (["cat", "dog", "cat", "cat", "dog"], "Y must hold real numbers, got dtype <U3" + CLASSES),
        (np.array(["cat", 1, 0, 0, 1], object), "Y must hold numbers, got 'cat' at index 0" + CLASSES),
        (["0", "1", "0", "1", "0"], "Y must hold real numbers, got dtype <U1" + FROM_TEXT),
        ([0, 1, None, 1, 0], "Y must hold numbers, got None at index 2" + MISSING),
    ],
)
def test_targets_that_are_not_numbers(Y, message):
    for method in ("fit", "loss", "gradient", "accuracy", "r2", "check_gradient"):
        with pytest.raises(TypeError, match=re.escape(message)):
            getattr(cbp.Network([3, 2]), method)(X, Y)


@pytest.mark.parametrize(
    "kind", ["csr_matrix", "csc_array", "coo_array", "coo_matrix", "lil_array", "dok_array", "dia_matrix"]
)
def test_sparse_matrices(kind):
    sparse = pytest.importorskip("scipy.sparse")
    matrix = getattr(sparse, kind)(X)
    message = r"must be a dense array, got a sparse \w+: convert with .toarray\(\)"
    for call in CALLS.values():
        with pytest.raises(TypeError, match=f"^X {message}"):
            call(matrix)
    net = cbp.Network([3, 3], rng=0)
    with pytest.raises(TypeError, match=f"^Y {message}"):
        net.fit(X, matrix)
    with pytest.raises(TypeError, match=f"^sample_weight {message}"):
        net.fit(X, LABELS, sample_weight=getattr(sparse, kind)(np.ones((5, 1))))
    with pytest.raises(TypeError, match=r"^X must be a dense array, got sparse csr_array: convert"):
        net.predict([sparse.csr_array(row.reshape(1, -1)) for row in X])
    np.testing.assert_array_equal(net.predict(matrix.toarray()), net.predict(X))


def test_anything_with_toarray_is_sparse():
    class Sparse:
        def toarray(self):
            raise AssertionError

    with pytest.raises(TypeError, match=r"X must be a dense array, got a sparse Sparse"):
        cbp.Network([3, 2]).predict(Sparse())


def test_memory_that_is_short_is_no_fault_of_the_array():
    class Large:
        def __array__(self, dtype=None, copy=None):
            raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        cbp.Network([3, 2]).predict(Large())


# --- data frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda pandas: pandas.Categorical([*"xyxyx"]), f"got 'x' in row 0, column 1 ('b'){CATEGORIES}"),
        (
            lambda pandas: pandas.array([1, 2, None, 4, 5], dtype="Int64"),
            f"got <NA> in row 2, column 1 ('b'){MISSING}",
        ),
        (
            lambda pandas: pandas.array([*"xyxyx"], dtype="string"),
            f"got 'x' in row 0, column 1 ('b'){CATEGORIES}",
        ),
        (lambda pandas: ["1"] * 5, f"got '1' in row 0, column 1 ('b'){FROM_TEXT}"),
        (lambda pandas: [WHEN] * 5, f"got Timestamp('2020-01-02 00:00:00') in row 0, column 1 ('b'){TIMES}"),
        (
            lambda pandas: [WHEN - WHEN] * 5,
            f"got Timedelta('0 days 00:00:00') in row 0, column 1 ('b'){DURATIONS}",
        ),
        (lambda pandas: [1, 2, 3, None, 5], "be finite, got nan in row 3, column 1"),
    ],
)
def test_columns_that_are_not_numbers_are_named(column, message):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": X[:, 0], "b": column(pandas), "c": X[:, 2]})
    for call in CALLS.values():
        with pytest.raises((TypeError, ValueError), match=f"X must .*{re.escape(message)}"):
            call(frame)


def test_nullable_columns_without_missing_values_are_numbers():
    pandas = pytest.importorskip("pandas")
    whole = np.arange(15).reshape(5, 3)
    frame = pandas.DataFrame({name: pandas.array(whole[:, j], dtype="Int64") for j, name in enumerate("abc")})
    net = cbp.Network([3, 2], rng=0)
    np.testing.assert_array_equal(net.predict(frame), net.predict(whole))
    labels = pandas.Series(LABELS, dtype="Int8")
    assert net.loss(whole, labels) == net.loss(whole, LABELS)


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": X[:, 0], "b": [*"xyxyx"], "c": X[:, 2]})
    with pytest.raises(
        TypeError, match=re.escape(f"X must hold numbers, got 'x' in row 0, column 1 ('b'){CATEGORIES}")
    ):
        cbp.Network([3, 2]).predict(frame)
    with pytest.raises(TypeError, match=r"X must hold numbers, got LazyFrame; compute it with .collect\(\)"):
        cbp.Network([3, 2]).predict(frame.lazy())

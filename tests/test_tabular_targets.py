"""Targets: recognised, encoded for training, decoded for people, scored."""

import numpy as np
import pytest

from cbp.tabular.targets import Classes, Quantity, fit_target


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([True, False], [False, True]),
        ([0, 1, 1, 0], [0, 1]),
        ([1.0, 2.0], [1, 2]),
        (np.arange(30) % 3, [0, 1, 2]),
        (np.repeat(np.arange(20), 10), list(range(20))),
        (np.array(["b", "a"], object), ["a", "b"]),
    ],
)
def test_classes_are_recognised(values, labels):
    target = fit_target("y", values)
    assert target == Classes("y", labels)
    assert [type(label) for label in target.labels] == [type(label) for label in labels]
    codes = target.encode(values)
    assert [labels[code] for code in codes] == list(values)
    assert target.decode(np.eye(len(labels))[codes]) == list(values)


@pytest.mark.parametrize(
    "values", [[0.5, 1.5], np.arange(29) % 3, np.repeat(np.arange(21), 10), [1, 2, 3], [1, 2.5, 1]]
)
def test_numbers_are_recognised(values):
    target = fit_target("y", values)
    assert target == Quantity("y", pytest.approx(np.mean(values)), pytest.approx(np.std(values)))
    Y = target.encode(values)
    assert Y.shape == (len(values), 1)
    assert target.decode(Y) == pytest.approx(list(values))


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-500, 2.0**500, 2.0**1000])
def test_the_unit_of_a_target_is_of_no_account(unit):
    values = np.array([1.0, 2.5, 4.0, 7.0, -3.0])
    target = fit_target("y", values * unit)
    assert (target.mean, target.scale) == (np.mean(values) * unit, np.std(values) * unit)
    np.testing.assert_array_equal(target.encode(values * unit), fit_target("y", values).encode(values))


def test_the_task_can_be_chosen():
    assert fit_target("y", [0, 1], task="regression") == Quantity("y", 0.5, 0.5)
    assert fit_target("y", [0.5, 1.5, 3], task="classification") == Classes("y", [0.5, 1.5, 3])
    assert fit_target("y", [3, 3], task="regression") == Quantity("y", 3.0, 1.0)


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (["a", "a"], None, "column 'y' is 'a' in every row: there is nothing to tell apart \\(--target .*"),
        ([2, 2], None, "column 'y' is 2 in every row: there is nothing to tell apart \\(--target .*"),
        (["1.5", "b"], "regression", "column 'y' holds text \\('1.5', 'b', ...\\), where numbers are needed"),
        ([], None, "column 'y' is empty"),
        ([1.0, np.nan], None, "column 'y', row 2: missing value"),
        ([f"n{i}" for i in range(21)], None, r"column 'y' holds text and not classes: 21 .*"),
        (
            np.arange(100) / 7,
            "classification",
            "column 'y' holds numbers and not classes: 100 values in 100 rows .*",
        ),
    ],
)
def test_targets_unfit_for_the_task_are_refused(values, task, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        fit_target("y", values, task=task)


def test_a_class_that_was_not_there_is_refused():
    with pytest.raises(ValueError, match="^y_test, row 2: 'c' is none of the classes 'a', 'b'$"):
        Classes("y", ["a", "b"]).encode(["a", "c"], "y_test")


def test_predicted_numbers_have_the_digits_of_the_network():
    assert Quantity("y", 0.1, 1.0).decode(np.zeros((1, 1), np.float32)) == [0.1]
    third = Quantity("y", 0.0, 1.0).decode(np.full((1, 1), 1 / 3, np.float32))
    assert third == [0.3333333]  # and not 0.3333333432674408


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "values",
    [1e8 + np.arange(60), 1e15 + np.arange(60), 1e-300 * np.arange(60), 1e40 * np.arange(60), [5.0, 5.0]],
)
def test_predicted_numbers_keep_their_digits_whatever_the_offset(values, dtype):
    target = fit_target("y", values, "regression")
    found = target.decode(target.encode(values).astype(dtype))
    spread = float(np.std(values)) or 1.0
    assert len(set(found)) == len(set(np.asarray(values).tolist()))
    np.testing.assert_allclose(found, values, rtol=1e-15, atol=1e-6 * spread)

"""The promise: the rows that validation_fraction sets aside are drawn fairly, named, and never trained on."""

import numpy as np
import pytest

import cbp
from cbp.examples.split import set_aside


def data(m=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 3))
    return X, (X @ rng.normal(size=(3, 4)) + rng.normal(size=(m, 4))).argmax(axis=1)


def make(**options):
    return cbp.Network([3, 30, 4], **{"hidden": "tanh", "rng": 1, "dtype": "float64", **options})


def test_the_only_example_of_a_class_stays():
    X = np.arange(60.0).reshape(20, 3)
    Y = np.array([0] * 19 + [1])
    for seed in range(40):
        net = make(rng=seed)
        assert 19 not in net.fit(X, Y, epochs=0, validation_fraction=0.05).validation_rows
    with pytest.raises(ValueError, match="every class has one"):
        make().fit(X[:4], np.arange(4), validation_fraction=0.3)


def test_every_row_is_set_aside_as_often():
    groups, count = np.repeat(np.arange(4), 25), np.zeros(100)
    for seed in range(2000):
        stay, aside = set_aside(groups, 10, np.random.default_rng(seed))
        assert sorted([*stay, *aside]) == list(range(100))
        assert set(np.bincount(groups[aside], minlength=4)) <= {2, 3}
        count[aside] += 1
    # 200 of each on average, with a standard deviation of 13.4.
    assert abs(count - 200).max() < 5 * 13.4
    assert abs(count.reshape(4, 25).sum(axis=1) - 5000).max() < 150


def test_rows_that_are_set_aside():
    X, Y = data(200)
    net = make()
    history = net.fit(X, Y, epochs=3, validation_fraction=0.25)
    rows = history.validation_rows
    assert len(rows) == 50
    assert (np.diff(rows) > 0).all()
    share = np.bincount(Y[rows], minlength=4) / np.bincount(Y, minlength=4)
    assert (abs(share - 0.25) <= 1 / np.bincount(Y, minlength=4)).all()
    # The same as by hand, and from the same seed.
    stay = np.setdiff1d(np.arange(200), rows)
    by_hand = make()
    expected = by_hand.fit(X[stay], Y[stay], epochs=3, validation_data=(X[rows], Y[rows]))
    np.testing.assert_array_equal(net.parameters, by_hand.parameters)
    assert history.validation_losses == expected.validation_losses
    assert expected.validation_rows is None
    np.testing.assert_array_equal(make().fit(X, Y, epochs=1, validation_fraction=0.25).validation_rows, rows)


def test_rows_that_are_set_aside_do_not_touch_training():
    X, Y = data(200)
    rows = make().fit(X, Y, epochs=0, validation_fraction=0.25).validation_rows
    trained = []
    for seed in (None, 1, 2):
        x, y = X.copy(), Y.copy()
        for label in range(4) if seed else ():
            of_label = rows[Y[rows] == label]
            x[of_label] = np.random.default_rng(seed).permutation(x[of_label])
        net, seen = make(), []
        history = net.fit(
            x, y, epochs=3, validation_fraction=0.25,
            callbacks=[lambda epoch, net=net, seen=seen: seen.append(net.parameters.tolist())],
        )  # fmt: skip
        assert history.validation_rows.tolist() == rows.tolist()
        trained.append(seen)
    assert trained[0] == trained[1] == trained[2]


@pytest.mark.parametrize("kind", ["two classes", "rows with a 1", "numbers", "probabilities", "weights"])
def test_setting_aside_other_targets(kind):
    X, Y = data(90)
    w = None
    if kind == "two classes":
        net, Y = cbp.Network([3, 5, 1], output="sigmoid", rng=0), (Y > 1).astype(float)
    elif kind == "rows with a 1":
        net, Y = make(), np.eye(4)[Y]
    elif kind == "numbers":
        net, Y = cbp.Network([3, 5, 2], output="identity", rng=0), X[:, :2]
    elif kind == "probabilities":
        net, Y = make(), np.full((90, 4), 0.25)
    else:
        net, w = make(), np.arange(90.0)
    history = net.fit(X, Y, epochs=2, validation_fraction=0.3, sample_weight=w)
    rows = history.validation_rows
    assert len(rows) == 27
    if kind == "two classes":
        assert abs(Y[rows].mean() - Y.mean()) < 1 / 27
    if kind == "rows with a 1":
        assert (abs(Y[rows].sum(axis=0) - 0.3 * Y.sum(axis=0)) <= 1).all()
    weights = () if w is None else (w[rows],)
    net.l2 = 0.0
    assert history[-1].validation_loss == pytest.approx(net.loss(X[rows], Y[rows], *weights), rel=1e-5)


def test_weights_of_one_part_alone_are_refused():
    X, Y = data(20)
    rows = make().fit(X, Y, epochs=0, validation_fraction=0.3).validation_rows
    for aside, words in ((0.0, "set aside"), (1.0, "that stay to train on")):
        w = np.full(20, 1 - aside)
        w[rows] = aside
        with pytest.raises(ValueError, match=f"^sample_weight must not be zero for all examples {words}"):
            make().fit(X, Y, sample_weight=w, validation_fraction=0.3)


def test_a_fault_in_a_row_has_the_number_of_the_caller():
    for row in range(20):
        X, Y = data(20)
        X[row, 1] = np.nan
        with pytest.raises(ValueError, match=rf"^X must be finite, got nan in row {row}, column 1"):
            make().fit(X, Y, validation_fraction=0.3)

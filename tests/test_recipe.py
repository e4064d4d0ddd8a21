"""How ``cbp train`` trains by default: what is chosen, what is trained, and what Ctrl-C leaves."""

import copy
import functools
import re
from dataclasses import replace

import numpy as np
import pytest

import cbp
from cbp.cli import main
from cbp.cli import recipe as recipes
from cbp.cli.recipe import Asked, Average, Recipe, train
from cbp.tabular.targets import Classes, Quantity

NUMBER = Quantity("y", 0.0, 1.0)
CLASSES = Classes("y", ["a", "b", "c"])


def network(recipe, n_inputs, target, seed=0, **options):
    return cbp.Network(
        [n_inputs, *recipe.hidden, target.width],
        hidden=list(recipe.activation) * (len(recipe.hidden) if len(recipe.activation) == 1 else 1),
        output=target.output,
        l2=recipe.l2,
        rng=seed,
        **options,
    )


def noise(m, n=3, seed=0):
    """Inputs, and standardised targets that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(m, 1))
    return rng.normal(size=(m, n)).astype("f"), (y - y.mean()) / y.std()


def curve(m, seed=0):
    """Inputs, and standardised targets that are a smooth function of them with little noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 3)).astype("f")
    y = np.sin(X[:, :1]) + 0.5 * X[:, 1:2] + 0.1 * rng.normal(size=(m, 1))
    return X, (y - y.mean()) / y.std()


# --- what is chosen --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "n_inputs", "target", "activation", "batch_size", "epochs", "folds", "refit"),
    [
        (1, 3, NUMBER, "tanh", 1, 1000, 0, False),
        (2, 3, NUMBER, "tanh", 2, 1000, 2, True),
        (24, 10, NUMBER, "tanh", 24, 1000, 5, True),
        (24, 10, CLASSES, "tanh", 24, 1000, 5, True),
        (380, 13, NUMBER, "tanh", 32, 250, 5, True),  # 3000 steps of 12 an epoch
        (999, 5, NUMBER, "tanh", 32, 94, 5, True),
        (1000, 5, NUMBER, "relu", 32, 100, 1, True),
        (1348, 64, CLASSES, "relu", 32, 100, 1, True),
        (20_000, 17, CLASSES, "relu", 32, 92, 1, True),  # 92 times 20,000 times 2,691 parameters: below 5e9
        (150_000, 17, CLASSES, "relu", 32, 15, 1, False),  # and 15 times 150,000 times as many above
        (900, 10_000, NUMBER, "relu", 32, 15, 1, False),  # few examples, but of much work
        (60_000, 784, CLASSES, "relu", 32, 15, 1, False),
    ],
)
def test_the_choice_follows_the_size_of_the_data(
    m, n_inputs, target, activation, batch_size, epochs, folds, refit
):
    recipe = Recipe.choose(m, n_inputs, target.width, Asked())
    assert recipe == Recipe((128,), (activation,), 0.0, cbp.Adam(0.003), batch_size, epochs, folds, refit)


@pytest.mark.parametrize("m", [24, 2000])
@pytest.mark.parametrize(
    ("asked", "field", "value"),
    [
        ({"hidden": [6, 4]}, "hidden", (6, 4)),
        ({"hidden": []}, "hidden", ()),
        ({"activation": ["sigmoid"]}, "activation", ("sigmoid",)),
        ({"l2": 2.5}, "l2", 2.5),
        ({"l2": 0.0}, "l2", 0.0),
        ({"lr": 0.5}, "optimizer", cbp.Adam(0.5)),
        ({"optimizer": "sgd"}, "optimizer", cbp.SGD(0.1)),
        ({"optimizer": "sgd", "lr": 0.2, "momentum": 0.9}, "optimizer", cbp.SGD(0.2, 0.9)),
        ({"batch_size": 7}, "batch_size", 7),
        ({"epochs": 3}, "epochs", 3),
    ],
)
def test_what_is_asked_for_is_done(m, asked, field, value):
    recipe = Recipe.choose(m, 4, NUMBER.width, Asked(**asked))
    assert getattr(recipe, field) == value
    # Exactly so many epochs leave nothing to choose.
    assert (recipe.folds == 0) == (field == "epochs")
    assert recipe.refit == (field != "epochs")


def test_momentum_is_for_sgd():
    with pytest.raises(ValueError, match=r"^--momentum goes with --optimizer sgd$"):
        Asked(momentum=0.5)


# --- what is trained -------------------------------------------------------------------------------------


def test_an_untrained_network_predicts_the_average():
    recipe = Recipe.choose(10, 3, CLASSES.width, Asked())
    net = network(recipe, 3, CLASSES)
    recipes.start_at_average(net, np.array([0, 0, 0, 0, 0, 1, 1]))
    X = np.random.default_rng(0).normal(size=(4, 3))
    # Laplace's rule: one more of each of the three classes.
    np.testing.assert_allclose(net.predict(X), [[0.6, 0.3, 0.1]] * 4, rtol=1e-6)
    net = network(recipe, 3, NUMBER)
    recipes.start_at_average(net, np.ones((7, 1)))
    assert not net.predict(X).any()


def test_the_average_is_that_of_the_formula():
    X, Y = curve(50)
    net = cbp.Network([3, 4, 1], output="identity", dtype="float64", rng=0)
    average, seen = Average(net, None), []
    net.fit(X, Y, epochs=6, callbacks=[average, lambda epoch: seen.append(net.parameters.copy())])
    # The recursion's weights of the epochs in closed form, but for a factor.
    weights = np.array([k * (k + 1) * (k + 2) for k in range(1, 7)], float)
    np.testing.assert_allclose(average.parameters, np.average(seen, axis=0, weights=weights), rtol=1e-12)
    assert average.epoch == 6


def test_the_best_average_is_kept_and_little_hope_stops():
    X, Y = noise(60)
    net = cbp.Network([3, 64, 1], hidden="tanh", output="identity", rng=0, l2=3.0)
    recipes.start_at_average(net, Y)
    left_out = (X[40:], Y[40:])
    average = Average(net, left_out, stops=True)
    before = copy.copy(net)
    net.fit(X[:40], Y[:40], epochs=500, optimizer=cbp.Adam(0.03), callbacks=[average])
    best = int(np.argmin(average.losses))
    assert average.epoch == best
    assert len(average.losses) == 1 + len(net.history) == 1 + max(2 * best, best + recipes.PATIENCE)
    before.parameters = average.parameters
    before.l2 = 0.0
    assert before.loss(*left_out) == average.losses[best]  # without the penalty


@pytest.mark.parametrize("m", [12, 200])
def test_cross_validation_chooses_what_retraining_by_hand_does(m):
    X, Y = curve(m)
    recipe = Recipe.choose(m, 3, NUMBER.width, Asked(hidden=[5], batch_size=16, optimizer="sgd", lr=0.03))
    recipe = replace(recipe, epochs=40)
    net = network(recipe, 3, NUMBER)
    by_hand = copy.copy(net)
    trained = train(net, recipe, X, Y, seed=3)

    recipes.start_at_average(by_hand, Y)
    order = np.random.default_rng([3, m]).permutation(m)
    losses = np.zeros(41)
    for fold in range(5):
        out = np.zeros(m, bool)
        out[order[fold::5]] = True
        trial = copy.copy(by_hand)
        seen = [trial.parameters.copy()]
        keep = functools.partial(lambda net, seen, epoch: seen.append(net.parameters.copy()), trial, seen)
        trial.fit(X[~out], Y[~out], epochs=40, batch_size=16, optimizer=cbp.SGD(0.03), callbacks=[keep])
        for n in range(41):
            trial.parameters = averaged(seen, n)
            losses[n] += 0.5 * np.sum((trial.predict(X[out]) - Y[out]) ** 2)
    # Within rounding: whichever is chosen is as good as the best.
    assert losses[trained.epochs] <= losses.min() * (1 + 1e-5)
    seen = [by_hand.parameters.copy()]
    by_hand.fit(X, Y, epochs=trained.epochs, batch_size=16, optimizer=cbp.SGD(0.03),
                callbacks=[lambda epoch: seen.append(by_hand.parameters.copy())])  # fmt: skip
    np.testing.assert_allclose(net.parameters, averaged(seen, trained.epochs), rtol=1e-4, atol=1e-6)
    assert len(net.history) == trained.epochs


def averaged(seen, n):
    """The average after n epochs, by its closed form; seen[0] is what was there before the first."""
    if n == 0:
        return seen[0]
    return np.average(seen[1 : n + 1], axis=0, weights=[k * (k + 1) * (k + 2.0) for k in range(1, n + 1)])


@pytest.mark.parametrize("refit", [True, False])
def test_a_tenth_of_many_examples_chooses_the_epochs(refit):
    X, Y = curve(1000)
    recipe = replace(Recipe.choose(1000, 3, NUMBER.width, Asked(hidden=[8])), epochs=30, refit=refit)
    net = network(recipe, 3, NUMBER)
    by_hand = copy.copy(net)
    trained = train(net, recipe, X, Y, seed=1)
    recipes.start_at_average(by_hand, Y)
    out = np.zeros(1000, bool)
    out[np.random.default_rng([1, 1000]).permutation(1000)[:100]] = True

    def train_by_hand(rows, epochs):
        trial = copy.copy(by_hand)
        seen = [trial.parameters.copy()]
        trial.fit(X[rows], Y[rows], epochs=epochs, batch_size=32, optimizer=cbp.Adam(0.003),
                  callbacks=[lambda epoch: seen.append(trial.parameters.copy())])  # fmt: skip
        return [averaged(seen, n) for n in range(epochs + 1)]

    trial, losses = copy.copy(by_hand), []
    for trial.parameters in train_by_hand(~out, 30):
        losses.append(trial.loss(X[out], Y[out]))
    # Within rounding: whichever is chosen is as good as the best.
    assert losses[trained.epochs] <= min(losses) * (1 + 1e-5)
    assert trained.epochs > 5
    expected = train_by_hand(slice(None) if refit else ~out, trained.epochs)[-1]
    np.testing.assert_allclose(net.parameters, expected, rtol=1e-4, atol=1e-6)
    assert (len(net.history) == trained.epochs) or not refit


def test_asked_epochs_are_plain_training_on_everything():
    X, Y = curve(30)
    recipe = Recipe.choose(30, 3, NUMBER.width, Asked(epochs=4))
    net = network(recipe, 3, NUMBER)
    by_hand = copy.copy(net)
    assert train(net, recipe, X, Y).epochs == 4
    recipes.start_at_average(by_hand, Y)
    by_hand.fit(X, Y, epochs=4, batch_size=30, optimizer=cbp.Adam(0.003))
    np.testing.assert_array_equal(net.parameters, by_hand.parameters)


@pytest.mark.parametrize("m", [20, 60, 1200])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_learnt(m, seed):
    X, Y = noise(m, seed=seed)
    recipe = Recipe.choose(m, 3, NUMBER.width, Asked())
    net = network(recipe, 3, NUMBER, seed)
    train(net, recipe, X, Y, seed=seed)
    anew, targets = noise(5000, seed=100 + seed)
    # The average's error is 1; 3000 steps without a choice make it 1.3 and more of 20 or 60 examples.
    assert np.sqrt(np.mean((net.predict(anew) - targets) ** 2)) < 1.1


@pytest.mark.parametrize("m", [40, 1200])
def test_any_number_of_threads_gives_the_same_network(m):
    X, Y = curve(m)
    recipe = Recipe.choose(m, 3, NUMBER.width, Asked())
    found = []
    for n_threads in (1, 3):
        net = network(recipe, 3, NUMBER, n_threads=n_threads)
        train(net, recipe, X, Y, seed=5)
        found.append(net.parameters.copy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("m", [1, 2, 3, 6])
def test_hardly_any_example_is_enough(m):
    recipe = Recipe.choose(m, 3, CLASSES.width, Asked())
    net = network(recipe, 3, CLASSES)
    trained = train(net, recipe, np.ones((m, 3)), np.zeros(m, int))
    assert trained.finished
    assert net.predict_labels(np.ones(3)) == 0


# --- Ctrl-C ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "folds", "refit"), [(40, 5, True), (1200, 1, True), (1200, 1, False)])
@pytest.mark.parametrize("after", [0, 3])
def test_ctrl_c_leaves_what_was_reached(m, folds, refit, after, monkeypatch):
    X, Y = curve(m)
    recipe = replace(Recipe.choose(m, 3, NUMBER.width, Asked()), refit=refit)
    assert recipe.folds == folds
    net = network(recipe, 3, NUMBER)
    take_up = Average.__call__
    reached = []

    def interrupt(average, epoch):
        if epoch.number > after:
            raise KeyboardInterrupt
        stop = take_up(average, epoch)
        reached.append((average.net.parameters.copy(), average.parameters.copy()))
        return stop

    monkeypatch.setattr(Average, "__call__", interrupt)
    trained = train(net, recipe, X, Y)
    assert not trained.finished
    assert trained.epochs == len(net.history) == after + 1
    untrained = network(recipe, 3, NUMBER)
    recipes.start_at_average(untrained, Y)
    assert (net.parameters != untrained.parameters).any()
    if after and folds == 1:
        np.testing.assert_array_equal(net.parameters, reached[-1][1])  # the best average


@pytest.mark.parametrize("m", [40, 1200])
def test_ctrl_c_in_the_last_training_leaves_its_average(m, monkeypatch):
    X, Y = curve(m)
    recipe = Recipe.choose(m, 3, NUMBER.width, Asked())
    net = network(recipe, 3, NUMBER)
    take_up = Average.__call__
    reached = []

    def interrupt(average, epoch):
        if average.net is net and epoch.number == 4:
            raise KeyboardInterrupt
        stop = take_up(average, epoch)
        if average.net is net:
            reached.append(average.parameters.copy())
        return stop

    monkeypatch.setattr(Average, "__call__", interrupt)
    assert not train(net, recipe, X, Y).finished
    assert len(reached) == 3
    np.testing.assert_array_equal(net.parameters, reached[-1])


# --- what is told ----------------------------------------------------------------------------------------


@pytest.fixture
def told(tmp_path, capsys):
    """Return a function that trains on arrays, and returns stdout, stderr and the network."""

    def told(X, Y, *options):
        data, model = tmp_path / "data.npz", tmp_path / "model.npz"
        np.savez(data, x_train=X, y_train=Y.ravel())
        arguments = ["train", data, "--task", "regression", "--test-fraction", 0, "--save", model, *options]
        assert main([str(argument) for argument in arguments]) == 0
        captured = capsys.readouterr()
        return captured.out, captured.err, cbp.load(model)

    return told


@pytest.mark.parametrize(
    ("m", "options", "line"),
    [
        (40, [], r"adam 0\.003, batches of 32; \d+ of 1,000 epochs, chosen by 5 folds"),
        (4, [], r"adam 0\.003, batches of 4; \d+ of 1,000 epochs, chosen by 4 folds"),
        (1000, ["--l2", 3], r"adam 0\.003, batches of 32, l2 3; \d+ of 100 epochs, by 10% held out"),
        (40, ["--epochs", 2, "--optimizer", "sgd"], r"sgd 0\.1, batches of 32; 2 epochs"),
        (40, ["--epochs", 1, "--batch-size", 5, "--lr", 0.01], r"adam 0\.01, batches of 5; 1 epoch"),
    ],
)
def test_what_was_chosen_is_told(told, m, options, line):
    out, _, _ = told(*curve(m), *options)
    found = re.search(r"^recipe    (.*)$", out, re.M)[1]
    assert re.fullmatch(line, found)
    chosen = re.search(r"(?:; |epoch )([\d,]+) (?:epoch|of)", found)[1]
    trained = re.search(r"^time .* ([\d,]+) epochs?$", out, re.M)[1]
    assert chosen == trained


def test_what_is_best_is_told_where_a_tenth_stays_held_out(told, monkeypatch):
    monkeypatch.setattr(recipes, "WORK", 1000)
    out, _, _ = told(*curve(1000))
    best, all_ = re.search(r"; best epoch (\d+) of (\d+), by 10% held out$", out, re.M).groups()
    assert int(best) <= int(all_) <= recipes.EPOCHS[0] == 15
    assert re.search(rf"^time .* {all_} epochs$", out, re.M)


def test_options_reach_the_network_in_spite_of_the_recipe(told):
    _, _, net = told(*curve(40), "--hidden", "6,4", "--activation", "sigmoid", "--l2", 0.5)
    assert (net.sizes, net.hidden, net.l2) == ((3, 6, 4, 1), ("sigmoid", "sigmoid"), 0.5)
    _, _, net = told(*curve(40))
    assert (net.sizes, net.hidden, net.l2) == ((3, 128, 1), ("tanh",), 0.0)


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_it_is_told_when_nothing_can_be_learnt(told, quiet):
    # Opposite targets of equal inputs: nothing is better than their average, and every step away is worse.
    Y = np.tile([1.0, -1.0], 20)[:, None]
    out, err, net = told(np.ones((40, 2)), Y, *quiet)
    assert "predicted best without training: all examples are now predicted alike" in err
    assert ("; 0 of 1,000 epochs, chosen by 5 folds" in out) == (not quiet)
    assert not net.predict(np.ones((1, 2))).any()

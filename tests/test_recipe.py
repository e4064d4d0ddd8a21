"""How ``cbp train`` trains by default: what is chosen, what is trained, and what Ctrl-C leaves."""

import copy
import functools
import re
from dataclasses import replace

import numpy as np
import pytest

import cbp
from cbp.cli import main, trainer
from cbp.cli import recipe as recipes
from cbp.cli.recipe import CANDIDATES, Asked, Candidate, Recipe
from cbp.cli.trainer import Average, best, errors, least_gain, train
from cbp.tabular.targets import Classes, Quantity

NUMBER = Quantity("y", 0.0, 1.0)
CLASSES = Classes("y", ["a", "b", "c"])


RELU, TANH, RELU_WITH_PENALTY = CANDIDATES


def network(recipe, n_inputs, target, seed=0, candidate=None, **options):
    candidate = candidate or recipe.candidates[0]
    return cbp.Network(
        [n_inputs, *recipe.hidden, target.width],
        hidden=list(candidate.activation) * (len(recipe.hidden) if len(candidate.activation) == 1 else 1),
        output=target.output,
        l2=candidate.l2,
        rng=seed,
        **options,
    )


def networks(recipe, n_inputs, target, seed=0, **options):
    return [network(recipe, n_inputs, target, seed, one, **options) for one in recipe.candidates]


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
    ("m", "n_inputs", "target", "candidates", "batch_size", "epochs", "folds", "refit"),
    [
        (1, 3, NUMBER, 1, 1, 300, 0, False),
        (2, 3, NUMBER, 3, 2, 300, 2, True),
        (24, 10, NUMBER, 3, 24, 300, 5, True),
        (24, 10, CLASSES, 3, 24, 300, 5, True),
        (380, 13, NUMBER, 3, 32, 250, 5, True),  # 3000 steps of 12 an epoch
        (1348, 64, CLASSES, 3, 32, 65, 5, True),  # 65 times 1348 times 8,707 parameters times 13: below 1e10
        (4000, 17, CLASSES, 3, 32, 71, 5, True),
        (5800, 17, CLASSES, 1, 32, 100, 1, True),  # with folds it would be 49
        (20_000, 17, CLASSES, 1, 32, 92, 1, True),  # 92 times 20,000 times 2,691 parameters times 2
        (150_000, 17, CLASSES, 1, 32, 15, 1, False),  # and 15 times 150,000 times as many times 2 above
        (900, 10_000, NUMBER, 1, 32, 15, 1, False),  # few examples, but of much work
        (60_000, 784, CLASSES, 1, 32, 15, 1, False),
    ],
)
def test_the_choice_follows_the_size_of_the_data(
    m, n_inputs, target, candidates, batch_size, epochs, folds, refit
):
    recipe = Recipe.choose(m, n_inputs, target.width, Asked())
    expected = (128,), CANDIDATES[:candidates], cbp.Adam(0.003), batch_size, epochs, folds, refit
    assert recipe == Recipe(*expected)


@pytest.mark.parametrize(
    ("asked", "candidates"),
    [
        ({}, [RELU, TANH, RELU_WITH_PENALTY]),
        ({"l2": 2.5}, [Candidate(("relu",), 2.5), Candidate(("tanh",), 2.5)]),
        ({"l2": 0.0}, [RELU, TANH]),
        ({"activation": ["tanh"]}, [TANH, Candidate(("tanh",), 0.3)]),
        ({"activation": ["tanh", "relu"], "hidden": [6, 4], "l2": 1}, [Candidate(("tanh", "relu"), 1)]),
        ({"hidden": []}, [RELU, RELU_WITH_PENALTY]),  # there is nothing to activate
        ({"epochs": 3}, [RELU]),
        ({"epochs": 3, "activation": ["sigmoid"], "l2": 2.0}, [Candidate(("sigmoid",), 2.0)]),
    ],
)
def test_candidates_are_what_was_left_open(asked, candidates):
    assert Recipe.choose(200, 4, NUMBER.width, Asked(**asked)).candidates == tuple(candidates)


@pytest.mark.parametrize("m", [24, 2000])
@pytest.mark.parametrize(
    ("asked", "field", "value"),
    [
        ({"hidden": [6, 4]}, "hidden", (6, 4)),
        ({"hidden": []}, "hidden", ()),
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
    assert (len(recipe.candidates) == 1) == (field == "epochs")
    assert (recipe.folds == 0) == (field == "epochs")
    assert recipe.refit == (field != "epochs")


def test_momentum_is_for_those_who_have_it():
    with pytest.raises(ValueError, match=r"^--momentum goes with --optimizer sgd or rmsprop, not adam$"):
        Asked(momentum=0.5)
    assert Asked(optimizer="rmsprop", momentum=0.5).make_optimizer() == cbp.RMSprop(momentum=0.5)


# --- what is trained -------------------------------------------------------------------------------------


def test_an_untrained_network_predicts_the_average():
    recipe = Recipe.choose(10, 3, CLASSES.width, Asked())
    net = network(recipe, 3, CLASSES)
    trainer.start_at_average(net, np.array([0, 0, 0, 0, 0, 1, 1]))
    X = np.random.default_rng(0).normal(size=(4, 3))
    # Laplace's rule: one more of each of the three classes.
    np.testing.assert_allclose(net.predict(X), [[0.6, 0.3, 0.1]] * 4, rtol=1e-6)
    net = network(recipe, 3, NUMBER)
    trainer.start_at_average(net, np.ones((7, 1)))
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
    net = cbp.Network([3, 64, 1], hidden="tanh", output="identity", rng=0)
    trainer.start_at_average(net, Y)
    left_out = (X[40:], Y[40:])
    average = Average(net, left_out, stops=True)
    before = copy.copy(net)
    net.fit(X[:40], Y[:40], epochs=500, optimizer=cbp.Adam(0.03), callbacks=[average])
    found = int(np.argmin(np.array(average.errors)[:, 0]))
    assert average.epoch == found
    assert len(average.errors) == 1 + len(net.history) == 1 + max(2 * found, found + trainer.PATIENCE)
    before.parameters = average.parameters
    assert np.sum((before.predict(left_out[0]) - left_out[1]) ** 2) == pytest.approx(average.errors[found][0])


def test_errors_of_probabilities():
    Y = np.array([0, 1, 2, 2])
    outputs = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]], "f")
    usual = np.tile(np.array([[0.2, 0.3, 0.5]], "f"), (4, 1))
    squares = np.sum((outputs - np.eye(3)[Y]) ** 2)
    # The first is right for once, the last is wrong for once: as often wrong, in two other places.
    np.testing.assert_allclose(errors(outputs, Y, usual), [squares, 0, 2], rtol=1e-6)
    np.testing.assert_allclose(errors(usual, Y, usual)[1:], [0, 0])
    right = np.eye(3, dtype="f")[Y]
    np.testing.assert_allclose(errors(right, Y, usual), [0, -2, 2], atol=1e-6)


def test_errors_of_numbers():
    outputs, Y = np.array([[1.0], [2.0], [4.0]]), np.array([[1.5], [2.0], [2.0]])
    # The usual squared errors are 2.25, 4 and 4.
    np.testing.assert_array_equal(errors(outputs, Y, np.zeros((3, 1))), [4.25, -6, 20])


@pytest.mark.parametrize(
    ("least", "found", "epoch"),
    [
        (0, [(9, 0, 0), (8, 0, 0), (7, -1, 9), (6, 1, 9)], 2),  # more often wrong: never
        (1.5, [(9, 0, 0), (8, 0, 0), (7, -1, 9), (6, 1, 9)], 1),  # one of nine is not clear
        (1.5, [(9, 0, 0), (8, 0, 0), (7, -5, 9), (6, -4, 9)], 2),  # 5 > 1.5 times 3 > 4
        (1, [(9, 0, 0), (7, -2, 5), (6, -3, 8)], 2),  # 3 > √8, 2 < √5
        (1, [(9, 0, 0), (8, -1, 4)], 0),
        (1.5, [(9, 0, 0), (8, 0, 0), (8, 0, 0)], 1),  # the first of equals
    ],
)
def test_the_best_epoch_is_clearly_better_than_the_average(least, found, epoch):
    assert best(found, least) == epoch


@pytest.mark.parametrize(
    ("Y", "least"),
    [(np.zeros((3, 1)), 1), (np.zeros((300, 1)), 1), (np.zeros(99, int), 0), (np.zeros(100, int), 1.5)],
)
def test_a_gain_is_asked_for_where_it_could_be_clear(Y, least):
    assert least_gain(Y) == least


@pytest.mark.parametrize("m", [12, 200])
def test_cross_validation_chooses_what_retraining_by_hand_does(m):
    X, Y = curve(m)
    recipe = Recipe.choose(m, 3, NUMBER.width, Asked(hidden=[5], batch_size=16, optimizer="sgd", lr=0.03))
    recipe = replace(recipe, epochs=40)
    nets = networks(recipe, 3, NUMBER)
    fresh = [copy.copy(net) for net in nets]
    trained = train(nets, recipe, X, Y, seed=3)
    net = trained.net

    order = np.random.default_rng([3, m]).permutation(m)
    losses = np.zeros((3, 41))
    for one, by_hand in enumerate(fresh):
        trainer.start_at_average(by_hand, Y)
        for fold in range(5):
            out = np.zeros(m, bool)
            out[order[fold::5]] = True
            trial = copy.copy(by_hand)
            seen = [trial.parameters.copy()]
            keep = functools.partial(lambda net, seen, epoch: seen.append(net.parameters.copy()), trial, seen)
            trial.fit(X[~out], Y[~out], epochs=40, batch_size=16, optimizer=cbp.SGD(0.03), callbacks=[keep])
            for n in range(41):
                trial.parameters = averaged(seen, n)
                losses[one, n] += np.sum((trial.predict(X[out]) - Y[out]) ** 2)
    # Within rounding: whichever is chosen is as good as the best.
    one = nets.index(net)
    assert losses[one, trained.epochs] <= losses.min() * (1 + 1e-5)
    by_hand = fresh[one]
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
    recipe = Recipe.choose(1000, 3, NUMBER.width, Asked(hidden=[8]))
    recipe = replace(recipe, candidates=CANDIDATES[:1], folds=1, epochs=30, refit=refit)
    net = network(recipe, 3, NUMBER)
    by_hand = copy.copy(net)
    trained = train([net], recipe, X, Y, seed=1)
    assert trained.net is net
    trainer.start_at_average(by_hand, Y)
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
    assert train([net], recipe, X, Y).epochs == 4
    trainer.start_at_average(by_hand, Y)
    by_hand.fit(X, Y, epochs=4, batch_size=30, optimizer=cbp.Adam(0.003))
    np.testing.assert_array_equal(net.parameters, by_hand.parameters)


@pytest.mark.parametrize("m", [20, 60, 1200])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_learnt(m, seed):
    X, Y = noise(m, seed=seed)
    recipe = Recipe.choose(m, 3, NUMBER.width, Asked())
    net = train(networks(recipe, 3, NUMBER, seed), recipe, X, Y, seed=seed).net
    anew, targets = noise(5000, seed=100 + seed)
    # The average's error is 1; 3000 steps without a choice make it 1.3 and more of 20 or 60 examples.
    assert np.sqrt(np.mean((net.predict(anew) - targets) ** 2)) < 1.1


@pytest.mark.parametrize("m", [40, 1200])
def test_any_number_of_threads_gives_the_same_network(m):
    X, Y = curve(m)
    recipe = Recipe.choose(m, 3, NUMBER.width, Asked())
    found = []
    for n_threads in (1, 3):
        trained = train(networks(recipe, 3, NUMBER, n_threads=n_threads), recipe, X, Y, seed=5)
        found.append(trained.net.parameters.copy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("m", [1, 2, 3, 6])
def test_hardly_any_example_is_enough(m):
    recipe = Recipe.choose(m, 3, CLASSES.width, Asked())
    trained = train(networks(recipe, 3, CLASSES), recipe, np.ones((m, 3)), np.zeros(m, int))
    assert trained.finished
    assert trained.net.predict_labels(np.ones(3)) == 0


# --- Ctrl-C ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folds", "refit"), [(5, True), (1, True), (1, False)])
@pytest.mark.parametrize("after", [0, 3])
def test_ctrl_c_leaves_what_was_reached(folds, refit, after, monkeypatch):
    X, Y = curve(40)
    recipe = replace(Recipe.choose(40, 3, NUMBER.width, Asked()), folds=folds, refit=refit)
    nets = networks(recipe, 3, NUMBER)
    take_up = Average.__call__
    reached = []

    def interrupt(average, epoch):
        if epoch.number > after:
            raise KeyboardInterrupt
        stop = take_up(average, epoch)
        reached.append((average.net.parameters.copy(), average.parameters.copy()))
        return stop

    monkeypatch.setattr(Average, "__call__", interrupt)
    trained = train(nets, recipe, X, Y)
    net = trained.net
    assert not trained.finished
    assert trained.epochs == len(net.history) == after + 1
    untrained = network(recipe, 3, NUMBER)
    trainer.start_at_average(untrained, Y)
    assert (net.parameters != untrained.parameters).any()
    if after and folds == 1:
        np.testing.assert_array_equal(net.parameters, reached[-1][1])  # the best average


def test_ctrl_c_in_a_later_candidate_leaves_that_one(monkeypatch):
    X, Y = curve(40)
    recipe = Recipe.choose(40, 3, NUMBER.width, Asked())
    nets = networks(recipe, 3, NUMBER)
    take_up = Average.__call__

    def interrupt(average, epoch):
        if average.net.hidden == ("tanh",) and epoch.number == 4:
            raise KeyboardInterrupt
        return take_up(average, epoch)

    monkeypatch.setattr(Average, "__call__", interrupt)
    trained = train(nets, recipe, X, Y)
    assert not trained.finished
    assert trained.net is nets[1]
    assert trained.epochs == len(nets[1].history) == 4


@pytest.mark.parametrize("folds", [5, 1])
def test_ctrl_c_in_the_last_training_leaves_its_average(folds, monkeypatch):
    X, Y = curve(40)
    recipe = replace(Recipe.choose(40, 3, NUMBER.width, Asked()), folds=folds)
    nets = networks(recipe, 3, NUMBER)
    take_up = Average.__call__
    reached = []

    def interrupt(average, epoch):
        if average.net in nets and epoch.number == 4:
            raise KeyboardInterrupt
        stop = take_up(average, epoch)
        if average.net in nets:
            reached.append(average.parameters.copy())
        return stop

    monkeypatch.setattr(Average, "__call__", interrupt)
    trained = train(nets, recipe, X, Y)
    assert not trained.finished
    assert len(reached) == 3
    np.testing.assert_array_equal(trained.net.parameters, reached[-1])


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


CHOSEN = r"(, l2 0\.3)?; (relu|tanh), \d+"  # with a penalty or without, of an activation, after some epochs


@pytest.mark.parametrize(
    ("m", "options", "line"),
    [
        (40, [], rf"adam 0\.003, batches of 32{CHOSEN} of 300 epochs, 5 folds"),
        (4, [], rf"adam 0\.003, batches of 4{CHOSEN} of 300 epochs, 4 folds"),
        (400, ["--l2", 3], rf"adam 0\.003, batches of 32, l2 3{CHOSEN} of 231 epochs, 5 folds"),
        (40, ["--activation", "tanh", "--l2", 0], r"adam .* 32; \d+ of 300 epochs, 5 folds"),
        (40, ["--epochs", 2, "--optimizer", "sgd"], r"sgd 0\.1, batches of 32; 2 epochs"),
        (40, ["--epochs", 1, "--batch-size", 5, "--lr", 0.01], r"adam 0\.01, batches of 5; 1 epoch"),
    ],
)
def test_what_was_chosen_is_told(told, m, options, line):
    out, _, _ = told(*curve(m), *options)
    found = re.search(r"^recipe    (.*)$", out, re.M)[1]
    assert re.fullmatch(line, found)
    chosen = re.search(r"([\d,]+) (?:epoch|of [\d,]+ epoch)", found)[1]
    trained = re.search(r"^time .* ([\d,]+) epochs?$", out, re.M)[1]
    assert chosen == trained


def test_a_tenth_held_out_is_told(told, monkeypatch):
    # Folds would take long: with them it would be 49 epochs.
    monkeypatch.setattr(recipes, "WORK", 49.5 * 13 * 1000 * 641)
    out, _, _ = told(*curve(1000))
    assert re.search(r"; \d+ of 100 epochs, by 10% held out$", out, re.M)


def test_what_is_best_is_told_where_a_tenth_stays_held_out(told, monkeypatch):
    monkeypatch.setattr(recipes, "WORK", 1000)
    out, _, _ = told(*curve(1000))
    found, all_ = re.search(r"; best epoch (\d+) of (\d+), by 10% held out$", out, re.M).groups()
    assert int(found) <= int(all_) <= recipes.LEAST_EPOCHS == 15
    assert re.search(rf"^time .* {all_} epochs$", out, re.M)


def test_options_reach_the_network_in_spite_of_the_recipe(told):
    _, _, net = told(*curve(40), "--hidden", "6,4", "--activation", "sigmoid", "--l2", 0.5)
    assert (net.sizes, net.hidden, net.l2) == ((3, 6, 4, 1), ("sigmoid", "sigmoid"), 0.5)
    out, _, net = told(*curve(40))
    assert net.sizes == (3, 128, 1)
    assert Candidate(net.hidden, net.l2) in CANDIDATES
    assert "3-128-1, identity;" in out


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_it_is_told_when_nothing_can_be_learnt(told, quiet):
    # Opposite targets of equal inputs: nothing is better than their average, and every step away is worse.
    Y = np.tile([1.0, -1.0], 20)[:, None]
    out, err, net = told(np.ones((40, 2)), Y, *quiet)
    assert "training does not clearly help to predict examples left out: all are now predicted alike" in err
    assert ("; relu, 0 of 300 epochs, 5 folds" in out) == (not quiet)
    assert not net.predict(np.ones((1, 2))).any()

"""The promise: copies, by copy or pickle, are whole, go on as the original would, and leave it alone."""

import copy
import importlib.util
import io
import pickle

import numpy as np
import pytest

import cbp
from cbp.optimizers.base import OptimizerState

joblib = None if importlib.util.find_spec("joblib") is None else importlib.import_module("joblib")


def through_joblib(net):
    stream = io.BytesIO()
    joblib.dump(net, stream)
    stream.seek(0)
    return joblib.load(stream)


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda net, p=protocol: pickle.loads(pickle.dumps(net, p))
        for protocol in (0, 1, 2, 5)
    },
    **({"joblib": through_joblib} if joblib else {}),
}
OPTIMIZERS = [
    cbp.SGD(0.1),
    cbp.SGD(0.05, momentum=0.9),
    cbp.SGD(0.05, momentum=0.5, nesterov=True),
    cbp.Adam(0.01),
]


@pytest.fixture(params=COPIES)
def copied(request):
    return COPIES[request.param]


def data(m=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 3)), rng.integers(0, 2, size=m)


def make(**options):
    return cbp.Network([3, 5, 2], hidden="tanh", rng=1, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_is_the_same_network(copied, dtype):
    net = make(l2=0.5, dtype=dtype, n_threads=2)
    net.metadata = {"classes": ["no", "yes"]}
    net.fit(*data(), epochs=2)
    twin = copied(net)
    assert repr(twin) == repr(net)
    assert (twin.n_threads, twin.metadata, twin.history) == (2, net.metadata, net.history)
    np.testing.assert_array_equal(twin.parameters, net.parameters)
    np.testing.assert_array_equal(twin.predict(data()[0]), net.predict(data()[0]))
    assert not np.shares_memory(twin.parameters, net.parameters)
    assert all(np.shares_memory(view, twin.parameters) for view in [*twin.weights, *twin.biases])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_copy_goes_on_to_the_same_bits(copied, optimizer):
    net = make()
    net.fit(*data(), epochs=2, batch_size=7, optimizer=optimizer)
    twin = copied(net)
    fresh_state = copied(net)
    for network in (net, twin):
        network.partial_fit(*data(seed=1), batch_size=9)  # moments, steps and shuffling as they were
        network.partial_fit(*data(seed=2), batch_size=9, optimizer=optimizer)
    np.testing.assert_array_equal(twin.parameters, net.parameters)
    # What was compared would differ without the state: `fit` starts afresh.
    if optimizer != cbp.SGD(0.1):
        fresh_state.fit(*data(seed=1), epochs=1, batch_size=9, optimizer=optimizer)
        fresh_state.partial_fit(*data(seed=2), batch_size=9, optimizer=optimizer)
        assert (fresh_state.parameters != net.parameters).any()
    for network in (net, twin):
        network.fit(*data(), epochs=2, batch_size=7)
    np.testing.assert_array_equal(twin.parameters, net.parameters)


def test_training_a_copy_leaves_the_original_alone(copied):
    untouched, net = make(), make()
    for network in (untouched, net):
        network.fit(*data(), epochs=1, batch_size=7)
    twin = copied(net)
    before = net.parameters.copy()
    twin.fit(*data(), epochs=3, batch_size=7)
    twin.partial_fit(*data(), batch_size=7)
    np.testing.assert_array_equal(net.parameters, before)
    assert len(net.history) == 1
    for network in (untouched, net):
        network.partial_fit(*data(), batch_size=7)
    np.testing.assert_array_equal(net.parameters, untouched.parameters)


def test_a_generator_shared_by_networks_is_not_in_their_copies():
    rng = np.random.default_rng(2)
    net = cbp.Network([3, 2], rng=rng)
    before = copy.deepcopy(rng.bit_generator.state)
    twin = copy.deepcopy(net)
    for network in (net, twin):
        network.fit(*data(), epochs=1)
    assert rng.bit_generator.state == before
    np.testing.assert_array_equal(twin.parameters, net.parameters)


def test_networks_are_compared_by_identity():
    net = make()
    assert net == net
    assert net != copy.deepcopy(net)
    assert hash(net) == hash(net)


def test_an_untrained_network_copies_without_state(copied):
    net = make()
    twin = copied(net)
    for network in (net, twin):
        network.partial_fit(*data(), optimizer=cbp.Adam())
    np.testing.assert_array_equal(twin.parameters, net.parameters)


# --- attributes ------------------------------------------------------------------------------------------


class Named(cbp.Network):
    """With a signature of its own, an attribute of the class's, and one that it counts with."""

    kind = "named"

    def __init__(self, name, width):
        super().__init__([3, width, 2], hidden="tanh", rng=1)
        self.name = name
        self.calls = 0

    def predict(self, X, out=None):
        self.calls += 1
        return super().predict(X, out)


class Slotted(cbp.Network):
    __slots__ = ("__private", "empty", "scaler")

    def __init__(self, scaler):
        super().__init__([3, 2], rng=1)
        self.scaler = scaler
        self.__private = "private"

    def private(self):
        return self.__private


class SlottedTwice(Slotted):
    __slots__ = ("more",)


class Scaler:
    def __init__(self, net=None):
        self.net, self.mean = net, np.arange(3.0)


def test_attributes_are_kept(copied):
    net = make()
    net.scaler, net.classes, net.note = 1, ["no", "yes"], {"a": (1, 2.5)}
    net._hint = None
    twin = copied(net)
    assert (twin.scaler, twin.classes, twin.note, twin._hint) == (1, ["no", "yes"], {"a": (1, 2.5)}, None)
    assert set(vars(twin)) == set(vars(net))
    again = copied(twin)
    assert set(vars(again)) == set(vars(net))


def test_those_of_subclasses_are_kept(copied):
    net = Named("first", 4)
    net.predict(data()[0])
    twin = copied(net)
    assert type(twin) is Named
    assert (twin.name, twin.calls, twin.kind, twin.sizes) == ("first", 1, "named", (3, 4, 2))
    np.testing.assert_array_equal(twin.predict(data()[0]), net.predict(data()[0]))
    assert (twin.calls, net.calls) == (2, 2)


@pytest.mark.parametrize("kind", [Slotted, SlottedTwice])
def test_slots_of_subclasses_are_kept(copied, kind):
    net = kind(Scaler())
    net.extra = "in the dict"
    if kind is SlottedTwice:
        net.more = [1]
    net.partial_fit(*data(), optimizer=cbp.Adam(0.01))
    twin = copied(net)
    assert type(twin) is kind
    assert twin.scaler.mean.tolist() == [0, 1, 2]
    assert (twin.private(), twin.extra) == ("private", "in the dict")
    assert not hasattr(twin, "empty")
    assert "scaler" not in vars(twin)
    assert getattr(twin, "more", None) == ([1] if kind is SlottedTwice else None)
    for network in (net, twin):
        network.partial_fit(*data())
    np.testing.assert_array_equal(twin.parameters, net.parameters)


def test_attributes_may_refer_to_the_network(copied):
    net = make()
    net.itself = net
    net.scaler = Scaler(net)
    net.pair = [net, {"net": net}]
    net.metadata["net"] = net
    twin = copied(net)
    owner = net if copied is copy.copy else twin  # a shallow copy shares what its attributes refer to
    assert twin is not net
    assert twin.itself is owner
    assert twin.scaler.net is twin.pair[0] is twin.pair[1]["net"] is twin.metadata["net"] is owner
    np.testing.assert_array_equal(twin.itself.parameters, net.parameters)


def test_a_shallow_copy_shares_attributes_but_no_parameters():
    net = make()
    net.scaler, net.array = Scaler(), np.zeros(3)
    net.fit(*data(), epochs=1)
    twin = copy.copy(net)
    assert twin.scaler is net.scaler
    assert twin.array is net.array
    assert twin.metadata is net.metadata
    assert twin.history == net.history
    assert twin.history is not net.history  # which a fit may be adding to
    twin.array[:] = 1
    assert net.array.all()
    before = net.parameters.copy()
    twin.parameters += 1
    twin.fit(*data(), epochs=1)
    np.testing.assert_array_equal(net.parameters, before)
    assert len(net.history) == len(twin.history) == 1
    assert net.history is not twin.history


def test_a_deep_copy_shares_nothing():
    net = make()
    net.scaler, net.array, net.views = Scaler(), np.zeros(3), net.weights
    twin = copy.deepcopy(net)
    for mine, theirs in [(net.array, twin.array), (net.scaler.mean, twin.scaler.mean)]:
        assert not np.shares_memory(mine, theirs)
    assert not any(np.shares_memory(view, net.parameters) for view in twin.views)
    np.testing.assert_array_equal(twin.views[0], net.weights[0])


def test_what_cannot_be_pickled_is_refused_as_ever():
    net = make()
    net.callback = lambda epoch: None
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(net)
    assert copy.copy(net).callback is net.callback


def test_pickles_of_earlier_versions_load():
    """Their state is what __getstate__ returned then."""
    net = make(l2=0.25)
    net.fit(*data(), epochs=2, optimizer=cbp.Adam(0.01))
    state = {
        f"_{name}": getattr(net, name) for name in ("sizes", "hidden", "output", "dtype", "l2", "n_threads")
    }
    moments = list(net._state.moments.values())
    state |= {
        "_loss": net.loss_name, "_state": OptimizerState(net._state.optimizer, net._state.updates, moments),
        "_shuffler": copy.deepcopy(net._shuffler), "history": net.history, "metadata": {"a": 1},
        "parameters": net.parameters.copy(),
    }  # fmt: skip
    twin = cbp.Network.__new__(cbp.Network)
    twin.__setstate__(pickle.loads(pickle.dumps(state)))
    assert repr(twin) == repr(net)
    assert (twin.metadata, twin.history) == ({"a": 1}, net.history)
    for network in (net, twin):
        network.partial_fit(*data(seed=1), batch_size=9)
    np.testing.assert_array_equal(twin.parameters, net.parameters)


# --- while it is being trained ---------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_copy_made_in_a_callback_has_the_state_as_it_is_then(copied, optimizer):
    """Each goes on as the rest of the fit does; without shuffling, whose order a fit does not leave."""
    net, copies = make(), []
    options = {"batch_size": 7, "shuffle": False, "optimizer": optimizer}
    parameters = []

    def callback(epoch):
        copies.append(copied(net))
        parameters.append(net.parameters.copy())

    net.fit(*data(), epochs=4, callbacks=[callback], **options)
    for i, twin in enumerate(copies):
        assert len(twin.history) == i + 1 or copied is copy.copy
        np.testing.assert_array_equal(twin.parameters, parameters[i])
        for later in parameters[i + 1 :]:
            twin.partial_fit(*data(), batch_size=7, shuffle=False)
            np.testing.assert_array_equal(twin.parameters, later)
    for twin in copies[:-1]:  # the same state at the end too
        for network in (twin, copy.deepcopy(net)):
            network.partial_fit(*data(seed=3), **options)
    twin = copy.deepcopy(net)
    twin.partial_fit(*data(seed=3), **options)
    np.testing.assert_array_equal(copies[0].parameters, twin.parameters)


def test_a_copy_can_be_trained_in_the_callback_that_made_it(copied):
    net, twin = make(), make()

    def callback(epoch):
        copied(net).fit(*data(seed=4), epochs=1)

    for network, callbacks in ((net, [callback]), (twin, [])):
        network.fit(*data(), epochs=3, callbacks=callbacks, optimizer=cbp.Adam(0.01))
    np.testing.assert_array_equal(net.parameters, twin.parameters)

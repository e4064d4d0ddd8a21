"""The promise: copies, by copy or pickle, go on as the original would, and leave it alone."""

import copy
import pickle

import numpy as np
import pytest

import cbp

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda net, p=protocol: pickle.loads(pickle.dumps(net, p))
        for protocol in (2, 5)
    },
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
    # What was compared would differ without the state: another optimizer of the same kind starts afresh.
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

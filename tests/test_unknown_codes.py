"""The promise: an activation, loss or optimiser that the kernels or the reference do not know is refused."""

import itertools

import numpy as np
import pytest

from cbp import _core, _probes, functions, kernels, reference

NAMES = _core.names(kernels.table("float32"))


def engine(hidden="tanh", output="sigmoid", loss="cross_entropy", dtype="float32"):
    """A network of 2-3-3-2."""
    itemsize = np.dtype(dtype).itemsize
    parameters = np.zeros(9 + 12 + 8 + 128 // itemsize, dtype)
    activations = (("relu", 0.0), (hidden, 0.0), (output, 0.0))
    return _core.Engine(
        kernels.table(dtype), itemsize, (2, 3, 3, 2), activations, (loss, 0.5), True, parameters
    )


# --- plans


@pytest.mark.parametrize("dtype", kernels.PRECISIONS)
@pytest.mark.parametrize("name", ["mish", "Tanh", "", "softmax "])
def test_a_name(name, dtype):
    for argument in ("hidden", "output", "loss"):
        what = "loss" if argument == "loss" else "activation"
        with pytest.raises(ValueError, match=f"^{what} must be one of .*, got {name!r}$"):
            engine(**{argument: name}, dtype=dtype)


@pytest.mark.parametrize("dtype", kernels.PRECISIONS)
def test_softmax_is_for_outputs(dtype):
    with pytest.raises(ValueError, match="softmax that of the output alone, got .*'softmax'"):
        engine(hidden="softmax", dtype=dtype)


@pytest.mark.parametrize(("output", "loss"), [*itertools.product(NAMES["activations"], functions.LOSSES)])
def test_kernels_know_the_same_pairs_as_users_may_ask_for(output, loss):
    if output in functions.LOSSES[loss].outputs:
        assert engine(output=output, loss=loss).n_layers == 3
    else:
        with pytest.raises(ValueError, match="fits the output's activation"):
            engine(output=output, loss=loss)


@pytest.mark.parametrize("hidden", functions.HIDDEN)
def test_kernels_know_every_hidden_layer_that_users_may_ask_for(hidden):
    assert engine(hidden=hidden).n_layers == 3


# --- passes


@pytest.mark.parametrize("mode", [-1, 3, 99])
def test_a_mode(mode):
    with pytest.raises(ValueError, match=f"^mode must be a code of MODES, got mode {mode}, optimizer "):
        _core.Pass(engine(), mode, 4, 1)


@pytest.mark.parametrize("mode", _core.MODES.values())
@pytest.mark.parametrize("name", ["lion", "SGD", ""])
def test_an_optimizer(name, mode):
    with pytest.raises(ValueError, match=f"^optimizer must be one of sgd, adam, .*, got {name!r}$"):
        _core.Pass(engine(), mode, 4, 1, optimizer=name)


# --- probes


@pytest.mark.parametrize("code", [-1, 99])
def test_probes(code):
    x, table = np.zeros(64, np.float32), kernels.table("float32")
    M = x, _probes.LAYOUTS["rows"], 16
    unknown = x, code, 16
    tiles, zero = _probes.WAYS["tiles"], _probes.INITIALS["zero"]
    sizes = {"n_rows": 2, "n_columns": 2, "start": 0, "stop": 2}
    asked = [
        ("FUNCTIONS", lambda: _probes.elementwise(table, 4, code, x, x)),
        ("PRODUCTS", lambda: _probes.product(table, code, 4, 1)),
        ("WAYS", lambda: _probes.multiply(table, 4, code, zero, M, M, M)),
        ("INITIALS", lambda: _probes.multiply(table, 4, tiles, code, M, M, M)),
        *(
            ("LAYOUTS", lambda operands=operands: _probes.multiply(table, 4, tiles, zero, *operands))
            for operands in ([unknown, M, M], [M, unknown, M], [M, M, unknown])
        ),
        ("MOVES", lambda: _probes.rearrange(table, 4, code, x, x, **sizes)),
    ]
    for codes, ask in asked:
        with pytest.raises(ValueError, match=f"^expected .*{codes}.*, got .*{code}"):
            ask()
    named = [
        lambda: _probes.activate(table, 4, "mish", x, x, 16, 1, 16),
        lambda: _probes.times_derivative(table, 4, "mish", x, x, x),
        lambda: _probes.step(table, 4, "lion", x, [], x, {}),
    ]
    for ask in named:
        with pytest.raises(ValueError, match="must be one of .*, got '(mish|lion)'"):
            ask()
    with pytest.raises(ValueError, match="expected an activation of single numbers, got softmax"):
        _probes.times_derivative(table, 4, "softmax", x, x, x)
    assert not x.any()


# --- the reference, and what goes with the names


def test_the_reference():
    z = np.ones((2, 3))
    with pytest.raises(ValueError, match="the activation must be softmax or one of .*, got 'mish'"):
        reference.activate("mish", z)
    with pytest.raises(ValueError, match="the activation must be softmax or one of .*, got 'mish'"):
        reference.times_derivative("mish", z, z, z)
    with pytest.raises(ValueError, match="the optimizer must be one of sgd, adam, .*, got 'lion'"):
        reference.step("lion", z, z, [z, z], 1)


@pytest.mark.parametrize(
    ("output", "loss"),
    [("sigmoid", "hinge"), ("softmax", "hinge"), ("identity", "cross_entropy"), ("tanh", "cross_entropy")],
)
def test_a_loss_of_the_reference(output, loss):
    z = np.full((2, 3), 0.25)
    message = f"the loss for '{output}' must be one of .*squared_error.*, got '{loss}'"
    with pytest.raises(ValueError, match=message):
        reference.losses(output, loss, z, z)
    with pytest.raises(ValueError, match=message):
        reference.output_delta(output, loss, z, z, z)
    with pytest.raises(ValueError, match=message):
        reference.gradient([np.ones((3, 3))], [np.ones(3)], [output], loss, z, z)

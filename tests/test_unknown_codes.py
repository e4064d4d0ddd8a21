"""The promise: an activation, loss or optimiser that the kernels or the reference do not know is refused."""

import itertools

import numpy as np
import pytest

from cbp import _core, _probes, arguments, faults, initialization, kernels, reference

UNKNOWN = [-1, 5, 99]
HIDDEN, OUTPUT, LOSS = (
    _core.ACTIVATIONS["tanh"],
    _core.ACTIVATIONS["sigmoid"],
    _core.LOSSES["cross_entropy"],
)


def engine(hidden=HIDDEN, output=OUTPUT, loss=LOSS, dtype="float32"):
    """A network of 2-3-3-2."""
    itemsize = np.dtype(dtype).itemsize
    parameters = np.zeros(9 + 12 + 8 + 128 // itemsize, dtype)
    activations = (_core.ACTIVATIONS["relu"], hidden, output)
    return _core.Engine(kernels.table(dtype), itemsize, (2, 3, 3, 2), activations, loss, parameters)


# --- plans


@pytest.mark.parametrize("dtype", kernels.PRECISIONS)
@pytest.mark.parametrize("code", [*UNKNOWN, _core.ACTIVATIONS["softmax"]])
def test_a_hidden_layer(code, dtype):
    with pytest.raises(
        ValueError, match=r"^activations must be codes of ACTIVATIONS, .* got .*loss \d"
    ) as info:
        engine(hidden=code, dtype=dtype)
    assert f", {code}, " in str(info.value)


@pytest.mark.parametrize("dtype", kernels.PRECISIONS)
@pytest.mark.parametrize("code", UNKNOWN)
def test_an_output(code, dtype):
    with pytest.raises(ValueError, match=f"^the last of activations must be .* got .*, {code}\\), loss"):
        engine(output=code, dtype=dtype)


@pytest.mark.parametrize("dtype", kernels.PRECISIONS)
@pytest.mark.parametrize("code", [-1, 2, 99])
@pytest.mark.parametrize("output", _core.ACTIVATIONS)
def test_a_loss(output, code, dtype):
    with pytest.raises(ValueError, match=f"^loss must be a code of LOSSES .* loss {code}$"):
        engine(output=_core.ACTIVATIONS[output], loss=code, dtype=dtype)


@pytest.mark.parametrize(("output", "loss"), [*itertools.product(_core.ACTIVATIONS, _core.LOSSES)])
def test_kernels_know_the_same_pairs_as_users_may_ask_for(output, loss):
    codes = {"output": _core.ACTIVATIONS[output], "loss": _core.LOSSES[loss]}
    if output in arguments.LOSSES[loss]:
        assert engine(**codes).n_layers == 3
    else:
        with pytest.raises(ValueError, match="fits the output's activation"):
            engine(**codes)


@pytest.mark.parametrize("hidden", arguments.HIDDEN)
def test_kernels_know_every_hidden_layer_that_users_may_ask_for(hidden):
    assert engine(hidden=_core.ACTIVATIONS[hidden]).n_layers == 3


# --- passes


@pytest.mark.parametrize("mode", [-1, 3, 99])
def test_a_mode(mode):
    with pytest.raises(ValueError, match=f"^mode must be a code of MODES, got mode {mode}, optimizer 0$"):
        _core.Pass(engine(), mode, 4, 1)


@pytest.mark.parametrize("mode", _core.MODES.values())
@pytest.mark.parametrize("code", [-1, 2, 99])
def test_an_optimizer(code, mode):
    with pytest.raises(
        ValueError, match=f"^optimizer must be a code of OPTIMIZERS, got .* optimizer {code}$"
    ):
        _core.Pass(engine(), mode, 4, 1, optimizer=code)


# --- probes


@pytest.mark.parametrize("code", [-1, 99])
def test_probes(code):
    x, table = np.zeros(64, np.float32), kernels.table("float32")
    M = x, _probes.LAYOUTS["rows"], 16
    unknown = x, code, 16
    tiles, zero = _probes.WAYS["tiles"], _probes.STARTS["zero"]
    sizes = {"n_rows": 2, "n_columns": 2, "first": 0, "last": 2}
    asked = [
        ("FUNCTIONS", lambda: _probes.elementwise(table, 4, code, x, x)),
        ("PRODUCTS", lambda: _probes.product(table, code, 4, 1)),
        ("WAYS", lambda: _probes.multiply(table, 4, code, zero, M, M, M)),
        ("STARTS", lambda: _probes.multiply(table, 4, tiles, code, M, M, M)),
        *(
            ("LAYOUTS", lambda operands=operands: _probes.multiply(table, 4, tiles, zero, *operands))
            for operands in ([unknown, M, M], [M, unknown, M], [M, M, unknown])
        ),
        ("MOVES", lambda: _probes.rearrange(table, 4, code, x, x, **sizes)),
        ("ACTIVATIONS", lambda: _probes.activate(table, 4, code, x, x, 16, 1, 16)),
        ("ACTIVATIONS", lambda: _probes.times_derivative(table, 4, code, x, x)),
        ("OPTIMIZERS", lambda: _probes.step(table, 4, code, x, None, None, x)),
    ]
    for codes, ask in asked:
        with pytest.raises(ValueError, match=f"^expected .*{codes}.*, got .*{code}"):
            ask()
    assert not x.any()


# --- the reference, and what goes with the names


def test_the_reference():
    z = np.ones((2, 3))
    with pytest.raises(ValueError, match="the activation must be softmax or one of .*, got 'mish'"):
        reference.activate("mish", z)
    with pytest.raises(ValueError, match="the activation must be softmax or one of .*, got 'mish'"):
        reference.times_derivative("mish", z, z, z)
    with pytest.raises(ValueError, match="the optimizer must be one of sgd, adam, got 'lion'"):
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


def test_initial_weights_and_limits_of_targets():
    with pytest.raises(ValueError, match="no initial weights for the activation 'gelu'"):
        initialization.draw_weights([np.ones((3, 2))], ["gelu"], np.random.default_rng(0))
    with pytest.raises(ValueError, match="no limits for the targets of the loss 'hinge'"):
        faults.limits(False, "hinge")

"""The promise: optimisers, activations and losses are those of PyTorch, where that is installed."""

import numpy as np
import pytest

import cbp

torch = pytest.importorskip("torch")
nn = torch.nn.functional

OPTIMIZERS = {
    "SGD": (cbp.SGD(0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "momentum": (cbp.SGD(0.05, momentum=0.9), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9)),
    "Nesterov": (
        cbp.SGD(0.05, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    ),
    "Adam": (cbp.Adam(), torch.optim.Adam),
    "AdamW": (cbp.AdamW(), None),  # biases do not decay
    "Nadam": (cbp.Nadam(), torch.optim.NAdam),
    "RMSprop": (cbp.RMSprop(), torch.optim.RMSprop),
    "RMSprop with all": (
        cbp.RMSprop(0.001, 0.9, 1e-6, momentum=0.8, centered=True),
        lambda p: torch.optim.RMSprop(p, 0.001, alpha=0.9, eps=1e-6, momentum=0.8, centered=True),
    ),
    "Adagrad": (cbp.Adagrad(), torch.optim.Adagrad),
}
ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "selu": nn.selu,
    "softplus": nn.softplus,
    "silu": nn.silu,
    "gelu": nn.gelu,
}
# Of a and y, an example's loss summed over its outputs.
LOSSES = {
    "squared_error": lambda a, y: (a - y) ** 2 / 2,
    "absolute_error": lambda a, y: (a - y).abs(),
    "huber": lambda a, y: nn.huber_loss(a, y, reduction="none"),
    "poisson": lambda a, y: nn.poisson_nll_loss(a, y, log_input=False, eps=0, reduction="none"),
}


class Twin:
    """The same network in PyTorch."""

    def __init__(self, net):
        self.net = net
        self.weights = [torch.tensor(W.copy(), requires_grad=True) for W in net.weights]
        self.biases = [torch.tensor(b.copy(), requires_grad=True) for b in net.biases]

    def loss(self, X, Y):
        a = torch.tensor(X)
        for W, b, g in zip(self.weights, self.biases, [*self.net.hidden, self.net.output], strict=True):
            z = a @ W + b
            a = z if g == "identity" else torch.exp(z) if g == "exp" else ACTIVATIONS[g](z)
        return LOSSES[self.net.loss_name](a, torch.tensor(Y)).sum(dim=1).mean()

    @property
    def parameters(self):
        pairs = zip(self.weights, self.biases, strict=True)
        return np.concatenate([part.detach().numpy().ravel() for pair in pairs for part in pair])


@pytest.fixture(autouse=True)
def in_double():
    """Numbers that optimisers keep beside tensors have PyTorch's default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def data(m=40):
    rng = np.random.default_rng(0)
    return rng.normal(size=(m, 5)), rng.uniform(0.5, 2, size=(m, 3))


@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_hundred_steps(ours, theirs):
    X, Y = data()
    net = cbp.Network([5, 7, 3], hidden="tanh", output="identity", dtype="float64", rng=1)
    twin = Twin(net)
    if theirs is None:
        groups = [{"params": twin.weights}, {"params": twin.biases, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups)
    else:
        optimizer = theirs([*twin.weights, *twin.biases])
    for _ in range(100):
        optimizer.zero_grad()
        twin.loss(X, Y).backward()
        optimizer.step()
        net.partial_fit(X, Y, batch_size=None, optimizer=ours, shuffle=False)
    np.testing.assert_allclose(net.parameters, twin.parameters, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_losses_and_gradients(hidden, loss):
    X, Y = data()
    output = "exp" if loss == "poisson" else "identity"
    net = cbp.Network([5, 7, 6, 3], hidden=hidden, output=output, loss=loss, dtype="float64", rng=1)
    twin = Twin(net)
    J = twin.loss(X, Y)
    J.backward()
    D = net.gradient(X, Y)
    assert D.loss == pytest.approx(J.item(), rel=1e-12)
    for found, expected in zip([*D.weights, *D.biases], [*twin.weights, *twin.biases], strict=True):
        np.testing.assert_allclose(found, expected.grad.numpy(), rtol=1e-9, atol=1e-13)

"""cbp, trained by `fit`, whose time includes computing the loss and the history."""

from __future__ import annotations

from typing import Any

from rivals.training import Trainer
from workloads import Parameters, Workload


def network(w: Workload, parameters: Parameters, n_threads: int | None) -> Any:
    import cbp

    net = cbp.Network(list(w.sizes), hidden=w.hidden, output=w.output, loss=w.loss, dtype=w.dtype,
                      n_threads=n_threads, rng=0)  # fmt: skip
    load(net, parameters)
    return net


def load(net: Any, parameters: Parameters) -> None:
    for layer, (W, b) in enumerate(parameters):
        net.weights[layer][...] = W
        net.biases[layer][...] = b


def optimizer(w: Workload) -> Any:
    import cbp

    if w.optimizer == "adam":
        return cbp.Adam(w.learning_rate)
    return cbp.SGD(w.learning_rate, momentum=0.9 * (w.optimizer == "momentum"))


class Cbp(Trainer):
    name, package = "cbp", "cbp"

    def build(self, n_threads: int | None) -> None:
        self.net = network(self.w, self.initial, n_threads)
        self.optimizer = optimizer(self.w)

    def load(self, parameters: Parameters) -> None:
        load(self.net, parameters)

    def train(self, epochs: int) -> None:
        self.net.fit(self.X, self.Y, epochs=epochs, batch_size=self.w.batch, optimizer=self.optimizer,
                     shuffle=self.shuffle, progress=False)  # fmt: skip

    def parameters(self) -> Parameters:
        return list(zip(self.net.weights, self.net.biases, strict=True))

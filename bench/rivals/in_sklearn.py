"""scikit-learn, trained by `fit` with warm_start and max_iter epochs in a call.

The time includes the loss of each epoch, and the checks of the data once in a call.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rivals.training import Trainer
from workloads import Array, Parameters, Workload

ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


def targets(w: Workload, Y: Any) -> Any:
    """Return the targets as scikit-learn takes them: labels, or columns; for one output a vector."""
    if w.output == "identity":
        return Y[:, 0] if w.sizes[-1] == 1 else Y
    if w.output == "softmax":
        return Y
    return Y[:, 0].astype(int) if w.sizes[-1] == 1 else Y.astype(int)


def estimator(w: Workload, X: Array, Y: Any, **options: Any) -> Any:
    """Return an estimator, fitted for one epoch so that it has parameters to load into."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    warnings.filterwarnings("ignore", module="sklearn")  # "not converged" is what is wanted
    kind = MLPRegressor if w.output == "identity" else MLPClassifier
    net = kind(
        hidden_layer_sizes=w.sizes[1:-1], activation=ACTIVATIONS[w.hidden], alpha=0.0, batch_size=w.batch,
        solver="adam" if w.optimizer == "adam" else "sgd", nesterovs_momentum=False,
        learning_rate_init=w.learning_rate or 1e-45,  # 0 is refused
        momentum=0.9 * (w.optimizer == "momentum"), warm_start=True, n_iter_no_change=10**9, **options,
    )  # fmt: skip
    return net.set_params(max_iter=1).fit(X, targets(w, Y))


def load(net: Any, parameters: Parameters) -> None:
    for layer, (W, b) in enumerate(parameters):
        net.coefs_[layer][...] = W
        net.intercepts_[layer][...] = b


class ScikitLearn(Trainer):
    name, package = "scikit-learn", "sklearn"

    @classmethod
    def unable(cls, case: Workload) -> str:
        two_classes = case.output == "softmax" and case.sizes[-1] == 2
        return "cannot: its networks have one output for two classes" if two_classes else ""

    def build(self, n_threads: int | None) -> None:
        self.targets = np.ascontiguousarray(targets(self.w, self.Y))
        self.net = estimator(self.w, self.X, self.Y, shuffle=False)

    def load(self, parameters: Parameters) -> None:
        load(self.net, parameters)

    def train(self, epochs: int) -> None:
        self.net.set_params(max_iter=epochs, shuffle=self.shuffle).fit(self.X, self.targets)

    def parameters(self) -> Parameters:
        return list(zip(self.net.coefs_, self.net.intercepts_, strict=True))

"""What competitors that train have in common, whatever the library."""

from __future__ import annotations

from rivals.base import Rival
from workloads import Parameters, Workload


class Trainer(Rival):
    """Trains whole epochs from the initial weights, with fresh optimiser state.

    The loss itself is computed only by libraries that need it for the gradient (PyTorch) or that always
    compute it (scikit-learn, cbp).
    """

    def __init__(self, w: Workload, n_threads: int | None) -> None:
        self.w = w
        self.X, self.Y = w.data()
        self.initial = w.parameters()
        self.shuffle = False  # not before the result has been compared
        self.build(n_threads)

    def build(self, n_threads: int | None) -> None:
        raise NotImplementedError

    def load(self, parameters: Parameters) -> None:
        raise NotImplementedError

    def train(self, epochs: int) -> None:
        raise NotImplementedError

    def parameters(self) -> Parameters:
        raise NotImplementedError

    def result(self) -> Parameters:
        self.load(self.initial)
        self.train(self.w.checked_epochs)
        found = [(W.copy(), b.copy()) for W, b in self.parameters()]
        self.shuffle = self.w.shuffle
        return found

    def reset(self) -> None:
        self.load(self.initial)

    def run(self, n: int) -> None:
        self.train(n)

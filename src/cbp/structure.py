"""The attributes of a network: its shapes, its parameters, and the `Engine` that computes with them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cbp import _core, copies, kernels, layout
from cbp.architecture import Architecture
from cbp.examples import frames
from cbp.examples.conversion import Array, numeric
from cbp.functions import Named, OwnLoss, known
from cbp.initialization import SCHEMES, Init, draw_weights
from cbp.layers import Layers
from cbp.machine import forks
from cbp.optimizers.base import OptimizerState
from cbp.rng import generator, spawn
from cbp.scalars import check_precision, count_or_none
from cbp.training.history import History
from cbp.training.steps import Steps


class Structure:
    """The shapes, functions and parameters of a `Network`, which adds the methods that use them."""

    _feature_names: frames.Names | None = None

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        hidden: Named | Sequence[Named] = "sigmoid",
        output: Named = "softmax",
        loss: Named | OwnLoss | None = None,
        l2: float | Sequence[float] = 0.0,
        l1: float | Sequence[float] = 0.0,
        bias: bool = True,
        dropout: float | Sequence[float] = 0.0,
        input_noise: float = 0.0,
        dtype: DTypeLike = "float32",
        init: str | Init | None = None,
        rng: int | np.random.Generator | None = None,
        n_threads: int | None = None,
    ) -> None:
        functions = {"hidden": hidden, "output": output, "loss": loss, "bias": bias}
        noise = {"dropout": dropout, "input_noise": input_noise}
        self._start(Architecture(sizes, **functions, **noise, dtype=dtype), n_threads)
        self.l2, self.l1 = l2, l1
        source = generator(rng)
        scheme = init if init is None or callable(init) else known(init, SCHEMES, "init")
        draw_weights(self._weights, self._architecture.activations, source, scheme)
        self._shuffler = spawn(source)

    @classmethod
    def _of(cls, what: Architecture, *, rng: Any = None, n_threads: int | None = None) -> Self:
        """Return a network with parameters of 0. Nothing is drawn from `rng`."""
        network = cls.__new__(cls)
        network._start(what, n_threads)
        network._shuffler = spawn(generator(rng))
        return network

    def _start(self, what: Architecture, n_threads: int | None) -> None:
        self._architecture = what
        self.n_threads = n_threads
        self.history = History()
        self.metadata: dict[str, Any] = {}
        self._build()

    def _build(self) -> None:
        """Make all that follows from the shapes: the flat vector of parameters, its views, the `Engine`."""
        what = self._architecture
        # Kept as attributes too, since looking them up in the record would slow the shortest calls.
        self._sizes, self._bias, self._dtype, self._penalties = (
            what.sizes,
            what.bias,
            what.dtype,
            what.penalties,
        )
        self._parameters, storage = layout.allocate(what.n_parameters, what.dtype)
        self._weights, self._biases = layout.views(self._parameters, what.sizes, what.bias)
        self._table = kernels.table(what.dtype.name)
        self._engine = _core.Engine(
            self._table,
            what.dtype.itemsize,
            what.sizes,
            *what.for_kernels,
            what.bias,
            storage,
            what.dropped,
            what.input_noise,
        )
        self._state: OptimizerState | Steps | None = None
        self._passes: dict[str, _core.Pass] = {}  # kept by loss and gradient for their next calls
        # One lock a process (`forks.depth`): a child of fork inherits locks that nothing there would release.
        self._locks: dict[int, threading.Lock] = {}
        self._rests: dict[int, threading.RLock] = {}

    def _rest_lock(self) -> threading.RLock:
        """Return the lock under which parameters and optimiser's state are replaced, or copied as a whole.

        The thread that holds it may take it again, since a signal handler may copy the network.
        """
        return self._rests.get(forks.depth) or self._rests.setdefault(forks.depth, threading.RLock())

    # What the network is

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of units of the layers: s(1), …, s(L)."""
        return self._sizes

    @property
    def hidden(self) -> tuple[Named, ...]:
        """Names of the hidden layers' activations; (name, number) where that is not the default."""
        return self._architecture.hidden

    @property
    def output(self) -> Named:
        """Name of the output's activation; (name, number) where that is not the default."""
        return self._architecture.output

    @property
    def loss_name(self) -> Named | OwnLoss:
        """Name of the loss; (name, number) where that is not the default; or a loss of one's own."""
        return self._architecture.loss

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of parameters and results."""
        return self._dtype

    @property
    def l2(self) -> float | tuple[float, ...]:
        """λ of Σ W² / 2, or one for each layer of weights; at least 0; may be set."""
        return self._architecture.l2

    @l2.setter
    def l2(self, value: float | Sequence[float]) -> None:
        self._set_penalty("l2", value)

    @property
    def l1(self) -> float | tuple[float, ...]:
        """λ of Σ |W|, or one for each layer of weights; at least 0; may be set."""
        return self._architecture.l1

    @l1.setter
    def l1(self, value: float | Sequence[float]) -> None:
        self._set_penalty("l1", value)

    def _set_penalty(self, name: str, value: float | Sequence[float]) -> None:
        found = self._architecture.changed(**{name: value})
        numbers = getattr(found, name)
        for each in numbers if isinstance(numbers, tuple) else (value if np.ndim(value) == 0 else numbers,):
            check_precision(each, name, found.dtype)
        self._architecture = found
        self._penalties = found.penalties

    @property
    def bias(self) -> bool:
        """Whether layers have biases."""
        return self._bias

    @property
    def dropout(self) -> float | tuple[float, ...]:
        """Share of the units that training drops: of all hidden layers, or of the inputs and each of them."""
        return self._architecture.dropout

    @property
    def input_noise(self) -> float:
        """Standard deviation of the noise that training adds to the inputs."""
        return self._architecture.input_noise

    @property
    def n_threads(self) -> int | None:
        """The most threads a call may use; None: see `cbp.get_num_threads`. May be set."""
        return self._n_threads

    @n_threads.setter
    def n_threads(self, value: int | None) -> None:
        self._n_threads = count_or_none(value, "n_threads")

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return len(self._parameters)

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the inputs, (s(1),), or None; may be set.

        `fit` on a data frame whose columns are all named by strings keeps their names here; on anything else
        it forgets them. From then on every method but `fit` puts the columns of a data frame in this order,
        and refuses other names. `fit` accepts other names, which replace these. If a data frame has the same
        names in another order, `fit` keeps the order of these. The columns of an array have no names, and
        stay in their order.
        """
        return self._feature_names

    @feature_names.setter
    def feature_names(self, value: Sequence[str] | None) -> None:
        self._feature_names = frames.checked(value, self._sizes[0])

    def __repr__(self) -> str:
        return f"Network({self._architecture})  # {self.n_parameters:,} parameters"

    # Parameters

    @property
    def parameters(self) -> Array:
        """(n_parameters,), the vector itself: W(1), b(1), W(2), b(2), …, each row-major.

        Writing into it, or into `weights` and `biases`, changes the network; assignment copies into it.
        """
        self._engine.expose()
        return self._parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        array = numeric(values, "parameters")
        if array.shape != self._parameters.shape:
            raise ValueError(f"parameters must have shape {self._parameters.shape}, got {array.shape}")
        with self._rest_lock():
            self._parameters[:] = array
            self._engine.note_write()

    @property
    def weights(self) -> Layers:
        """(W(1), …), writable views of `parameters`, each (s(l), s(l+1)).

        Assigning to one or all copies into the views: ``net.weights[0] -= step``, ``net.weights = arrays``.
        """
        self._engine.expose()
        return self._weights

    @weights.setter
    def weights(self, values: Sequence[ArrayLike]) -> None:
        with self._rest_lock():
            self._weights.copy_from(values)
            self._engine.note_write()

    @property
    def biases(self) -> Layers:
        """(b(1), …), writable views of `parameters`, each (s(l+1),); assignment as for `weights`.

        Without biases it is empty.
        """
        self._engine.expose()
        return self._biases

    @biases.setter
    def biases(self, values: Sequence[ArrayLike]) -> None:
        with self._rest_lock():
            self._biases.copy_from(values)
            self._engine.note_write()

    @property
    def thetas(self) -> list[Array]:
        """[Θ(1), …], copies in the textbook's form [b(l) ǀ W(l)ᵀ], each (s(l+1), 1 + s(l)).

        Without biases, b is 0.
        """
        with self._rest_lock():
            return layout.thetas(self._weights, self._biases)

    def _copy_of_parameters(self) -> Array:
        """Return a copy of the parameters, all of one epoch even while another thread trains.

        It does not read the property `parameters`: after that, `partial_fit` would have to look for changes.
        """
        with self._rest_lock():
            return self._parameters.copy()

    # Copies

    def __getstate__(self) -> Any:
        return copies.state_of(self, super().__getstate__())

    def __setstate__(self, state: Any) -> None:
        copies.restore(self, state)

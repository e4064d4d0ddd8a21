"""The network and its methods, which call other modules to do the work.

This file is longer than others, since three quarters of it are docstrings that users read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cbp import _core, arguments, layout, scalars, scores
from cbp.architecture import Architecture
from cbp.derivatives import Gradient, relative_difference
from cbp.examples import arrays, classes, frames, split
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array, convert, numeric
from cbp.examples.faults import refusal
from cbp.examples.targets import targets
from cbp.files import npz
from cbp.functions import OwnLoss, is_own
from cbp.machine import forks, threads
from cbp.metrics import Metric, recorded
from cbp.metrics import wanted as wanted_metrics
from cbp.optimizers.adam import Adam
from cbp.optimizers.base import Optimizer, OptimizerState
from cbp.rng import generator, spawn
from cbp.structure import Structure
from cbp.training import passes
from cbp.training.epochs import Training
from cbp.training.history import Epoch, History
from cbp.training.measures import Measures
from cbp.training.runs import train
from cbp.training.state import TrainingState
from cbp.training.steps import Steps

if TYPE_CHECKING:
    from cbp.training.checkpoints import Every
    from cbp.training.hooks import Step
    from cbp.training.stopping import EarlyStopping, Watch
    from cbp.training.stream import Reader

# The largest sizes for which loss and gradient take the short way, `_at_once`. It keeps its workspace, which
# is small for these sizes.
AT_ONCE_PARAMETERS = 20_000
AT_ONCE_UNITS = 1000  # of the widest layer
AT_ONCE_WORK = 5_000_000  # examples times parameters: less than a millisecond, so that Ctrl-C can wait
# The number of examples below which predict first tries to use X without conversion.
AT_ONCE_ROWS = 100_000


class Network(Structure):
    """A dense feed-forward network, trained by backpropagation.

    z(l+1) = a(l) W(l) + b(l), a(l+1) = g(z(l+1)), from a(1) = X to the output a(L).

    Parameters
    ----------
    sizes : sequence of int
        s(1), …, s(L): inputs, hidden layers, outputs; at least two, each at least 1.
    hidden : str or (str, float), or a sequence of them, default "sigmoid"
        Activation g of the hidden layers, one for all or one for each: "sigmoid", "tanh", "relu", "identity",
        "leaky_relu", "elu", "selu", "softplus", "silu" or "gelu". Some may come with a number:
        ("leaky_relu", slope), where the default is 0.01, and ("elu", alpha), where it is 1. `cbp.functions`
        has the formulas.
    output : str or (str, float), default "softmax"
        Activation of the outputs: one of those above, "exp" (numbers above 0), or "softmax" (classes that
        exclude each other; at least two units).
    loss : str or (str, float), optional
        "cross_entropy" (sigmoid: binary, for each unit; softmax: categorical), "squared_error", ½ Σ (a − y)²,
        "absolute_error", ("huber", delta), where the default is 1, "log_cosh", ("quantile", level), where it
        is 0.5, or for exp "poisson" and "gamma". The loss of an example is the sum over its outputs. Default:
        cross_entropy for sigmoid and softmax, poisson for exp, else squared_error. Or any object with methods
        ``loss(a, y)``, which returns the loss of each of n examples, (n,), and ``error(a, y)``, which returns
        dloss/da, (n, s(L)), for outputs a and targets y, (n, s(L)) each; y has a 1 in each row where there
        are labels. They are called once a minibatch, in the middle of its step. Besides their own time, that
        takes 10 to 50 µs, and where a minibatch is longer than some hundred examples a second computation of
        its outputs. `check_gradient` checks them.
    l2, l1 : float or sequence of float, default 0.0
        λ of the penalties λ/(2m) Σ W² and λ/m Σ |W|, one for all layers of weights or one for each, at least
        0; biases are exempt. m is the number of training examples, or the sum of their weights, whatever the
        size of the minibatches. The derivative of |W| is taken to be the sign of W, and 0 for 0 (a
        subgradient). A λ above 0 must not become 0 or infinite in `dtype`. Notes has a table of other
        libraries' penalties.
    bias : bool, default True
        Whether layers have biases b(l). Without them `biases` is empty, and `parameters` holds weights
        alone.
    dropout : float or sequence of float, default 0.0
        Share p of the units that training drops, from 0 to less than 1: one for all hidden layers, or one for
        the inputs and one for each hidden layer. In each step, each unit of each example becomes 0 with
        probability p, and is divided by 1 − p otherwise (Srivastava et al., 2014, inverted). `predict`,
        `loss`, `gradient` and validation drop nothing.
    input_noise : float, default 0.0
        Standard deviation of the normal numbers that training adds to the inputs, at least 0; before dropout.
    dtype : {"float32", "float64"}, default "float32"
        Precision of parameters and computations.
    init : str or callable, optional
        Initial weights: "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform",
        "lecun_normal" or "zeros", or a function that takes a Generator and a shape (s(l), s(l+1)) and returns
        an array of that shape. Default: see Notes. Biases start at 0.
    rng : int or numpy.random.Generator, optional
        Seed or source of the initial weights, of shuffling, dropout and noise. A Generator is used, not
        copied. Default: entropy from the operating system.
    n_threads : int, optional
        The most threads that a call of this network uses, at least 1. Default: see `cbp.get_num_threads`.
        Results have the same bits for any number.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range.

    Notes
    -----
    Initial weights are uniform: before sigmoid, tanh, identity, exp and softmax in ±√(6 / (s(l) + s(l+1)))
    (Glorot and Bengio, 2010), before selu in ±√(3 / s(l)) (LeCun et al., 1998), else in ±√(6 / s(l)) (He et
    al., 2015); biases start at 0. They are drawn in double precision, layer by layer.

    The `l2` that stands for the penalty of others, for m training examples, where the other term of their
    cost is the mean over the examples of the same loss:

    =====================================  ==================================================
    in the cost                            `l2`
    =====================================  ==================================================
    Ng: λ/(2m) Σ W²                        λ
    Nielsen: λ/(2n) Σ w², n = m            λ
    scikit-learn: α/(2 batch) Σ W²         α m / batch; or α and ``fit(l2_per="batch")``
    Keras: ``regularizers.l2(c)``, c Σ W²  2 m c
    PyTorch: ``weight_decay=w`` of SGD     w m (PyTorch decays biases too)
    =====================================  ==================================================

    The mean squared error of Keras and PyTorch is 2/K times `squared_error` for K outputs, and their binary
    cross-entropy 1/K times `cross_entropy`: multiply `l2` by K/2 or K there. The `weight_decay` of `AdamW` is
    not part of J. It is that of PyTorch's AdamW, but that biases do not decay here.

    One thread may train a network while others read it. Results, and `parameters`, are those of the last
    epoch that has ended; while an epoch's end replaces them, they may be a mixture of two. Copies, pickles,
    files and `thetas` are always of one epoch.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([2, 4, 1], output="sigmoid", dtype="float64", rng=0)
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> history = net.fit(X, Y, epochs=1000, optimizer=cbp.Adam(0.05))
    >>> net.predict_labels(X)[:, 0].tolist()
    [0, 1, 1, 0]
    """

    @classmethod
    def from_thetas(cls, thetas: Sequence[ArrayLike], **options: Any) -> Network:
        """Make a network from textbook matrices Θ(l) = [b(l) ǀ W(l)ᵀ], (s(l+1), 1 + s(l)).

        Parameters
        ----------
        thetas : sequence of array-like
            One matrix for each layer of weights; it has one column more than the matrix before it has rows.
        **options
            As for `Network`, with the same defaults. With ``bias=False`` the first columns must be 0.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network.from_thetas([[[-30, 20, 20]]], output="sigmoid")  # AND
        >>> net.predict([[0, 1], [1, 1]]).round(3).ravel().tolist()
        [0.0, 1.0]
        """
        matrices, sizes = layout.sizes_of(thetas)
        # Nothing is drawn from a Generator that the caller shares with others.
        rng = options.pop("rng", None)
        network = cls(sizes, rng=0, **options)
        network._shuffler = spawn(generator(rng))
        network.weights = [theta[:, 1:].T for theta in matrices]
        layout.check_biases(matrices, network._bias)
        if network._bias:
            network.biases = [theta[:, 0] for theta in matrices]
        return network

    # What the network is

    def summary(self) -> str:
        """Return a table of the layers, and the loss, penalties, dtype and memory of the parameters.

        It is plain text with lines of at most 80 characters. Of more than 25 layers it has the first and the
        last ten. A notebook shows the same with a drawing, if the network is the value of a cell.

        Examples
        --------
        >>> import cbp
        >>> print(cbp.Network([784, 128, 10], hidden=("elu", 0.5), l2=0.1, rng=0).summary())
        layer  units  activation    weights  parameters
            1    784      inputs
            2    128    elu(0.5)  784 x 128     100,480
            3     10     softmax   128 x 10       1,290
        total                                   101,770
        loss cross_entropy, l2 0.1, float32, 407,080 bytes of parameters
        """
        from cbp import pictures

        return pictures.summary(self._architecture)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a drawing, and the same as `summary`."""
        from cbp import pictures

        return pictures.notebook(self._architecture)

    # Forward

    def predict(self, X: ArrayLike, out: Array | None = None) -> Array:
        """Compute the outputs a(L).

        With a single output they are (m, 1), even if the targets of `fit` were (m,). Then beware of
        ``net(X) - Y``: NumPy makes it an array of shape (m, m), whose mean square means nothing. Write
        ``net(X).ravel() - Y``, or use `loss`, `r2` or `accuracy`.

        Parameters
        ----------
        X : array-like, (m, s(1)) or (s(1),)
            Examples, or one. The columns of a data frame are put in the order of `feature_names`.
        out : ndarray, (m, s(L)) or (s(L),), optional
            C-contiguous array of the network's dtype to write to, and to return. It may be X itself, but must
            not overlap X in any other way.

        Returns
        -------
        ndarray, (m, s(L)) or (s(L),)

        Raises
        ------
        TypeError, ValueError
            If X does not fit, or holds NaN or infinity; if out does not fit.

        Examples
        --------
        >>> import cbp, numpy as np
        >>> net = cbp.Network([1, 1], output="identity", dtype="float64", rng=0)
        >>> net.parameters = [1, 0]
        >>> X, Y = np.array([[1], [2], [3]]), np.array([1, 2, 3])
        >>> float(((net(X) - Y) ** 2).mean()), float(((net(X).ravel() - Y) ** 2).mean())  # wrong, right
        (1.3333333333333333, 0.0)
        """
        ready = out
        if out is None and type(X) is np.ndarray:
            if X.ndim == 1:
                ready = np.empty(self._sizes[-1], self._dtype)
            elif X.ndim == 2 and len(X) < AT_ONCE_ROWS:
                ready = np.empty((len(X), self._sizes[-1]), self._dtype)
        if ready is not None and self._engine.predict_ready(X, ready):
            return ready
        array = frames.in_order(numeric(X, "X"), X, self._feature_names, "X")
        one = array.ndim == 1
        array = arrays.rows(array.reshape(1, -1) if one else array, self._sizes[0], "X")
        m, n = len(array), self._sizes[-1]
        if out is None:
            out = np.empty((n,) if one else (m, n), dtype=self._dtype) if ready is None else ready
        else:
            arguments.check_out(out, (n,) if one else (m, n), self._dtype)
        self._forward(array, [None] * (len(self._sizes) - 2) + [out])
        return out

    def __call__(self, X: ArrayLike) -> Array:
        """The same as `predict`."""
        return self.predict(X)

    def _forward(self, array: Array, out: list[Array | None]) -> None:
        """Do forward propagation in parts, to react to Ctrl-C, and never to load all of a memory-mapped X."""
        m, n_threads = len(array), self._thread_count()
        step = passes.forward_rows(self.n_parameters, self._sizes[0] * self._dtype.itemsize)
        for start in range(0, m, step):
            part = array[start : start + step]
            to = [a if a is None or m <= step else a[start : start + step] for a in out]
            fault = self._engine.forward(convert(part, self._dtype), len(part), to, n_threads)
            if fault is not None:
                row, column = fault
                place, names = (start + row, column), self._feature_names
                raise refusal("X_NOT_FINITE", "X", part[row], *place, self._dtype, names)

    def activations(self, X: ArrayLike) -> list[Array]:
        """Compute [a(1), …, a(L)] for examples X, (m, s(1)); each is (m, s(l)), and a(1) is a copy of X."""
        array = arrays.rows(X, self._sizes[0], "X", self._feature_names)
        a: list[Array] = [np.empty((len(array), n), dtype=self._dtype) for n in self._sizes[1:]]
        self._forward(array, list(a))
        return [array.astype(self._dtype), *a]

    def predict_labels(self, X: ArrayLike) -> Array:
        """Return class labels, int64.

        For softmax they are the most probable classes, (m,); for sigmoid whether a ≥ ½, (m, s(L)). For one
        example X, (s(1),), they are a single label, or (s(L),). Each of several sigmoid outputs answers a
        question of its own. Where these outputs stand for classes that exclude each other, as after training
        on class labels, the labels are ``net.predict(X).argmax(axis=1)`` instead.

        Raises
        ------
        TypeError, ValueError
            If the output is neither softmax nor sigmoid, or X is not as for `predict`.
        FloatingPointError
            If an output is not finite, since a parameter is not finite or sums overflow. NaN is of no class.
        """
        arguments.check_classifies(self.output, "predict_labels")
        a = self.predict(X)
        scores.refuse_not_finite(a, self._weights, self._biases)
        return a.argmax(axis=-1) if self.output == "softmax" else (a >= 0.5).astype(np.int64)

    def accuracy(self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute the share of right answers, from 0 to 1; with weights w, Σ w of the right / Σ w of all.

        Parameters
        ----------
        X : array-like, (m, s(1))
            Examples.
        Y : array-like
            As for `fit`. It decides what counts as an answer. With class labels, (m,) for several outputs,
            and with softmax for targets of any form, an **example** is right if its largest output is that of
            its class. Otherwise, for sigmoid, every **unit** counts by itself, and is right if its output and
            its target are both at least ½, or both less. Where each row of Y has a single 1, most units
            should be 0, so that this share is misleadingly high: 99 % of the units may be right although one
            example in twenty is wrong. Then give labels instead: ``Y.argmax(axis=1)``.
        sample_weight : array-like, (m,), optional
            Weights of the examples: at least 0, not all 0.

        Raises
        ------
        TypeError, ValueError
            If something does not fit, or holds NaN or infinity; if Y is not labels, and the output neither
            softmax nor sigmoid.
        FloatingPointError
            If a parameter or an output is not finite.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 2], output="sigmoid", rng=0)
        >>> net.weights = [[[1, -1], [-1, 1]]]
        >>> X = [[3, 0], [3, 2]]
        >>> net.accuracy(X, [[1, 0], [0, 1]]), net.accuracy(X, [0, 0])
        (0.5, 1.0)
        """
        inputs, targets, weights = self._scored(X, Y, sample_weight)
        if targets.ndim == 2:
            arguments.check_classifies(self.output, "accuracy")
        return scores.accuracy(self._finite_outputs(inputs), targets, self.output == "softmax", weights)

    def r2(self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute R², the coefficient of determination.

        It is 1 if all outputs are right, and 0 if all are the mean of the targets. For one output it is
        1 − Σ w (y − a)² / Σ w (y − ȳ)², with ȳ = Σ w y / Σ w, and for several outputs the mean of these. It
        is computed in double precision, and equals scikit-learn's ``r2_score`` with
        ``multioutput="uniform_average"``.

        Parameters
        ----------
        X : array-like, (m, s(1))
            At least two examples: a single target has no variance.
        Y : array-like, (m, s(L)), or (m,) for one output
            Numbers, not class labels. Where the targets of an output are all equal, its R² is 1 if it is
            right everywhere, else 0.
        sample_weight : array-like, (m,), optional
            Weights w: at least 0, and at least two above 0. Default: 1.

        Raises
        ------
        TypeError, ValueError
            If something does not fit, or holds NaN or infinity; for less than two examples.
        FloatingPointError
            If a parameter or an output is not finite.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", rng=0)
        >>> net.parameters = [1, 0]
        >>> net.r2([[1], [2], [3]], [1, 2, 3]), net.r2([[1], [2], [3]], [3, 2, 1])
        (1.0, -3.0)
        """
        inputs, targets, weights = self._scored(X, Y, sample_weight, labels=False)
        return scores.r2(self._finite_outputs(inputs), targets, weights)

    def _scored(
        self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None, *, labels: bool = True
    ) -> tuple[Array, Array, Array | None]:
        """Return what a score compares: inputs, targets in the dtype that they came in, and weights."""
        inputs = arrays.examples_of(X, self._sizes[0], "X", self._feature_names)
        m, n, softmax = len(inputs), self._sizes[-1], self.output == "softmax"
        wanted = arrays.finite(targets(Y, m, n, softmax, "Y", labels=labels), "Y")
        return inputs, wanted, arrays.weights(sample_weight, m, np.float64)

    def _finite_outputs(self, X: Array) -> Array:
        """Return the outputs; raise FloatingPointError if they or the parameters are not finite."""
        # Not by the properties `weights` and `biases`: then partial_fit would have to look for changes.
        scores.refuse_parameters(self._weights, self._biases)  # even if outputs are finite
        a = self.predict(X)
        scores.refuse_not_finite(a, self._weights, self._biases)
        return a

    # Loss and gradient

    def loss(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        missing: str = "raise",
    ) -> float:
        """Compute J = (1/m) Σ loss(a(L), y) + λ/(2m) Σ W² + λ'/m Σ |W|, where λ is `l2` and λ' is `l1`.

        With weights w, the first sum is Σ w loss(a(L), y), and m = Σ w. X, Y, sample_weight, missing and the
        errors are as for `fit`. A J that is not finite is returned as it is.
        """
        if sample_weight is None and (J := self._at_once("loss", X, Y, None)) is not None:
            return J
        examples = self._examples(X, Y, sample_weight, self._feature_names, missing=missing)
        return passes.loss(self._engine, examples, self._thread_count(), self._penalties)

    def gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        inputs: bool = False,
        missing: str = "raise",
    ) -> Gradient:
        """Compute D, the gradient of J (see `loss`), by backpropagation.

        Parameters
        ----------
        X, Y, sample_weight, missing
            As for `fit`.
        inputs : bool, default False
            Whether to compute dJ/dX too.

        Returns
        -------
        Gradient
            Its attributes are `parameters`, which is flat, `weights` and `biases`, views of it, `thetas`,
            `loss`, which is J, and `inputs`, (m, s(1)) or None.
        """
        D = np.empty(len(self._parameters), self._dtype)
        if sample_weight is None and not inputs and (J := self._at_once("gradient", X, Y, D)) is not None:
            return Gradient(D, J, None, self._sizes, self._bias)
        examples = self._examples(X, Y, sample_weight, self._feature_names, missing=missing)
        to_inputs = np.empty((examples.m, self._sizes[0]), dtype=self._dtype) if inputs else None
        J = passes.gradient(self._engine, examples, self._thread_count(), self._penalties, D, to_inputs)
        return Gradient(D, J, to_inputs, self._sizes, self._bias)

    def _at_once(self, mode: str, X: Any, Y: Any, D: Array | None) -> float | None:
        """Return J, and write its gradient to D, if the arrays need no conversion and the work is little.

        Otherwise return None: the caller must take the longer way, which also says what may be wrong. The
        pass is kept for the next such call.
        """
        if not isinstance(self.loss_name, (str, tuple)):
            return None
        if type(X) is not np.ndarray or type(Y) is not np.ndarray or not X.dtype == Y.dtype == self._dtype:
            return None
        m, n = X.shape[0] if X.ndim == 2 else 0, len(self._parameters)
        if m == 0 or n > AT_ONCE_PARAMETERS or m * n > AT_ONCE_WORK or max(self._sizes) > AT_ONCE_UNITS:
            return None
        n_threads = self._thread_count()
        run = self._passes.pop(mode, None)  # removed, so that no other thread uses it meanwhile
        if run is None or (run.batch, run.n_threads) != (m, n_threads):
            run = _core.Pass(self._engine, _core.MODES[mode], m, n_threads)
        J: float | None = run.evaluate(X, Y, D, self._penalties)
        self._passes[mode] = run
        return J

    def check_gradient(self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute ‖D − D′‖ / (‖D‖ + ‖D′‖), with D from `gradient` and D′ from central differences of J.

        This relative difference is computed in double precision on a copy of the network, and is 1e-8 or less
        if the gradient is right. It takes four losses for each parameter, or two if J has kinks, and so is
        for small networks and few examples. At a kink, as relu and absolute_error have one, there is no
        gradient.
        """
        twin = Network._of(self._architecture.changed(dtype="float64"), n_threads=self._n_threads)
        twin.parameters = self._copy_of_parameters()
        twin.feature_names = self._feature_names
        D = twin.gradient(X, Y, sample_weight).parameters
        examples = twin._examples(X, Y, sample_weight, twin._feature_names)
        return relative_difference(
            D,
            lambda: passes.loss(twin._engine, examples, twin._thread_count(), twin._penalties),
            twin._parameters,
            smooth=self._architecture.smooth,
        )

    # Training

    def fit(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        epochs: int = 100,
        batch_size: int | None = 32,
        optimizer: Optimizer | None = None,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        missing: str = "raise",
        validation_data: tuple[ArrayLike, ...] | None = None,
        validation_fraction: float | None = None,
        metrics: Iterable[str | Callable[..., float]] = (),
        early_stopping: EarlyStopping | bool = False,
        max_seconds: float | None = None,
        ema: float | None = None,
        l2_per: str = "training_set",
        callbacks: Iterable[Callable[[Epoch], object]] = (),
        batch_callbacks: Iterable[Callable[[Step], object]] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: str | Every = "epoch",
        progress: bool | None = None,
    ) -> History:
        """Train from the parameters as they are, with fresh optimiser state.

        If a callback sets `l2`, `l1`, `n_threads` or parameters, they hold from the next epoch on. A copy or
        pickle that a callback makes has the optimiser's state of that moment.

        Parameters
        ----------
        X : array-like, (m, s(1))
            Examples. They are never written to, and not copied if C-contiguous, aligned, native and of the
            network's dtype. Otherwise memory-mapped arrays are converted part by part, and anything else
            once. The names of a data frame's columns are kept as `feature_names`. If these are the same names
            already, in another order, they stay, and the columns are put in their order. An X whose columns
            have no names makes the network forget them.
        Y : array-like
            Targets: (m, s(L)), for softmax probabilities whose rows sum to 1, for sigmoid with cross-entropy
            numbers in [0, 1]. For several outputs, (m,) holds class labels, whole numbers 0 … s(L) − 1: the
            output of the class should be 1, and the others 0, for tanh too. For one output, (m,) holds its
            targets; `predict` returns (m, 1) even then, so that ``predict(X) - Y`` has shape (m, m).
        epochs : int, default 100
            Times to go through the examples; may be 0.
        batch_size : int or None, default 32
            Examples a step; more than m means m, None the full batch. The last batch may be smaller.
        optimizer : Optimizer, optional
            ``cbp.SGD(0.1, momentum=0.9)``, for example; the README lists all. Default: ``cbp.Adam()``.
        shuffle : bool, default True
            Go through the examples in a new order each epoch, drawn from `rng`; for up to 2³² − 1 examples.
        sample_weight : array-like, (m,), optional
            Weights of the examples: at least 0, not all 0.
        class_weight : mapping or "balanced", optional
            Weight of each class, at least 0, by which those of its examples are multiplied; classes that are
            missing have 1. "balanced" is m / (classes present × examples of the class), or with sample_weight
            Σ w / (classes present × Σ w of the class), as in scikit-learn's ``compute_class_weight``, for the
            rows that are trained on. Y must name classes: labels, rows with a single 1, or 0 and 1 for one
            sigmoid output, whose classes are 0 and 1. As in Keras, validation is not weighted by it.
        missing : {"raise", "ignore"}, default "raise"
            What NaN among the targets means: an error, or, where the output is not softmax, that this target
            is missing: its output has no part in the loss of its example, as if it had a weight of 0. m
            remains the number of examples. It holds for validation_data, too.
        validation_data : (X, Y) or (X, Y, sample_weight), optional
            What to compute `Epoch.validation_loss` on after each epoch: the loss without the penalty. A data
            frame must have the names of the one that is trained on, in any order.
        validation_fraction : float, optional
            Share of the examples, above 0 and below 1, to set aside and to use as validation_data. `rng`
            chooses the rows. If the targets are classes, each class has the same share, to within one row;
            the only example of a class stays. `History.validation_rows` has the numbers of the rows. Both
            parts are copies, so that memory-mapped arrays are read into memory. Each call chooses anew: to go
            on training with the same rows set aside, give them as validation_data.
        metrics : iterable of str or callables, default ()
            What to record in `Epoch.metrics` besides the losses: "accuracy", "r2", "mae", "rmse", "auc",
            "f1", or functions of (Y, outputs, sample_weight), alone or as (name, function). Those of the
            training examples are of the outputs that the epoch computes anyway, each before the update of its
            minibatch, with dropout and noise. With validation data there are also "validation_accuracy" and
            so on. They are weighted as the loss is, and as scikit-learn defines them: "auc" against all
            others, and "f1", are means over more than two classes. An "auc" without both sides is NaN.
        early_stopping : EarlyStopping or bool, default False
            Whether to stop when the validation loss does not improve any more, and go back to the best
            epoch's parameters. True is ``cbp.EarlyStopping()``; None is False.
        max_seconds : float, optional
            Training stops some hundredths of a second after this time, within an epoch, too. An incomplete
            epoch is not recorded. The parameters are those after the last step, or with early stopping those
            of the best epoch.
        l2_per : {"training_set", "batch"}, default "training_set"
            What m is in the penalties of a minibatch step, λ/(2m) Σ W² and λ/m Σ |W|. "training_set": all
            training examples, so that `fit` minimises the J of `loss`. "batch": the minibatch's examples, as
            in scikit-learn: λ then weighs more the smaller the minibatches are.
        ema : float, optional
            Decay rate d, above 0 and below 1, such as 0.999, of an exponential moving average of the
            parameters. After each step t = 1, 2, … it becomes d θ̄ + (1 − d) θ, with (1 + t) / (10 + t) in
            place of a larger d. The network's parameters are then the average: after each epoch, in
            validation and callbacks, and at the end. Training itself goes on from θ. Default: none.
        callbacks : iterable of callables
            Each is called after an epoch, with its `Epoch`. Training stops when one returns True, and goes on
            after False or None. Anything else is a TypeError; the epoch is in the history by then.
        batch_callbacks : iterable of callables
            Each is called after each step, with a `cbp.Step`: number, epoch, loss and learning rate. Answers
            are those of callbacks. After True training stops within the epoch, which is then not recorded,
            with the parameters after that step. So it does after an exception, which is raised then. Until
            the epoch ends the network itself has the parameters from before it, and those that a function
            sets are overwritten. To call Python after each step may take longer than steps of small networks.
        checkpoint : path-like, optional
            File to write the whole state of the training to, so that `cbp.resume` can go on from it to the
            same bits: before the first step, whenever it is due, and at the end, also after Ctrl-C. It is
            replaced only by a complete file that is on the disk. X and Y are not in it.
        checkpoint_every : "epoch" or Every, default "epoch"
            When: ``cbp.Every(seconds=30)`` or ``cbp.Every(steps=1000)``, for example.
        progress : bool, optional
            Whether to show progress on stderr. Default: in a terminal or notebook, on runs of over 2 s.

        Returns
        -------
        History
            It has an `Epoch` for each epoch: loss, validation loss, seconds, examples a second; `stopped` is
            why training ended, and `best` the best epoch. It is also `net.history`.

        Raises
        ------
        TypeError, ValueError
            If something does not fit, X or Y hold NaN, infinity or targets out of range, or the optimizer has
            a number that becomes 0, 1 or infinite in the network's dtype. The parameters are then those from
            before the call.
        FloatingPointError
            If the loss or a parameter stops being finite, mostly from too large a learning rate or inputs
            that are not scaled. The parameters are those of the last finite epoch.
        RuntimeError
            If the network is being trained already.
        KeyboardInterrupt
            After Ctrl-C. The parameters are those after the last step; `net.history` has the epochs
            completed.

        Examples
        --------
        Class 1 is rare, so that its example weighs as much as the three others:

        >>> import cbp
        >>> net = cbp.Network([1, 1], output="sigmoid", dtype="float64", rng=0)
        >>> X, Y = [[0], [1], [2], [3]], [0, 0, 0, 1]
        >>> settings = {"batch_size": None, "optimizer": cbp.SGD(0.5), "class_weight": {1: 3}}
        >>> history = net.fit(X, Y, **settings, batch_callbacks=[lambda step: step.loss < 0.3])
        >>> history.stopped, history.losses[-1] < 0.3
        ('callback', True)
        """
        columns = frames.adopted(X, self._feature_names, "X")
        given = examples = self._examples(X, Y, sample_weight, columns, missing=missing)
        epochs = scalars.count(epochs, "epochs", least=0)
        aside, rows = self._validation_examples(validation_data, columns, missing), None
        if validation_fraction is not None:
            if aside is not None:
                raise ValueError("give validation_data or validation_fraction, not both")
            examples, aside, rows = split.divide(examples, validation_fraction, self._shuffler)
        examples = classes.weighted(examples, class_weight, sample_weight, self._sizes[-1], self.output)
        measured = wanted_metrics(metrics, self.output, given, missing == "ignore")
        watch = self._watch(early_stopping, recorded(measured, validated=aside is not None), measured)
        limit, average = arguments.seconds(max_seconds), arguments.ema(ema, self._dtype)
        per, wanted = arguments.l2_per(l2_per), arguments.optimizer(optimizer, self._dtype) or Adam()
        saver = None
        if checkpoint is not None or checkpoint_every != "epoch":
            from cbp.training.checkpoints import Saver, interval  # likewise

            interval(checkpoint_every)
        if checkpoint is not None:
            settings = {
                "epochs": epochs,
                "batch_size": batch_size,
                "optimizer": wanted,
                "shuffle": shuffle,
                "class_weight": class_weight,
                "missing": missing,
                "early_stopping": watch.rule if watch else None,
                "metrics": tuple(metric.name if metric.row else (metric.name,) for metric in measured),
                "ema": ema,
                "l2_per": l2_per,
                "checkpoint_every": checkpoint_every,
            }
            saver = Saver(self, checkpoint, settings, given, aside if validation_fraction is None else None)
        history = History(validation_rows=rows)
        return self._fit(
            *(examples, aside, history, wanted, batch_size, shuffle),
            epochs=epochs,
            whole=examples.weight if per == "training_set" else 0.0,
            ema=average,
            metrics=measured,
            callbacks=callbacks,
            batch_callbacks=batch_callbacks,
            progress=progress,
            watch=watch,
            saver=saver,
            max_seconds=limit,
        )

    def fit_batches(
        self,
        batches: Iterable[tuple[ArrayLike, ...]],
        *,
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        optimizer: Optimizer | None = None,
        n_examples: float | None = None,
        missing: str = "raise",
        validation_data: tuple[ArrayLike, ...] | None = None,
        metrics: Iterable[str | Callable[..., float]] = (),
        early_stopping: EarlyStopping | bool = False,
        max_seconds: float | None = None,
        ema: float | None = None,
        callbacks: Iterable[Callable[[Epoch], object]] = (),
        batch_callbacks: Iterable[Callable[[Step], object]] = (),
        progress: bool | None = None,
    ) -> History:
        """Train on minibatches of your own, with fresh optimiser state.

        Where batches take longer than a tenth of a millisecond to make, the next one is made, in a thread of
        its own, while the core works on the present one. Arguments that are not named here are those of
        `fit`.

        Parameters
        ----------
        batches : iterable of (X, Y) or (X, Y, sample_weight)
            Minibatches of any size, each as X and Y of `fit`. A step is made for each, or with ``accumulate``
            of the optimizer for as many joined. A generator can be read once; an endless one needs
            steps_per_epoch. The memory is that of a few batches.
        epochs : int, default 1
            Times to go through all batches, or through steps_per_epoch of them.
        steps_per_epoch : int, optional
            Steps of an epoch, at least 1. Where `batches` ends before, it is read from its beginning again.
            Default: all batches.
        n_examples : float, optional
            m in the penalties, as for `partial_fit`. Default: the examples of the minibatch.
        metrics : iterable, default ()
            As for `fit`, but of the validation data alone.

        Returns
        -------
        History
            As of `fit`; it is also `net.history`.

        Raises
        ------
        TypeError, ValueError, FloatingPointError, RuntimeError, KeyboardInterrupt
            As `fit` does, and whatever `batches` raises. After an error within an epoch, the parameters are
            those of the last epoch.

        Notes
        -----
        If all batches have the size of the first, or less, the parameters have the same bits as after `fit`
        on the same examples in the same order with ``l2_per="batch"``.

        Examples
        --------
        >>> import cbp, numpy as np
        >>> def batches(rng=np.random.default_rng(0)):
        ...     while True:
        ...         X = rng.uniform(-1, 1, (32, 2))
        ...         yield X, X.prod(axis=1)
        >>> net = cbp.Network([2, 16, 1], hidden="tanh", output="identity", rng=0)
        >>> history = net.fit_batches(batches(), epochs=2, steps_per_epoch=500, optimizer=cbp.Adam(0.01))
        >>> history.losses[1] < 0.01
        True
        """
        from cbp.training.stream import Reader

        epochs = scalars.count(epochs, "epochs", least=0)
        steps = scalars.count_or_none(steps_per_epoch, "steps_per_epoch")
        wanted = arguments.optimizer(optimizer, self._dtype) or Adam()
        convert = partial(self._batch, missing)
        reader = Reader(arguments.batches(batches), convert, steps, wanted.accumulate)
        aside = self._validation_examples(validation_data, reader.peek().feature_names, missing)
        measured: tuple[Metric, ...] = ()
        if aside is not None:
            measured = wanted_metrics(metrics, self.output, aside, missing == "ignore")
        elif tuple(metrics):
            raise ValueError("metrics of fit_batches are of validation_data, and there is none")
        of_batches = {each.name for each in measured}
        named = [name for name in recorded(measured, validated=aside is not None) if name not in of_batches]
        return self._fit(
            *(reader, aside, History(), wanted, None, False),
            epochs=epochs,
            whole=0.0 if n_examples is None else scalars.real(n_examples, "n_examples", least=0, above=True),
            ema=arguments.ema(ema, self._dtype),
            metrics=measured,
            callbacks=callbacks,
            batch_callbacks=batch_callbacks,
            progress=progress,
            watch=self._watch(early_stopping, named, measured),
            max_seconds=arguments.seconds(max_seconds),
        )

    def _batch(self, missing: str, batch: Any, i: int, columns: frames.Names | None) -> Examples:
        """Check and convert batch i of `fit_batches`; `columns` are the names of those before it."""
        X, Y, w = arguments.batch(batch, i)
        names = (f"X of batch {i}", f"Y of batch {i}", f"sample_weight of batch {i}")
        columns = columns or self._feature_names or frames.names_of(X, names[0])
        return self._examples(X, Y, w, columns, names, missing)

    def _watch(self, asked: object, names: Sequence[str], metrics: Sequence[Metric]) -> Watch | None:
        """Return the watch for `early_stopping`, given the names of what an epoch records."""
        if asked is None or (isinstance(asked, (bool, np.bool_)) and not asked):
            return None
        # Imported only now: its dataclass would add a twentieth to the time of `import cbp`.
        from cbp.training.stopping import watch_of

        return watch_of(asked, names, metrics)

    def _fit(
        self,
        examples: Examples | Reader,
        aside: Examples | None,
        history: History,
        optimizer: Optimizer,
        batch_size: int | None,
        shuffle: bool,
        *,
        epochs: int,
        whole: float,
        ema: float,
        metrics: Sequence[Metric],
        callbacks: Iterable[Callable[[Epoch], object]],
        batch_callbacks: Iterable[Callable[[Step], object]],
        state: TrainingState | None = None,
        **options: Any,
    ) -> History:
        """Train on what `fit` has checked, or go on from a state; `options` are those of `runs.train`."""
        called = arguments.callbacks(callbacks, "callbacks")
        after_step = None
        if functions := arguments.callbacks(batch_callbacks, "batch_callbacks"):
            from cbp.training.hooks import Hooks

            after_step = Hooks(functions).stop
        measures = Measures(
            self._engine, examples, aside, metrics, self.output == "softmax", self._thread_count
        )
        measures.validate()  # a fault in the data is found before the training, not after its first epoch
        with self._training(
            *(examples, optimizer, batch_size, shuffle),
            going_on=False,
            whole=whole,
            ema=ema,
            epochs=epochs,
            state=state,
            wants_outputs=bool(metrics),
        ) as trainer:
            self.history = history
            if trainer.rates is not None:
                names = recorded(metrics, validated=aside is not None)
                if not isinstance(examples, Examples):  # of which no outputs are kept
                    names = tuple(name for name in names if name not in [each.name for each in metrics])
                trainer.rates.watch(names, metrics, state.plateau if state else None)
            train(
                trainer,
                epochs,
                history,
                measures=measures,
                callbacks=called,
                after_step=after_step,
                **options,
            )
        return history

    def partial_fit(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        missing: str = "raise",
        optimizer: Optimizer | None = None,
        batch_size: int | None = 32,
        shuffle: bool = True,
        n_examples: float | None = None,
    ) -> Network:
        """Train for one pass over the examples, going on with the optimiser's state.

        The other arguments are as for `fit`. The state is that of the last `fit` or `partial_fit`. An
        optimizer of the same class goes on with it, whatever its numbers are, so that each call may have a
        learning rate of its own. (A velocity starts at 0 when SGD's momentum rises from 0, and is forgotten
        when the momentum falls to 0.) An optimizer of another class starts with a fresh state. None goes on
        with the last optimizer, or starts ``cbp.Adam()`` if there is none. To start afresh with the same
        class, call `fit` with ``epochs=0`` first.

        `feature_names` stay, and a data frame must have them, in any order. If there are none yet, the names
        of the data frame are kept.

        Parameters
        ----------
        class_weight : mapping, optional
            As for `fit`, but for "balanced": these examples may be a part, of other shares than all.
        n_examples : float, optional
            m in the penalties λ/(2m) Σ W² and λ/m Σ |W|: the number of all training examples, of which these
            are a part, or the sum of the weights of all. Default: in each step those of the minibatch.

        Returns
        -------
        Network
            The network itself.

        Raises
        ------
        TypeError, ValueError, FloatingPointError, RuntimeError
            As `fit` does, with the parameters and the state from before.

        Notes
        -----
        The network keeps the memory that the steps work on for the next call, since to fill it again would
        take longer than a step on a few examples. With Adam it is about six times the memory of the
        parameters, and the workspace of a minibatch. `fit` frees it, and another size of the minibatches or
        class of optimizer replaces it. It is not part of copies, pickles and files. You may still write to
        the parameters at any time: once `parameters`, `weights` or `biases` have been read, each call first
        compares the parameters with its own copy of them.
        """
        columns = self._feature_names or frames.names_of(X, "X")
        examples = self._examples(X, Y, sample_weight, columns, missing=missing)
        classes.refuse_balanced(class_weight, "partial_fit")
        examples = classes.weighted(examples, class_weight, sample_weight, self._sizes[-1], self.output)
        wanted = arguments.optimizer(optimizer, self._dtype)
        whole = 0.0
        if n_examples is not None:
            whole = scalars.real(n_examples, "n_examples", least=0, above=True)
            if whole < examples.weight * (1 - 1e-6):
                raise ValueError(
                    f"n_examples must be at least the {examples.weight:g} that are given, got {n_examples!r}"
                )
        with self._training(examples, wanted, batch_size, shuffle, going_on=True, whole=whole) as trainer:
            if type(trainer.optimizer.learning_rate).__name__ == "Plateau":
                raise ValueError("Plateau is for fit: partial_fit has one epoch, and nothing to compare with")
            trainer.epoch(1, lambda n: None)
        return self

    def _state_for(self, wanted: Optimizer | None) -> OptimizerState | Steps:
        """Return the optimiser's state to go on from; a fresh one if another class of optimiser is wanted."""
        state = self._state
        if state is None or (wanted is not None and type(wanted) is not type(state.optimizer)):
            return OptimizerState(wanted or Adam())
        return state

    @contextmanager
    def _training(
        self,
        examples: Examples | Reader,
        wanted: Optimizer | None,
        batch_size: int | None,
        shuffle: bool,
        *,
        going_on: bool,
        whole: float = 0.0,
        ema: float = 0.0,
        epochs: int | None = None,
        state: TrainingState | None = None,
        wants_outputs: bool = False,
    ) -> Iterator[Training]:
        """Enter a training, of which a network can be in one at a time: fresh, going on, or from `state`.

        On leaving, the network keeps the optimiser's state that `Training.close` returns.
        """
        size = None if batch_size is None else scalars.count(batch_size, "batch_size", least=1)
        what = self._architecture
        lock = self._locks.setdefault(forks.depth, threading.Lock())
        if not lock.acquire(blocking=False):
            raise RuntimeError("this network is being trained already, by another call of fit or partial_fit")
        try:
            fresh = self._state_for(wanted) if going_on else OptimizerState(wanted or Adam())
            rest = fresh if state is None else state.optimizer
            start: tuple[Any, ...] = (state or fresh, wanted or rest.optimizer)
            how: dict[str, Any] = {
                "settings": lambda: (self._penalties, self._thread_count(), self._rest_lock()),
                "keep": self._set_state,
                "restorable": going_on,
                "whole": whole,
                "ema": ema,
                "epochs": epochs,
                "seed": 0 if state or not what.is_random else int(self._shuffler.integers(1 << 63)),
            }
            if isinstance(examples, Examples):
                how |= {"batch_size": size, "shuffler": self._shuffler if shuffle else None}
                data = (self._engine, self._parameters, examples)
                trainer = Training(*data, *start, wants_outputs=wants_outputs, **how)
            else:
                from cbp.training.stream import Stream

                trainer = Stream(examples, self._engine, self._parameters, *start, **how)
            try:
                yield trainer
            finally:
                if not trainer.undone:  # if undone, the names stay as they were, like the parameters
                    self._feature_names = trainer.examples.feature_names
                self._set_state(trainer.close(self._state))
        finally:
            lock.release()

    def _set_state(self, state: OptimizerState | Steps | None) -> None:
        self._state = state

    def _validation_examples(
        self, data: tuple[ArrayLike, ...] | None, columns: frames.Names | None, missing: str
    ) -> Examples | None:
        """Check and convert validation_data."""
        if data is None:
            return None
        X, Y, sample_weight = arguments.validation_data(data)
        names = ("X of validation_data", "Y of validation_data", "sample_weight of validation_data")
        return self._examples(X, Y, sample_weight, columns, names, missing)

    def _examples(
        self,
        X: Any,
        Y: Any,
        sample_weight: Any,
        columns: frames.Names | None,
        names: tuple[str, str, str] = ("X", "Y", "sample_weight"),
        missing: str = "raise",
    ) -> Examples:
        """Check and convert the examples of a call; `columns` are the names that a data frame must have."""
        return arrays.examples(
            X,
            Y,
            sample_weight,
            n_inputs=self._sizes[0],
            n_outputs=self._sizes[-1],
            output=self.output,
            dtype=self._dtype,
            loss=self.loss_name,
            feature_names=columns,
            names=names,
            missing=arguments.missing(missing, self.output, self.loss_name),
        )

    def _thread_count(self) -> int:
        return threads.count(self._n_threads, self._table)[0]

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write shapes, parameters, `feature_names` and `metadata` to a file that `cbp.load` reads.

        The file is in NumPy's format .npz, without pickle.

        `metadata` comes back equal, and with the same types. It may hold dicts (with keys of str), lists,
        str, int, float (NaN and infinity too), bool and None. Other attributes are not saved; `pickle` keeps
        them.

        Parameters
        ----------
        path : path-like
            Used as given, without an ending added. An existing file is replaced once the new one is complete.

        Raises
        ------
        OSError
            If the file cannot be written.
        TypeError, ValueError
            If `metadata` holds anything else; the error names it, and nothing is written.
        """
        parameters = self._copy_of_parameters()
        npz.save(path, self._architecture, parameters, self.metadata, self._feature_names)


def load(
    path: str | os.PathLike[str],
    *,
    rng: int | np.random.Generator | None = None,
    loss: OwnLoss | None = None,
) -> Network:
    """Make a network from a file of `Network.save`.

    Parameters
    ----------
    path : path-like
    rng : int or numpy.random.Generator, optional
        Seed or source of shuffling, as in `Network`: a file holds no random state.
    loss : object, optional
        The loss of one's own that the network was saved with: a file holds its name alone. Without it, the
        network can predict, but not compute losses or train.

    Raises
    ------
    cbp.ModelFileError
        If the file holds no network, is damaged, or was written by a later version.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([2, 3, 2], rng=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
    >>> net.save(path)
    >>> bool((cbp.load(path).parameters == net.parameters).all())
    True
    """
    if loss is not None and not is_own(loss):
        raise TypeError(f"loss must be an object with methods loss and error, or None, got {loss!r}")
    description, parameters = npz.read(path)
    try:
        what = Architecture.from_dict(
            {name: description[name] for name in Architecture._fields if name in description}
        )
        if parameters.shape != (what.n_parameters,):  # before memory is taken for as many
            raise ValueError(
                f"sizes {list(what.sizes)} make {what.n_parameters} parameters, "
                f"it has shape {parameters.shape}"
            )
        if loss is not None:
            what = what.changed(loss=loss)
        network = Network._of(what, rng=rng)
        network.parameters = parameters
        network.metadata = dict(description["metadata"])
        network.feature_names = description.get("feature_names")  # the key is optional
    except (KeyError, TypeError, ValueError) as error:
        raise npz.ModelFileError(f"{os.fspath(path)} holds no whole network: {error}") from None
    return network

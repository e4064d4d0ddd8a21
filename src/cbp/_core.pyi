from typing import Any, Literal, TypedDict

from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Array = NDArray[Any]
_Fault = Literal[
    "X_NOT_FINITE", "Y_NOT_FINITE", "Y_NOT_IN_UNIT_INTERVAL", "Y_NOT_SUMMING_TO_ONE", "LOSS_NOT_FINITE"
]

class _Description(TypedDict):
    vector_bytes: int
    openmp: int
    compiler: str

FAULTS: dict[int, _Fault]
ACTIVATIONS: dict[str, int]
LOSSES: dict[str, int]
OPTIMIZERS: dict[str, int]
MODES: dict[str, int]
FUNCTIONS: dict[str, int]
PRODUCTS: dict[str, int]

@disjoint_base
class Array:
    def __new__(cls, array: _Array | None, itemsize: int, writable: bool = False) -> Array: ...

@disjoint_base
class Engine:
    @property
    def n_layers(self) -> int: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def n_parameters(self) -> int: ...
    def __new__(
        cls,
        capsule: object,
        itemsize: int,
        sizes: tuple[int, ...],
        activations: tuple[int, ...],
        loss: int,
        parameters: _Array,
    ) -> Engine: ...
    def forward(
        self, X: _Array, m: int, out: list[_Array | None], n_threads: int
    ) -> tuple[int, int] | None: ...
    def predict_ready(self, X: object, out: object) -> bool: ...

@disjoint_base
class Pass:
    @property
    def batch(self) -> int: ...
    @property
    def n_threads(self) -> int: ...
    @property
    def n_moments(self) -> int: ...
    def __new__(
        cls,
        engine: Engine,
        mode: int,
        batch: int,
        n_threads: int,
        optimizer: int = 0,
        momentum: bool = False,
        inputs: bool = False,
        at_hand: int = 0,
    ) -> Pass: ...
    def set_rule(
        self,
        *,
        l2: float = 0.0,
        learning_rate: float = 0.0,
        momentum: float = 0.0,
        nesterov: bool = False,
        beta1: float = 0.0,
        beta2: float = 0.0,
        epsilon: float = 0.0,
    ) -> None: ...
    def bind(
        self,
        X: _Array,
        Y: _Array | None,
        labels: _Array | None,
        weights: _Array | None,
        order: _Array | None,
        m: int,
        *,
        inputs: _Array | None = None,
        check: bool = True,
        X_gathered: bool = False,
        Y_gathered: bool = False,
        offset: int = 0,
        available: int = -1,
    ) -> None: ...
    def pack(self) -> None: ...
    def unpack(self) -> bool: ...
    def advance(self, budget: float, n_threads: int) -> None: ...
    def evaluate(self, X: object, Y: object, gradient: _Array | None, l2: float) -> float | None: ...
    def read_gradient(self, gradient: _Array) -> None: ...
    def read_moment(self, which: int, moment: _Array) -> None: ...
    def write_moment(self, which: int, moment: _Array) -> None: ...
    @property
    def stride(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    @property
    def starved(self) -> bool: ...
    @property
    def position(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def team(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @updates.setter
    def updates(self, value: int) -> None: ...
    @property
    def loss(self) -> float: ...
    @property
    def fault(self) -> tuple[_Fault, int, int] | None: ...

def shuffle(order: _Array, start: int, stop: int, state: int) -> int: ...
def describe(capsule: object) -> _Description: ...
def note_fork() -> None: ...
def most_threads(capsule: object) -> int: ...
def default_threads(capsule: object) -> int: ...
def team_limit(capsule: object) -> int: ...
def places(capsule: object) -> list[frozenset[int]]: ...
def burn(capsule: object, n_threads: int, turns: int) -> float: ...
def elementwise(
    capsule: object, itemsize: int, function: int, out: _Array, x: _Array, times: int = 1
) -> None: ...
def product(capsule: object, kind: int, n: int, times: int) -> float: ...

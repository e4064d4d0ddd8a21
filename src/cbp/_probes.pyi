from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]
_Operand = tuple[_Array, int, int]

FUNCTIONS: dict[str, int]
PRODUCTS: dict[str, int]
INITIALS: dict[str, int]
LAYOUTS: dict[str, int]
WAYS: dict[str, int]
MOVES: dict[str, int]

def elementwise(
    capsule: object, itemsize: int, function: int, out: _Array, x: _Array, times: int = 1
) -> None: ...
def product(capsule: object, kind: int, n: int, times: int) -> float: ...
def multiply(
    capsule: object,
    itemsize: int,
    way: int,
    initial: int,
    C: _Operand,
    A: _Operand,
    B: _Operand,
    *,
    start: int = 0,
    stop: int = 0,
    n: int = 0,
    n_k: int = 0,
    C_first: int = 0,
    left: int = 0,
) -> None: ...
def rearrange(
    capsule: object,
    itemsize: int,
    move: int,
    to: _Array,
    source: _Array,
    *,
    n_rows: int,
    n_columns: int,
    start: int,
    stop: int,
    ld: int = 0,
) -> bool: ...
def activate(
    capsule: object,
    itemsize: int,
    g: str,
    z: _Array,
    workspace: _Array,
    ld: int,
    n_rows: int,
    n: int,
    *,
    number: float = 0.0,
) -> None: ...
def times_derivative(
    capsule: object, itemsize: int, g: str, delta: _Array, z: _Array, a: _Array, *, number: float = 0.0
) -> None: ...
def step(
    capsule: object,
    itemsize: int,
    optimizer: str,
    W: _Array,
    moments: list[_Array],
    Delta: _Array,
    rule: dict[str, Any],
    *,
    learning_rate: float = 0.0,
    l2: float = 0.0,
    updates: int = 0,
    m: float = 1.0,
    are_weights: bool = True,
    back: int = 0,
    at: int = 0,
) -> None: ...

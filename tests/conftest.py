"""Settings and fixtures that tests share."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from cbp import _core, kernels

# A busy machine makes single examples slow now and then, which is no failure. Nothing is left in the tree.
settings.register_profile(
    "cbp",
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    database=None,
)
settings.load_profile("cbp")


@pytest.fixture
def csv_file(tmp_path):
    """Return a function that writes a .csv file of some text and returns its path."""
    pytest.importorskip("pandas")

    def write(text, encoding="utf-8"):
        path = tmp_path / "data.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


@dataclass(frozen=True)
class Kernels:
    """The kernels of a precision and an instruction set, and the shapes that are awkward for them."""

    isa: str
    dtype: str
    strip = 6  # rows of a tile, as kernels/layouts.pxi has them

    @cached_property
    def table(self) -> Any:
        """What probes take first."""
        return kernels.table_of(self.isa, self.dtype)

    @property
    def itemsize(self) -> int:
        """What probes take second."""
        return np.dtype(self.dtype).itemsize

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number."""
        return float(np.finfo(self.dtype).eps)

    @cached_property
    def lanes(self) -> int:
        """Numbers in a vector."""
        return max(1, _core.describe(self.table)["vector_bytes"] // self.itemsize)

    @property
    def panel(self) -> int:
        """Columns of a panel."""
        return 2 * self.lanes

    @property
    def widths(self) -> range:
        """From one column to two panels and one more."""
        return range(1, 2 * self.panel + 2)

    def padded(self, n: int) -> int:
        """Columns rounded up to whole vectors."""
        return -(-n // self.lanes) * self.lanes

    def array(self, values: Any) -> Any:
        """A contiguous array in this precision."""
        return np.ascontiguousarray(values, self.dtype)

    def panels_of(self, M: Any, capacity: int, at: int = 0, rest: float = 0.0) -> Any:
        """M, (n_rows, n), in panels with room for `capacity` rows, from row `at` on; `rest` in the others."""
        n_rows, n = M.shape
        panels = []
        for j in range(0, n, self.panel):
            width = self.panel if n - j > self.lanes else self.lanes
            panel = np.full((capacity, width), rest)
            panel[at : at + n_rows] = 0
            panel[at : at + n_rows, : n - j] = M[:, j : j + width]
            panels.append(panel.ravel())
        return self.array(np.concatenate(panels))

    def from_panels(self, panels: Any, capacity: int, n: int) -> Any:
        """The way back, all rows, and with its padding: (capacity, whole vectors)."""
        parts = np.split(panels, [capacity * j for j in range(self.panel, n, self.panel)])
        return np.hstack([part.reshape(capacity, -1) for part in parts])

    def strips_of(self, M: Any, capacity: int, at: int = 0, rest: float = 0.0) -> Any:
        """M, (n_rows, n), in strips with room for `capacity` rows, from row `at` on; `rest` elsewhere."""
        n_rows, n = M.shape
        strips = np.full((-(-n // self.strip), capacity, self.strip), rest)
        for j in range(n):
            strips[j // self.strip, at : at + n_rows, j % self.strip] = M[:, j]
        return self.array(strips.ravel())


@pytest.fixture(
    scope="session",
    params=[Kernels(isa, dtype) for isa in kernels.available() for dtype in kernels.PRECISIONS],
    ids=lambda kernel: f"{kernel.isa}-{kernel.dtype}",
)
def kernel(request):
    """The kernels of each precision and instruction set that this machine can run."""
    return request.param

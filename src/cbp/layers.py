"""The type of `weights` and `biases`, of a network and of a gradient: a tuple with one array a layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, SupportsIndex, overload

from cbp.examples.conversion import Array, numeric


class Layers(tuple[Array, ...]):
    """A tuple of views, one for each layer. Assigning to an entry or a slice copies into the views.

    So in-place operations, which Python ends with an assignment, work: ``net.weights[0] -= step``. The views
    themselves are never replaced.

    Parameters
    ----------
    views : iterable of ndarray
    argument : str
        The name of the tuple, for errors.
    numbers : range, optional
        The numbers of the layers that the views belong to, counted from 0, for errors; default: all.
    """

    argument: str
    numbers: range

    def __new__(cls, views: Iterable[Array], argument: str, numbers: range | None = None) -> Layers:  # noqa: D102
        layers = super().__new__(cls, views)
        layers.argument = argument
        layers.numbers = range(len(layers)) if numbers is None else numbers
        return layers

    def __getnewargs__(self) -> tuple[tuple[Array, ...], str, range]:
        """Return the arguments from which `copy` and `pickle` make an equal tuple, with arrays of its own."""
        return tuple(self), self.argument, self.numbers

    @overload
    def __getitem__(self, index: SupportsIndex) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Layers: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Array | Layers:
        try:
            found: Any = super().__getitem__(index)
        except IndexError:
            raise IndexError(f"{self.argument} has {len(self)} arrays, got the index {index}") from None
        if isinstance(index, slice):
            return Layers(found, self.argument, self.numbers[index])
        return found  # type: ignore[no-any-return]

    def __setitem__(self, index: SupportsIndex | slice, value: Any) -> None:
        if isinstance(index, slice):
            self[index].copy_from(value)
            return
        view = self[index]
        if value is view:  # the end of an in-place operation, which has already written
            return
        view[:] = self._fitting(self.numbers[index], view, numeric(value, self._name(self.numbers[index])))

    def copy_from(self, values: Any) -> None:
        """Copy an array into each layer; if one does not fit, none is copied."""
        if not hasattr(values, "__iter__"):
            raise TypeError(f"{self.argument} must be a sequence of arrays, got {type(values).__name__}")
        values = list(values)
        if len(values) != len(self):
            raise ValueError(f"{self.argument} must hold {len(self)} arrays, got {len(values)}")
        found = [
            self._fitting(i, view, numeric(value, self._name(i)))
            for i, view, value in zip(self.numbers, self, values, strict=True)
        ]
        # Copies, since the values may be views of the layers that are about to be written.
        for view, array in zip(self, [array.copy() for array in found], strict=True):
            view[:] = array

    def _fitting(self, number: int, view: Array, array: Array) -> Array:
        if array.shape != view.shape:
            raise ValueError(f"{self._name(number)} must have shape {view.shape}, got {array.shape}")
        return array

    def _name(self, number: int) -> str:
        return f"{self.argument}[{number}]"

    def _refuse(self, other: object) -> NoReturn:
        raise TypeError(
            f"{self.argument} holds one array a layer, and cannot be changed as a whole in place: change "
            f"{self.argument}[0], {self.argument}[1], … or the flat vector `parameters`"
        )

    # A tuple's own += and *= would make a longer tuple, and fail with a message about tuples.
    __iadd__ = __isub__ = __imul__ = __itruediv__ = _refuse
    __ifloordiv__ = __imod__ = __ipow__ = __imatmul__ = _refuse

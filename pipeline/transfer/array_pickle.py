"""Weights in a pickle of NumPy arrays, as flax programs write them, read without letting the pickle run anything.

A pickle names what it calls. Three names are known here, and stand for classes of this module that only hold what they
are given; any other one ends the reading. Nothing of NumPy is called before sides and bytes have been compared.
Shapes: kernels (H, W, I, O) or (I, O) become weights (O, I, H, W) or (O, I).
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES = {"f2", "f4", "f8"}
ORDERS = {"<", ">", "|", "="}
DEEPEST = 8  # nesting of mappings
KERNEL, WEIGHT = "kernel", "weight"

Array = NDArray[np.floating[Any]]


class _Type:
    """Stands for `numpy.dtype`: a type of floating-point numbers."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in TYPES:
            raise pickle.UnpicklingError(
                f"it has numbers of the type {code!r}, which is none of {sorted(TYPES)}"
            )
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ORDERS:
            raise pickle.UnpicklingError("it is damaged")
        self.order = order


class _Stored:
    """Stands for what `numpy.core.multiarray._reconstruct` returns: an array, filled by its state."""

    def __init__(self, *_: Any) -> None:
        self.sides: tuple[int, ...] = ()
        self.type, self.is_transposed, self.data = _Type("f4"), False, b""

    def __setstate__(self, state: Any) -> None:
        _, self.sides, self.type, self.is_transposed, self.data = state

    def array(self) -> Array:
        """Return the array."""
        is_whole = isinstance(self.sides, tuple) and all(
            type(side) is int and side >= 0 for side in self.sides
        )
        if not is_whole or type(self.type) is not _Type or type(self.data) is not bytes:
            raise pickle.UnpicklingError("it is damaged")
        order = "=" if self.type.order == "|" else self.type.order
        wanted = np.dtype(f"{order}{self.type.code}")
        if len(self.data) != wanted.itemsize * math.prod(self.sides):
            raise pickle.UnpicklingError("it has an array with other numbers than its sides say")
        return np.frombuffer(self.data, wanted).reshape(self.sides, order="F" if self.is_transposed else "C")


KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Stored,
    ("numpy", "ndarray"): None,  # which is only passed on
    ("numpy", "dtype"): _Type,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; raise for any but the known ones."""
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which is none of the three names that are known"
            )
        return KNOWN[module, name]


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of nested mappings by their names, joined by points, in their order.

    Raises:
        pickle.UnpicklingError: the pickle names something else than arrays of floating-point numbers, or is damaged.
    """
    try:
        with path.open("rb") as file:
            loaded = _Unpickler(file).load()
        return dict(_flat(loaded, ()))
    except pickle.UnpicklingError:
        raise
    except (AttributeError, EOFError, IndexError, KeyError, MemoryError, TypeError, ValueError) as reason:
        raise pickle.UnpicklingError(f"it is damaged ({type(reason).__name__})") from None


def _flat(node: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Array]]:
    if isinstance(node, Mapping) and len(names) < DEEPEST:
        for name, inner in node.items():
            yield from _flat(inner, (*names, str(name)))
    elif isinstance(node, _Stored):
        array = node.array()
        if names and names[-1] == KERNEL and array.ndim in (2, 4):
            names, array = (*names[:-1], WEIGHT), array.transpose((1, 0) if array.ndim == 2 else (3, 2, 0, 1))
        yield ".".join(names), array

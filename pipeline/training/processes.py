"""What the processes of a distributed training tell each other; a single process is told what it says itself."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


def is_distributed() -> bool:
    """Return whether several processes train together."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized()


def gather(value: Value) -> list[Value]:
    """Return the values of all processes in rank order; tensors may differ in their first dimension."""
    if not is_distributed():
        return [value]
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, value)
    return gathered


def average(tensor: Tensor) -> None:
    """Replace a tensor by its mean over all processes."""
    if is_distributed():
        torch.distributed.all_reduce(tensor)
        tensor /= torch.distributed.get_world_size()


def is_any(flag: Tensor) -> Tensor:
    """Return whether a flag, a scalar, is set in any process of a distributed training, without waiting for a GPU."""
    found = flag.float()
    torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return found > 0


class Mean:
    """A running weighted mean, accumulated on the device to avoid synchronization."""

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._weight: Tensor | float | None = None

    def add(self, value: Tensor, weight: Tensor | int) -> None:
        """Add a value with its weight."""
        self._total = self._total + value.float() * weight
        self._weight = weight if self._weight is None else self._weight + weight

    def value(self) -> float:
        """Return the mean over all processes; NaN before the first value, 0 if all weights are 0."""
        if self._weight is None:
            return float("nan")
        pairs = gather(torch.tensor([float(self._total), float(self._weight)]))
        total, weight = torch.stack(pairs).sum(dim=0).tolist()
        return float(total / weight if weight else total)

"""The momentum of batch norms in fine-tuning: how fast running statistics follow the images that a network now sees.

After n steps, (1 - momentum)^n of the statistics that a network starts with is left: of 60 steps, 0.55 with 0.01, which
EfficientNet's authors chose for hundreds of thousands of steps, and 0.002 with 0.1, torch's default.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
LEAST_IN_FINE_TUNING = 0.1


@dataclass(frozen=True)
class Raised:
    """Batch norms whose momentum was raised.

    Args:
        count: of the norms.
        lowest: the lowest momentum that they had.
    """

    count: int
    lowest: float

    def __str__(self) -> str:
        return (
            f"momentum of {self.count} batch norms raised from {self.lowest:g} to {LEAST_IN_FINE_TUNING:g}, so that "
            "they adapt to these images"
        )


def set_momentum(network: nn.Module, momentum: float) -> None:
    """Set the momentum of all batch norms."""
    for norm in _norms(network):
        norm.momentum = momentum


def raise_momentum(network: nn.Module) -> Raised | None:
    """Raise the momentum of batch norms to `LEAST_IN_FINE_TUNING`; return what was raised, None if nothing was.

    Norms without a momentum average over all batches, and are left alone.
    """
    low = [norm for norm in _norms(network) if 0 < (norm.momentum or 0) < LEAST_IN_FINE_TUNING]
    raised = Raised(len(low), min(float(norm.momentum or 0) for norm in low)) if low else None
    for norm in low:
        norm.momentum = LEAST_IN_FINE_TUNING
    return raised


def _norms(network: nn.Module) -> list[BatchNorm]:
    return [module for module in network.modules() if isinstance(module, BatchNorm)]

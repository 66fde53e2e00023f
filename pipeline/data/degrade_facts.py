"""Facts about how images are degraded, for tasks that restore them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, Range

if TYPE_CHECKING:
    from pipeline.data.facts import Facts

NOISE, FACTOR = KEYS = ("noise", "factor")
EXAMPLES = "{noise: 25} for noise, {factor: 2} for half the rows and columns, or both"
MOST_FACTOR = 8


def check_degrade(degrade: Mapping[str, float] | None, shape: list[int]) -> None:
    """Check how images are degraded.

    Args:
        shape: [C, H, W] of the prepared images.

    Raises:
        ConfigError: a key is unknown, a value is out of range, or the factor does not divide rows and columns.
    """
    if degrade is None:
        return
    if not degrade:
        raise ConfigError("data.degrade", got=dict(degrade), allowed=f"null, {EXAMPLES}")
    for key in degrade:
        if key not in KEYS:
            raise ConfigError.unknown(f"data.degrade.{key}", key, KEYS, what="key")
    if NOISE in degrade:
        Range(least=0, most=255).check("data.degrade.noise", degrade[NOISE])
    if FACTOR not in degrade:
        return
    factor = degrade[FACTOR]
    Range(least=2, most=MOST_FACTOR, is_whole=True).check("data.degrade.factor", factor)
    if any(side % factor for side in shape[1:]):
        raise ConfigError(
            "data.shape", got=shape, allowed=f"rows and columns that data.degrade.factor={factor} divides"
        )


def find_factor(facts: Facts) -> int:
    """Return by what degrading divides rows and columns; 1 if it keeps them."""
    return int((facts.degrade or {}).get(FACTOR, 1))


def degraded_shape(facts: Facts) -> tuple[int, int, int]:
    """Return (C, H, W) of prepared images once they are degraded; of others, `data.shape`."""
    factor, (channels, rows, columns) = find_factor(facts), facts.shape
    return channels, rows // factor, columns // factor

"""Facts about where things are in images: points, what a mirror swaps, and when a cut box is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.errors import ConfigError, Range


def check_places(points: Sequence[str] | None, swapped: Mapping[str, str] | None, min_visible: float) -> None:
    """Check the names of points, the pairs that a mirror swaps, and the visible share of boxes.

    Raises:
        ConfigError: names are missing or twice, a pair names another point or one that is in two pairs, or the share
            is none.
    """
    Range(least=0, most=1).check("data.min_visible", min_visible)
    if points is not None and (not points or len(set(points)) < len(points)):
        raise ConfigError("data.points", got=list(points), allowed="null or different names, at least one")
    if swapped is None:
        return
    if points is None:
        hint = "name them in data.points, or remove the pairs"
        raise ConfigError("data.swapped_points", "there are no points", got=dict(swapped), hint=hint)
    named = [*swapped.keys(), *swapped.values()]
    for name in named:
        if name not in points:
            raise ConfigError.unknown("data.swapped_points", name, points, what="point")
        if named.count(name) > 1:
            problem = "a point is named twice, and can change places with one other only"
            raise ConfigError("data.swapped_points", problem, got=name, hint="name each pair once")

"""Colours of classes, of boxes and of points in figures."""

from __future__ import annotations

# Paul Tol's scheme "muted", whose colours look different to the colour-blind, too; those that stand out on grey first.
COLOURS = (
    "#CC6677",
    "#88CCEE",
    "#DDCC77",
    "#AA4499",
    "#117733",
    "#999933",
    "#882255",
    "#44AA99",
    "#332288",
)


def colour_of(index: int) -> str:
    """Return the colour of a class or a point; of many, some have the same."""
    return COLOURS[index % len(COLOURS)]

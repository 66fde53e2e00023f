"""A planned network as a table: one row per layer, as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.plans.explain import formulas, notes
from pipeline.plans.network import Leaf, Network

FLOAT32 = 4  # bytes
UNITS = ("B", "kB", "MB", "GB")


def as_json(network: Network) -> dict[str, Any]:
    """Return name, shape, outputs, totals and one entry per layer, ready for JSON.

    A layer's `receptive_field` is one number, or [rows, columns] if they differ.
    """
    return {
        "name": network.name,
        "shape": list(network.shape),
        "outputs": network.outputs,
        "weights": network.weights,
        "multiply_adds": network.multiply_adds,
        "layers": [
            {
                "name": leaf.name,
                "shape": list(leaf.shape),
                "weights": leaf.weights,
                "multiply_adds": leaf.multiply_adds,
                "receptive_field": _field(leaf),
            }
            for leaf in network.leaves()
        ],
    }


def totals(network: Network) -> dict[str, int]:
    """Return weights, multiply-adds and the bytes of all layers' float32 outputs for one image.

    Auxiliary heads, if any, are counted separately, since they are used in training only.
    """
    side = sum(leaf.weights for leaf in network.side_leaves())
    counts = {
        "weights": network.weights,
        "multiply_adds": network.multiply_adds,
        "activation_bytes": FLOAT32 * network.activations,
    }
    return counts | ({"auxiliary_weights": side} if side else {})


def as_rows(network: Network) -> list[tuple[str, str, str, str, str, str]]:
    """Return rows of text: place, layer, output shape, weights, multiply-adds, receptive field."""
    return [
        (
            leaf.where,
            leaf.name,
            " x ".join(map(str, leaf.shape)),
            f"{leaf.weights:,}",
            f"{leaf.multiply_adds:,}",
            " x ".join(map(str, leaf.view.pixels)),
        )
        for leaf in network.leaves()
    ]


def as_text(network: Network) -> str:
    """Return the table as lines of plain text, with the formulas of each row indented below it."""
    sums = totals(network)
    lines = [f"{network.name}, image {' x '.join(map(str, network.shape))}, outputs {network.outputs}", ""]
    for leaf, row in zip(network.leaves(), as_rows(network), strict=True):
        place, name, shape, weights, multiply_adds, field = row
        lines.append(f"{place:<30} {name:<24} {shape:>16} {weights:>14} {multiply_adds:>16} {field:>12}")
        lines += [f"    {quantity}: {formula}" for quantity, formula in formulas(leaf)]
    lines += ["", *notes(network), *(f"{quantity}: {count:,}" for quantity, count in sums.items())]
    return "\n".join(lines) + "\n"


def as_comparison(networks: Sequence[Network]) -> list[tuple[str, str, str, str, str, str]]:
    """Return a row of text per network: name, layers with weights, then its totals and its output."""
    return [
        (
            network.name,
            str(sum(1 for leaf in network.leaves() if leaf.multiply_adds)),
            f"{network.weights:,}",
            f"{network.multiply_adds:,}",
            bytes_text(FLOAT32 * network.activations),
            " x ".join(map(str, network.output_shape)),
        )
        for network in networks
    ]


def bytes_text(count: float) -> str:
    """Return bytes with a decimal unit, e.g. `60.7 MB`."""
    for unit in UNITS[:-1]:
        if count < 999.5:  # above it, three digits would round to 1000
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {UNITS[-1]}"


def _field(leaf: Leaf) -> int | list[int]:
    rows, columns = leaf.view.pixels
    return rows if rows == columns else [rows, columns]

"""A planned network as a table: one row per layer, for people and for machines."""

from __future__ import annotations

from typing import Any

from pipeline.networks.plan import Leaf, Network


def as_json(network: Network) -> dict[str, Any]:
    """Return name, shape, outputs, totals and one entry per layer, ready for JSON.

    A layer's `receptive_field` is one number, or [rows, columns] where they differ.
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


def as_rows(network: Network) -> list[tuple[str, str, str, str, str, str]]:
    """Return rows of text: place, layer, output shape, weights, multiply-adds, receptive field."""
    return [
        (
            leaf.where,
            leaf.name,
            " x ".join(map(str, leaf.shape)),
            f"{leaf.weights:,}",
            f"{leaf.multiply_adds:,}",
            " x ".join(map(str, leaf.view.field)),
        )
        for leaf in network.leaves()
    ]


def _field(leaf: Leaf) -> int | list[int]:
    rows, columns = leaf.view.field
    return rows if rows == columns else [rows, columns]

"""The formula for each number in a network's table, with its numbers filled in.

Sources: shapes and receptive fields, Dumoulin and Visin 2016, arXiv:1603.07285, section 2.4 and Araujo et al. 2019,
"Computing receptive fields of convolutional neural networks", eq. 2.
"""

from __future__ import annotations

from math import prod

from pipeline.plans.network import Leaf, Terms


def formulas(leaf: Leaf) -> list[tuple[str, str]]:
    """Return (quantity, formula) for each number that a layer computes.

    Args:
        leaf: the layer; quantities that it lacks, such as weights or a window, have no entry.
    """
    lines = []
    if leaf.window is not None:
        lines.append(("output", _sides(leaf)))
    elif len(leaf.source.shape) > len(leaf.shape):
        lines.append(("output", f"{'*'.join(map(str, leaf.source.shape))} = {leaf.shape[0]:,}"))
    weights: Terms = tuple(term for spec in leaf.specs for term in spec.weights)
    if weights:
        lines.append(("weights", _sum(weights)))
    if leaf.products:
        lines.append(("multiply-adds", _sum(leaf.products)))
    if leaf.window is not None:
        lines.append(("receptive field", _field(leaf)))
    return lines


def _sides(leaf: Leaf) -> str:
    """Return the formula for rows, and for columns if it differs."""
    assert leaf.window is not None
    kernel, stride, padding = leaf.window
    is_up = leaf.name.startswith("up ")
    texts = []
    for axis in range(2):
        n, k, s, p = leaf.source.shape[1 + axis], kernel[axis], stride[axis], padding[axis]
        rule = f"({n} - 1)*{s} + {k}" if is_up else f"floor(({n} + 2*{p} - {k}) / {s}) + 1"
        texts.append(f"{rule} = {leaf.shape[1 + axis]}")
    return texts[0] if texts[0] == texts[1] else " x ".join(texts)


def _field(leaf: Leaf) -> str:
    """Return r + (k - 1) j and the jump after the layer, for columns too if they differ."""
    assert leaf.window is not None
    kernel, stride, _ = leaf.window
    before, after = leaf.source.view, leaf.view
    is_up = leaf.name.startswith("up ")
    texts = []
    for axis in range(2):
        reach = -(-kernel[axis] // stride[axis]) if is_up else kernel[axis]
        field, jump = before.field[axis], before.jump[axis]
        seen = field + (reach - 1) * jump
        note = f", so in {after.pixels[axis]} pixels" if seen.denominator > 1 else ""
        note = f", cut to the image's {after.field[axis]}" if seen > after.field[axis] else note
        step = f"{jump}{'/' if is_up else '*'}{stride[axis]} = {after.jump[axis]}"
        texts.append(f"{field} + ({reach} - 1)*{jump} = {seen}{note}; jump {step}")
    return texts[0] if texts[0] == texts[1] else " x ".join(texts)


def _sum(terms: Terms) -> str:
    text = " + ".join("*".join(map(str, term)) for term in terms)
    return f"{text} = {sum(map(prod, terms)):,}"

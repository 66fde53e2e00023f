"""The formula for each number in a network's table, with its numbers filled in.

Sources: shapes and receptive fields, Dumoulin and Visin 2016, arXiv:1603.07285, section 2.4 and Araujo et al. 2019,
"Computing receptive fields of convolutional neural networks", eq. 2.
"""

from __future__ import annotations

from math import prod

from pipeline.plans.network import Leaf, Network, Terms
from pipeline.plans.windows import differences, say_cost


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


def notes(network: Network) -> list[str]:
    """Return a sentence for each filter or pool whose stride does not fit, so that it never reaches some pixels.

    For a fully convolutional classifier, sentences on cost and agreement with window by window come first.
    """
    texts = [] if network.windows is None else [say_cost(network), *differences(network)]
    for leaf in network.leaves():
        ends = [_unseen(leaf, axis) for axis in range(2)] if leaf.window and not _is_up(leaf) else [0, 0]
        if any(ends):
            sides = [
                f"the last {side}" if end == 1 else f"the last {end} {side}s"
                for end, side in zip(ends, ("row", "column"), strict=True)
                if end
            ]
            text = f"{leaf.where}: {leaf.name} never reaches {' and '.join(sides)} of its input"
            fitting = _fitting_padding(leaf)
            texts.append(text if fitting is None else f"{text}; padding {fitting} would fit")
    return texts


def _unseen(leaf: Leaf, axis: int) -> int:
    """Return how many of the last rows or columns no window reaches."""
    assert leaf.window is not None
    kernel, stride, padding = (each[axis] for each in leaf.window)
    left = (leaf.source.shape[1 + axis] + 2 * padding - kernel) % stride
    return max(0, left - padding)


def _fitting_padding(leaf: Leaf) -> int | None:
    """Return the smallest larger padding by which every window fits on both axes; None if there is none."""
    assert leaf.window is not None
    kernel, stride, padding = leaf.window
    for more in range(max(padding) + 1, min(kernel) // 2 + 1):
        if all(
            (leaf.source.shape[1 + axis] + 2 * more - kernel[axis]) % stride[axis] == 0 for axis in range(2)
        ):
            return more
    return None


def _is_up(leaf: Leaf) -> bool:
    return leaf.name.startswith("up ")


def _sides(leaf: Leaf) -> str:
    """Return the formula for rows, and for columns if it differs."""
    assert leaf.window is not None
    kernel, stride, padding = leaf.window
    is_up = _is_up(leaf)
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
    is_up = _is_up(leaf)
    texts = []
    for axis in range(2):
        reach = -(-kernel[axis] // stride[axis]) if is_up else kernel[axis]
        field, jump = before.field[axis], before.jump[axis]
        seen = field + (reach - 1) * jump
        pixels = after.pixels[axis]
        note = "" if seen == pixels else f", in up to {pixels} pixels"
        note = f", cut to the image's {pixels}" if seen > pixels == after.image[axis] else note
        step = f"{jump}{'/' if is_up else '*'}{stride[axis]} = {after.jump[axis]}"
        texts.append(f"{field} + ({reach} - 1)*{jump} = {seen}{note}; jump {step}")
    return texts[0] if texts[0] == texts[1] else " x ".join(texts)


def _sum(terms: Terms) -> str:
    text = " + ".join("*".join(map(str, term)) for term in terms)
    return f"{text} = {sum(map(prod, terms)):,}"

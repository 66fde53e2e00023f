"""Match a checkpoint's layers with a network's by their order and their shapes; names are ignored.

The first filters of a checkpoint for colour images are summed over their channels for grey ones, as `adapt_input_conv`
of timm does (Wightman 2019): they then put out what the checkpoint does for three equal channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.transfer.checkpoint import SETTING

SHOWN = 2  # names in a line of a terminal
COLOURS = 3  # channels of a colour image
COUNTERS = "num_batches_tracked"  # buffers of batch norms, which are not loaded
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Account:
    """What was loaded from a checkpoint into a network.

    Args:
        matched: (layer of the network, layer of the checkpoint), in order.
        kept: layers of the network without a match, which keep their initial weights.
        unused: layers of the checkpoint that were not loaded.
        loaded, total: number of values copied into the network, and its total number of values.
        summed: the layer of the checkpoint whose filters were summed over the channels of colour images; None if there
            is none.
    """

    matched: list[tuple[str, str]]
    kept: list[str]
    unused: list[str]
    loaded: int
    total: int
    summed: str | None = None

    def __str__(self) -> str:
        """Return what was loaded in one line, and in others what was summed, and the first layers that were not."""
        lines = [self._share(), self._sum(), "; ".join(self._rest(shown=SHOWN))]
        return "\n  ".join(filter(None, lines))

    def table(self) -> str:
        """Return the full account: each layer that was not loaded, and one matched pair per line."""
        rest = [self._sum()] if self.summed is not None else []
        rest += self._rest(shown=len(self.kept) + len(self.unused))
        pairs = (f"{ours} <- {theirs}" for ours, theirs in self.matched)
        return "\n".join([self._share(), *(f"  {each}" for each in rest), *pairs]) + "\n"

    def _share(self) -> str:
        num_layers = len(self.matched) + len(self.kept)
        return f"loaded {len(self.matched)} of {num_layers} layers, {self.loaded:,} of {self.total:,} numbers"

    def _sum(self) -> str:
        if self.summed is None:
            return ""
        return f"filters summed over {COLOURS} channels, as images here are grey: {self.summed}"

    def _rest(self, *, shown: int) -> list[str]:
        """Return the layers of both sides that were not loaded, of each the given number by name."""
        sides = {"initialised here": self.kept, "unused there": self.unused}
        return [f"{title}: {_listed(names, shown)}" for title, names in sides.items() if names]


def load_matching(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    is_grey: bool = False,
    setting: str = SETTING,
) -> Account:
    """Copy a checkpoint into a network, layer by layer.

    Of all ways to pair layers of equal shapes in order, the one that pairs the most layers is used, and of those the
    one with the fewest gaps, so that an auxiliary head is not mistaken for the head.

    Args:
        source: name of the checkpoint in an error.
        is_grey: whether images have one channel, so that filters for colour images are summed.
        setting: that names the checkpoint.

    Raises:
        ConfigError: no layer matches.
    """
    ours, theirs = _layers(network.state_dict()), _layers(tensors)
    summed = _sum_first_filters(ours, theirs) if is_grey else None
    pairs = _longest_common(
        [_shapes(each) for each in ours.values()], [_shapes(each) for each in theirs.values()]
    )
    our_names, their_names = list(ours), list(theirs)
    matched = [(our_names[i], their_names[j]) for i, j in pairs]
    if not matched:
        raise ConfigError(
            setting,
            f"none of the checkpoint's {len(theirs)} layers has the shapes of a layer of the network",
            got=source,
            hint="choose the network that it was trained with",
        )
    for our_name, their_name in matched:
        for name, tensor in ours[our_name].items():
            tensor.copy_(theirs[their_name][name])
    taken = {name for name, _ in matched}, {name for _, name in matched}
    return Account(
        matched=matched,
        kept=[name for name in our_names if name not in taken[0]],
        unused=[name for name in their_names if name not in taken[1]],
        loaded=sum(tensor.numel() for name in taken[0] for tensor in ours[name].values()),
        total=sum(tensor.numel() for layer in ours.values() for tensor in layer.values()),
        summed=summed if summed in taken[1] else None,
    )


def _sum_first_filters(ours: Mapping[str, Tensors], theirs: dict[str, Tensors]) -> str | None:
    """Sum the first filters of a checkpoint over the channels of colour images; return their layer, or None."""
    first, their_first = (
        next((name for name, layer in layers.items() if _filters(layer) is not None), None)
        for layers in (ours, theirs)
    )
    if first is None or their_first is None:
        return None
    filters = _filters(theirs[their_first])
    assert filters is not None
    if filters.shape[1] != COLOURS:
        return None
    summed = {**theirs[their_first], "weight": filters.sum(dim=1, keepdim=True)}
    if _shapes(summed) != _shapes(ours[first]):
        return None
    theirs[their_first] = summed
    return their_first


def _filters(layer: Tensors) -> Tensor | None:
    """Return the filters (out, in, rows, columns) of a layer; None if it has none."""
    weight = layer.get("weight")
    return weight if weight is not None and weight.ndim == 4 else None


def _layers(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """Group tensors by layer, the common prefix of their names, in order."""
    layers: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        layer, _, name = key.rpartition(".")
        if name != COUNTERS:
            layers.setdefault(layer, {})[name] = tensor
    return layers


def _shapes(layer: Tensors) -> Any:
    return sorted((name, tuple(tensor.shape)) for name, tensor in layer.items())


def _longest_common(ours: list[Any], theirs: list[Any]) -> list[tuple[int, int]]:
    """Return the index pairs of a longest common subsequence; of several, one with the fewest gaps.

    A pair is joined where it directly follows another pair or the start of both lists; the ends of both lists may be
    joined, too. Auxiliary heads between consecutive layers would separate them.
    """
    rows, columns = len(ours), len(theirs)
    best = {(rows, columns, False): (0, 0), (rows, columns, True): (0, 1)}  # pairs and joints from here on
    for i, j, is_joined in product(range(rows, -1, -1), range(columns, -1, -1), (False, True)):
        if (i, j) != (rows, columns):
            ahead = [best[i + 1, j, False]] if i < rows else []
            ahead += [best[i, j + 1, False]] if j < columns else []
            if i < rows and j < columns and ours[i] == theirs[j]:
                pairs, joints = best[i + 1, j + 1, True]
                ahead.append((pairs + 1, joints + is_joined))
            best[i, j, is_joined] = max(ahead)
    found, i, j, is_joined = [], 0, 0, True
    while i < rows and j < columns:
        pairs, joints = best[i, j, is_joined]
        if ours[i] == theirs[j] and best[i + 1, j + 1, True] == (pairs - 1, joints - is_joined):
            found.append((i, j))
            i, j, is_joined = i + 1, j + 1, True
            continue
        skips_ours = best[i + 1, j, False] == (pairs, joints)
        i, j, is_joined = i + skips_ours, j + (not skips_ours), False
    return found


def _listed(names: Sequence[str], shown: int) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more

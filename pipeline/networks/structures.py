"""The structures of the network language: lists of layers joined by a tiny container.

Sources: residual, He et al. 2015, arXiv:1512.03385, figure 2 and options A and B of section 4.1; skip, Ronneberger et
al. 2015, arXiv:1505.04597, figure 1; branches and auxiliary, Szegedy et al. 2014, arXiv:1409.4842, figures 2 and 3;
squeeze_excite, Hu et al. 2018, arXiv:1709.01507, figure 2.
Shapes: (C, H, W) for maps, (F,) for vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import ConfigError, closest
from pipeline.networks.composites import COMPOSITES
from pipeline.networks.filters import conv
from pipeline.networks.grammar import NONE, Here, Part, call, parse
from pipeline.networks.leaves import LEAVES
from pipeline.networks.parts import activation_specs
from pipeline.plans.network import Flow, Leaf, Node, Spec, Structure, times

CONTAINERS = "pipeline.layers.containers."
AFTER_NORM = ("pipeline.layers.drops.DropPath", "pipeline.layers.scales.Scale")
ZERO_NORM = ("zero", None, 1.0)
DEEPEST = 32  # lists within lists; more is a mistake, such as a YAML anchor inside itself


def sequence(items: Any, here: Here, *, least: int = 0) -> tuple[Node, ...]:
    """Plan a list of layers, each fed by the one before it.

    Args:
        here: where the list stands and what flows into it.
        least: how many layers the list needs.
    """
    if not isinstance(items, list):
        raise ConfigError(
            f"model {here.model}, {here.where}: must be a list of layers, got {items!r}; "
            "start each layer with a dash"
        )
    if len(items) < least:
        raise here.error(f"{here.where.rsplit('.', 1)[-1]} needs at least one layer in its list")
    if here.where.count("[") >= DEEPEST:
        raise here.error(f"lists stand {DEEPEST} deep in each other; lay some of them side by side")
    nodes: list[Node] = []
    for index, item in enumerate(items):
        place = here.at(f"{here.where}[{index}]")
        place = place.at(place.where, parse(item, where=f"model {here.model}, {place.where}"))
        for turn in range(place.repeats()):
            flow = Flow(nodes[-1].shape, nodes[-1].view) if nodes else here.flow
            part = _once(place.part, is_first=turn == 0)
            nodes += _planned(place.at(place.where, part, flow))
    return tuple(nodes)


def residual(here: Here, body: Any, *, activation: Any = None, shortcut: Any = "project") -> Node:
    """Add a list of layers to its own input, then apply the activation.

    Args:
        activation: after the sum; the network's unless named.
        shortcut: where the shapes differ: `project` by a strided 1x1 convolution with the network's norm (option B of
            section 4.1), `pad` with zeros (option A), or a list of layers, which is used where they agree too.
    """
    inside = here.at(f"{here.where}.residual")
    nodes = sequence(body, inside, least=1)
    shape, view = nodes[-1].shape, nodes[-1].view
    if here.zero_last_norm:
        nodes = _zeroed(nodes)
    side = _shortcut(inside, shortcut, nodes)
    view = view.joined(side[-1].view if side else here.flow.view)
    chosen = here.parse(activation, here.activation)
    if chosen.name == "maxout":
        raise here.error("maxout cannot follow a sum, it would change the channels; write activation: none")
    specs = activation_specs(here, chosen, shape[0])
    total = Leaf("add", here.where, Flow(shape, view), shape, view, specs)
    target = f"{CONTAINERS}Residual"
    return Structure("residual", here.where, shape, view, target, (nodes, side), (total,))


def skip(here: Here, body: Any, *, crop: Any = None) -> Node:
    """Concatenate the input with what a list of layers makes of it; the input comes first.

    Args:
        crop: whether to cut the input to the smaller rows and columns of the list, around its centre; by default
            where the network's padding is `valid`.
    """
    nodes = sequence(body, here.at(f"{here.where}.skip"), least=1)
    (channels, *sides), (made, *kept) = here.map(), nodes[-1].shape
    if not kept:
        raise here.error(f"the list puts out a vector of {made}, which cannot be concatenated with a map")
    is_cropped = here.padding == "valid" if crop is None else here.flag("crop", crop)
    fits = sides == kept or (is_cropped and kept[0] <= sides[0] and kept[1] <= sides[1])
    if not fits:
        raise here.error(
            f"the list turns {times((*sides,))} into {times((*kept,))}, so its output cannot "
            "be concatenated with its input; use as many `up` as `pool`, and rows and columns of "
            "data.shape that every pool divides (a multiple of 2 to the number of pools)"
        )
    return _concatenated(here, "skip", (channels + made, *kept), (nodes,), "Skip", (here.flow, nodes[-1]))


def branches(here: Here, lists: Any) -> Node:
    """Run lists of layers side by side on the same input and concatenate what they put out, in order."""
    if not isinstance(lists, list) or len(lists) < 2:
        raise here.error("branches needs two lists of layers or more")
    sides = tuple(
        sequence(each, here.at(f"{here.where}.branches[{i}]"), least=1) for i, each in enumerate(lists)
    )
    ends = [side[-1] for side in sides]
    sizes = [end.shape[1:] for end in ends]
    if len(set(sizes)) > 1:
        shapes = ", ".join(map(times, (end.shape for end in ends)))
        raise here.error(
            f"its lists put out {shapes}; rows and columns must agree, so give all the same strides"
        )
    shape = (sum(end.shape[0] for end in ends), *sizes[0])
    return _concatenated(here, "branches", shape, sides, "Branches", ends)


def squeeze_excite(
    here: Here, ratio: Any = 16, *, activation: Any = "relu", gate: Any = "sigmoid", multiple: Any = 1
) -> Node:
    """Scale each channel by a gate computed from all channels' means.

    Args:
        ratio: channels per hidden unit, r of the paper; may be a fraction.
        multiple: round the hidden units to this (8 in Howard et al. 2019, arXiv:1905.02244, the authors' code).
    """
    channels = here.map()[0]
    hidden = max(1, int(channels / here.number("ratio", ratio, low=0, is_open=True)))
    step = here.whole("multiple", multiple)
    rounded = max(step, int(hidden + step / 2) // step * step)
    hidden = rounded if rounded >= 0.9 * hidden else rounded + step
    plain = {"kernel": 1, "norm": "none", "width": 1, "bias": True}
    body: list[Any] = [
        {"pool": "global"},
        {"conv": hidden, "activation": activation, **plain},
        {"conv": channels, "activation": gate, **plain},
    ]
    nodes = sequence(body, here.at(f"{here.where}.squeeze_excite"))
    view = nodes[-1].view
    after = (Leaf("multiply", here.where, here.flow, here.flow.shape, view),)
    target = f"{CONTAINERS}Gate"
    return Structure("squeeze_excite", here.where, here.flow.shape, view, target, (nodes,), after)


def auxiliary(here: Here, body: Any, *, weight: Any = 0.3) -> Node:
    """Lead a list of layers aside to outputs of its own, whose weighted loss is added in training only."""
    nodes = sequence(body, here.at(f"{here.where}.auxiliary"), least=1)
    arguments = {"weight": here.number("weight", weight, low=0, is_open=True)}
    shape, view = here.flow.shape, here.flow.view
    target = f"{CONTAINERS}Auxiliary"
    return Structure("auxiliary", here.where, shape, view, target, (nodes,), (), arguments, is_side=True)


_STRUCTURES = (residual, skip, branches, squeeze_excite, auxiliary)
STRUCTURES: dict[str, Callable[..., Node]] = {each.__name__: each for each in _STRUCTURES}
LAYERS = {**LEAVES, **STRUCTURES, **COMPOSITES}


def _planned(here: Here) -> tuple[Node, ...]:
    """Plan one part: a composite gives several nodes."""
    name = here.part.name
    if name not in LAYERS:
        raise here.error(f"unknown layer '{name}'; {closest(name, LAYERS)}")
    made = call(LAYERS[name], here)
    return sequence(made, here.at(f"{here.where}.{name}")) if name in COMPOSITES else (made,)


def _once(part: Part, *, is_first: bool) -> Part:
    """Return one repetition of a part: a stride applies to the first one only."""
    options = {key: value for key, value in part.options.items() if key != "repeat"}
    if is_first:
        return Part(part.name, part.argument, options)
    return Part(part.name, _unstrided(part.argument), _unstrided(options))


def _unstrided(item: Any) -> Any:
    if isinstance(item, list):
        return [_unstrided(each) for each in item]
    if not isinstance(item, Mapping):
        return item
    return {key: 1 if key == "stride" else _unstrided(value) for key, value in item.items()}


def _zeroed(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Let the last norm of a residual list start at zero (Goyal et al. 2017, arXiv:1706.02677, section 5.1)."""
    *before, last = nodes
    if isinstance(last, Leaf) and last.specs and last.specs[-1].target in AFTER_NORM and before:
        return (*_zeroed(tuple(before)), last)
    if not isinstance(last, Leaf):
        return nodes
    specs = (replace(spec, init=ZERO_NORM) if "Norm" in spec.target else spec for spec in last.specs)
    return (*before, replace(last, specs=tuple(specs)))


def _shortcut(here: Here, way: Any, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return what stands beside the body of a residual; nothing for the identity."""
    shape = nodes[-1].shape
    if not isinstance(way, list):
        here.choice("shortcut", way, ("pad", "project"))
        if shape == here.flow.shape:
            return ()
        side: tuple[Node, ...] = (_padded(here, shape) if way == "pad" else _projection(here, shape),)
    else:
        side = sequence(way, here.at(f"{here.where.removesuffix('.residual')}.shortcut"), least=1)
    if side[-1].shape != shape:
        raise here.error(
            f"the list turns {times(here.flow.shape)} into {times(shape)}, its shortcut gives "
            f"{times(side[-1].shape)}; let every filter keep rows and columns (padding same) or halve them"
        )
    return side


def _projection(here: Here, shape: tuple[int, ...]) -> Leaf:
    if len(shape) != 3 or len(here.flow.shape) != 3:
        raise here.error(f"no projection turns {times(here.flow.shape)} into {times(shape)}; keep the shape")
    stride = [-(-before // after) for before, after in zip(here.flow.shape[1:], shape[1:], strict=True)]
    inside = here.at(f"{here.where}.shortcut", Part("conv", shape[0], {"kernel": 1, "stride": stride}))
    return conv(inside, shape[0], kernel=1, stride=stride, padding=0, activation=NONE, width=1)


def _padded(here: Here, shape: tuple[int, ...]) -> Leaf:
    """Return the parameter-free shortcut: every s-th row and column, zeros for the new channels."""
    channels, rows, columns = here.map()
    if len(shape) != 3 or shape[0] < channels:
        raise here.error(f"no padding with zeros turns {times(here.flow.shape)} into {times(shape)}")
    strides = (-(-rows // shape[1]), -(-columns // shape[2]))
    made = (shape[0], -(-rows // strides[0]), -(-columns // strides[1]))
    spec = Spec("pipeline.layers.containers.PadChannels", {"strides": strides, "more": shape[0] - channels})
    return here.leaf("pad with zeros", made, spec, view=here.flow.view.through((1, 1), strides))


def _concatenated(
    here: Here, name: str, shape: tuple[int, ...], lists: Any, container: str, ends: Any
) -> Structure:
    view = ends[0].view
    for end in ends[1:]:
        view = view.joined(end.view)
    total = Leaf("concatenate", here.where, Flow(shape, view), shape, view)
    return Structure(name, here.where, shape, view, f"{CONTAINERS}{container}", lists, after=(total,))

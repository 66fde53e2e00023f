"""The structures of the network language: lists of layers joined by a container module.

Sources: residual, He et al. 2015, arXiv:1512.03385, figure 2 and options A and B of section 4.1; skip, Ronneberger et
al. 2015, arXiv:1505.04597, figure 1; branches and auxiliary, Szegedy et al. 2014, arXiv:1409.4842, figures 2 and 3;
squeeze_excite, Hu et al. 2018, arXiv:1709.01507, figure 2.
Shapes: (C, H, W) for maps, (F,) for vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.networks.composites import COMPOSITES
from pipeline.networks.filters import conv
from pipeline.networks.grammar import NONE, Part, PlanContext, call
from pipeline.networks.leaves import LEAVES
from pipeline.networks.parts import activation_specs
from pipeline.plans.network import Flow, Leaf, Node, Spec, Structure, say_nearest, times

CONTAINERS = "pipeline.layers.containers."
AFTER_NORM = ("pipeline.layers.drops.DropPath", "pipeline.layers.scales.Scale")
ZERO_NORM = ("zero", None, 1.0)
DEEPEST = 32  # nested lists; more are a mistake, such as a YAML anchor that contains itself


def sequence(items: Any, context: PlanContext, *, least: int = 0) -> tuple[Node, ...]:
    """Plan a list of layers, each with the output of the one before it as its input.

    Args:
        context: place and input of the list.
        least: smallest number of layers allowed.
    """
    name = context.where.rsplit(".", 1)[-1]
    if not isinstance(items, list):
        raise context.invalid(name, "a list of layers", items, "start each layer with a dash")
    if len(items) < least:
        raise context.invalid(name, "a list of at least one layer", items)
    if context.where.count("[") >= DEEPEST:
        raise context.error(f"lists are nested more than {DEEPEST} deep", hint="flatten them")
    nodes: list[Node] = []
    for index, item in enumerate(items):
        place = context.at(f"{context.where}[{index}]")
        place = place.at(place.where, place.parse("layer", item))
        for turn in range(place.repeats()):
            if next(context.planned) >= 5000:
                raise place.error("the network has more than 5000 layers", hint="repeat fewer of them")
            flow = Flow(nodes[-1].shape, nodes[-1].view) if nodes else context.flow
            part = _once(place.part, is_first=turn == 0)
            nodes += _planned(place.at(place.where, part, flow))
    return tuple(nodes)


def residual(context: PlanContext, body: Any, *, activation: Any = None, shortcut: Any = "project") -> Node:
    """Add the output of a list of layers to its input, then apply the activation.

    Args:
        activation: after the sum; the network's by default.
        shortcut: used if the shapes differ: `project` by a strided 1x1 convolution with the network's norm (option
            B of section 4.1), or `pad` with zeros (option A); or a list of layers, which is always used.
    """
    inside = context.at(f"{context.where}.residual")
    nodes = sequence(body, inside, least=1)
    shape, view = nodes[-1].shape, nodes[-1].view
    if context.zero_last_norm:
        nodes = _zeroed(nodes)
    side = _shortcut(inside, shortcut, nodes)
    view = view.joined(side[-1].view if side else context.flow.view)
    chosen = context.parse("activation", activation, context.activation)
    if chosen.name == "maxout":
        raise context.error("maxout after the sum would change the channels", hint="write activation: none")
    specs = activation_specs(context, chosen, shape[0])
    total = Leaf("add", context.where, Flow(shape, view), shape, view, specs)
    target = f"{CONTAINERS}Residual"
    return Structure("residual", context.where, shape, view, target, (nodes, side), (total,))


def skip(context: PlanContext, body: Any, *, crop: Any = None) -> Node:
    """Concatenate the input and the output of a list of layers, in this order.

    Args:
        crop: whether to crop the input around its centre to the smaller rows and columns of the list's output; by
            default if the network's padding is `valid`.
    """
    nodes = sequence(body, context.at(f"{context.where}.skip"), least=1)
    (channels, *sides), (made, *kept) = context.map(), nodes[-1].shape
    if not kept:
        raise context.invalid("the output of skip", "a map (C, H, W)", (made,), "remove flatten and linear")
    is_cropped = context.padding == "valid" if crop is None else context.flag("crop", crop)
    fits = sides == kept or (is_cropped and kept[0] <= sides[0] and kept[1] <= sides[1])
    if not fits:
        problem = f"the output of skip cannot be concatenated with its {times((*sides,))} input"
        hint = "use as many up as pool, and rows and columns of data.shape that every pool halves evenly"
        raise context.error(problem, (*kept,), hint + say_nearest(context.flow.view, nodes))
    shape = (channels + made, *kept)
    return _concatenated(context, "skip", shape, (nodes,), "Skip", (context.flow, nodes[-1]))


def branches(context: PlanContext, lists: Any) -> Node:
    """Run several lists of layers on the same input and concatenate their outputs, in order."""
    if not isinstance(lists, list) or len(lists) < 2:
        raise context.invalid("branches", "a list of at least two lists of layers", lists)
    sides = tuple(
        sequence(each, context.at(f"{context.where}.branches[{i}]"), least=1) for i, each in enumerate(lists)
    )
    ends = [side[-1] for side in sides]
    sizes = [end.shape[1:] for end in ends]
    if len(set(sizes)) > 1:
        problem = "the outputs of branches differ in rows and columns"
        raise context.error(problem, [end.shape for end in ends], "use the same strides in each list")
    shape = (sum(end.shape[0] for end in ends), *sizes[0])
    return _concatenated(context, "branches", shape, sides, "Branches", ends)


def squeeze_excite(
    context: PlanContext, ratio: Any = 16, *, activation: Any = "relu", gate: Any = "sigmoid", multiple: Any = 1,
) -> Node:  # fmt: skip
    """Scale each channel by a gate computed from the means of all channels.

    Args:
        ratio: channels per hidden unit, r in the paper; may be a fraction.
        multiple: round the hidden units to a multiple of it (8 in Howard et al. 2019, arXiv:1905.02244, the authors'
            code).
    """
    channels = context.map()[0]
    hidden = max(1, int(channels / context.number("ratio", ratio, low=0, is_open=True)))
    step = context.whole("multiple", multiple)
    rounded = max(step, int(hidden + step / 2) // step * step)
    hidden = rounded if rounded >= 0.9 * hidden else rounded + step
    plain = {"kernel": 1, "norm": "none", "width": 1, "bias": True}
    body: list[Any] = [
        {"pool": "global"},
        {"conv": hidden, "activation": activation, **plain},
        {"conv": channels, "activation": gate, **plain},
    ]
    nodes = sequence(body, context.at(f"{context.where}.squeeze_excite"))
    view = context.flow.view.whole(context.flow.shape)
    after = (Leaf("multiply", context.where, context.flow, context.flow.shape, view),)
    target = f"{CONTAINERS}Gate"
    return Structure("squeeze_excite", context.where, context.flow.shape, view, target, (nodes,), after)


def auxiliary(context: PlanContext, body: Any, *, weight: Any = 0.3) -> Node:
    """Add an auxiliary head, whose weighted loss is added in training only; the input is passed through."""
    nodes = sequence(body, context.at(f"{context.where}.auxiliary"), least=1)
    arguments = {"weight": context.number("weight", weight, low=0, is_open=True)}
    shape, view = context.flow.shape, context.flow.view
    target = f"{CONTAINERS}Auxiliary"
    return Structure("auxiliary", context.where, shape, view, target, (nodes,), (), arguments, is_side=True)


_STRUCTURES = (residual, skip, branches, squeeze_excite, auxiliary)
STRUCTURES: dict[str, Callable[..., Node]] = {each.__name__: each for each in _STRUCTURES}
LAYERS = {**LEAVES, **STRUCTURES, **COMPOSITES}


def _planned(context: PlanContext) -> tuple[Node, ...]:
    """Plan one part; a composite expands to several nodes."""
    name = context.part.name
    if name not in LAYERS:
        raise context.unknown("layer", name, LAYERS)
    made = call(LAYERS[name], context)
    return sequence(made, context.at(f"{context.where}.{name}")) if name in COMPOSITES else (made,)


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
    """Initialise the last norm of a residual list to zero (Goyal et al. 2017, arXiv:1706.02677, section 5.1)."""
    *before, last = nodes
    if isinstance(last, Leaf) and last.specs and last.specs[-1].target in AFTER_NORM and before:
        return (*_zeroed(tuple(before)), last)
    if not isinstance(last, Leaf):
        return nodes
    specs = (replace(spec, init=ZERO_NORM) if "Norm" in spec.target else spec for spec in last.specs)
    return (*before, replace(last, specs=tuple(specs)))


def _shortcut(context: PlanContext, way: Any, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the shortcut of a residual; no layers for the identity."""
    shape = nodes[-1].shape
    if not isinstance(way, list):
        context.choice("shortcut", way, ("pad", "project"))
        if shape == context.flow.shape:
            return ()
        side: tuple[Node, ...] = (_padded(context, shape) if way == "pad" else _projection(context, shape),)
    else:
        side = sequence(way, context.at(f"{context.where.removesuffix('.residual')}.shortcut"), least=1)
    if side[-1].shape != shape:
        problem = f"the list maps {times(context.flow.shape)} to {times(shape)}, but its shortcut does not"
        hint = "let each filter keep rows and columns (padding same) or halve them"
        raise context.error(problem, side[-1].shape, hint)
    return side


def _projection(context: PlanContext, shape: tuple[int, ...]) -> Leaf:
    if len(shape) != 3 or len(context.flow.shape) != 3:
        problem = f"shortcut project cannot map {times(context.flow.shape)} to the output of the list"
        raise context.error(problem, shape, "keep the shape in the list")
    stride = [-(-before // after) for before, after in zip(context.flow.shape[1:], shape[1:], strict=True)]
    inside = context.at(f"{context.where}.shortcut", Part("conv", shape[0], {"kernel": 1, "stride": stride}))
    return conv(inside, shape[0], kernel=1, stride=stride, padding=0, activation=NONE, width=1)


def _padded(context: PlanContext, shape: tuple[int, ...]) -> Leaf:
    """Return the shortcut without weights: every s-th row and column, zeros for the new channels."""
    channels, rows, columns = context.map()
    if len(shape) != 3 or shape[0] < channels:
        problem = f"shortcut pad cannot map {times(context.flow.shape)} to the output of the list"
        raise context.error(problem, shape, "keep or add channels in the list, or use shortcut project")
    strides = (-(-rows // shape[1]), -(-columns // shape[2]))
    made = (shape[0], -(-rows // strides[0]), -(-columns // strides[1]))
    spec = Spec("pipeline.layers.containers.PadChannels", {"strides": strides, "more": shape[0] - channels})
    return context.leaf(
        "pad with zeros", made, spec, view=context.flow.view.through(made[1:], (1, 1), strides, (0, 0))
    )


def _concatenated(
    context: PlanContext, name: str, shape: tuple[int, ...], lists: Any, container: str, ends: Any
) -> Structure:
    view = ends[0].view
    for end in ends[1:]:
        view = view.joined(end.view)
    total = Leaf("concatenate", context.where, Flow(shape, view), shape, view)
    return Structure(name, context.where, shape, view, f"{CONTAINERS}{container}", lists, after=(total,))

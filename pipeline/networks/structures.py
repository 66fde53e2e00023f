"""The structures of the network language: lists of layers joined by a tiny container.

Sources: residual, He et al. 2015, arXiv:1512.03385, figure 2 and option B of section 4.1; skip,
Ronneberger et al. 2015, arXiv:1505.04597, figure 1.
Shapes: (C, H, W) for maps, (F,) for vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import ConfigError, closest
from pipeline.networks.grammar import Flow, Part, Scope, call, parse, whole_number
from pipeline.networks.leaves import LEAVES, conv
from pipeline.networks.parts import activation_specs
from pipeline.networks.plan import Leaf, Network, Node, Shape, Structure, View

MODEL_KEYS = ("name", "norm", "activation", "init", "layers", "head")


def plan(model: Mapping[str, Any], *, shape: Shape, outputs: int) -> Network:
    """Plan a network for images of one shape, without building it.

    Args:
        model: the config section: name, norm, activation, init, layers, head.
        shape: (C, H, W) of an image.
        outputs: what the word `outputs` stands for.

    Raises:
        ConfigError: the network cannot be built; names the layer, its place, and the way out.
    """
    _check_keys(model)
    name = model["name"]
    parts = {key: parse(model[key], where=f"model.{key}") for key in ("norm", "activation", "init")}
    scope = Scope(name, "model", outputs, **parts)
    flow = Flow(shape, View.of_image(shape))
    layers = sequence(model["layers"], scope.at("layers"), flow)
    flow = Flow(layers[-1].shape, layers[-1].view) if layers else flow
    head = sequence(model["head"], scope.at("head"), flow)
    if not (*layers, *head):
        raise ConfigError(f"model {name}: layers and head are both empty; list at least one layer")
    return Network(name, shape, outputs, layers, head)


def sequence(items: Any, scope: Scope, flow: Flow) -> tuple[Node, ...]:
    """Plan a list of layers, each fed by the one before it."""
    if not isinstance(items, list):
        raise ConfigError(
            f"model {scope.model}, {scope.where}: must be a list of layers, got {items!r}; "
            "start each layer with a dash"
        )
    nodes: list[Node] = []
    for index, item in enumerate(items):
        place = scope.at(f"{scope.where}[{index}]")
        part = parse(item, where=f"model {scope.model}, {place.where}")
        repeat = whole_number(place, part, "repeat", part.options.get("repeat", 1))
        for turn in range(repeat):
            once = _once(part, is_first=turn == 0)
            nodes.append(_node(once, place, flow))
            flow = Flow(nodes[-1].shape, nodes[-1].view)
    return tuple(nodes)


def residual(scope: Scope, part: Part, flow: Flow, body: Any, *, activation: Any = None) -> Node:
    """Add a list of layers to its own input, then apply the activation.

    Where the shapes differ, the input passes a strided 1x1 convolution with the network's norm
    (option B of section 4.1).

    Args:
        activation: after the sum; the network's unless named.
    """
    inside = scope.at(f"{scope.where}.residual")
    nodes = sequence(body, inside, flow)
    if not nodes:
        raise scope.error(part, "residual needs at least one layer in its list")
    shape, view = nodes[-1].shape, nodes[-1].view
    shortcut = () if shape == flow.shape else (_projection(inside, part, flow, shape),)
    chosen = scope.activation if activation is None else parse(activation, where=scope.where)
    joined = view.joined(flow.view)
    total = Leaf("add", scope.where, shape, joined, activation_specs(chosen, scope))
    return Structure(
        name="residual",
        where=scope.where,
        shape=shape,
        view=joined,
        target="pipeline.networks.containers.Residual",
        branches=(nodes, shortcut),
        after=(total,),
    )


def skip(scope: Scope, part: Part, flow: Flow, body: Any) -> Node:
    """Concatenate the input with what a list of layers makes of it; the input comes first."""
    nodes = sequence(body, scope.at(f"{scope.where}.skip"), flow)
    if not nodes:
        raise scope.error(part, "skip needs at least one layer in its list")
    shape = nodes[-1].shape
    if shape[1:] != flow.shape[1:]:
        raise scope.error(
            part,
            f"the list turns {_times(flow.shape[1:])} into {_times(shape[1:])}, so its output cannot "
            "be concatenated with its input; use as many `up` as `pool`, and rows and columns of "
            "data.shape that every pool divides (a multiple of 2 to the number of pools)",
        )
    shape = (flow.shape[0] + shape[0], *shape[1:])
    view = nodes[-1].view.joined(flow.view)
    total = Leaf("concatenate", scope.where, shape, view)
    target = "pipeline.networks.containers.Skip"
    return Structure("skip", scope.where, shape, view, target, (nodes,), (total,))


STRUCTURES: dict[str, Callable[..., Node]] = {each.__name__: each for each in (residual, skip)}
LAYERS: dict[str, Callable[..., Node]] = {**LEAVES, **STRUCTURES}


def _node(part: Part, scope: Scope, flow: Flow) -> Node:
    if part.name not in LAYERS:
        raise scope.error(part, f"unknown layer '{part.name}'; {closest(part.name, LAYERS)}")
    node = call(LAYERS[part.name], part, scope, scope, part, flow)
    assert isinstance(node, Leaf | Structure)
    return node


def _once(part: Part, *, is_first: bool) -> Part:
    """Return one repetition of a part: a stride applies to the first one only."""
    options = {key: value for key, value in part.options.items() if key != "repeat"}
    argument = part.argument
    if not is_first:
        options = {key: 1 if key == "stride" else value for key, value in options.items()}
        if isinstance(argument, list):
            argument = [_unstrided(item) for item in argument]
    return Part(part.name, argument, options)


def _unstrided(item: Any) -> Any:
    if isinstance(item, list):
        return [_unstrided(each) for each in item]
    if not isinstance(item, Mapping):
        return item
    return {key: 1 if key == "stride" else _unstrided(value) for key, value in item.items()}


def _projection(scope: Scope, part: Part, flow: Flow, shape: Shape) -> Leaf:
    if len(shape) != 3 or len(flow.shape) != 3:
        raise scope.error(part, f"no projection turns {flow.shape} into {shape}; keep the shape")
    stride = [-(-before // after) for before, after in zip(flow.shape[1:], shape[1:], strict=True)]
    name = Part("conv", shape[0], {"kernel": 1, "stride": stride})
    made = conv(scope, name, flow, shape[0], kernel=1, stride=stride, activation="none")
    if made.shape != shape:
        raise scope.error(
            part, f"the list turns {_times(flow.shape)} into {_times(shape)}, a 1x1 projection gives "
            f"{_times(made.shape)}; let every filter keep rows and columns (padding same) or halve them"
        )  # fmt: skip
    return made


def _check_keys(model: Mapping[str, Any]) -> None:
    for key in model:
        if key not in MODEL_KEYS:
            raise ConfigError(f"model.{key}: unknown key; {closest(key, MODEL_KEYS)}")
    for key in MODEL_KEYS:
        if key not in model:
            raise ConfigError(f"model.{key} is missing; write it (`none` or [] for nothing)")


def _times(numbers: Shape) -> str:
    return "x".join(map(str, numbers))

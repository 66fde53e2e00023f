"""Classifiers as convolutions: the same weights at every window of a larger image, in one pass.

Sources: Sermanet et al. 2013, arXiv:1312.6229, section 3.5; Long et al. 2015, arXiv:1411.4038, section 3.1.
Shapes: (C, H, W) for maps and (F,) for vectors, as the classifier has them for an image of one window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.networks.grammar import MISSING, PlanContext
from pipeline.networks.structures import sequence
from pipeline.networks.unet import NOTHING, is_side
from pipeline.plans.network import Flow, Leaf, Node, Windows, iterate_leaves, times
from pipeline.plans.view import Pair, View

ONE: Pair = (1, 1)
EACH_VALUE = (
    "activation",
    "dropout",
    "drop_path",
)  # layers that treat all values alike, unless they have weights


def fully_convolutional(layers: list[Any], context: PlanContext) -> list[Any]:
    """Return a classifier's list with convolutions in the place of flatten and linear layers.

    The first linear layer becomes a convolution as large as the map that was flattened, the next ones 1x1 convolutions;
    a pool over the whole map becomes one over windows of its size. Layers keep their indices, and so the weights
    their names. Auxiliary heads are left out.

    Args:
        context: the settings of the network, with an image of one window as input.

    Raises:
        ConfigError: a layer has no counterpart for larger images.
    """
    layers = [NOTHING if is_side(item) else item for item in layers]
    nodes = sequence(layers, context)
    shape, kernel = context.flow.shape, ONE  # kernel: of the next linear layer
    made: list[Any] = []
    for index, item in enumerate(layers):
        where = f"{context.where}[{index}]"
        inside = [node for node in nodes if f"{node.where}.".startswith(f"{where}.")]
        place = context.at(where, context.parse("layer", item))
        name, end = place.part.name, inside[-1].shape
        if name == "flatten":
            kernel = (shape[1], shape[2])
            made.append(NOTHING)
        elif name == "linear":
            for node in inside:
                made.append(_convolution(place, node, kernel))
                kernel = ONE
        elif name == "pool" and place.part.argument in ("global", "adaptive"):
            made.append({"pool": "avg", "kernel": _bin(place, shape, end), "stride": 1})
        else:
            _check(place, inside, is_flat=kernel != ONE)
            made.append(_over_channels(place, inside[-1], item))
        shape = end
    return made


def at_windows(
    classifier: Mapping[str, Any], window: Any, context: PlanContext
) -> tuple[list[Any], list[Any], Windows]:
    """Return layers and head of a classifier as convolutions, and the windows that it is applied to.

    Args:
        classifier: a network with the lists layers and head.
        window: rows and columns of the images that it takes.
        context: the settings of the network, with the larger image as input.

    Raises:
        ConfigError: there is no such window, or the network is no classifier.
    """
    rows, columns = context.at("window").pair("window", window)
    channels, *image = context.map()
    if rows > image[0] or columns > image[1]:
        raise context.at("window").invalid(
            "window", f"no larger than the image of {times((*image,))}", window
        )
    shape = (channels, rows, columns)
    context = context.at("classifier.layers", flow=Flow(shape, View.of_image(shape)))
    layers = [*classifier["layers"], *classifier["head"]]
    nodes, made = sequence(layers, context), fully_convolutional(layers, context)
    outputs = nodes[-1].shape if nodes else shape
    if len(outputs) > 1 or sequence(made, context)[-1].shape != (*outputs, 1, 1):
        allowed = "a vector, made by linear layers or by a pool over the whole map"
        raise context.invalid(f"the output for an image of {times(shape)}", allowed, outputs)
    cost = sum(leaf.multiply_adds for leaf, is_aside in iterate_leaves(nodes) if not is_aside)
    num_layers = len(fully_convolutional(classifier["layers"], context))
    return made[:num_layers], made[num_layers:], Windows((rows, columns), cost)


def _convolution(place: PlanContext, node: Node, kernel: Pair) -> dict[str, Any]:
    """Return the convolution that computes a linear layer at each position of a map."""
    options = {key: value for key, value in place.part.options.items() if key != "repeat"}
    item = {
        "conv": place.part.argument,
        "kernel": list(kernel),
        "padding": "valid",
        "norm": "none",
        **options,
    }
    return _over_channels(place, node, item)  # type: ignore[no-any-return]


def _bin(place: PlanContext, shape: tuple[int, ...], bins: tuple[int, ...]) -> list[int]:
    """Return the kernel of the average pool that computes a bin at each position of a map."""
    if bins[1:] not in (ONE, shape[1:]):
        problem = f"it pools a {times(shape[1:])} map to {times(bins[1:])} bins, which lie differently in each window"
        hint = f"choose a model.window for which the map before it has {times(bins[1:])} positions"
        raise place.error(problem, hint=hint)
    return [*shape[1:]] if bins[1:] == ONE else [1, 1]


def _check(place: PlanContext, inside: list[Node], *, is_flat: bool) -> None:
    """Raise if a layer that is kept does not compute the same at each position of a map.

    Args:
        is_flat: whether it stands between the flattening of a map and the linear layer after it.
    """
    leaves = [leaf for leaf, is_aside in iterate_leaves((*inside,)) if not is_aside]
    hint = "use flatten and linear in the lists layers and head themselves"
    if not isinstance(inside[-1], Leaf) and any(
        leaf.name.split()[0] in ("flatten", "linear") for leaf in leaves
    ):
        raise place.error(
            "flatten and linear inside of other layers have no counterpart for larger images", hint=hint
        )
    if place.part.name == "module" and len(inside[-1].shape) == 1:
        raise place.error("a module that makes vectors has no counterpart for larger images", hint=hint)
    is_alike = not any(leaf.weights or leaf.shape != leaf.source.shape for leaf in leaves)
    if is_flat and not (place.part.name in EACH_VALUE and is_alike):
        problem = "a layer that does not treat all values of a flattened map alike has no counterpart for larger images"
        raise place.error(problem, hint="put it before flatten, or after the linear layer")


def _over_channels(place: PlanContext, node: Node, item: Any) -> Any:
    """Return a layer whose norm, over all values of a vector or of one position, is over channels at each position."""
    norms = [spec for spec in node.specs if "GroupNorm" in spec.target] if isinstance(node, Leaf) else []
    if not norms or node.shape[1:] not in ((), ONE):
        return item
    if norms[0].arguments["num_groups"] != 1:
        raise place.error(
            "a group norm of one position has no counterpart for larger images", hint="use batch norm"
        )
    norm = {"layer": "channels", "eps": norms[0].arguments["eps"]}
    part = place.part
    if part.name == "norm":
        return {"norm": norm}
    argument = None if part.argument is MISSING else part.argument
    given = item if isinstance(item, dict) else {part.name: argument, **part.options}
    return {**given, "norm": norm}

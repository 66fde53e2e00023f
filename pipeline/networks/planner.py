"""The planner: from the `model` section of a config to the plan of a network, checked and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import ConfigError
from pipeline.networks.fully_convolutional import at_windows
from pipeline.networks.grammar import NONE, PlanContext
from pipeline.networks.parts import NORMS, activation_specs, init_of
from pipeline.networks.structures import ZERO_NORM, sequence
from pipeline.networks.unet import levels_to, unet_on
from pipeline.plans.network import Flow, Network, Node, Structure
from pipeline.plans.view import Shape, View

LARGEST = 100  # of width and depth
PARTS = ("norm", "activation", "init")
KEYS = ("name", *PARTS, "padding", "width", "depth", "zero_last_norm", "layers", "head")
# Includes the keys that transfer reads, and those of `unet_on`, `yolo_on` and `fully_convolutional`.
ALLOWED = (*KEYS, "pretrained", "freeze", "lr_factors", "encoder", "stride", "classifier", "window")
CHOOSE_ENCODER = "choose an encoder by model=unet_on model@model.encoder=<network>"
CHOOSE_CLASSIFIER = "choose a classifier by model=fully_convolutional model@model.classifier=<network>"


def plan(model: Mapping[str, Any], *, shape: Shape, outputs: int) -> Network:
    """Plan a network for images of one shape, without building it.

    Args:
        model: the config section: all of `KEYS`, and any of `ALLOWED`.
        shape: (C, H, W) of an image.
        outputs: the number that `outputs` means.

    Raises:
        ConfigError: the network cannot be built.
    """
    _check_keys(model)
    context = _start(model, Flow(shape, View.of_image(shape)), outputs)
    items, head_items, windows = model["layers"], model["head"], None
    if "encoder" in model:
        inner, stride = _inner(model, "encoder", CHOOSE_ENCODER, "layers")["layers"], model.get("stride")
        items = unet_on(inner, context) if stride is None else levels_to(inner, stride, context)
    if "classifier" in model:
        classifier = _inner(model, "classifier", CHOOSE_CLASSIFIER, "layers", "head")
        items, head_items, windows = at_windows(classifier, model.get("window"), context)
    layers = sequence(items, context)
    flow = Flow(layers[-1].shape, layers[-1].view) if layers else context.flow
    head = sequence(head_items, context.at("head", flow=flow))
    if not (*layers, *head):
        problem = f"both layers and head of model {context.model} are empty"
        raise ConfigError("model.layers", problem, hint="list at least one layer")
    network = Network(context.model, shape, outputs, layers, head, windows)
    if context.zero_last_norm and not any(
        spec.init is ZERO_NORM for leaf in network.leaves() for spec in leaf.specs
    ):
        problem = f"no residual list of model {context.model} ends with a norm"
        raise ConfigError("model.zero_last_norm", problem, got=True, hint="set it to false")
    for node in _side_heads((*layers, *head)):
        end = node.branches[0][-1]
        if end.shape != network.output_shape:
            problem = f"the auxiliary head of model {context.model} must output {network.output_shape}"
            hint = "end both alike, for example with {linear: outputs}"
            raise ConfigError(f"model.{node.where}", problem, got=end.shape, hint=hint)
    return network


def _inner(model: Mapping[str, Any], key: str, hint: str, *lists: str) -> Mapping[str, Any]:
    """Return the network that another one is made from, which takes the place of its own lists."""
    inner = model[key]
    for each in lists:
        if model[each]:
            raise ConfigError(f"model.{each}", allowed=f"empty if model.{key} is set", hint=hint)
    if not isinstance(inner, Mapping) or not all(isinstance(inner.get(each), list) for each in lists):
        allowed = "a network with a list of layers" + (" and one of its head" if "head" in lists else "")
        raise ConfigError(f"model.{key}", got=inner, allowed=allowed, hint=hint)
    return inner


def _start(model: Mapping[str, Any], flow: Flow, outputs: int) -> PlanContext:
    """Return the settings of a network, checked."""
    rest = {key: model[key] for key in ("padding", "width", "depth", "zero_last_norm")}
    context = PlanContext(model["name"], "layers", outputs, NONE, NONE, NONE, flow=flow, **rest)
    norm, activation, init = (context.at(key).parse(key, model[key]) for key in PARTS)
    for key in ("width", "depth"):
        value = model[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
            allowed = f"a number above 0, at most {LARGEST}"
            raise ConfigError(f"model.{key}", got=value, allowed=allowed, hint="1.0 keeps it as written")
    if not isinstance(model["zero_last_norm"], bool):
        raise ConfigError("model.zero_last_norm", got=model["zero_last_norm"], allowed="true or false")
    context = replace(context, norm=norm, activation=activation, init=init)
    context.at("norm", norm).choice("norm", norm.name, [*NORMS, "none"])
    activation_specs(context.at("activation"), activation, 1)
    init_of(context.at("init"), init, activation)
    return context


def _side_heads(nodes: tuple[Node, ...]) -> list[Structure]:
    inside = [node for node in nodes if isinstance(node, Structure)]
    below = [side for node in inside for branch in node.branches for side in _side_heads(branch)]
    return [node for node in inside if node.is_side] + below


def _check_keys(model: Mapping[str, Any]) -> None:
    for key in model:
        if key not in ALLOWED:
            raise ConfigError.unknown(f"model.{key}", key, ALLOWED, what="key")
    for key in KEYS:
        if key not in model:
            raise ConfigError(f"model.{key}", "missing key", hint="add it (none or [] for nothing)")

"""The planner: a config's model section to a network on paper, checked and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError, closest
from pipeline.networks.grammar import Here, parse
from pipeline.networks.parts import NORMS, activation_specs, init_of
from pipeline.networks.structures import ZERO_NORM, sequence
from pipeline.networks.unet import unet_on
from pipeline.plans.network import Flow, Network, Node, Shape, Structure, View, times

LARGEST = 100  # of width and depth
PARTS = ("norm", "activation", "init")
KEYS = ("name", *PARTS, "padding", "width", "depth", "zero_last_norm", "layers", "head")
# What transfer reads, and the network whose levels `unet_on` nests.
ALLOWED = (*KEYS, "pretrained", "freeze", "lr_factors", "encoder")


def plan(model: Mapping[str, Any], *, shape: Shape, outputs: int) -> Network:
    """Plan a network for images of one shape, without building it.

    Args:
        model: the config section: `KEYS`, and any of `ALLOWED`.
        shape: (C, H, W) of an image.
        outputs: what the word `outputs` stands for.

    Raises:
        ConfigError: the network cannot be built; names the layer, its place, and the way out.
    """
    _check_keys(model)
    here = _start(model, Flow(shape, View.of_image(shape)), outputs)
    items = model["layers"]
    if "encoder" in model:
        encoder = model["encoder"]
        if items or not isinstance(encoder, Mapping) or not isinstance(encoder.get("layers"), list):
            raise ConfigError(
                "model.encoder must be a network with a list of layers, and model.layers empty; choose the encoder by "
                "model=unet_on model@model.encoder=<network>"
            )
        items = unet_on(encoder["layers"], here)
    layers = sequence(items, here.at("layers"))
    flow = Flow(layers[-1].shape, layers[-1].view) if layers else here.flow
    head = sequence(model["head"], here.at("head", flow=flow))
    if not (*layers, *head):
        raise ConfigError(f"model {here.model}: layers and head are both empty; list at least one layer")
    network = Network(here.model, shape, outputs, layers, head)
    if here.zero_last_norm and not any(
        spec.init is ZERO_NORM for leaf in network.leaves() for spec in leaf.specs
    ):
        raise ConfigError(
            f"model.zero_last_norm: no residual list of model {here.model} ends with a norm, so that it would do "
            "nothing; set it to false"
        )
    for node in _side_heads((*layers, *head)):
        end = node.branches[0][-1]
        if end.shape != network.output_shape:
            raise ConfigError(
                f"model {here.model}, {node.where}: the auxiliary head puts out {times(end.shape)}, the network "
                f"{times(network.output_shape)}; end both alike, for example with {{linear: outputs}}"
            )
    return network


def _start(model: Mapping[str, Any], flow: Flow, outputs: int) -> Here:
    """Return where every network begins, its rules checked."""
    name = model["name"]
    norm, activation, init = (parse(model[key], where=f"model.{key}") for key in PARTS)
    for key in ("width", "depth"):
        value = model[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
            raise ConfigError(
                f"model.{key} must be a number above 0, at most {LARGEST}, got {value!r}; 1.0 leaves the list as it is"
            )
    if not isinstance(model["zero_last_norm"], bool):
        raise ConfigError(f"model.zero_last_norm must be true or false, got {model['zero_last_norm']!r}")
    padding, width, depth, is_zeroed = (model[key] for key in ("padding", "width", "depth", "zero_last_norm"))
    here = Here(name, "model", outputs, norm, activation, init, padding, width, depth, is_zeroed, flow)
    here.at("model.norm", norm).choice("norm", norm.name, [*NORMS, "none"])
    activation_specs(here.at("model.activation"), activation, 1)
    init_of(here.at("model.init"), init, activation)
    return here


def _side_heads(nodes: tuple[Node, ...]) -> list[Structure]:
    inside = [node for node in nodes if isinstance(node, Structure)]
    below = [side for node in inside for branch in node.branches for side in _side_heads(branch)]
    return [node for node in inside if node.is_side] + below


def _check_keys(model: Mapping[str, Any]) -> None:
    for key in model:
        if key not in ALLOWED:
            raise ConfigError(f"model.{key}: unknown key; {closest(key, ALLOWED)}")
    for key in KEYS:
        if key not in model:
            raise ConfigError(f"model.{key} is missing; write it (`none` or [] for nothing)")

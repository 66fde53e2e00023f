"""Small models for the tests of the network language: a section `model`, planned and built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from pipeline.networks.build import build
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.plans.view import Shape


def model_of(*layers: Any, head: Sequence[Any] = (), **changes: Any) -> dict[str, Any]:
    """Return a section `model` with every key: batch norm, ReLU, and the defaults of conf/config.yaml."""
    model = {
        "name": "small",
        "norm": "batch",
        "activation": "relu",
        "init": "he_normal",
        "padding": "same",
        "width": 1.0,
        "depth": 1.0,
        "zero_last_norm": False,
        "layers": list(layers),
        "head": list(head),
    }
    return {**model, **changes}


def plan_layers(*layers: Any, shape: Shape, outputs: int = 10, **changes: Any) -> Network:
    """Plan layers for an image; a shape of one number stands for a vector."""
    return plan(model_of(*before(shape), *layers, **changes), shape=image_of(shape), outputs=outputs)


def build_layers(*layers: Any, shape: Shape, seed: int = 0, **changes: Any) -> nn.Sequential:
    """Plan and build layers; a shape of one number stands for a vector."""
    return build(plan_layers(*layers, shape=shape, **changes), seed=seed)


def before(shape: Shape) -> list[str]:
    """Return what stands before the layers: a vector is a map of one pixel, flattened."""
    return ["flatten"] if len(shape) == 1 else []


def image_of(shape: Shape) -> Shape:
    """Return the shape of the image that is laid out as a vector, or the map's own."""
    return (*shape, 1, 1) if len(shape) == 1 else shape


def layer_of(module: nn.Sequential, index: int = 0) -> nn.Module:
    """Return one of the `layers` of a built network."""
    layers = module.get_submodule("layers")
    assert isinstance(layers, nn.Sequential)
    return layers[index]


def name_of(part: Any) -> str:
    """Return the name of a part as it is written in YAML."""
    return part if isinstance(part, str) else str(next(iter(part)))


def count(module: nn.Module) -> int:
    """Return how many trainable numbers a module has."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)

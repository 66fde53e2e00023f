"""The layers of a model, and what they put out: mean, deviation, saturated values, dead units.

Sources: Glorot and Bengio 2010 (AISTATS), on saturation; He et al. 2015, arXiv:1502.01852, on the deviation of what
layers put out; the course CS231n, "Babysitting the learning process", on dead units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.networks.build import pair_modules
from pipeline.plans.network import Network
from pipeline.sanity.short import set_training

if TYPE_CHECKING:
    from pipeline.sanity.subject import Subject

# Activations that flatten out, with the values that they lie between; gates are not meant.
BOUNDED: dict[type[nn.Module], tuple[float, float]] = {nn.Tanh: (-1.0, 1.0), nn.Sigmoid: (0.0, 1.0)}
NEAR = 0.005  # share of the range of an activation within which it counts as saturated, 0.99 of tanh


@dataclass(frozen=True)
class Layer:
    """A layer of a model that has weights to be trained.

    Args:
        where: its place in the declaration, such as `layers[3]`, and its number there if the place is repeated.
        name: of its kind, such as `conv 16, 5x5`.
        weights: its matrices and filters, without biases and norms.
    """

    where: str
    name: str
    module: nn.Module
    weights: list[nn.Parameter]


@dataclass(frozen=True)
class Activity:
    """What a layer puts out for some images, after its activation.

    Args:
        saturated: share of values at an end of a bounded activation; NaN without one.
        dead: share of channels or features that are the same for every image and position.
    """

    where: str
    name: str
    mean: float
    deviation: float
    saturated: float
    dead: float


def find_layers(network: Network, built: nn.Sequential) -> list[Layer]:
    """Return the layers of a built network that have weights to be trained, in the order of computation."""
    layers: list[Layer] = []
    seen: Counter[str] = Counter()
    for leaf, module in pair_modules(network, built):
        weights = [each for each in module.parameters() if each.ndim > 1 and each.requires_grad]
        seen[leaf.where] += 1
        if weights:
            number = f" ({seen[leaf.where]})" if seen[leaf.where] > 1 else ""
            layers.append(Layer(f"{leaf.where}{number}", leaf.name, module, weights))
    return layers


@torch.no_grad()
def measure_activity(subject: Subject, model: nn.Sequential) -> Sequence[Activity]:
    """Measure what the layers of a model put out for the probed images, with batch norms as in training."""
    found: list[Activity] = []

    def measure(layer: Layer, outputs: Tensor, share: float) -> None:
        values = outputs.float()
        flat = values.transpose(0, 1).flatten(1)
        dead = float((flat.amax(dim=1) == flat.amin(dim=1)).float().mean())
        mean, deviation = float(values.mean()), float(values.std(correction=0))
        found.append(Activity(layer.where, layer.name, mean, deviation, share, dead))

    was_training = [module.training for module in model.modules()]
    states = {key: value.clone() for key, value in model.state_dict().items()}
    set_training(model, is_regularised=False)
    with ExitStack() as stack:
        for layer in subject.layers(model):
            shares: list[float] = []
            for module in layer.module.modules():
                bounds = BOUNDED.get(type(module))
                if bounds is not None:
                    handle = module.register_forward_hook(_saturation(bounds, shares))
                    stack.callback(handle.remove)
            handle = layer.module.register_forward_hook(_passing(layer, shares, measure))
            stack.callback(handle.remove)
        model(subject.probe["image"])
    model.load_state_dict(states)  # batch norms have seen the images
    for module, mode in zip(model.modules(), was_training, strict=True):
        module.training = mode
    return found


def _saturation(bounds: tuple[float, float], shares: list[float]) -> Any:
    low, high = bounds
    margin = NEAR * (high - low)

    def hook(module: nn.Module, inputs: Any, outputs: Tensor) -> None:
        del module, inputs
        is_near = (outputs <= low + margin) | (outputs >= high - margin)
        shares.append(float(is_near.float().mean()))

    return hook


def _passing(layer: Layer, shares: list[float], measure: Any) -> Any:
    def hook(module: nn.Module, inputs: Any, outputs: Tensor) -> None:
        del module, inputs
        measure(layer, outputs, max(shares, default=nan))

    return hook

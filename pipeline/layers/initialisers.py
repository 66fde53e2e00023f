"""Initialisers: draw a layer's weight in place.

Sources: see `pipeline.networks.parts`. The fan-in is the number of inputs that an output is computed from, the fan-out
the number of outputs that an input contributes to, strides of convolutions aside: both within a group, for each filter
of a wired convolution by the channels that it sees, and for a transposed convolution as the mean over its phases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.layers.wired import WiredConv2d

Fan = float | Tensor  # of all weights, or of each: a tensor that broadcasts to the weight
CUT = 2.0  # where `truncated_normal` cuts, as torch and timm do


@dataclass(frozen=True)
class Fans:
    """How many numbers an output of a layer is computed from, and how many outputs an input contributes to."""

    inputs: Fan
    outputs: Fan


def initialise(module: nn.Module, name: str, value: Any, gain: float) -> None:
    """Draw a layer's weight and zero its bias; `default` keeps torch's own.

    Args:
        value: standard deviation, bound or constant, for the initialisers that take one.
        gain: of the activation after the layer, for He and Xavier.
    """
    if name == "default":
        return
    assert isinstance(module.weight, Tensor)
    with torch.no_grad():
        INITIALISE[name](module.weight, value, gain, fans(module))
        if isinstance(module.bias, Tensor):
            nn.init.zeros_(module.bias)


def fans(module: nn.Module) -> Fans:
    """Return the fan-in and fan-out of a linear layer, a convolution or a norm."""
    if isinstance(module, WiredConv2d):
        taps = prod(module.shape[2:])
        filters, channels = module.pairs
        return Fans(*(taps * each.bincount()[each].view(-1, 1, 1, 1) for each in (filters, channels)))
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, nn.ConvTranspose2d):
        inputs = weight[:, 0].numel() / module.groups / prod(module.stride)
        return Fans(inputs, weight[0].numel())
    if weight.ndim == 1:
        return Fans(1, 1)
    groups = module.groups if isinstance(module, nn.Conv2d) else 1
    return Fans(weight[0].numel(), weight[:, 0].numel() / groups)


def _normal(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.normal_(weight, std=value)


def _uniform(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.uniform_(weight, -value, value)


def _constant(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.constant_(weight, value or 0.0)


def _truncated_normal(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.trunc_normal_(weight, std=value, a=-CUT, b=CUT)


def _xavier_normal(weight: Tensor, _: Any, gain: float, fans: Fans) -> None:
    _draw_normal(weight, gain * _root(2.0 / (fans.inputs + fans.outputs)))


def _xavier_uniform(weight: Tensor, _: Any, gain: float, fans: Fans) -> None:
    _draw_uniform(weight, sqrt(3.0) * (gain * _root(2.0 / (fans.inputs + fans.outputs))))


def _he_normal(weight: Tensor, _: Any, gain: float, fans: Fans) -> None:
    _draw_normal(weight, gain / _root(fans.inputs))


def _he_uniform(weight: Tensor, _: Any, gain: float, fans: Fans) -> None:
    _draw_uniform(weight, sqrt(3) * gain / _root(fans.inputs))


def _lecun_normal(weight: Tensor, _: Any, __: float, fans: Fans) -> None:
    _draw_normal(weight, fans.inputs**-0.5)


def _orthogonal(weight: Tensor, *_: Any) -> None:
    nn.init.orthogonal_(weight)


def _draw_normal(weight: Tensor, deviation: Fan) -> None:
    if isinstance(deviation, float):
        nn.init.normal_(weight, std=deviation)
    else:
        weight.normal_().mul_(deviation)


def _draw_uniform(weight: Tensor, bound: Fan) -> None:
    if isinstance(bound, float):
        nn.init.uniform_(weight, -bound, bound)
    else:
        weight.uniform_(-1, 1).mul_(bound)


def _root(value: Fan) -> Fan:
    return value.sqrt() if isinstance(value, Tensor) else sqrt(value)


INITIALISE: dict[str, Callable[[Tensor, Any, float, Fans], None]] = {
    "zero": _constant,
    "constant": _constant,
    "normal": _normal,
    "uniform": _uniform,
    "truncated_normal": _truncated_normal,
    "xavier_normal": _xavier_normal,
    "xavier_uniform": _xavier_uniform,
    "he_normal": _he_normal,
    "he_uniform": _he_uniform,
    "lecun_normal": _lecun_normal,
    "orthogonal": _orthogonal,
}

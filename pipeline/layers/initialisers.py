"""Initialisers: draw a layer's weight in place.

Sources: see `pipeline.networks.parts`. Fans are torch's: inputs per output, and outputs per input.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

from torch import Tensor, nn

from pipeline.layers.wired import WiredConv2d


def initialise(module: nn.Module, name: str, value: Any, gain: float) -> None:
    """Draw a layer's weight and zero its bias; `default` keeps torch's own.

    Args:
        value: standard deviation, bound or constant, for the initialisers that take one.
        gain: of the activation after the layer, for He and Xavier.
    """
    if name == "default":
        return
    if isinstance(module, WiredConv2d):
        module.draw(lambda dense: INITIALISE[name](dense, value, gain))
    else:
        assert isinstance(module.weight, Tensor)
        INITIALISE[name](module.weight, value, gain)
    if isinstance(module.bias, Tensor):
        nn.init.zeros_(module.bias)


def _normal(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.normal_(weight, std=value)


def _uniform(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.uniform_(weight, -value, value)


def _constant(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.constant_(weight, value or 0.0)


def _truncated_normal(weight: Tensor, value: Any, *_: Any) -> None:
    nn.init.trunc_normal_(weight, std=value, a=-2 * value, b=2 * value)


def _xavier_normal(weight: Tensor, _: Any, gain: float) -> None:
    nn.init.xavier_normal_(weight, gain=gain)


def _xavier_uniform(weight: Tensor, _: Any, gain: float) -> None:
    nn.init.xavier_uniform_(weight, gain=gain)


def _he_normal(weight: Tensor, _: Any, gain: float) -> None:
    nn.init.normal_(weight, std=gain / sqrt(_fan_in(weight)))


def _he_uniform(weight: Tensor, _: Any, gain: float) -> None:
    bound = sqrt(3) * gain / sqrt(_fan_in(weight))
    nn.init.uniform_(weight, -bound, bound)


def _lecun_normal(weight: Tensor, *_: Any) -> None:
    nn.init.normal_(weight, std=_fan_in(weight) ** -0.5)


def _orthogonal(weight: Tensor, *_: Any) -> None:
    nn.init.orthogonal_(weight)


def _fan_in(weight: Tensor) -> int:
    return weight[0].numel()


INITIALISE: dict[str, Callable[[Tensor, Any, float], None]] = {
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

"""Build a planned network: a plain tree of torch modules, its weights drawn from one seed."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.networks.plan import Leaf, Network, Node, Spec


def build(network: Network, *, seed: int) -> nn.Sequential:
    """Build a network with two children, `layers` and `head`.

    Args:
        seed: the same plan and seed always give the same weights; torch's own random state is kept.

    Returns:
        A module that maps (N, C, H, W) floats to (N, *network.output_shape).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(OrderedDict(layers=_sequential(network.layers), head=_sequential(network.head)))


def _sequential(nodes: tuple[Node, ...]) -> nn.Module:
    if not nodes:
        return nn.Identity()
    return nn.Sequential(*map(_module, nodes))


def _module(node: Node) -> nn.Module:
    if isinstance(node, Leaf):
        modules = [_made(spec) for spec in node.specs]
        if len(modules) == 1:
            return modules[0]
        return nn.Sequential(*modules) if modules else nn.Identity()
    branches = [_sequential(branch) for branch in node.branches]
    after = _module(node.after[0]) if len(node.after) == 1 else _sequential(node.after)
    return _class(node.target)(*branches, after)


def _made(spec: Spec) -> nn.Module:
    module = _class(spec.target)(**spec.arguments)
    if spec.init is not None:
        _initialise(module, *spec.init)
    return module


def _class(target: str) -> Callable[..., nn.Module]:
    module, name = target.rsplit(".", 1)
    found: Callable[..., nn.Module] = getattr(importlib.import_module(module), name)
    return found


def _initialise(module: nn.Module, name: str, value: Any) -> None:
    """Draw a layer's weight in place and zero its bias; `default` leaves torch's own draw."""
    if name == "default":
        return
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    INITIALISE[name](weight, value)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)


def _lecun_normal(weight: Tensor, _: Any) -> None:
    fan_in = weight[0].numel()
    nn.init.normal_(weight, std=fan_in**-0.5)


INITIALISE: dict[str, Callable[[Tensor, Any], Any]] = {
    "zero": lambda weight, _: nn.init.constant_(weight, 0.0),
    "constant": nn.init.constant_,
    "normal": lambda weight, value: nn.init.normal_(weight, std=value),
    "uniform": lambda weight, value: nn.init.uniform_(weight, -value, value),
    "truncated_normal": lambda weight, value: nn.init.trunc_normal_(
        weight, std=value, a=-2 * value, b=2 * value
    ),
    "xavier_normal": lambda weight, _: nn.init.xavier_normal_(weight),
    "xavier_uniform": lambda weight, _: nn.init.xavier_uniform_(weight),
    "he_normal": lambda weight, _: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "he_uniform": lambda weight, _: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "lecun_normal": _lecun_normal,
    "orthogonal": lambda weight, _: nn.init.orthogonal_(weight),
}

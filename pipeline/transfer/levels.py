"""Frozen levels, learning rates per level, and which parameters decay.

Sources: a learning rate per level, Howard and Ruder 2018, arXiv:1801.06146, section 3.2; no weight decay of norms and
biases, He et al. 2019, arXiv:1812.01187, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

Level = Sequence[nn.Module]


def frozen_modules(levels: Sequence[Level], *, freeze: int) -> list[nn.Module]:
    """Disable the gradients of the first levels; return their modules, which must be kept in eval mode."""
    frozen = [module for level in levels[:freeze] for module in level]
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def parameter_groups(
    parameters: Iterable[nn.Parameter],
    levels: Sequence[Level],
    *,
    factors: Sequence[float],
    lr: float,
    decays_vectors: bool = True,
) -> list[dict[str, Any]]:
    """Group the trainable parameters by learning rate; the head, and parameters outside all levels, come first.

    Args:
        parameters: all parameters of the model.
        factors: one per level, or none for a single learning rate.
        lr: the learning rate at factor 1.
        decays_vectors: whether weight decay applies to norms, biases and other vectors, too; otherwise these are
            groups of their own.

    Returns:
        Optimizer groups; the first has the learning rate `lr` times the head's factor.
    """
    groups = _by_rate([each for each in parameters if each.requires_grad], levels, factors=factors, lr=lr)
    if decays_vectors:
        return groups
    parts = []
    for group in groups:
        parts.append({**group, "params": [each for each in group["params"] if not _is_vector(each)]})
        parts.append(
            {**group, "params": [each for each in group["params"] if _is_vector(each)], "weight_decay": 0.0}
        )
    return [part for part in parts if part["params"]]


def _is_vector(parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a vector, or a scale of channels, (C, 1, 1)."""
    return parameter.ndim < 2 or parameter.shape[1:] == (1, 1)


def _by_rate(
    trained: Sequence[nn.Parameter], levels: Sequence[Level], *, factors: Sequence[float], lr: float
) -> list[dict[str, Any]]:
    if not factors:
        return [{"params": trained}]
    factor_of = {
        parameter: factor
        for level, factor in zip(levels, factors, strict=True)
        for module in level
        for parameter in module.parameters()
    }
    groups: dict[float, list[nn.Parameter]] = {float(factors[-1]): []}
    for parameter in trained:
        groups.setdefault(float(factor_of.get(parameter, factors[-1])), []).append(parameter)
    return [{"params": group, "lr": lr * factor} for factor, group in groups.items() if group]

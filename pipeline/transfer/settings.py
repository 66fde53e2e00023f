"""The settings of transfer, checked without importing torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from pipeline.errors import ConfigError
from pipeline.transfer.checkpoint import KEYS, check_format, find_checkpoint


def check_transfer(model: Mapping[str, Any], *, level_weights: Sequence[int], lr: Any) -> None:
    """Check `model.pretrained`, `model.freeze` and `model.lr_factors` of a planned network.

    Args:
        level_weights: number of trainable weights of each level, the head last.
        lr: `optimizer.lr`, None if it is not set.

    Raises:
        ConfigError: a setting is missing, of the wrong type, or does not fit the levels.
    """
    for key in KEYS:
        if key not in model:
            raise ConfigError(
                f"model.{key}", "the setting is missing", hint="add it with its default from conf/config.yaml"
            )
    pretrained, freeze, lr_factors = (model[key] for key in KEYS)
    if pretrained is not None:
        if not isinstance(pretrained, str):
            raise ConfigError("model.pretrained", got=pretrained, allowed="a file or package:<name>")
        check_format(find_checkpoint(pretrained))
    _check_freeze(freeze, len(level_weights) - 1)
    _check_factors(lr_factors, len(level_weights))
    factors = lr_factors or [1] * len(level_weights)
    if not any(count * factor for count, factor in list(zip(level_weights, factors, strict=True))[freeze:]):
        raise ConfigError(
            "model.freeze",
            f"no weight is left to train with model.lr_factors={lr_factors}",
            got=freeze,
            hint="freeze fewer levels",
        )
    if lr_factors and lr is None:
        raise ConfigError(
            "model.lr_factors",
            "the factors multiply optimizer.lr, which is not set",
            got=lr_factors,
            hint="set optimizer.lr",
        )


def _check_freeze(freeze: Any, last: int) -> None:
    if isinstance(freeze, bool) or not isinstance(freeze, int) or not 0 <= freeze <= last:
        raise ConfigError(
            "model.freeze",
            got=freeze,
            allowed=f"an integer from 0 to {last}, the number of levels before the head",
        )


def _check_factors(lr_factors: Any, num_levels: int) -> None:
    is_numbers = isinstance(lr_factors, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and 0 <= each < inf
        for each in lr_factors
    )
    if not is_numbers or len(lr_factors) not in (0, num_levels):
        raise ConfigError(
            "model.lr_factors",
            got=lr_factors,
            allowed=f"[] or a list of {num_levels} finite numbers of at least 0, one per level with the head last",
        )

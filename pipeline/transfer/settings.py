"""The settings of transfer, checked without a tensor library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from pipeline.errors import ConfigError
from pipeline.transfer.checkpoint import file_of

KEYS = ("pretrained", "freeze", "lr_factors")


def check_transfer(model: Mapping[str, Any], *, level_weights: Sequence[int], lr: Any) -> None:
    """Check `model.pretrained`, `model.freeze` and `model.lr_factors` of a planned network.

    Args:
        level_weights: trainable numbers of each level, the head last.
        lr: `optimizer.lr`, None where it is not set.

    Raises:
        ConfigError: a setting that is missing, of the wrong type, or more than there is to set.
    """
    for key in KEYS:
        if key not in model:
            raise ConfigError(f"model.{key} is missing; conf/config.yaml sets its default")
    pretrained, freeze, lr_factors = (model[key] for key in KEYS)
    if pretrained is not None:
        if not isinstance(pretrained, str):
            raise ConfigError(f"model.pretrained must be a file or package:<name>, got {pretrained!r}")
        file_of(pretrained)
    _check_freeze(freeze, len(level_weights) - 1)
    _check_factors(lr_factors, len(level_weights))
    factors = lr_factors or [1] * len(level_weights)
    if not any(count * factor for count, factor in list(zip(level_weights, factors, strict=True))[freeze:]):
        raise ConfigError(
            f"model.freeze {freeze} and model.lr_factors {lr_factors} leave no weight that learns; freeze fewer levels"
        )
    if lr_factors and lr is None:
        raise ConfigError("model.lr_factors multiply optimizer.lr, which is not set; set it")


def _check_freeze(freeze: Any, last: int) -> None:
    if isinstance(freeze, bool) or not isinstance(freeze, int) or not 0 <= freeze <= last:
        raise ConfigError(
            f"model.freeze must be a whole number from 0 to {last}, the levels before the head, got {freeze!r}"
        )


def _check_factors(lr_factors: Any, num_levels: int) -> None:
    is_numbers = isinstance(lr_factors, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and 0 <= each < inf
        for each in lr_factors
    )
    if not is_numbers or len(lr_factors) not in (0, num_levels):
        raise ConfigError(
            f"model.lr_factors must be [] or a list of {num_levels} finite numbers of at least 0, one for each level "
            f"and the head, got {lr_factors!r}"
        )

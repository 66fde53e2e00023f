"""Facts about pixels: how images are resized, and what their values stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, Range

if TYPE_CHECKING:
    from pipeline.data.facts import Facts

SQUASH, LETTERBOX, CROP, CUT = RULES = ("squash", "letterbox", "crop", "cut")
MOST_VALUES = 2**24  # in a declared range; floats hold all whole numbers up to here


def check_resizing(rule: str, padding_value: int) -> None:
    """Check a resize rule and the grey level of its padding.

    Raises:
        ConfigError: there is no such rule, or there is no such grey level, or nothing is padded.
    """
    if rule not in RULES:
        raise ConfigError.unknown("data.resize", rule, RULES, what="rule")
    Range(least=0, most=255, is_whole=True).check("data.padding_value", padding_value)
    if padding_value and rule != LETTERBOX:
        raise ConfigError(
            "data.padding_value",
            got=padding_value,
            allowed=f"0 with data.resize={rule}, which pads nothing",
            hint=f"set data.resize={LETTERBOX}, or leave it out",
        )


def check_value_range(value_range: Sequence[int] | None) -> None:
    """Check the range of values of images with more than 8 bits.

    Raises:
        ConfigError: it is not two whole numbers of which the second is larger.
    """
    if value_range is None:
        return
    is_pair = len(value_range) == 2 and all(type(value) is int for value in value_range)
    if not is_pair or not 0 < value_range[1] - value_range[0] < MOST_VALUES:
        raise ConfigError(
            "data.value_range",
            got=value_range,
            allowed="null or the smallest and the largest value of images, such as [0, 4095]",
        )


def mask_padding(facts: Facts) -> int:
    """Return what masks are padded with, so that it is neither trained on nor scored.

    Raises:
        ConfigError: there would be padding, and no label to ignore.
    """
    if facts.resize == LETTERBOX and facts.ignore_label is None:
        free = f"from {len(facts.classes)} to 255"
        raise ConfigError(
            "data.ignore_label",
            got=None,
            allowed=f"a value {free} with data.resize={LETTERBOX}, as the padding of masks belongs to no class",
            hint="set data.ignore_label=255",
        )
    return facts.ignore_label or 0

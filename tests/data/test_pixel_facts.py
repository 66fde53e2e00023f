"""Facts about pixels: which are refused, and how."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.data.facts import Facts
from pipeline.data.pixel_facts import RULES, mask_padding
from tests.makers import data_section
from tests.refusals import refused


def facts(**changes: Any) -> Facts:
    return Facts(**data_section("nowhere", **changes))


def test_unknown_rule_is_refused_with_those_that_there_are() -> None:
    text = "data.resize: unknown rule 'pad'; did you mean 'crop'? allowed: crop, cut, letterbox, squash"
    with refused(
        "data.resize", got="pad", allowed=list(RULES), text=text.replace("did you mean 'crop'? ", "")
    ):
        facts(resize="pad")


@pytest.mark.parametrize("value", [-1, 256, 0.5, True])
def test_padding_value_is_a_grey_level(value: Any) -> None:
    with refused("data.padding_value", got=value, allowed="a whole number from 0 to 255"):
        facts(resize="letterbox", padding_value=value)


def test_padding_value_where_nothing_is_padded_is_refused() -> None:
    allowed = "0 with data.resize=crop, which pads nothing"
    text = f"data.padding_value must be {allowed}, got 114; set data.resize=letterbox, or leave it out"
    with refused("data.padding_value", got=114, allowed=allowed, text=text):
        facts(resize="crop", padding_value=114)


@pytest.mark.parametrize("value", [[], [1], [0, 1, 2], [5, 5], [9, 2], [0, 0.5], [False, True], [0, 2**24]])
def test_value_range_is_two_whole_numbers_that_rise(value: Any) -> None:
    allowed = "null or the smallest and the largest value of images, such as [0, 4095]"
    with refused("data.value_range", got=value, text=f"data.value_range must be {allowed}, got {value!r}"):
        facts(value_range=value)


def test_masks_are_padded_with_the_label_to_ignore_and_need_one() -> None:
    assert mask_padding(facts(resize="letterbox", ignore_label=7)) == 7
    assert mask_padding(facts(resize="crop")) == mask_padding(facts()) == 0
    allowed = "a value from 2 to 255 with data.resize=letterbox, as the padding of masks belongs to no class"
    text = f"data.ignore_label must be {allowed}, got None; set data.ignore_label=255"
    with refused("data.ignore_label", got=None, allowed=allowed, text=text):
        mask_padding(facts(resize="letterbox"))

"""Dimensions: shares and values are two names of the same place, and equal shares are equally likely."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.sweeps.dimensions import Choice, Interval, check_choice, check_interval
from tests.refusals import refused

SHARES = st.floats(0, 1, exclude_max=True)
FRACTIONS = [
    Interval(0.1, 0.3),
    Interval(-2.0, 5.0),
    Interval(1e-4, 1.0, is_log=True),
    Interval(1e-12, 1e6, is_log=True),
    Interval(0.1234567, 0.9),
]
WHOLE = [
    Interval(1, 8, is_integer=True),
    Interval(-3, 3, is_integer=True),
    Interval(1, 8, is_log=True, is_integer=True),
    Interval(16, 1024, is_log=True, is_integer=True),
]
MANY = 84_000  # a multiple of the 7 and 8 values counted below


def even_shares(count: int = MANY) -> list[float]:
    return [(place + 0.5) / count for place in range(count)]


@pytest.mark.parametrize("interval", FRACTIONS, ids=str)
@given(share=SHARES)
def test_value_of_a_share_maps_back_to_it(interval: Interval, share: float) -> None:
    value = interval.value(share)
    scale = (interval.high - interval.low) / max(abs(interval.low), abs(interval.high))
    assert interval.to_unit(value) == pytest.approx(share, abs=1e-5 / min(scale, 1))
    assert interval.value(interval.to_unit(value)) == pytest.approx(value, rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("interval", WHOLE, ids=str)
def test_every_whole_number_maps_to_a_share_and_back(interval: Interval) -> None:
    numbers = range(int(interval.low), int(interval.high) + 1)
    shares = [interval.to_unit(number) for number in numbers]
    assert [interval.value(share) for share in shares] == list(numbers)
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1


@given(values=st.lists(st.integers() | st.text() | st.none(), min_size=2, unique=True))
def test_every_choice_maps_to_a_share_and_back(values: list[Any]) -> None:
    choice = Choice(tuple(values))
    assert [choice.value(choice.to_unit(value)) for value in values] == values


@pytest.mark.parametrize("interval", [*FRACTIONS, *WHOLE], ids=str)
@given(share=SHARES)
def test_values_lie_between_the_bounds_and_rise_with_the_share(interval: Interval, share: float) -> None:
    value = interval.value(share)
    assert interval.low <= value <= interval.high
    assert interval.value(0) <= value <= interval.value(1 - 1e-16)
    assert isinstance(value, int if interval.is_integer else float)


@pytest.mark.parametrize("interval", WHOLE, ids=str)
def test_both_bounds_of_whole_numbers_are_drawn(interval: Interval) -> None:
    drawn = {interval.value(share) for share in even_shares()}
    assert drawn == set(range(int(interval.low), int(interval.high) + 1))


@pytest.mark.parametrize("low", [1, -3, 0])
def test_every_whole_number_is_equally_likely(low: int) -> None:
    counts = Counter(Interval(low, low + 6, is_integer=True).value(share) for share in even_shares())
    assert counts == dict.fromkeys(range(low, low + 7), MANY // 7)


def test_every_choice_is_equally_likely() -> None:
    counts = Counter(Choice(tuple("abcdefgh")).value(share) for share in even_shares())
    assert counts == dict.fromkeys("abcdefgh", MANY // 8)


def test_whole_numbers_on_a_log_scale_are_as_likely_as_their_ratios() -> None:
    # From 1 to 7 on a log scale, bounds included: 1 has [1, 2), so ln 2 / ln 8 = 1/3; 2 and 3 have [2, 4) together,
    # again 1/3, as have 4 to 7.
    counts = Counter(Interval(1, 7, is_log=True, is_integer=True).value(share) for share in even_shares())
    wanted = [MANY / 3] * 3
    assert [counts[1], counts[2] + counts[3], sum(counts[n] for n in (4, 5, 6, 7))] == pytest.approx(
        wanted, abs=1
    )
    assert counts[4] > counts[5] > counts[6] > counts[7]


def test_equal_ratios_are_equally_likely_on_a_log_scale_and_equal_differences_on_a_plain_one() -> None:
    quarters = [0.0, 0.25, 0.5, 0.75]
    assert [Interval(1e-4, 1.0, is_log=True).value(share) for share in quarters] == [1e-4, 1e-3, 1e-2, 1e-1]
    assert [Interval(1.0, 5.0).value(share) for share in quarters] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("interval", FRACTIONS[:-1], ids=str)
@given(share=SHARES)
def test_drawn_number_has_six_digits_and_survives_being_written(interval: Interval, share: float) -> None:
    value = interval.value(share)
    assert float(str(value)) == value
    assert json.loads(json.dumps(value)) == value
    assert float(f"{value:.6g}") == value


@given(low=st.floats(1e-6, 1e3), ratio=st.floats(1.01, 1e4), share=st.floats(-0.5, 1.5))
def test_shares_beyond_the_bounds_go_on_along_the_scale(low: float, ratio: float, share: float) -> None:
    assume(low * ratio > low)
    assert Interval(low, low * ratio, is_log=True).from_unit(share) == pytest.approx(low * ratio**share)
    assert Interval(low, low * ratio).from_unit(share) == pytest.approx(
        low + share * low * (ratio - 1), abs=1e-6
    )


ORDER = "the bounds of an interval must be finite and in ascending order, got {}; write the lower bound first"
LOG = "the bounds of a logarithmic interval must be above 0, got {}; raise the lower bound, or remove the tag log"


@pytest.mark.parametrize(
    ("interval", "got", "hint", "said"),
    [
        (Interval(1.0, 0.5), (1.0, 0.5), "write the lower bound first", ORDER),
        (Interval(2, 2, is_integer=True), (2, 2), "write the lower bound first", ORDER),
        (Interval(0.0, 0.1, is_log=True), (0.0, 0.1), "raise the lower bound", LOG),
    ],
    ids=str,
)
def test_interval_without_numbers_is_refused(
    interval: Interval, got: tuple[float, float], hint: str, said: str
) -> None:
    with refused("search.space.k", got=got, hint=hint, text=f"search.space.k: {said.format(got)}"):
        check_interval("k", interval)


@pytest.mark.parametrize("values", [(), ("a",), ("a", "a"), ("a", "b", "a")], ids=str)
def test_choice_that_leaves_nothing_to_choose_is_refused(values: tuple[str, ...]) -> None:
    text = (
        f"search.space.k: a choice needs at least two values, all of them different, got {list(values)}; remove "
        "duplicates, or set a fixed value in the declaration"
    )
    with refused("search.space.k", got=list(values), hint="set a fixed value", text=text):
        check_choice("k", Choice(values))


def test_what_leaves_a_choice_is_taken_as_it_is() -> None:
    for interval in (*FRACTIONS, *WHOLE):
        assert check_interval("k", interval) is interval
    choice = Choice((True, None, [1, 2], "relu"))
    assert check_choice("k", choice) is choice

"""Coarse to fine: bounds worked by hand on their own scale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweeps.dimensions import Choice, Dimension, Entry, Interval
from pipeline.sweeps.refine import joined, refined, top

LOG = Interval(1e-4, 1.0, is_log=True)
PLAIN = Interval(0.0, 1.0)
COUNT = Interval(1, 100, is_integer=True)
LOG_COUNT = Interval(1, 128, is_log=True, is_integer=True)
LETTERS = Choice(tuple("abcd"))


def around(dimension: Dimension, *values: object) -> tuple[Dimension, list[str]]:
    [entry], notes = refined([Entry("k", dimension)], [{"k": value} for value in values])
    assert (entry.key, entry.when) == ("k", None)
    return entry.dimension, notes


@pytest.mark.parametrize(
    ("dimension", "values", "low", "high"),
    [
        # A tenth of four decades is 0.4 decades: from 10^-2.4 to 10^-0.6.
        (LOG, (1e-2, 1e-1), 10**-2.4, 10**-0.6),
        (LOG, (1e-2,), 10**-2.4, 10**-1.6),
        (PLAIN, (0.3, 0.6, 0.4), 0.2, 0.7),
        # One of the best near the bound does not move it, the margin ends there.
        (PLAIN, (0.04, 0.5, 0.5), 0.0, 0.6),
        (PLAIN, (0.5, 0.5, 0.97), 0.4, 1.0),
        (PLAIN, (0.0, 0.5, 1.0), 0.0, 1.0),
    ],
    ids=str,
)
def test_interval_shrinks_to_the_span_of_the_best_and_a_tenth(
    dimension: Interval, values: tuple[float, ...], low: float, high: float
) -> None:
    found, notes = around(dimension, *values)
    assert isinstance(found, Interval)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-5)
    assert (found.is_log, found.is_integer) == (dimension.is_log, False)
    assert notes == []


@pytest.mark.parametrize(
    ("dimension", "values", "low", "high", "note"),
    [
        # Best at share 1 alone: from 0.9 to 1, the half of that is 0.05 of four decades: 10^0.2 = 1.58489.
        (LOG, (1.0,), 10**-0.4, 10**0.2, "0.0001 to 1, so it is widened to 0.398107 to 1.58489"),
        # Best at share 0: to 10^-3.6, and 0.05 of four decades below 10^-4.
        (LOG, (1e-4,), 10**-4.2, 10**-3.6, "0.0001 to 1, so it is widened to 6.30957e-05 to 0.000251189"),
        (Interval(2.0, 4.0), (4.0,), 3.8, 4.1, "2 to 4, so it is widened to 3.8 to 4.1"),
    ],
    ids=str,
)
def test_interval_is_moved_beyond_a_bound_where_the_best_lie_with_a_note(
    dimension: Interval, values: tuple[float, ...], low: float, high: float, note: str
) -> None:
    found, notes = around(dimension, *values)
    assert isinstance(found, Interval)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-5)
    assert notes == [f"k: the best lie at a bound of {note}"]


@given(values=st.lists(st.integers(1, 100), min_size=1), is_log=st.booleans())
def test_whole_numbers_stay_whole_and_their_span_is_kept(values: list[int], is_log: bool) -> None:
    found, _ = around(Interval(1, 100, is_log=is_log, is_integer=True), *values)
    assert isinstance(found, Interval)
    assert (found.is_integer, found.is_log) == (True, is_log)
    assert (type(found.low), type(found.high)) == (int, int)
    assert found.low <= min(values)
    assert max(values) <= found.high
    assert found.low < found.high
    assert found.low >= 1 or not is_log


@given(values=st.lists(st.floats(1e-4, 1.0).map(lambda value: float(f"{value:.6g}")), min_size=1))
def test_span_of_the_best_is_kept_and_the_interval_is_never_empty(values: list[float]) -> None:
    found, notes = around(LOG, *values)
    assert isinstance(found, Interval)
    assert 0 < found.low <= min(values) <= max(values) <= found.high
    assert found.low < found.high
    assert bool(notes) == (found.low < 1e-4 * (1 - 1e-5) or found.high > 1 + 1e-5)


def test_whole_numbers_by_hand() -> None:
    # 50 lies at share 0.495 of [1, 101): 0.395 is 40.5, 0.595 is 60.5.
    assert around(COUNT, 50)[0] == Interval(40, 60, is_integer=True)
    assert around(LOG_COUNT, 1)[0] == Interval(1, 2, is_log=True, is_integer=True)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (("a", "b"), ("a", "b")),
        (("d", "a", "a", "d"), ("a", "d")),
        (("a", "b", "c", "d"), ("a", "b", "c", "d")),
        (("c",), ("c",)),
        (("c", "c"), ("c",)),
    ],
    ids=str,
)
def test_choice_keeps_what_the_best_chose_in_its_own_order(
    values: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    assert around(LETTERS, *values) == (Choice(kept), [])
    assert around(Choice(LETTERS.values, is_ordered=True), *values)[0] == Choice(kept, is_ordered=True)


def test_key_that_none_of_the_best_has_stays_as_it_is() -> None:
    entries = [Entry("k", LETTERS), Entry("sub", PLAIN, when=("k", "a")), Entry("rare", LOG, when=("k", "b"))]
    found, notes = refined(entries, [{"k": "a", "sub": 0.5}, {"k": "c"}])
    assert found == [
        Entry("k", Choice(("a", "c"))),
        Entry("sub", Interval(0.4, 0.6), when=("k", "a")),
        entries[2],
    ]
    assert notes == []


def test_joined_space_holds_every_point_of_its_spaces() -> None:
    narrowed = [Entry("k", Interval(0.2, 1.1)), Entry("sub", Choice(("a", "c")), when=("x", 1))]
    moved = [Entry("k", Interval(1.0, 1.4)), Entry("sub", Choice(("c",)), when=("x", 1))]
    first = [Entry("k", PLAIN), Entry("sub", LETTERS, when=("x", 1))]
    assert joined([first, narrowed, moved]) == [Entry("k", Interval(0.0, 1.4)), first[1]]
    assert joined([first]) == first


@pytest.mark.parametrize(
    ("count", "share", "best"),
    [(20, 0.25, 5), (21, 0.25, 6), (20, 0.01, 2), (1, 0.25, 1), (0, 1.0, 0), (3, 1.0, 3)],
)
def test_best_are_a_share_of_the_trials_and_at_least_two(count: int, share: float, best: int) -> None:
    assert top(count, share=share) == best


@pytest.mark.parametrize(
    ("dimension", "foreign"),
    [
        (LETTERS, "e"),
        (LETTERS, 1),
        (Choice((1, 2, 4), is_ordered=True), 3),
        (PLAIN, "a"),
        (PLAIN, None),
        (PLAIN, True),
        (LOG, 0.0),
        (LOG, -0.1),
        (LOG_COUNT, 0),
    ],
    ids=str,
)
def test_value_that_another_space_chose_and_this_one_has_no_place_for_is_left_out(
    dimension: Dimension, foreign: object
) -> None:
    assert around(dimension, foreign) == (dimension, [])
    own = dimension.values[1] if isinstance(dimension, Choice) else dimension.low
    assert around(dimension, foreign, own) == around(dimension, own)


def test_best_beyond_the_space_do_not_reverse_the_interval() -> None:
    found, _ = around(PLAIN, 5.0)
    assert isinstance(found, Interval)
    assert found.low < found.high


@pytest.mark.parametrize("dimension", [PLAIN, COUNT], ids=str)
def test_interval_above_0_is_not_widened_below_0(dimension: Interval) -> None:
    found, _ = around(dimension, dimension.low)
    assert isinstance(found, Interval)
    assert found.low >= 0


@pytest.mark.parametrize(
    ("interval", "best", "grows"),
    [
        # A whole number is at an edge where it is the bound itself, however few there are.
        (Interval(1, 8, is_integer=True), 8, True),
        (Interval(1, 16, is_integer=True), 1, False),  # what starts at 1 counts things
        (Interval(0, 4, is_integer=True), 0, False),
        (Interval(0.0, 1.0), 0.99, False),  # a share
        (Interval(0.0, 2.0), 1.99, True),
        (Interval(2.0, 3.0), 2.01, True),
    ],
    ids=str,
)
def test_widened_interval_keeps_to_what_can_be_meant(interval: Interval, best: float, grows: bool) -> None:
    [entry], _ = refined([Entry("k", interval)], [{"k": best}] * 3)
    found = entry.dimension
    assert isinstance(found, Interval)
    assert found.low < found.high
    assert (found.low < interval.low or found.high > interval.high) == grows

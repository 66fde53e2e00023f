"""The watch: a finished history is judged as it was judged epoch by epoch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pipeline.runs.watch import Row, Watch


def history_of(scores: list[int]) -> list[Row]:
    return [{"score": float(score)} for score in scores]


@given(scores=st.lists(st.integers(0, 5)))
def test_training_has_ended_where_some_epoch_ended_it(scores: list[int]) -> None:
    asked: list[int] = []

    def stops(history: object) -> bool:
        assert isinstance(history, list)
        asked.append(len(history))
        return bool(history[-1]["score"] == 0)

    watch = Watch(stops=stops)
    history = history_of(scores)
    assert watch.has_ended(history) == (0 in scores)
    until = scores.index(0) + 1 if 0 in scores else len(scores)
    assert asked == list(range(1, until + 1)), "epochs after the one that stopped it are not looked at"
    assert [watch.ends(history[: n + 1]) for n in range(len(scores))] == [score == 0 for score in scores]


def test_default_watch_shows_all_and_stops_nothing() -> None:
    assert Watch().shows
    assert not Watch().has_ended(history_of([0, 0]))
    assert not Watch().has_ended([])

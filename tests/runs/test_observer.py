"""The observer: a finished history is judged as it was judged epoch by epoch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runs.observer import Row, TrainingObserver


def history_of(scores: list[int]) -> list[Row]:
    return [{"score": float(score)} for score in scores]


@given(scores=st.lists(st.integers(0, 5)))
def test_training_has_stopped_where_some_epoch_stopped_it(scores: list[int]) -> None:
    asked: list[int] = []

    def should_stop(history: object) -> bool:
        assert isinstance(history, list)
        asked.append(len(history))
        return bool(history[-1]["score"] == 0)

    observer = TrainingObserver(should_stop=should_stop)
    history = history_of(scores)
    assert observer.has_stopped(history) == (0 in scores)
    until = scores.index(0) + 1 if 0 in scores else len(scores)
    assert asked == list(range(1, until + 1)), "epochs after the one that stopped it are not looked at"
    assert [observer.stops(history[: n + 1]) for n in range(len(scores))] == [score == 0 for score in scores]


def test_default_observer_logs_artifacts_and_stops_nothing() -> None:
    observer = TrainingObserver()
    assert observer.log_artifacts
    assert not observer.has_stopped(history_of([0, 0]))
    assert not observer.has_stopped([])

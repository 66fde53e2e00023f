"""Threads: results in order, the first error in order, bounded prefetch, an immediate end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.data import threads
from pipeline.data.threads import AHEAD, in_order, num_threads

SOON = 20.0  # seconds that a thread waits for another before the test fails


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 4)


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_results_are_in_the_order_of_the_items(piece: int) -> None:
    def slower_at_first(item: int) -> int:
        time.sleep(0.001 * (item % 8 == 0))
        return item**2

    assert list(in_order(slower_at_first, range(50), piece=piece)) == [item**2 for item in range(50)]


def test_nothing_gives_nothing() -> None:
    assert list(in_order(str, [], piece=3)) == []


def test_as_many_threads_work_at_once_as_there_are_cores() -> None:
    together = threading.Barrier(4, timeout=SOON)
    assert sorted(in_order(lambda _: together.wait(), range(4), piece=1)) == [0, 1, 2, 3]  # who came when


@pytest.mark.parametrize("piece", [1, 2])
def test_error_is_that_of_the_first_item_in_order_even_if_a_later_one_failed_sooner(piece: int) -> None:
    failed = threading.Event()

    def work(item: int) -> int:
        if item == 3:
            assert failed.wait(SOON)
            raise ValueError("item 3")
        if item == 5:
            failed.set()
            raise ValueError("item 5")
        return item

    results = in_order(work, range(100), piece=piece)
    with pytest.raises(ValueError, match="item 3"):
        for _ in results:
            pass
    assert failed.is_set()


@pytest.mark.parametrize("piece", [1, 5])
def test_no_more_than_a_few_pieces_are_ahead_of_the_one_asked_for(piece: int) -> None:
    begun: list[int] = []
    for taken, _ in enumerate(in_order(begun.append, range(300), piece=piece)):
        if taken % 20 == 0:
            time.sleep(0.005)  # they could run ahead
        assert len(begun) <= (taken // piece + AHEAD * 4) * piece
    assert sorted(begun) == list(range(300))


def ends_by_an_error(begun: list[int]) -> None:
    def work(item: int) -> None:
        begun.append(item)
        if item == 3:
            raise ValueError("item 3")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="item 3"):
        list(in_order(work, range(1000), piece=100))


def ends_by_closing(begun: list[int]) -> None:
    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.01 * (item > 10))

    results = in_order(work, range(1000), piece=10)
    next(results)
    results.close()


def ends_by_the_keyboard(begun: list[int]) -> None:
    def work(item: int) -> None:
        begun.append(item)
        if item == 3:
            os.kill(os.getpid(), signal.SIGINT)  # of the process, as Ctrl-C is
        time.sleep(0.01)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(in_order(work, range(1000), piece=100))
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("end", [ends_by_an_error, ends_by_closing, ends_by_the_keyboard])
def test_end_does_not_wait_for_items_that_have_not_begun(end: Callable[[list[int]], None]) -> None:
    before = set(threading.enumerate())
    begun: list[int] = []
    end(begun)
    assert set(threading.enumerate()) <= before
    assert len(begun) < 100


@pytest.fixture
def bare_os(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("process_cpu_count", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    return monkeypatch


def test_cores_are_those_of_the_process_where_that_is_known(bare_os: pytest.MonkeyPatch) -> None:
    assert num_threads() == 64
    bare_os.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert num_threads() == 3
    bare_os.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    assert num_threads() == 2


def test_unknown_number_of_cores_is_one(bare_os: pytest.MonkeyPatch) -> None:
    bare_os.setattr(os, "cpu_count", lambda: None)
    assert num_threads() == 1

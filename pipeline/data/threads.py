"""Apply a function to many items on all cores, with results in the order of the items.

Uses threads rather than processes, since Pillow, hashlib and zlib release the GIL most of the time, and results need
not be copied.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 3  # pieces in flight per thread: one in progress, two waiting or done


def in_order(work: Callable[[Item], Result], items: Sequence[Item], *, piece: int) -> Generator[Result]:
    """Yield `work(item)` for each item in turn, computed on all cores a few pieces ahead.

    An error is raised for the first failing item in the order of the items, after the results before its piece. On an
    error, or when closed, it waits only for the items in progress.

    Args:
        piece: number of items per work unit of a thread; more than 1 if an item takes less than a millisecond.
    """
    threads = num_threads()
    stopped = Event()

    def results(start: int) -> list[Result]:
        return [work(item) for item in items[start : start + piece] if not stopped.is_set()]

    flight: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for start in range(0, len(items), piece):
                flight.append(pool.submit(results, start))
                if len(flight) == AHEAD * threads:
                    yield from flight.popleft().result()
            while flight:
                yield from flight.popleft().result()
        finally:
            stopped.set()


def num_threads() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Contenders by turns: each in a process of its own, of which only one works at a time.

So each starts up only once, what slows the machine down for a while slows them all, and none feels what another one
does to its process: threads of torch and OpenCV, determinism, memory.
"""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

SHORTEST = 1.0  # seconds of a turn, in which short epochs are many: caches are those of the contender before at first
LONGEST = 300.0  # seconds of a turn, after which a contender counts as stuck


@dataclass
class Lap:
    """The epochs of one turn.

    Args:
        images: how many the contender trained on.
        training: seconds from an epoch's start, before its first batch is fetched, to the end of its last step.
        augmenting: seconds of those that augmentation took, where the contender tells.
        whole: seconds from an epoch's start to the next one's.
    """

    images: int = 0
    training: float = 0.0
    augmenting: float = 0.0
    whole: float = 0.0


class Contender:
    """A contender's own view: its clock, and whose turn it is.

    Its work calls `begins_epoch`, `ends_training` and, where more follows its last epoch, `ends_epoch`; it returns
    after an epoch in which `is_last` holds.

    Args:
        pipe: receives whether the next turn is the last, and sends the laps.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lap: Lap | None = None
        self._is_last_turn = False
        self._began: float | None = None

    @property
    def is_last(self) -> bool:
        """Whether the epoch that goes on is the last one."""
        return self._is_last_turn and self._lasts() >= SHORTEST

    def begins_epoch(self) -> None:
        """Close the epoch before, let the others run where its turn is over, and start the clock of the next."""
        self.ends_epoch()
        if self._lasts() >= SHORTEST or self._lap is None:
            self.hands_over()
            self._is_last_turn = self._pipe.recv()
            self._lap = Lap()
        self._began = time.perf_counter()

    def augments(self, seconds: float) -> None:
        """Count seconds of augmentation, which are not those of validation."""
        if self._lap is not None:
            self._lap.augmenting += seconds

    def ends_training(self, images: int) -> None:
        """Stop the clock of the training part, which was on as many images."""
        assert self._lap is not None
        assert self._began is not None
        self._lap.training += time.perf_counter() - self._began
        self._lap.images += images

    def ends_epoch(self) -> None:
        """Stop the clock of the epoch; does nothing where it stands."""
        if self._lap is not None and self._began is not None:
            self._lap.whole += time.perf_counter() - self._began
            self._began = None

    def hands_over(self) -> None:
        """Tell the lap, where there is one."""
        self.ends_epoch()
        self._pipe.send(self._lap)
        self._lap = None

    def _lasts(self) -> float:
        """Return how long the turn lasts by now, in seconds."""
        going = 0.0 if self._began is None else time.perf_counter() - self._began
        return going + (0.0 if self._lap is None else self._lap.whole)


class Lane:
    """The process of a contender.

    Args:
        name: for errors.
        work: what it does, told its `Contender`; of a module, so that the process finds it.
    """

    def __init__(self, name: str, work: Callable[[Contender], None]) -> None:
        context = multiprocessing.get_context(
            "forkserver"
        )  # no threads of this process, and imports once for all
        context.set_forkserver_preload(["benchmarks.contenders"])
        self.name = name
        self.laps: list[Lap] = []
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(work, theirs), name=name)
        self._process.start()
        theirs.close()

    def start(self) -> None:
        """Wait until it is ready for its first epoch; lanes get ready beside each other."""
        self._waits()

    def go(self, *, is_last: bool = False) -> None:
        """Let it run for an epoch.

        Args:
            is_last: whether it ends after this one.

        Raises:
            RuntimeError: whatever ended it too early.
            TimeoutError: it has not handed over in time.
        """
        self._pipe.send(is_last)
        self._waits()

    def end(self) -> None:
        """Wait for its end; one that has not had its last epoch is killed."""
        self._process.join(timeout=5)
        self._process.kill()
        self._process.join()

    def _waits(self) -> None:
        if not self._pipe.poll(LONGEST):
            raise TimeoutError(f"{self.name} has not ended its turn after {LONGEST:.0f} s")
        try:
            told = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name} has ended before its last epoch") from None
        if isinstance(told, str):
            raise RuntimeError(f"{self.name} failed:\n{told}")
        if told is not None:
            self.laps.append(told)


def _run(work: Callable[[Contender], None], pipe: Connection) -> None:
    contender = Contender(pipe)
    try:
        work(contender)
        contender.hands_over()
    except EOFError:  # nobody waits for it any more
        return
    except BaseException:  # told to whoever waits for this turn
        pipe.send(traceback.format_exc())
        raise

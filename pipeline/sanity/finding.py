"""What a check finds, and how a check is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.sanity.subject import Subject

OK, WARNING, FAULT, NOT_APPLICABLE = "ok", "warning", "fault", "not applicable"
Draw = Callable[[Path], None]
# The order in which checks run and are shown.
DATA, START, RATE, LEARNING, CONTROL, COST = range(6)


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Args:
        verdict: OK, WARNING, FAULT or NOT_APPLICABLE.
        figure: what was measured, in words; for NOT_APPLICABLE the reason.
        advice: what to do; empty where nothing is to be done.
        numbers: what was measured, by name, for machines.
        pictures: name of a file -> draws it.
    """

    verdict: str
    figure: str
    advice: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, Draw] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A check.

    Args:
        title: its name for people.
        group: one of DATA, START, RATE, LEARNING, CONTROL and COST.
        run: makes the finding; the same for the same declaration and data, apart from seconds and bytes.
    """

    title: str
    group: int
    run: Callable[[Subject], Finding]


def not_applicable(reason: str) -> Finding:
    """Return the finding of a check that does not apply."""
    return Finding(NOT_APPLICABLE, reason)

"""Which score selects the epoch and ranks trainings, and what always guessing the most frequent class would score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import ConstantGuess, FittedGuess, Task


@dataclass(frozen=True)
class Selection:
    """The score that selects the epoch of one training.

    Args:
        score: its name.
        mode: `max` if a higher score is better, `min` if a lower one is.
        majority: index of the most frequent class of the training split, the first of equally frequent ones; None if
            images do not have one class each.
        reason: why it is not the usual score of the task; empty if it is, or if it is declared.
    """

    score: str
    mode: str
    majority: int | None
    reason: str = ""

    @property
    def column(self) -> str:
        """Its name in the history."""
        return f"val/{self.score}"

    def about(self, task: Task, prepared: Prepared, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `result.json` says of it: the score, the majority class, and its scores on validation images."""
        if isinstance(task, FittedGuess):
            return {"score": self.score, **fitted_baseline(task, prepared, "val")}
        guessed = {} if self.majority is None else baseline(task, prepared.targets("val"), self.majority)
        majority = classes[self.majority] if self.majority is not None and guessed else None
        return {"score": self.score, "majority": majority, "baseline": guessed}


def find_selection(declaration: Declaration, prepared: Prepared) -> Selection:
    """Return which score selects the epoch: `trainer.select`, or what the task chooses by the numbers of images.

    Images of the train and val splits are counted together, so that all folds are judged by the same score.
    """
    demands, counts, majority = load_demands(declaration.task), None, None
    if demands.is_labelled and declaration.data.classes:
        classes = len(declaration.data.classes)
        train, val = (prepared.count_classes(split, classes) for split in ("train", "val"))
        counts, majority = [sum(pair) for pair in zip(train, val, strict=True)], int(np.argmax(train))
    usual = demands.score if counts is None else demands.default_score(counts)
    score = declaration.trainer.select or usual
    reason = ""
    if counts is not None and declaration.trainer.select is None and usual != demands.score:
        reason = (
            f"the largest class has {max(counts):,} images of train and val, the smallest {min(counts):,}"
        )
    return Selection(score, demands.mode_of(score), majority, reason)


def fitted_baseline(task: FittedGuess, prepared: Prepared, split: str) -> dict[str, Any]:
    """Return {majority, baseline}: the name of a guess made of the training targets, and its scores on a split."""
    evidence = task.guess(prepared.targets("train"), prepared.targets(split))
    return {"majority": task.guess_name, "baseline": _finite(task.scores(evidence))}  # type: ignore[attr-defined]


def baseline(task: Task, targets: Any, majority: int) -> dict[str, float]:
    """Return the scores of always guessing a class that are defined; empty for a task without such a guess."""
    if not isinstance(task, ConstantGuess):
        return {}
    return _finite(task.scores(task.constant(np.asarray(targets), majority)))


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in scores.items() if np.isfinite(value)}

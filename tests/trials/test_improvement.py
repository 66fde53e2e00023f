"""What a search says of its best trial beside the declared values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.sweeps.dimensions import Choice, Entry
from pipeline.trials.declared import load_search
from pipeline.trials.improvement import BEST, DECLARED
from pipeline.trials.runner import run_search
from tests.launches import COARSE

pytestmark = pytest.mark.slow
TOO_LOW = (1e-8, 1e-9)
ROOT = Path(__file__).parents[2]


def remarked(root: Path, rates: tuple[float, float], *overrides: str) -> str:
    """Return the first remark of a search over two learning rates, the declared one being 0.03."""
    (root / "data").symlink_to(ROOT / "data")
    declared = (
        "optimizer=sgd",
        "optimizer.lr=0.03",
        "scheduler=cosine",
        "trainer.max_epochs=1",
        "tracking.log_model=false",
    )
    search = load_search([*COARSE, *declared, "search.trials=2", *overrides], root=root)
    entries: list[Entry] = [Entry("optimizer.lr", Choice(rates))]
    search = replace(search, entries=entries, settings=replace(search.settings, sampler="grid"))
    folder = run_search(search, root=root, entry_point="sweep")
    return (folder / "remarks.txt").read_text(encoding="utf-8").splitlines()[0]


def test_best_trial_that_is_worse_than_the_declared_values_is_called_so(tmp_path: Path) -> None:
    said = remarked(tmp_path, TOO_LOW, "data.groups=null")
    start, _, verdict = said.partition(": ")
    assert start.startswith("accuracy on validation images, p ")
    assert start.endswith(" for the best of 2 trials")
    assert verdict.startswith(f"{BEST} is worse than {DECLARED} by 0.")


def test_images_of_all_folds_and_groups_are_pooled(tmp_path: Path) -> None:
    said = remarked(tmp_path, TOO_LOW, "search.folds=2")
    assert said.startswith("accuracy on validation images, p ")
    assert f": {BEST} is worse than {DECLARED} by 0." in said
    assert said.endswith("for these two trained models")


def test_best_trial_with_the_declared_values_is_not_compared(tmp_path: Path) -> None:
    assert remarked(tmp_path, (0.03, 1e-9)) == f"{BEST} has {DECLARED}"


def test_declared_values_that_cannot_be_trained_end_no_search(tmp_path: Path) -> None:
    said = remarked(tmp_path, (0.03, 1e-9), "optimizer.lr=1e18")
    assert said.startswith(f"{BEST} is not compared with {DECLARED}, which cannot be trained: optimizer.lr: ")

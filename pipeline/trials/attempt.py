"""One training of a search: trained, watched by the pruner, judged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.runs.leader import is_leader
from pipeline.runs.watch import Row, Watch
from pipeline.tracking.variables import SEARCH_VARIABLE, SWEPT_VARIABLE
from pipeline.training.run import Asked, train
from pipeline.trials.early_stopping import Judge
from pipeline.trials.search import Outcome


def attempt(config: Mapping[str, Any], overrides: Sequence[str], *, root: Path, door: str) -> Outcome:
    """Train one job of a search, whose folder the environment tells; return what came of it."""
    judge = Judge.of(config, root / os.environ[SEARCH_VARIABLE])
    seen: list[Row] = []

    def stops(history: Sequence[Row]) -> bool:
        seen[:] = history
        return judge.stops(history)

    asked = Asked(
        door, run_name(config["name"], overrides), waits=True, watch=Watch(shows=False, stops=stops)
    )
    folder = train(config, asked, root=root)
    if not is_leader():
        return Outcome(float("nan"))  # the leading process writes the results
    history = folder.history() if folder.is_finished() else seen
    epochs = judge.stopped_at(history)
    curve = judge.curve(history[:epochs])
    if epochs is not None:
        reason = f"stopped after {epochs} of {config['trainer']['max_epochs']} epochs by {config['search']['pruner']}"
        return Outcome(curve[-1], reason, curve, is_pruned=True)
    return Outcome(folder.metrics()[config["search"]["metric"] or "score"], curve=curve)


def run_name(experiment: str, overrides: Sequence[str]) -> str:
    """Name a run by what sets it apart: in a sweep by what is swept, else by experiment and overrides."""
    swept = os.environ.get(SWEPT_VARIABLE)
    if swept is None:
        return " ".join([experiment, *(each for each in overrides if not each.startswith("experiment="))])
    return (
        " ".join(each for each in overrides if each.split("=")[0].lstrip("+") in swept.split(","))
        or experiment
    )

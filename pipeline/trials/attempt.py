"""Run one training of a search, with pruning, and return its outcome."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.declaration.declaration import Declaration
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.leader import is_leader
from pipeline.runs.observer import Row, TrainingObserver
from pipeline.tasks.demands import load_demands
from pipeline.training.run import RunRequest, train
from pipeline.trials.early_stopping import PruningPolicy
from pipeline.trials.names import run_name
from pipeline.trials.search import Outcome


def attempt(
    declaration: Declaration, overrides: Sequence[str], context: RunContext, *, entry_point: str
) -> Outcome:
    """Run one training of the search given by the context, and return its outcome."""
    assert context.search is not None
    policy = PruningPolicy.load(declaration, context.root / context.search)
    seen: list[Row] = []

    def should_stop(history: Sequence[Row]) -> bool:
        seen[:] = history
        return policy.stops(history)

    observer = TrainingObserver(log_artifacts=False, should_stop=should_stop)
    name = run_name(declaration.name, overrides, context)
    folder = train(declaration, RunRequest(entry_point, name, waits=True, observer=observer), context)
    if not is_leader():
        return Outcome(float("nan"))  # the leading process writes the results
    history = _scored_history(declaration, folder) if folder.is_finished() else seen
    epochs = policy.stopped_at(history)
    curve = policy.curve(history[:epochs])
    if epochs is not None:
        reason = f"stopped after {epochs} of {declaration.trainer.max_epochs} epochs by {declaration.search.pruner}"
        return Outcome(curve[-1], reason, curve, is_pruned=True)
    metrics = folder.metrics()
    return Outcome(metrics[declaration.search.metric or "score"], curve=curve, loss=metrics["val/loss"])


def _scored_history(declaration: Declaration, folder: RunFolder) -> list[Row]:
    """Return the history of a finished run as its observer saw it, with the selecting score as `score`."""
    column = f"val/{folder.selection(load_demands(declaration.task).score)['score']}"
    return [{**row, "score": row[column]} for row in folder.history()]

"""Run a search from its first trial to its results, in one process and resuming where it was killed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os.path import relpath
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.declaration.composition import compose
from pipeline.errors import ConfigError
from pipeline.files import remove_drafts, write_text
from pipeline.pages.comparison import PAGE, Comparison, comparison_markdown, print_comparison
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import Held, locked
from pipeline.sweeps.ledger import Trial
from pipeline.sweeps.objective import ranked
from pipeline.tracking.dead_runs import close_dead_runs
from pipeline.tracking.uri import FOLDER_TAG
from pipeline.training.run import RunRequest, train
from pipeline.trials.attempt import attempt
from pipeline.trials.improvement import tell_improvement
from pipeline.trials.names import name_trial
from pipeline.trials.results import TABLE, Objective, compare_trials, write_results
from pipeline.trials.search import FOLD, SEED, Launch, Outcome, Search

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun


def run_search(
    search: Search, *, root: Path, entry_point: str, launch: Launch | None = None, renews: bool = False
) -> Path:
    """Run the remaining trials of a search, and write its results.

    Args:
        entry_point: `dvc` or `sweep`; logged as a tag.
        launch: trains jobs; None to train them sequentially in this process.
        renews: whether to set aside the ledger of a different search with the same name, instead of raising.

    Returns:
        The folder of the results.

    Raises:
        ConfigError: another process runs this search, its ledger belongs to a different one, or no trial has a value.
    """
    from pipeline.tracking.comparison import log_search
    from pipeline.tracking.parents import Parent

    _check(search)
    for note in search.notes:
        sys.stderr.write(f"search: {note}\n")
    folder = search.ledger.folder
    swept = [*(entry.key for entry in search.entries), SEED, FOLD]
    with _held(folder, waits=entry_point == "dvc"):
        difference = search.ledger.difference(search.identity)
        if renews and difference is not None:
            place = search.ledger.set_aside()
            sys.stderr.write(f"search: {difference}; it starts anew, and what was there lies in {place}\n")
        tracked = _open_parent(search, root=root, entry_point=entry_point)
        with Parent(tracked, swept=swept, search=str(folder.relative_to(root))) as parent:
            launch = launch or launch_here(parent.context, entry_point)
            trials = search.run(launch, report=_report_trial(search))
            best = ranked(trials, direction=search.settings.direction)[0]
            best_run = _log_best(search, best, parent.context, entry_point)
            objective = Objective.of(search, best_run)
            gain = tell_improvement(search, trials, best, parent.context, entry_point=entry_point)
            results = write_results(search, trials, objective=objective, improvement=gain, root=root)
            comparison, page = _compare(search, trials, objective, root=root)
            run_id, value = best_run.state()["mlflow_run_id"], fmean(best.values)
            log_search(tracked, results, best=run_id, name=name_trial(best), value=value, page=page)
    table = relpath(results / TABLE, root)
    print_comparison(comparison, title=f"best of {len(trials)} trials, all are in {table}")
    sys.stdout.write((results / "remarks.txt").read_text(encoding="utf-8"))
    return results


def _compare(
    search: Search, trials: Sequence[Trial], objective: Objective, *, root: Path
) -> tuple[Comparison, str]:
    """Return the comparison of the best trials, also as Markdown, which is written to the folder of the search."""
    comparison, folder = compare_trials(search, trials, objective=objective, root=root), search.ledger.folder
    page = comparison_markdown(comparison, title=f"search {folder.name}", overrides=search.overrides)
    write_text(folder / PAGE, page)
    return comparison, page


def _check(search: Search) -> None:
    """Check that this process may lead a search, and that what its trials share can be trained if any is left."""
    if not is_leader():
        raise ConfigError(
            "search",
            "one process leads a search and starts those of each training itself",
            hint="run it without torchrun and srun",
        )
    known = search.ledger.trials().values()
    if sum(trial.state != "running" for trial in known) < search.settings.trials:
        from pipeline.training.checks import check_trainable  # imports torch

        check_trainable(compose(search.overrides))


@contextmanager
def _held(folder: Path, *, waits: bool) -> Iterator[None]:
    """Hold the lock of the search, which marks it as running; raise if another process holds it.

    Args:
        waits: whether to wait for that process instead: where dvc alone was killed, its stage goes on.
    """

    def report_wait(holder: str) -> None:
        sys.stderr.write(f"search {folder.name} is being run by {holder}; waiting for it\n")

    try:
        with locked(folder / "lock", waits=waits, on_wait=report_wait):
            for written in (folder, folder / "trials"):
                remove_drafts(written)
            yield
    except Held as holder:
        raise ConfigError(f"search {folder.name}", f"is being run by {holder}", hint="wait for it") from None


def _open_parent(search: Search, *, root: Path, entry_point: str) -> TrackedRun:
    """Start the parent run of a search, or resume an existing one."""
    from pipeline.tracking.run import TrackedRun
    from pipeline.tracking.store import Store

    folder = search.ledger.folder
    search.ledger.open(search.identity, around=search.around)
    store = Store(root, search.experiment)
    close_dead_runs(root, search.experiment)
    known = search.ledger.about().get("mlflow_run_id")
    if known is not None and store.has_run(known):
        return TrackedRun.resume(store, known)
    tags = {
        "convoy.entry_point": entry_point,
        "convoy.sweep": " ".join(search.overrides),
        "mlflow.source.name": "pipeline.train",
        FOLDER_TAG: str(folder.relative_to(root)),
    }
    tracked = TrackedRun.start_or_adopt(store, name=f"search {folder.name}", parent=None, tags=tags)
    search.ledger.update(mlflow_run_id=tracked.run_id)
    return tracked


def _log_best(search: Search, best: Trial, context: RunContext, entry_point: str) -> RunFolder:
    """Log the figures and the model of the best trial's first training, which trials skip."""
    job = search.jobs(best.index, best.point)[0]
    return train(compose(job), RunRequest(entry_point, name_trial(best), waits=True), context)


def launch_here(context: RunContext, entry_point: str) -> Launch:
    """Return a launcher that trains jobs sequentially in this process; a failure skips the rest of its trial."""

    def outcome(job: Sequence[str]) -> Outcome:
        try:
            return attempt(compose(job), job, context, entry_point=entry_point)
        except Exception as reason:  # an error in a training must only fail its own trial
            return Outcome.of_failure(reason)

    def launch(jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        ended = set()
        for job in jobs:
            (trial,) = (each for each in job if each.startswith("search.trial="))
            outcomes.append(Outcome(None, "not needed") if trial in ended else outcome(job))
            if outcomes[-1].value is None or outcomes[-1].is_pruned:
                ended.add(trial)
        return outcomes

    return launch


def _report_trial(search: Search) -> Callable[[Trial], None]:
    """Return a callback that prints one line per trial that has ended."""

    def report(trial: Trial) -> None:
        value = f"{fmean(trial.values):.4f}" if trial.values else trial.state
        place = f"{trial.index + 1} of {search.settings.trials}"
        parts = (place, f"trial {trial.index}", value, name_trial(trial), trial.reason)
        sys.stdout.write("  ".join(filter(None, parts)) + "\n")
        sys.stdout.flush()

    return report

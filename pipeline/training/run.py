"""Entry point of training: return the folder of a finished run, training it first if necessary."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import data_digest, identity, name_identity
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError, DamagedFileError, warn
from pipeline.files import remove_drafts, write_text
from pipeline.runs.cache import publish
from pipeline.runs.context import RUN, RunContext, exported
from pipeline.runs.folder import RunFolder
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import Held, locked
from pipeline.runs.observer import TrainingObserver
from pipeline.runs.process import end_with_parent
from pipeline.tasks.demands import load_demands
from pipeline.tracking.dead_runs import close_dead_runs
from pipeline.training.earlier_runs import go_on_from_earlier, readable_state
from pipeline.training.inputs import Inputs, load_inputs, statistics
from pipeline.training.tracked_run import link_to_parent, open_tracked_run

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun


@dataclass(frozen=True)
class RunRequest:
    """Which entry point requests a run, and how the run is handled.

    Args:
        entry_point: `dvc`, `hydra` or `sweep`; logged as a tag.
        name: the run's name in MLflow.
        waits: whether to wait if another process is training this run; otherwise raise.
        observer: controls what is logged during training, and can stop it early.
    """

    entry_point: str
    name: str
    waits: bool
    observer: TrainingObserver = field(default_factory=TrainingObserver)


def train(declaration: Declaration, request: RunRequest, context: RunContext) -> RunFolder:
    """Return the run folder of a declaration, training the run first unless it is finished.

    The run in the returned folder is finished, unless the observer stopped it early.

    Raises:
        ConfigError: the declaration cannot be trained, or another process is training it.
    """
    folder, decides = _identify(declaration, context.root)
    is_done = is_leader() and _is_done(folder, request.observer)
    if not is_done:
        _check(declaration)
        # Again, as torch is imported now: see find_hardware.
        folder, decides = _identify(declaration, context.root)
    if not is_leader():
        _fit(declaration, folder, request.observer, context, tracked=None)
        return folder
    if not is_done:
        if request.observer.log_artifacts:
            _check_export(declaration)
        try:
            with locked(folder.lock, waits=request.waits, on_wait=_report_wait(folder)):
                if not _is_done(folder, request.observer):
                    _train_locked(declaration, folder, request, context, decides)
        except Held as holder:
            raise ConfigError(
                f"runs/{folder.path.name}",
                f"is being trained by {holder}",
                hint="wait for it, or end that process",
            ) from None
    link_to_parent(declaration, folder, context, name=request.name)
    if context.parent is None:  # otherwise this was done when the parent was opened
        close_dead_runs(context.root, declaration.tracking.experiment)
    return folder


def follow(root: Path) -> bool:
    """In a non-leading process of distributed training, join the run that the leading process trains.

    Lightning launches these processes by re-executing the whole command, which may cover many runs, so the run to
    join is taken from the environment.

    Returns:
        Whether this is a non-leading process; the caller then has nothing else to do.
    """
    if is_leader() or RUN not in os.environ:
        return False
    end_with_parent()
    folder = RunFolder(Path(os.environ[RUN]))
    context = RunContext.from_environment(root)
    _fit(load(folder.declaration), folder, TrainingObserver(), context, tracked=None)
    return True


def check_unfinished(declaration: Declaration, *, root: Path) -> RunFolder:
    """Check that a declaration can be trained, unless it has been already; nothing is recorded.

    Returns:
        The folder of the run, which need not exist.

    Raises:
        ConfigError: it cannot.
    """
    folder = find_folder(declaration, root=root)
    if readable_state(folder).get("state") != "finished":
        _check(declaration)
    return folder


def find_folder(declaration: Declaration, *, root: Path) -> RunFolder:
    """Return the folder of a run, which need not exist."""
    return _identify(declaration, root)[0]


def _identify(declaration: Declaration, root: Path) -> tuple[RunFolder, dict[str, Any]]:
    """Return the folder of a run, and what decides it."""
    decides = identity(declaration, root=root)
    return RunFolder(root / "runs" / name_identity(decides)), decides


def _check_export(declaration: Declaration) -> None:
    from pipeline.training.arithmetic import declared_arithmetic
    from pipeline.training.export import check_export

    with declared_arithmetic(declaration.trainer):
        check_export(declaration)


def _check(declaration: Declaration) -> None:
    from pipeline.training.checks import check_trainable  # imports torch, which a finished run does not need

    check_trainable(declaration)


def _is_done(folder: RunFolder, observer: TrainingObserver) -> bool:
    """Return whether a run has all its results, undamaged."""
    try:
        if not folder.is_finished() or (observer.log_artifacts and not folder.has_artifacts()):
            return False
        folder.check()
    except DamagedFileError as damage:
        warn(
            f"{damage.file} {damage.problem}; it is written again from the run's checkpoints, or trained again"
        )
        return False
    return True


def _train_locked(
    declaration: Declaration,
    folder: RunFolder,
    request: RunRequest,
    context: RunContext,
    decides: Mapping[str, Any],
) -> None:
    """Train while holding the lock of the folder; set the status of the MLflow run accordingly."""
    from pipeline.tracking.provenance import git_state, hardware, versions
    from pipeline.tracking.store import Store
    from pipeline.training.finishing import complete

    store = Store(context.root, declaration.tracking.experiment)
    git = git_state(context.root)
    folder.path.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder.path)
    folder.discard_damaged_state()
    write_text(folder.declaration, declaration.text())
    if request.observer.log_artifacts:  # trials of a search are too many to look at all others
        go_on_from_earlier(folder, decides)
    about: dict[str, Any] = {
        "commit": git["commit"],
        "dirty": git["dirty"],
        "data": data_digest(declaration, root=context.root),
    }
    used = {name: str(value) for name, value in decides["resolved"].items()}
    about |= {"versions": versions(), "hardware": hardware() | used, "name": declaration.name}
    folder.update(state="running", fingerprint=folder.path.name, identity=decides, **about)
    tracked = open_tracked_run(declaration, folder, store, context, request.entry_point, request.name)
    if "patch" in git:
        tracked.log_text(git["patch"], "uncommitted.patch")
    try:
        with exported({RUN: str(folder.path.resolve())}):
            is_finished = _fit(declaration, folder, request.observer, context, tracked=tracked)
    except (KeyboardInterrupt, SystemExit):
        tracked.end("KILLED")
        raise
    except BaseException as reason:
        with suppress(Exception):  # MLflow may be what failed
            tracked.end("FAILED", reason=f"{type(reason).__name__}: {reason}")
        raise
    if is_finished:
        folder.seal()
        # First, as nothing resumes a finished run.
        complete(folder, {"its MLflow run cannot be closed": lambda: tracked.end("FINISHED")})
        folder.update(state="finished", failure=None, has_artifacts=request.observer.log_artifacts)
    else:
        tracked.end("KILLED", reason=f"pruned by search.pruner={declaration.search.pruner}")


def _fit(
    declaration: Declaration,
    folder: RunFolder,
    observer: TrainingObserver,
    context: RunContext,
    *,
    tracked: TrackedRun | None,
) -> bool:
    """Prepare the inputs of the run and fit it; return whether training completed.

    If an input turns out to be damaged, it is made again, and the run goes on from its last checkpoint: none is written
    before all inputs have been checked.
    """
    inputs = load_inputs(declaration, root=context.root, is_thorough=False)
    try:
        return _fit_inputs(declaration, folder, observer, context, tracked=tracked, inputs=inputs)
    except Exception as reason:
        if not _is_damaged(inputs):  # whatever fails, damage may be why
            raise
        inputs = load_inputs(declaration, root=context.root, is_thorough=True)
        if tracked is None:  # the processes of distributed training start together
            raise ConfigError(
                str(inputs.prepared.folder),
                "was damaged after it was written, and has been made again",
                hint="type the same command again",
            ) from reason
    return _fit_inputs(declaration, folder, observer, context, tracked=tracked, inputs=inputs)


def _fit_inputs(
    declaration: Declaration,
    folder: RunFolder,
    observer: TrainingObserver,
    context: RunContext,
    *,
    tracked: TrackedRun | None,
    inputs: Inputs,
) -> bool:
    from pipeline.training.fit import fit
    from pipeline.training.overview import log_page

    facts, about = declaration.data, inputs.prepared.about()
    demands = load_demands(declaration.task)
    demands.check_present(about["images_of_classes"], facts, select=declaration.trainer.select)
    for split in ("train", "val"):
        demands.check_targets(inputs.prepared.targets(split), partial(inputs.prepared.files, split))
    if tracked is not None:
        publish(statistics(declaration, root=context.root), folder.path / "statistics", root=context.root)
        found = data_digest(declaration, root=context.root)
        tracked.log_data(facts.name, digest=found, root=facts.root, counts=about["counts"])
        if observer.log_artifacts:
            log_page(declaration, tracked, root=context.root)
    return fit(
        declaration,
        folder,
        inputs=inputs,
        tracked=tracked,
        observer=observer,
        is_child=context.parent is not None,
    )


def _is_damaged(inputs: Inputs) -> bool:
    try:
        inputs.verify()
    except DamagedFileError:
        return True
    return False


def _report_wait(folder: RunFolder) -> Callable[[str], object]:
    return lambda holder: sys.stderr.write(
        f"run {folder.path.name} is being trained by {holder}; waiting for it\n"
    )

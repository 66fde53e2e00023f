"""The MLflow run of a training: started or resumed, and linked to the parent run of its sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.declaration.declaration import Declaration
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.tasks.demands import load_demands
from pipeline.tracking.uri import FOLDER_TAG

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun
    from pipeline.tracking.store import Store


def open_tracked_run(
    declaration: Declaration,
    folder: RunFolder,
    store: Store,
    context: RunContext,
    entry_point: str,
    name: str,
) -> TrackedRun:
    """Resume the MLflow run of a training, or start a new one.

    If the folder has lost its `run.json`, the run is found by the tag that names the folder.

    Args:
        entry_point: `dvc`, `hydra` or `sweep`; logged as a tag.
        name: name of the run, if it is new.
    """
    from pipeline.tracking.run import TrackedRun

    known = folder.state().get("mlflow_run_id")
    tags = _tags(folder, entry_point)
    if known is None and (folder.last.exists() or folder.has_results()):
        known = store.trained_run(tags[FOLDER_TAG])
        if known is not None:
            folder.update(mlflow_run_id=known, parent=store.parent_of(known))
    if known is not None and store.has_run(known):
        return TrackedRun.resume(store, known)
    tracked = TrackedRun.start_or_adopt(store, name=name, parent=context.parent, tags=tags)
    tracked.log_config(declaration.sections)
    parent = store.parent_of(tracked.run_id)
    folder.update(mlflow_run_id=tracked.run_id, parent=parent, is_model_logged=False)
    return tracked


def link_to_parent(declaration: Declaration, folder: RunFolder, context: RunContext, *, name: str) -> None:
    """Link a run that already existed before this sweep, so that it also appears as a child of it."""
    parent = context.parent
    if parent is None or folder.state().get("parent") == parent:
        return
    from pipeline.tracking.run import TrackedRun
    from pipeline.tracking.store import SAME_TAG, Store

    store = Store(context.root, declaration.tracking.experiment)
    known = folder.state()["mlflow_run_id"]
    if store.parent_of(known) == parent:
        return
    link = store.link_to(known, parent=parent)
    if link is not None and link.info.status == "FINISHED":
        return
    if link is not None:  # a killed process left it unfinished
        linked = TrackedRun.resume(store, link.info.run_id)
    else:
        tags = _tags(folder, "sweep") | {SAME_TAG: known}
        linked = TrackedRun.start(store, name=name, parent=parent, tags=tags)
    linked.log_config(declaration.sections)
    if folder.is_finished():
        linked.log_history(folder.history())
        usual = load_demands(declaration.task).score
        linked.log_final(folder.metrics(), folder.selection(usual))
    linked.end("FINISHED" if folder.is_finished() else "KILLED")


def _tags(folder: RunFolder, entry_point: str) -> dict[str, str]:
    state = folder.state()
    return {
        "convoy.fingerprint": folder.path.name,
        FOLDER_TAG: f"runs/{folder.path.name}",
        "convoy.entry_point": entry_point,
        "convoy.data_digest": state["data"],
        "mlflow.source.git.commit": state["commit"],
        "convoy.dirty": state["dirty"],
        "mlflow.source.name": "pipeline.train",
        **{f"version.{package}": number for package, number in state["versions"].items()},
        **{f"hardware.{part}": text for part, text in state["hardware"].items()},
    }

"""A run: a request for one goes in, the folder of a finished one comes out, trained if need be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.declaration.keys import data_digest, fingerprint
from pipeline.errors import ConfigError
from pipeline.files import write_text, yaml_text
from pipeline.runs.folder import RunFolder
from pipeline.runs.found import publish
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import Held, locked
from pipeline.runs.watch import Watch
from pipeline.tracking.variables import PARENT_VARIABLE, RUN_VARIABLE
from pipeline.training.inputs import augment, prepare, statistics
from pipeline.training.tracked_run import link_to_parent, tracked_run

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun


@dataclass(frozen=True)
class Asked:
    """Who asks for a run, and how.

    Args:
        door: `dvc`, `hydra` or `sweep`; kept as a tag.
        name: the run's name in MLflow.
        waits: whether to wait for another process that trains this run, or to be refused.
        watch: what is shown of the training, and what may stop it.
    """

    door: str
    name: str
    waits: bool
    watch: Watch = field(default_factory=Watch)


def train(config: Mapping[str, Any], asked: Asked, *, root: Path) -> RunFolder:
    """Return the folder of a declaration's run, trained if need be: finished, unless the watch has stopped it.

    Args:
        root: the project's folder; data, runs and mlflow.db are found from it.

    Raises:
        ConfigError: the declaration cannot be trained, or another process is training it.
    """
    folder = RunFolder(root / "runs" / fingerprint(config, root=root))
    if not is_leader():
        _fit(config, folder, asked.watch, root=root, tracked=None)
        return folder
    if not _is_done(folder, asked.watch):
        try:
            with locked(folder.lock, waits=asked.waits, on_wait=_tell_wait(folder)):
                if not _is_done(folder, asked.watch):
                    _train_locked(config, folder, asked, root=root)
        except Held as holder:
            raise ConfigError(
                f"run {folder.path.name} is being trained by {holder}; wait for it, or end that process"
            ) from None
    link_to_parent(config, folder, root=root, name=asked.name)
    return folder


def _is_done(folder: RunFolder, watch: Watch) -> bool:
    return folder.is_finished() and (folder.is_shown() or not watch.shows)


def _train_locked(config: Mapping[str, Any], folder: RunFolder, asked: Asked, *, root: Path) -> None:
    """Train as the only process on this folder; the MLflow run tells how it ended."""
    from pipeline.tracking.provenance import git_state, hardware, versions
    from pipeline.tracking.store import Store

    store = Store(root, config["tracking"]["experiment"])
    git = git_state(root)
    write_text(folder.path / "config.yaml", yaml_text(dict(config)))
    facts = {"commit": git["commit"], "dirty": git["dirty"], "data": data_digest(config, root=root)}
    about = facts | {"versions": versions(), "hardware": hardware(), "name": config["name"]}
    folder.update(state="running", fingerprint=folder.path.name, **about)
    tracked = tracked_run(config, folder, store, door=asked.door, name=asked.name)
    if "patch" in git:
        tracked.log_text(git["patch"], "uncommitted.patch")
    os.environ[RUN_VARIABLE] = str(folder.path.resolve())
    try:
        is_finished = _fit(config, folder, asked.watch, root=root, tracked=tracked)
    except (KeyboardInterrupt, SystemExit):
        tracked.end("KILLED")
        raise
    except BaseException as reason:
        tracked.end("FAILED", reason=f"{type(reason).__name__}: {reason}")
        raise
    finally:
        os.environ.pop(RUN_VARIABLE, None)
    if is_finished:
        folder.update(state="finished", is_shown=asked.watch.shows)
        tracked.end("FINISHED")
    else:
        tracked.end("KILLED", reason=f"pruned by search.pruner={config['search']['pruner']}")
    if PARENT_VARIABLE not in os.environ:  # who opened the parent has looked already
        store.close_dead_runs()


def follow() -> bool:
    """In a process that Lightning starts beside the leading one, train what that one trains, and nothing else.

    Lightning repeats the whole command there, of which this run may be one of many.

    Returns:
        Whether this is such a process.
    """
    if is_leader() or RUN_VARIABLE not in os.environ:
        return False
    folder = RunFolder(Path(os.environ[RUN_VARIABLE]))
    _fit(folder.config(), folder, Watch(), root=Path.cwd(), tracked=None)
    return True


def _fit(
    config: Mapping[str, Any], folder: RunFolder, watch: Watch, *, root: Path, tracked: TrackedRun | None
) -> bool:
    """Make what the run needs, then fit it; tell whether it was trained to its end."""
    from pipeline.data.prepared import Prepared
    from pipeline.training.assemble import check_optimizer, task_of
    from pipeline.training.fit import fit
    from pipeline.transforms.statistics import Statistics

    task_of(config)  # these two refuse bad settings before data are prepared
    check_optimizer(config)
    prepared = Prepared(prepare(config, root=root))
    found = statistics(config, root=root)
    copies = augment(config, root=root)
    if tracked is not None:
        publish(found, folder.path / "statistics")
        counts = prepared.about()["counts"]
        data = config["data"]
        source = data_digest(config, root=root)
        tracked.log_data(data["name"], digest=source, root=data["root"], counts=counts)
    numbers = Statistics.load(found)
    return fit(
        config, folder, prepared=prepared, statistics=numbers, copies=copies, tracked=tracked, watch=watch
    )


def _tell_wait(folder: RunFolder) -> Callable[[str], object]:
    return lambda holder: sys.stderr.write(
        f"run {folder.path.name} is being trained by {holder}; waiting for it\n"
    )

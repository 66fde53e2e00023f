"""Stage `train`, and the door for single runs and sweeps.

    python -m pipeline.train experiment=digits_lenet5 optimizer.lr=0.02
    python -m pipeline.train -m experiment=digits_lenet5 model.activation=tanh,relu optimizer.lr=0.01,0.05
    python -m pipeline.train artifacts/search/digits_lenet5/best.yaml artifacts/train/digits_lenet5

All doors call `train` on the same declaration, and `train` is idempotent: a finished run is found, an
unfinished one goes on where it was, whichever door started it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pipeline.augment import augment
from pipeline.composition import CONF, declared, explained
from pipeline.declaration import load
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.files import write_text
from pipeline.identity import PACKAGE, fingerprint
from pipeline.judge import Judge
from pipeline.plain import yaml_text
from pipeline.prepare import data_digest, prepare
from pipeline.runs.arguments import stage_paths
from pipeline.runs.folder import RESULTS, RunFolder
from pipeline.runs.found import publish
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import Held, locked
from pipeline.runs.watch import Row, Watch
from pipeline.statistics import statistics
from pipeline.tracked import link_to_parent, tracked_run
from pipeline.tracking.variables import (
    PARENT_VARIABLE,
    RUN_VARIABLE,
    SEARCH_VARIABLE,
    SWEPT_VARIABLE,
)
from pipeline.trials import Outcome

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


def attempt(config: Mapping[str, Any], overrides: Sequence[str], *, root: Path, door: str) -> Outcome:
    """Train one job of a search, whose folder the environment tells; return what came of it."""
    judge = Judge.of(config, root / os.environ[SEARCH_VARIABLE])
    seen: list[Row] = []

    def stops(history: Sequence[Row]) -> bool:
        seen[:] = history
        return judge.stops(history)

    asked = Asked(door, _name(config["name"], overrides), waits=True, watch=Watch(shows=False, stops=stops))
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
    from pipeline.assemble import check_optimizer, task_of
    from pipeline.data.prepared import Prepared
    from pipeline.fit import fit
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


def _tell_wait(folder: RunFolder) -> Callable[[str], None]:
    return lambda holder: print(
        f"run {folder.path.name} is being trained by {holder}; waiting for it", file=sys.stderr
    )


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def door(config: DictConfig) -> float | Outcome:
    """Train one composed declaration; return its best score, or in a search what came of it."""
    plain = declared(config)
    overrides = list(HydraConfig.get().overrides.task)
    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    search = plain["search"]
    if search["space"] and not is_sweep:
        raise ConfigError(
            f"search={search['name']} draws many trials; add -m, or leave it out to train one run"
        )
    if search["space"] and SEARCH_VARIABLE not in os.environ:
        raise ConfigError(
            f"search={search['name']} is run by the sweeper of this project; leave hydra/sweeper out"
        )
    if search["space"]:
        return attempt(plain, overrides, root=Path.cwd(), door="sweep")
    door = "sweep" if is_sweep else "hydra"
    asked = Asked(door, _name(plain["name"], overrides), waits=False)
    folder = train(plain, asked, root=Path.cwd())
    if not is_leader():
        return float("nan")  # the leading process writes the results
    metrics = folder.metrics()
    print(f"{folder.path.relative_to(Path.cwd())}  {_line(metrics)}")
    return metrics["score"]


def _name(experiment: str, overrides: Sequence[str]) -> str:
    """Name a run by what sets it apart: in a sweep by what is swept, else by experiment and overrides."""
    swept = os.environ.get(SWEPT_VARIABLE)
    if swept is None:
        return " ".join([experiment, *(each for each in overrides if not each.startswith("experiment="))])
    return (
        " ".join(each for each in overrides if each.split("=")[0].lstrip("+") in swept.split(","))
        or experiment
    )


def _line(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{key} {value:.4f}" for key, value in metrics.items() if "/" in key)


def main() -> None:
    """Run as a stage where the first argument is a file, else as a Hydra application."""
    if follow():
        return
    sys.path.append(str(PACKAGE / "plugins"))  # where Hydra looks for hydra_plugins, and nowhere else
    if len(sys.argv) > 1 and sys.argv[1].endswith(".yaml") and "=" not in sys.argv[1]:
        declaration, out = stage_paths("train", "<declaration>.yaml", "<folder to write>")
        config = load(declaration)
        folder = train(config, Asked("dvc", config["name"], waits=True), root=Path.cwd())
        if is_leader():
            publish(folder.path, out, names=RESULTS)
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us whole, and are told in one sentence
    with explained():
        door()


if __name__ == "__main__":
    exit_on_mistake(main)

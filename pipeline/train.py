"""Stage `train`, and the door for single runs and sweeps.

    python -m pipeline.train experiment=digits_lenet5 optimizer.lr=0.02
    python -m pipeline.train -m experiment=digits_lenet5 model.activation=tanh,relu optimizer.lr=0.01,0.05
    python -m pipeline.train artifacts/compose/digits_lenet5.yaml artifacts/train/digits_lenet5

All doors call `train` on the same declaration, and `train` is idempotent: a finished run is found, an
unfinished one goes on where it was, whichever door started it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pipeline.augment import augment
from pipeline.compose import CONF, declared, explained
from pipeline.config.digests import code_digest, digest
from pipeline.config.signatures import source_of_target
from pipeline.config.targets import targets_of
from pipeline.declaration import load
from pipeline.errors import ConfigError, closest, exit_on_mistake
from pipeline.prepare import data_digest, prepare, prepared_key
from pipeline.runs.arguments import stage_paths
from pipeline.runs.fingerprint import deciding
from pipeline.runs.folder import RESULTS, RunFolder, write_text
from pipeline.runs.found import publish
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import Held, locked
from pipeline.statistics import statistics, statistics_key
from pipeline.tracking.variables import PARENT_VARIABLE, SWEPT_VARIABLE
from pipeline.transfer.checkpoint import file_digest, file_of

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun

PACKAGE = Path(__file__).parent
# What decides a result besides the declaration; dvc.yaml lists the same as deps of the stage.
CODE = [
    *(PACKAGE / room for room in ("data", "layers", "networks", "plans", "tasks", "transfer", "transforms")),
    *(PACKAGE / stage for stage in ("assemble.py", "fit.py", "trainer.py")),
]


def train(config: Mapping[str, Any], *, root: Path, door: str, name: str, waits: bool) -> RunFolder:
    """Return the folder of a declaration's finished run, training it if need be.

    Args:
        root: the project's folder; data, runs and mlflow.db are found from it.
        door: who asks (`dvc`, `hydra`, `sweep`); kept as a tag.
        name: the run's name in MLflow.
        waits: whether to wait for another process that trains this run, or to be refused.

    Raises:
        ConfigError: the declaration cannot be trained, or another process is training it.
    """
    folder = RunFolder(root / "runs" / fingerprint(config, root=root))
    if not is_leader():
        _fit(config, folder, root=root, tracked=None)
        return folder
    if not folder.is_finished():
        try:
            with locked(folder.lock, waits=waits, on_wait=_tell_wait(folder)):
                if not folder.is_finished():
                    _train_locked(config, folder, root=root, door=door, name=name)
        except Held as holder:
            raise ConfigError(
                f"run {folder.path.name} is being trained by {holder}; wait for it, or end that process"
            ) from None
    _link_to_parent(config, folder, root=root, name=name)
    return folder


def fingerprint(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides a run: declaration, data, statistics, code, versions."""
    data = [prepared_key(config, root=root), statistics_key(config, root=root)]
    pretrained = config["model"]["pretrained"]
    weights = None if pretrained is None else file_digest(file_of(pretrained))
    return digest([deciding(config), data, weights, code_digest(CODE), _own_code(config)])


def _own_code(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of the user's own modules that a declaration builds from."""
    own = tuple(config["allowed_targets"])
    files = {
        target: source_of_target(target) for target in targets_of(config) if own and target.startswith(own)
    }
    for target, file in files.items():
        if file is None:
            raise ConfigError(
                f"allowed_targets: the source of {target} cannot be found, so its changes could not be told; "
                "define it in a Python module on the path"
            )
    return {target: code_digest([file]) for target, file in files.items() if file is not None}


def _train_locked(config: Mapping[str, Any], folder: RunFolder, *, root: Path, door: str, name: str) -> None:
    """Train as the only process on this folder; the MLflow run tells how it ended."""
    from pipeline.tracking.provenance import git_state, hardware, versions
    from pipeline.tracking.store import Store

    store = Store(root, config["tracking"]["experiment"])
    git = git_state(root)
    write_text(folder.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
    facts = {"commit": git["commit"], "dirty": git["dirty"], "data": data_digest(config, root=root)}
    about = facts | {"versions": versions(), "hardware": hardware(), "name": config["name"]}
    folder.update(state="running", fingerprint=folder.path.name, **about)
    tracked = _tracked(config, folder, store, door=door, name=name)
    if "patch" in git:
        tracked.log_text(git["patch"], "uncommitted.patch")
    try:
        _fit(config, folder, root=root, tracked=tracked)
    except (KeyboardInterrupt, SystemExit):
        tracked.end("KILLED")
        raise
    except BaseException as reason:
        tracked.end("FAILED", reason=f"{type(reason).__name__}: {reason}")
        raise
    folder.update(state="finished")
    tracked.end("FINISHED")
    store.close_dead_runs()


def _fit(config: Mapping[str, Any], folder: RunFolder, *, root: Path, tracked: TrackedRun | None) -> None:
    """Make what the run needs, then fit it."""
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
        tracked.log_files(folder.path / "statistics", "statistics")
        counts = prepared.about()["counts"]
        data = config["data"]
        source = data_digest(config, root=root)
        tracked.log_data(data["name"], digest=source, root=data["root"], counts=counts)
    numbers = Statistics.load(found)
    fit(config, folder, prepared=prepared, statistics=numbers, copies=copies, tracked=tracked)


def _tracked(config: Mapping[str, Any], folder: RunFolder, store: Any, *, door: str, name: str) -> TrackedRun:
    """Continue the run's MLflow run, or open one."""
    from pipeline.tracking.run import TrackedRun

    known = folder.state().get("mlflow_run_id")
    if known is not None and store.has_run(known):
        return TrackedRun.resume(store, known)
    parent = os.environ.get(PARENT_VARIABLE)
    tracked = TrackedRun.start(store, name=name, parent=parent, tags=_tags(folder, door))
    tracked.log_config(config)
    folder.update(mlflow_run_id=tracked.run_id, is_model_logged=False)
    return tracked


def _link_to_parent(config: Mapping[str, Any], folder: RunFolder, *, root: Path, name: str) -> None:
    """In a sweep, show a run that was started before it as a child of this sweep too."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None:
        return
    from pipeline.tracking.run import TrackedRun
    from pipeline.tracking.store import Store

    store = Store(root, config["tracking"]["experiment"])
    if store.parent_of(folder.state()["mlflow_run_id"]) == parent:
        return
    tags = _tags(folder, "sweep") | {"convoy.same_as": folder.state()["mlflow_run_id"]}
    linked = TrackedRun.start(store, name=name, parent=parent, tags=tags)
    linked.log_config(config)
    linked.log_history(folder.history())
    linked.log_final(folder.metrics())
    linked.end("FINISHED")


def _tags(folder: RunFolder, door: str) -> dict[str, str]:
    state = folder.state()
    return {
        "convoy.fingerprint": folder.path.name,
        "convoy.run_folder": f"runs/{folder.path.name}",
        "convoy.door": door,
        "convoy.data_digest": state["data"],
        "mlflow.source.git.commit": state["commit"],
        "convoy.dirty": state["dirty"],
        "mlflow.source.name": "pipeline.train",
        **{f"version.{package}": number for package, number in state["versions"].items()},
        **{f"hardware.{part}": text for part, text in state["hardware"].items()},
    }


def _tell_wait(folder: RunFolder) -> Callable[[str], None]:
    return lambda holder: print(
        f"run {folder.path.name} is being trained by {holder}; waiting for it", file=sys.stderr
    )


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def door(config: DictConfig) -> float:
    """Train one composed declaration; return its best score, which a sweeper may maximise."""
    plain = declared(config)
    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    search = plain["search"]
    if search["space"] and not is_sweep:
        raise ConfigError(
            f"search={search['name']} draws many trials; add -m, or leave it out to train one run"
        )
    folder = train(
        plain,
        root=Path.cwd(),
        door="sweep" if is_sweep else "hydra",
        name=_name(plain["name"], list(HydraConfig.get().overrides.task)),
        waits=False,
    )
    if not is_leader():
        return float("nan")  # the leading process writes the results
    metrics = folder.metrics()
    print(f"{folder.path.relative_to(Path.cwd())}  {_line(metrics)}")
    metric = search["metric"] or "score"
    if metric not in metrics:
        raise ConfigError(f"search.metric: the task does not log {metric}; {closest(metric, metrics)}")
    return metrics[metric]


def _name(experiment: str, overrides: list[str]) -> str:
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
    sys.path.append(str(PACKAGE / "plugins"))  # where Hydra looks for hydra_plugins, and nowhere else
    if len(sys.argv) > 1 and sys.argv[1].endswith(".yaml") and "=" not in sys.argv[1]:
        declaration, out = stage_paths("train", "<declaration>.yaml", "<folder to write>")
        config = load(declaration)
        folder = train(config, root=Path.cwd(), door="dvc", name=config["name"], waits=True)
        if is_leader():
            publish(folder.path, out, names=RESULTS)
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us whole, and are told in one sentence
    with explained():
        door()


if __name__ == "__main__":
    exit_on_mistake(main)

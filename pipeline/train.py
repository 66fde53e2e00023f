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
from collections.abc import Mapping
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pipeline.declaration.checks import load
from pipeline.declaration.composition import CONF, declared, explained
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.runs.arguments import stage_paths
from pipeline.runs.folder import RESULTS
from pipeline.runs.found import publish
from pipeline.runs.leader import is_leader
from pipeline.tracking.variables import SEARCH_VARIABLE
from pipeline.training.run import Asked, follow, train
from pipeline.trials.attempt import attempt, run_name
from pipeline.trials.search import Outcome


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
    asked = Asked(door, run_name(plain["name"], overrides), waits=False)
    folder = train(plain, asked, root=Path.cwd())
    if not is_leader():
        return float("nan")  # the leading process writes the results
    metrics = folder.metrics()
    print(f"{folder.path.relative_to(Path.cwd())}  {_line(metrics)}")
    return metrics["score"]


def _line(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{key} {value:.4f}" for key, value in metrics.items() if "/" in key)


def main() -> None:
    """Run as a stage where the first argument is a file, else as a Hydra application."""
    if follow():
        return
    sys.path.append(
        str(Path(__file__).parent / "plugins")
    )  # where Hydra looks for hydra_plugins, and nowhere else
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

"""Stage `train`, and the command for single runs and sweeps.

    python -m pipeline.train experiment=digits_lenet5 optimizer.lr=0.02
    python -m pipeline.train -m experiment=digits_lenet5 model.activation=tanh,relu optimizer.lr=0.01,0.05
    python -m pipeline.train artifacts/search/digits_lenet5/best.yaml artifacts/train/digits_lenet5

All of them call `pipeline.training.run.train` with a declaration. The call is idempotent: a finished run is reused, and
an unfinished one is resumed, whichever command started it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pipeline.declaration.composition import CONF, declare, explained
from pipeline.declaration.conf_files import check_files
from pipeline.declaration.grants import grant_typed
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.runs.arguments import stage_paths
from pipeline.runs.cache import publish
from pipeline.runs.command import exit_on_mistake
from pipeline.runs.context import RunContext
from pipeline.runs.folder import OLDER_RESULTS, RESULTS, format_selection
from pipeline.runs.leader import is_leader
from pipeline.runs.process import join_command
from pipeline.tasks.demands import load_demands
from pipeline.training.run import RunRequest, follow, train
from pipeline.trials.attempt import attempt
from pipeline.trials.names import run_name
from pipeline.trials.search import Outcome

# How arguments of Hydra begin that name other files than those of conf/, abbreviated flags included.
OTHER_FILES = ("--co", "--e", "-cd", "-cp", "-cn", "hydra.searchpath")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main_hydra(config: DictConfig) -> float | Outcome:
    """Train one composed declaration; return its best score, or its outcome as a trial of a search."""
    join_command()
    declaration, context = declare(config), RunContext.from_environment(Path.cwd())
    overrides = list(HydraConfig.get().overrides.task)
    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    search = declaration.search
    if search.space and not is_sweep:
        raise ConfigError(
            "search",
            "draws many trials",
            got=search.name,
            hint="add -m, or leave search out to train one run",
        )
    if search.space and context.search is None:
        raise ConfigError(
            "search", "is run by the sweeper of this project", got=search.name, hint="leave hydra/sweeper out"
        )
    if search.space:
        return attempt(declaration, overrides, context, entry_point="sweep")
    name = run_name(declaration.name, overrides, context)
    # A sweep shares runs with other commands: to wait for one costs less than to lose the others.
    request = RunRequest("sweep" if is_sweep else "hydra", name, waits=is_sweep)
    folder = train(declaration, request, context)
    if not is_leader():
        return float("nan")  # the leading process writes the results
    metrics, name = folder.metrics(), str(folder.path.relative_to(context.root))
    selected = format_selection(folder.selection(load_demands(declaration.task).score))
    print(f"{name}  {_format_scores(metrics)}  {selected}")
    return Outcome(metrics["score"], folder=name) if context.parent else metrics["score"]


def _format_scores(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{key} {value:.4f}" for key, value in metrics.items() if "/" in key)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raise if an argument of Hydra names other files than those of conf/, which alone are checked."""
    for argument in arguments:
        if argument.lstrip("+").startswith(OTHER_FILES):
            raise ConfigError(
                "python -m pipeline.train",
                f"{argument} reads declarations from elsewhere than conf/",
                hint="put the file into conf/, where it is checked",
            )


def main() -> None:
    """Run as a stage if the first argument is a file, otherwise as a Hydra application."""
    root = Path.cwd()
    if follow(root):
        return
    sys.path.append(
        str(Path(__file__).parent / "plugins")
    )  # the only place where Hydra searches for hydra_plugins
    if len(sys.argv) > 1 and sys.argv[1].endswith(".yaml") and "=" not in sys.argv[1]:
        path, out = stage_paths("train", "<declaration>.yaml", "<folder to write>")
        declaration = load(path)
        request = RunRequest("dvc", declaration.name, waits=True)
        folder = train(declaration, request, RunContext(root))
        if is_leader():
            publish(folder.path, out, root=root, names=RESULTS, replaces=OLDER_RESULTS)
        return
    _check_arguments(sys.argv[1:])
    grant_typed(sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through, to report them in one sentence
    with explained():
        check_files(CONF)  # before Hydra acts on its own section
        main_hydra()


if __name__ == "__main__":
    exit_on_mistake(main, has_own_help=True)

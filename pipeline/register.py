"""Put the model that a run logged into MLflow's registry, under a name and an alias.

    python -m pipeline.register digits_lenet5 digits
    python -m pipeline.register runs/<fingerprint> digits alias=challenger

Afterwards `models:/<name>@<alias>` names the run to every command, and the model to MLflow.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.runs.command import exit_on_mistake
from pipeline.runs.folder import RunFolder
from pipeline.tracking.registry import register_model
from pipeline.tracking.store import Store
from pipeline.training.trained import find_trained

USAGE = "python -m pipeline.register <run> <name> [alias=<alias>]"
ALIAS = "alias="


def main() -> None:
    """Register the model of one run."""
    given = sys.argv[1:]
    is_named = len(given) == 3 and given[2].startswith(ALIAS)
    if len(given) != 2 and not is_named:
        raise ConfigError(
            "python -m pipeline.register",
            f"expected 2 or 3 arguments, got {len(given)}",
            hint=f"usage: {USAGE}",
        )
    run, name = given[:2]
    print(register(run, name, given[2].removeprefix(ALIAS) if is_named else "champion", root=Path.cwd()))


def register(run: str, name: str, alias: str, *, root: Path) -> str:
    """Register the model of a run; return what it can be called now.

    Args:
        run: what a user calls it, see `find_trained`.

    Raises:
        ConfigError: there is no such run, it logged no model, or MLflow does not allow the name or the alias.
    """
    trained = find_trained(run, root=root)
    fingerprint = trained.folder.result()["fingerprint"]
    run_id = RunFolder(root / "runs" / fingerprint).state().get("mlflow_run_id")
    if run_id is None:
        raise ConfigError(
            "run",
            "no folder of runs/ says which MLflow run logged its model",
            got=run,
            hint="train it here with tracking.log_model=true",
        )
    store = Store(root, trained.declaration.tracking.experiment)
    version = register_model(store, run_id, name=name, alias=alias, fingerprint=fingerprint)
    return f"version {version} of {name}, from runs/{fingerprint}: models:/{name}@{alias}"


if __name__ == "__main__":
    exit_on_mistake(main)

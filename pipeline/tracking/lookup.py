"""Find the folder of a run by what MLflow knows of it."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.errors import ConfigError, first_line
from pipeline.tracking.uri import FOLDER_TAG, tracking_uri

MODELS = "models:/"  # how URIs of MLflow's registry begin
RUN_ID = re.compile(r"[0-9a-f]{32}")
MODEL = re.compile(rf"{MODELS}([^@/]+)([@/])(.+)")


def find_run_folder(run_id: str, root: Path) -> str:
    """Return the folder of an MLflow run, relative to the project.

    Raises:
        ConfigError: MLflow has no such run, or its folder is not in this project.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        folder: str | None = MlflowClient(tracking_uri(root)).get_run(run_id).data.tags.get(FOLDER_TAG)
    except MlflowException as reason:
        raise ConfigError("run", f"MLflow does not know it ({first_line(reason)})", got=run_id) from None
    if folder is None or not (root / folder).is_dir():
        raise ConfigError(
            "run",
            "this project does not hold the folder of this MLflow run",
            got=run_id,
            hint="train it again here",
        )
    return folder


def find_registered_run(uri: str, root: Path) -> str:
    """Return the id of the MLflow run that logged a model of the registry.

    Args:
        uri: `models:/<name>@<alias>` or `models:/<name>/<version>`.

    Raises:
        ConfigError: the registry has no such model.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    parts = MODEL.fullmatch(uri)
    if parts is None:
        raise ConfigError("run", got=uri, allowed=f"{MODELS}<name>@<alias> or {MODELS}<name>/<version>")
    name, sign, chosen = parts.groups()
    client = MlflowClient(tracking_uri(root))
    find = client.get_model_version_by_alias if sign == "@" else client.get_model_version
    try:
        return str(find(name, chosen).run_id)
    except MlflowException as reason:
        raise ConfigError(
            "run",
            f"MLflow's registry has no such model ({first_line(reason)})",
            got=uri,
            hint="register it, or name a run",
        ) from None


def find_children(parent: str, root: Path) -> tuple[str, dict[str, str]]:
    """Return the id of a sweep's run, and the folder and the name of each of its children.

    Args:
        parent: id or name of the run of the sweep; of several with this name, the last one is taken.

    Raises:
        ConfigError: MLflow has no run of this id or name that has children.
    """
    from mlflow import MlflowClient
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    client = MlflowClient(tracking_uri(root))
    experiments = [each.experiment_id for each in client.search_experiments()]
    text = parent.replace("\\", "\\\\").replace("'", "\\'")
    named = [run.info.run_id for run in client.search_runs(experiments, f"attributes.run_name = '{text}'")]
    for run_id in [parent, *named] if RUN_ID.fullmatch(parent) else named:
        wanted, token = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'", None
        children: dict[str, str] = {}
        while True:
            found = client.search_runs(experiments, wanted, page_token=token)
            children |= {
                run.data.tags[FOLDER_TAG]: run.info.run_name for run in found if FOLDER_TAG in run.data.tags
            }
            token = found.token
            if not token:
                break
        if children:
            return run_id, children
    raise ConfigError(
        "-m", "MLflow has no sweep of this id or name", got=parent, hint="`make ui` shows the runs of sweeps"
    )

"""MLflow's registry: the models of runs, under names and aliases."""

from __future__ import annotations

import re
from contextlib import suppress

from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException

from pipeline.errors import ConfigError, first_line
from pipeline.tracking.lookup import MODEL, MODELS
from pipeline.tracking.store import Store

FINGERPRINT_TAG = "convoy.fingerprint"
ALIAS = re.compile(r"(?!v\d+$|latest$)[\w-]+", re.ASCII)


def register_model(store: Store, run_id: str, *, name: str, alias: str, fingerprint: str) -> int:
    """Give the model that a run logged a name and an alias; return its version.

    The model of a run gets one version of a name, however often it is registered. An alias names one version: it is
    taken from the one that has it.

    Args:
        fingerprint: of the run; names its folder.

    Raises:
        ConfigError: the run is gone or logged no model, or MLflow does not allow the name or the alias.
    """
    if not ALIAS.fullmatch(alias):
        raise ConfigError(
            "alias", got=alias, allowed="letters, digits, _ and -, but neither latest nor a number behind v"
        )
    parts = MODEL.fullmatch(f"{MODELS}{name}@{alias}")
    if parts is None or parts.groups() != (name, "@", alias):
        raise ConfigError("name", got=name, allowed="a name without / and @")
    if not store.has_run(run_id):
        again = f"remove runs/{fingerprint}, and train it again"
        raise ConfigError("run", "its MLflow run is gone", got=run_id, hint=again)
    wanted = f"source_run_id = '{run_id}'"
    experiment = store.client.get_run(run_id).info.experiment_id
    models = [
        model
        for model in store.client.search_logged_models([experiment], wanted)
        if model.status == LoggedModelStatus.READY
    ]
    if not models:
        again = f"remove runs/{fingerprint}, and train it again with tracking.log_model=true"
        raise ConfigError("run", "it logged no model", got=run_id, hint=again)
    try:
        with store.alone():
            return _register(store, models[0], name=name, alias=alias, fingerprint=fingerprint)
    except MlflowException as reason:
        problem = f"MLflow refuses it ({first_line(reason)})"
        raise ConfigError("python -m pipeline.register", problem) from None


def _register(store: Store, model: LoggedModel, *, name: str, alias: str, fingerprint: str) -> int:
    client, run_id = store.client, model.source_run_id
    with suppress(MlflowException):  # it exists, or what comes next says what is wrong
        client.create_registered_model(name)
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    version = next((each.version for each in versions if each.name == name), None)
    if version is None:
        tags = {FINGERPRINT_TAG: fingerprint}
        version = client.create_model_version(
            name, model.artifact_location, run_id, tags=tags, model_id=model.model_id
        ).version
    client.set_registered_model_alias(name, alias, version)
    return int(version)

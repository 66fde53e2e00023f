"""An MLflow run: everything that a training logs for inspection and comparison."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelStatus,
    Metric,
    Param,
    RunStatus,
    RunTag,
)
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from numpy.typing import NDArray

from pipeline.errors import redact
from pipeline.files import yaml_text
from pipeline.runs.folder import WATCH
from pipeline.storage.names import escape_key, unescape_key
from pipeline.tracking.store import NOTE_TAG, Store
from pipeline.tracking.uri import FOLDER_TAG, URI_VARIABLE

LONGEST_PARAM = 6000  # characters, MLflow's own limit
PARAMS_AT_ONCE = 100
SCORE_TAG = "convoy.score"  # the name of the selecting score
MAJORITY_TAG = "convoy.majority"  # the most frequent class of the training split
BASELINE = "final/baseline"
LONGEST_NOTE = 8000  # characters; MLflow cuts the values of tags there
CUT = "\n\nThe rest is in the artifact `comparison.md`.\n"
EPOCHS_AT_ONCE = 10  # MLflow takes a thousand numbers at once


class TrackedRun:
    """An MLflow run that this process writes to.

    Logging is idempotent: after a crash, what was logged before is not logged a second time. Names of metrics, params
    and folders may be any text: MLflow gets them as `escape_key` writes them.

    Args:
        store: the opened store.
        run_id: an existing run.
        is_new: whether nothing was logged to it before.
    """

    def __init__(self, store: Store, run_id: str, *, is_new: bool = False) -> None:
        self.store = store
        self.run_id = run_id
        self._client = store.client
        self._is_new = is_new
        self._values = {} if is_new else self._logged_values()

    @classmethod
    def start(cls, store: Store, *, name: str, parent: str | None, tags: Mapping[str, str]) -> TrackedRun:
        """Start a new run, nested under a parent if there is one."""
        if parent is not None:
            tags = {**tags, MLFLOW_PARENT_RUN_ID: parent}
        hidden = {key: redact(value) for key, value in tags.items()}
        run = store.client.create_run(store.experiment_id, run_name=redact(name), tags=hidden)
        return cls(store, run.info.run_id, is_new=True)

    @classmethod
    def start_or_adopt(
        cls, store: Store, *, name: str, parent: str | None, tags: Mapping[str, str]
    ) -> TrackedRun:
        """Start a new run, or continue the one that a process started for the same folder before it was killed.

        The caller must hold the lock of the folder, which the tags name.
        """
        left = store.started_run(tags[FOLDER_TAG])
        return (
            cls.start(store, name=name, parent=parent, tags=tags) if left is None else cls.resume(store, left)
        )

    @classmethod
    def resume(cls, store: Store, run_id: str) -> TrackedRun:
        """Continue a run that was interrupted."""
        store.client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        return cls(store, run_id)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Log a resolved config as params, one per leaf, and as a file; params that were logged before stay."""
        known = {} if self._is_new else self._client.get_run(self.run_id).data.params
        values = {escape_key(key): text[:LONGEST_PARAM] for key, text in flat(config)}
        params = [Param(key, text) for key, text in values.items() if key not in known]
        for start in range(0, len(params), PARAMS_AT_ONCE):
            self._client.log_batch(self.run_id, params=params[start : start + PARAMS_AT_ONCE])
        text = yaml_text(dict(config))
        self._client.log_text(self.run_id, text, "config.yaml")

    def log_history(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log the epochs that are not yet logged, each as a whole; logged values are never changed.

        Args:
            history: one row of metrics per epoch, including `epoch`.
        """
        rows = [row for row in history if int(row["epoch"]) not in self._values.get("train/loss", {})]
        for start in range(0, len(rows), EPOCHS_AT_ONCE):
            self._log_values(
                (key, value, int(row["epoch"]))
                for row in rows[start : start + EPOCHS_AT_ONCE]
                for key, value in row.items()
                if key != "epoch" and not key.startswith(WATCH)  # a third more numbers, which a file holds
            )

    def log_scores(self, scores: Mapping[str, float]) -> None:
        """Log scores that belong to no epoch; a score that has changed since it was logged gets the next step."""
        steps = {key: self._values.get(key, {}) for key in scores}
        changed = [
            key
            for key, known in steps.items()
            if _text(known.get(max(known, default=0))) != _text(scores[key])
        ]
        self._log_values((key, scores[key], max(steps[key], default=-1) + 1) for key in changed)

    def _log_values(self, values: Iterable[tuple[str, float, int]]) -> None:
        """Log values, each with its name and step, in one transaction."""
        now, values = int(time.time() * 1000), list(values)
        if values:
            self._client.log_batch(
                self.run_id,
                metrics=[Metric(escape_key(key), value, now, step) for key, value, step in values],
            )
        for key, value, step in values:
            self._values.setdefault(key, {})[step] = value

    def _logged_values(self) -> dict[str, dict[int, float]]:
        """Return the logged values of each metric by step."""
        keys = self._client.get_run(self.run_id).data.metrics
        histories = {unescape_key(key): self._client.get_metric_history(self.run_id, key) for key in keys}
        return {name: {each.step: each.value for each in history} for name, history in histories.items()}

    def log_final(self, scores: Mapping[str, float], selection: Mapping[str, Any]) -> None:
        """Log the validation scores of the kept epoch, `val/...`, as `final/...`.

        Args:
            selection: of the run's `result.json`: the selecting score is tagged, and what always guessing the majority
                class scores is `final/baseline`.
        """
        final = {f"final/{key.removeprefix('val/')}": value for key, value in scores.items()}
        guessed = selection["baseline"].get(selection["score"])
        self.log_scores(final if guessed is None else final | {BASELINE: guessed})
        majority = {} if selection["majority"] is None else {MAJORITY_TAG: selection["majority"]}
        self.log_tags({SCORE_TAG: selection["score"], **majority})

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._client.log_batch(self.run_id, tags=[RunTag(key, redact(value)) for key, value in tags.items()])

    def log_note(self, text: str) -> None:
        """Set the description of the run, in Markdown; of a long one, the lines that MLflow has room for."""
        if len(text) > LONGEST_NOTE:
            lines, _, _ = text[: LONGEST_NOTE - len(CUT)].rpartition("\n")
            text = lines + CUT
        self.log_tags({NOTE_TAG: text})

    def log_text(self, text: str, name: str) -> None:
        """Log a text file."""
        self._client.log_text(self.run_id, text, name)

    def log_files(self, path: Path, folder: str | None = None) -> None:
        """Log a file, or the files of a folder, under an artifact folder."""
        folder = None if folder is None else escape_key(folder)
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), folder)
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def log_data(self, name: str, *, digest: str, root: str, counts: Mapping[str, int]) -> None:
        """Log the data set that the run was trained on.

        Args:
            digest: `sha256:...`; MLflow keeps the first 36 characters.
            counts: images per split.
        """
        dataset = Dataset(
            name=name,
            digest=digest.removeprefix("sha256:")[:36],
            source_type="local",
            source=json.dumps({"uri": root, "digest": digest}),
            profile=json.dumps(dict(counts)),
        )
        inputs = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        with self.store.alone():  # MLflow fails where two runs add the same data set at once
            self._client.log_inputs(self.run_id, [inputs])

    def log_model(
        self,
        model: Any,
        *,
        example: NDArray[np.uint8],
        outputs: Any,
        about: Mapping[str, Any],
        requirements: list[str],
    ) -> None:
        """Log a torch module, as an exported graph that loads, and is served, without this package.

        Args:
            example: images (N, C, H, W) with N of at least 2, so that any batch size is accepted.
            outputs: what the model returns for them.
            about: the description of the model, see `convoy_serving` for what of it is used.
            requirements: given explicitly, since MLflow would take seconds to infer them in a subprocess.
        """
        if self._has_model():
            return
        from pipeline.tracking.logged_model import log_exported, model_name  # imports torch

        name = model_name(self._client.get_run(self.run_id).info.run_name or "")
        with _chosen(self.store.uri), mlflow.start_run(run_id=self.run_id):
            log_exported(
                model, name=name, example=example, outputs=outputs, about=about, requirements=requirements
            )

    def _has_model(self) -> bool:
        """Return whether the model was logged before; delete what was left of it where that was interrupted."""
        if self._is_new:
            return False
        wanted = f"source_run_id = '{self.run_id}'"
        models = self._client.search_logged_models([self.store.experiment_id], wanted)
        for model in models:
            if model.status != LoggedModelStatus.READY:
                self._client.delete_logged_model(model.model_id)
        return any(model.status == LoggedModelStatus.READY for model in models)

    def end(self, status: str, *, reason: str = "") -> None:
        """Close the run as FINISHED, FAILED or KILLED.

        Args:
            reason: why it failed; logged as a tag.
        """
        if reason:
            self.log_tags({"convoy.reason": reason})
        self._client.set_terminated(self.run_id, status=status)


@contextmanager
def _chosen(uri: str) -> Iterator[None]:
    """Set the store of MLflow's fluent API; restore the environment variable that MLflow sets."""
    before = os.environ.get(URI_VARIABLE)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        os.environ.pop(URI_VARIABLE, None)
        if before is not None:
            os.environ[URI_VARIABLE] = before


def _text(value: float | None) -> str:
    """Return a value as MLflow keeps it, which has no infinities, as text that can be compared, NaN included."""
    return "none" if value is None else repr(float(np.nan_to_num(value, nan=np.nan)))


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) for each leaf of nested mappings; lists are written as JSON."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from flat(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
    else:
        yield path, json.dumps(value)

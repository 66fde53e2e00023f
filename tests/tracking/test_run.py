"""A tracked run: nothing cut, nothing twice, and a status that is true."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric
from mlflow.utils.validation import _validate_logged_model_name
from torch import Tensor, nn

from pipeline.declaration.composition import compose
from pipeline.tracking.logged_model import model_name
from pipeline.tracking.run import TrackedRun, flat
from pipeline.tracking.store import Store

CONFIG: dict[str, Any] = {
    "name": "lenet5 ü",
    "seed": 0,
    "model": {"norm": None, "layers": [{"conv": 6}, "flatten"], "note": "x" * 3000},
    "optimizer": {"_target_": "torch.optim.SGD", "lr": 1e-3, "nesterov": True, "groups": {}},
    "empty": "",
}

SELECTION: dict[str, Any] = {"score": "auroc", "majority": "cat", "baseline": {"accuracy": 0.6, "auroc": 0.5}}


def artifact(run: TrackedRun, name: str) -> str:
    return Path(run.store.client.download_artifacts(run.run_id, name)).read_text(encoding="utf-8")


def logged(run: TrackedRun) -> Any:
    return run.store.client.get_run(run.run_id)


def test_figures_that_a_file_holds_are_no_metrics(tracked: TrackedRun) -> None:
    tracked.log_history([{"epoch": 0.0, "train/loss": 1.0, "watch/gradient_norm": 2.0}])
    assert logged(tracked).data.metrics == {"train/loss": 1.0}


def test_params_hold_the_whole_config(tracked: TrackedRun) -> None:
    tracked.log_config(CONFIG)
    assert logged(tracked).data.params == {
        "name": "lenet5 ü",
        "seed": "0",
        "model.norm": "null",
        "model.layers": '[{"conv": 6}, "flatten"]',
        "model.note": "x" * 3000,
        "optimizer._target_": "torch.optim.SGD",
        "optimizer.lr": "0.001",
        "optimizer.nesterov": "true",
        "optimizer.groups": "{}",
        "empty": "",
    }
    assert yaml.safe_load(artifact(tracked, "config.yaml")) == CONFIG


@pytest.mark.parametrize("experiment", ["digits_lenet5", "brain_unet"])
def test_every_leaf_of_a_real_declaration_is_a_param(experiment: str, tracked: TrackedRun) -> None:
    declaration = compose([f"experiment={experiment}"])
    tracked.log_config(declaration.sections)
    params = logged(tracked).data.params
    assert params == dict(flat(declaration.sections))
    assert json.loads(params["model.layers"]) == declaration.model["layers"]


def test_params_of_a_killed_process_stay_as_they_are(store: Store) -> None:
    """Settings that decide nothing may differ in the command that goes on; MLflow refuses to change a param."""
    killed = TrackedRun.start(store, name="a", parent=None, tags={})
    killed.log_config({"trainer": {"num_workers": 0}})
    again = TrackedRun.resume(store, killed.run_id)
    again.log_config({"trainer": {"num_workers": 2, "progress": True}})
    assert logged(again).data.params == {"trainer.num_workers": "0", "trainer.progress": "true"}
    again.end("FINISHED")


def test_more_params_than_mlflow_takes_at_once_are_logged(tracked: TrackedRun) -> None:
    tracked.log_config({"many": {f"key{i}": i for i in range(250)}})
    assert logged(tracked).data.params == {f"many.key{i}": str(i) for i in range(250)}


def test_value_beyond_the_limit_of_mlflow_is_cut_in_params_and_whole_in_the_file(tracked: TrackedRun) -> None:
    tracked.log_config({"long": "y" * 7000})
    assert logged(tracked).data.params == {"long": "y" * 6000}
    assert yaml.safe_load(artifact(tracked, "config.yaml")) == {"long": "y" * 7000}


def history(num_epochs: int) -> list[dict[str, float]]:
    return [{"epoch": float(e), "train/loss": 1 / (e + 1), "val/dice": e / 10} for e in range(num_epochs)]


def steps(run: TrackedRun, name: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in run.store.client.get_metric_history(run.run_id, name))


def test_each_epoch_is_logged_once_though_the_history_comes_again_and_again(tracked: TrackedRun) -> None:
    for length in (1, 2, 2, 3):
        tracked.log_history(history(length))
    assert steps(tracked, "train/loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert steps(tracked, "val/dice") == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_many_epochs_are_logged_whole_in_few_calls(
    tracked: TrackedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[tuple[int, str]]] = []
    log_batch = tracked._client.log_batch

    def counted(run_id: str, metrics: Sequence[Metric]) -> None:
        calls.append([(metric.step, metric.key) for metric in metrics])
        log_batch(run_id, metrics=metrics)

    monkeypatch.setattr(tracked._client, "log_batch", counted)
    tracked.log_history(history(25))
    assert [len({epoch for epoch, _ in call}) for call in calls] == [10, 10, 5]
    assert [each for call in calls for each in call] == [
        (epoch, key) for epoch in range(25) for key in history(1)[0] if key != "epoch"
    ]
    assert steps(tracked, "train/loss") == [(epoch, 1 / (epoch + 1)) for epoch in range(25)]


def test_resumed_run_logs_the_missing_epochs_alone(store: Store) -> None:
    first = TrackedRun.start(store, name="a run", parent=None, tags={})
    first.log_history(history(2))
    first.end("KILLED")
    resumed = TrackedRun.resume(store, first.run_id)
    assert logged(resumed).info.status == "RUNNING"
    repeated = [{**row, "train/loss": 99.0} for row in history(1)] + history(4)[1:]
    resumed.log_history(repeated)
    assert steps(resumed, "train/loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3), (3, 0.25)]
    resumed.end("FINISHED")
    assert logged(resumed).info.status == "FINISHED"


def test_scores_are_logged_once_until_they_change(store: Store) -> None:
    first = TrackedRun.start(store, name="a run", parent=None, tags={})
    scores = {"score": 0.5, "val/auroc": math.nan, "val/loss": math.inf, "epoch": 3.0}
    first.log_final(scores, SELECTION)
    first.log_final(scores, SELECTION)
    resumed = TrackedRun.resume(store, first.run_id)
    resumed.log_final(scores, SELECTION)
    assert {len(steps(resumed, f"final/{name}")) for name in ("score", "auroc", "loss", "epoch")} == {1}
    resumed.log_final({**scores, "score": 0.6}, SELECTION)
    resumed.log_final({**scores, "score": 0.6}, SELECTION)
    assert steps(resumed, "final/score") == [(0, 0.5), (1, 0.6)]
    assert logged(resumed).data.metrics["final/score"] == 0.6
    assert {len(steps(resumed, f"final/{name}")) for name in ("auroc", "loss", "epoch")} == {1}
    resumed.end("FINISHED")


def test_numbers_that_are_none_are_kept_as_such(tracked: TrackedRun) -> None:
    tracked.log_history([{"epoch": 0.0, "train/loss": 1.0, "val/auroc": math.nan}])
    [(step, value)] = steps(tracked, "val/auroc")
    assert step == 0
    assert math.isnan(value)


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_run_ends_with_its_true_status(status: str, store: Store) -> None:
    run = TrackedRun.start(store, name="a run", parent=None, tags={})
    assert logged(run).info.status == "RUNNING"
    reason = "ConfigError: training diverged" if status == "FAILED" else ""
    run.end(status, reason=reason)
    assert logged(run).info.status == status
    assert logged(run).info.end_time is not None
    assert logged(run).data.tags.get("convoy.reason", "") == reason


def test_run_carries_name_and_tags(tracked: TrackedRun) -> None:
    tracked.log_tags({"convoy.entry_point": "dvc"})
    run = logged(tracked)
    assert run.info.run_name == "a run"
    assert (run.data.tags["colour"], run.data.tags["convoy.entry_point"]) == ("blue", "dvc")


def test_data_are_logged_with_their_digest(tracked: TrackedRun) -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    tracked.log_data("digits", digest=digest, root="data/digits.zip", counts={"train": 3, "val": 1})
    tracked.log_data(
        "digits", digest=digest, root="data/digits.zip", counts={"train": 3, "val": 1}
    )  # resumed
    [data] = logged(tracked).inputs.dataset_inputs
    assert data.dataset.name == "digits"
    assert data.dataset.digest == digest.removeprefix("sha256:")[:36]
    assert json.loads(data.dataset.source) == {"uri": "data/digits.zip", "digest": digest}
    assert json.loads(data.dataset.profile) == {"train": 3, "val": 1}
    assert {tag.key: tag.value for tag in data.tags} == {"mlflow.data.context": "training"}


def test_files_and_folders_are_logged(tracked: TrackedRun, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.txt").write_text("a")
    (tmp_path / "cases.csv").write_text("file\n")
    tracked.log_files(tmp_path / "pictures", "pictures")
    tracked.log_files(tmp_path / "cases.csv", "test")
    assert artifact(tracked, "pictures/a.txt") == "a"
    assert artifact(tracked, "test/cases.csv") == "file\n"


class Brightness(nn.Module):
    """Maps uint8 images to outputs, as every model of the pipeline does."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, image: Tensor) -> Tensor:
        outputs: Tensor = self.network(image.float() / 255)
        return outputs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*")
def test_logged_model_loads_back_for_any_batch_size(tracked: TrackedRun) -> None:
    torch.manual_seed(0)
    model = Brightness().eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    with torch.inference_mode():
        outputs = model(torch.from_numpy(images)).numpy()
    told = {"classes": ["a"], "input": ["N", 8, 8, 1]}
    about: dict[str, Any] = {"example": images[:2], "outputs": outputs[:2], "about": told}
    tracked.log_model(model, **about, requirements=["torch"])
    assert mlflow.active_run() is None
    again = TrackedRun.resume(tracked.store, tracked.run_id)
    again.log_model(model, **about, requirements=["torch"])  # does nothing
    found = logged(tracked).outputs.model_outputs
    assert len(found) == 1
    loaded = mlflow.pytorch.load_model(f"models:/{found[0].model_id}")
    for count in (1, 3):
        with torch.inference_mode():
            shown = loaded(torch.from_numpy(images[:count])).numpy()
        np.testing.assert_allclose(shown, outputs[:count], rtol=1e-5)
    described = mlflow.models.get_model_info(f"models:/{found[0].model_id}")
    assert described.metadata == told
    assert described.signature is None, "it would keep files out"


@given(names=st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=5, unique=True))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_that_mlflow_refuses_are_logged_and_read_back(names: list[str], tracked: TrackedRun) -> None:
    scores = {f"val/dice_{name[:40]}": float(place) for place, name in enumerate(names)}
    tracked.log_scores(scores)
    again = TrackedRun(tracked.store, tracked.run_id)
    known = {name: steps[max(steps)] for name, steps in again._values.items()}
    assert scores.items() <= known.items()
    again.log_scores(scores)
    assert again._logged_values() == again._values, "what is known is not logged again"


def test_params_and_folders_with_names_that_mlflow_refuses_are_logged(
    tracked: TrackedRun, tmp_path: Path
) -> None:
    tracked.log_config({"data": {"mask_values": {"#ff0000": "car"}}})
    (tmp_path / "a.txt").write_text("a")
    tracked.log_files(tmp_path / "a.txt", "test_a+b/../#1")
    params = tracked.store.client.get_run(tracked.run_id).data.params
    assert params["data.mask_values.:23:ff0000"] == "car"
    assert (
        Path(
            tracked.store.client.download_artifacts(tracked.run_id, "test_a:2b:b/:2e:./:23:1/a.txt")
        ).read_text()
        == "a"
    )


def test_run_and_its_experiment_have_a_description(tracked: TrackedRun) -> None:
    tracked.log_note("a *note*")
    client = tracked.store.client
    assert client.get_run(tracked.run_id).data.tags["mlflow.note.content"] == "a *note*"
    tags = client.get_experiment(tracked.store.experiment_id).tags
    assert "final/score" in tags["mlflow.note.content"]
    view = json.loads(tags["mlflow.sharedViewState.scores"])
    assert json.loads(view["state"]) == {
        "selectedColumns": ["metrics.`final/score`", "metrics.`final/baseline`"]
    }
    assert tags["mlflow.experimentKind"] == "custom_model_development"


@pytest.mark.parametrize(
    ("run", "model"),
    [
        ("mirror, lr=0.1, seed 2", "mirror, lr=0\N{MIDDLE DOT}1, seed 2"),
        ("digits: a/b%", "digits a-b"),
        (":", "model"),
    ],
)
def test_model_is_named_after_its_run_by_a_name_that_mlflow_takes(run: str, model: str) -> None:
    assert model_name(run) == model
    _validate_logged_model_name(model)

"""Fitting: what is refused before the first step, what is left where it is stopped, and what it results in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose
from pipeline.runs.folder import RESULTS, RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.classification.demands import ClassificationDemands
from pipeline.training import epoch_report as reporting
from pipeline.training.assemble import build_model, make_train_split
from pipeline.training.checks import check_count
from pipeline.training.construction import build_augmentation
from pipeline.training.epoch_report import EpochReport
from pipeline.training.fit import _check_images
from pipeline.training.remarks import Remarks, Watched
from pipeline.training.selection import Selection
from pipeline.transforms.statistics import measure
from tests.refusals import refused
from tests.training.fitting import QUIET, Tracked, trained

DENSE = ["data=brain", "task=segmentation", "model=unet_small", "data.shape=[1,32,48]"]


def step(target: str, **options: object) -> str:
    inside = ", ".join([f"_target_: {target}", *(f"{key}: {value}" for key, value in options.items())])
    return f"augmentation.steps=[{{{inside}}}]"


def check(overrides: list[str], folder: Path) -> None:
    """Check a declaration as `fit` does, on images of noise."""
    declaration = compose(overrides)
    channels, rows, columns = declaration.data.shape
    images = np.random.default_rng(0).integers(0, 256, (4, rows, columns, channels), dtype=np.uint8)
    is_dense = declaration.data.name == "brain"
    targets = images[..., 0] % 3 if is_dense else np.arange(4, dtype=np.uint8)
    kind = load_kind("mask" if is_dense else "label")
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_targets.npy", targets)
    statistics = measure([images], patch=None)
    augmentation = build_augmentation(declaration, statistics)
    train = make_train_split(declaration, Prepared(folder, kind), augmentation, None)
    data = PreparedData(
        train, PreparedSplit(images, targets, kind), batch_size=2, num_workers=0, seed=0, sampler="shuffle"
    )
    _check_images(declaration, data, build_model(declaration, statistics))


def kept_in(folder: RunFolder) -> list[dict[str, float]]:
    checkpoint = torch.load(folder.last, weights_only=True)
    assert checkpoint["epoch"] == checkpoint["history"][-1]["epoch"]
    return [{key: v for key, v in row.items() if key != "seconds"} for row in checkpoint["history"]]


def test_stopped_training_keeps_its_epoch_stays_stopped_and_can_go_on(tmp_path: Path) -> None:
    whole, parts = (RunFolder(tmp_path / name / "run") for name in ("whole", "parts"))
    assert trained(whole, TrainingObserver())
    stops = TrainingObserver(log_artifacts=False, should_stop=lambda history: len(history) == 2)
    assert not trained(parts, stops)
    assert kept_in(parts) == kept_in(whole)[:2]
    written = parts.last.stat().st_mtime_ns
    assert not trained(parts, stops), "it is asked again, and not trained"
    assert parts.last.stat().st_mtime_ns == written
    assert trained(parts, TrainingObserver())
    assert kept_in(parts) == kept_in(whole)
    assert not trained(parts, stops), "as one who had stopped it there"


# Results.


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("mode", ["max", "min"])
def test_results_are_those_of_the_kept_epoch(
    mode: str, keep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClassificationDemands, "mode", mode)
    monkeypatch.setattr(
        ClassificationDemands, "score", "calibration_error"
    )  # that of noise is never the same twice
    folder, tracked = RunFolder(tmp_path / "run"), Tracked()
    assert trained(folder, QUIET, f"trainer.keep={keep}", tracked=tracked)
    history = folder.history()
    errors = [row["val/calibration_error"] for row in history]
    assert len(set(errors)) == 4
    first = errors.index({"max": max, "min": min}[mode](errors))
    row = history[first if keep == "best" else -1]
    scores = {key: value for key, value in row.items() if key.startswith("val/")}
    about = {"score": row["val/calibration_error"], "epoch": row["epoch"]}
    assert folder.metrics() == tracked.final == about | scores
    source = torch.load(folder.best if keep == "best" else folder.last, weights_only=True)
    wanted = {key.removeprefix("model."): value for key, value in source["state_dict"].items()}
    found = torch.load(folder.path / "weights.pt", weights_only=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert source["epoch"] == row["epoch"]
    assert tracked.told[-1] == 4


def test_result_tells_what_decided_the_run_and_nothing_of_its_machine(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    trained(folder, QUIET, tracked=Tracked())
    result = json.loads((folder.path / "result.json").read_text())
    assert result == result | {"fingerprint": "run", "data": "sha256:01", "versions": {"torch": "0.0"}}
    decided = {"fingerprint", "data", "declaration", "versions", "scored_in", "selection"}
    assert result.keys() - {"remarks"} == decided  # noise leaves most units dead
    assert result["scored_in"] == "32-true"
    assert result["selection"]["score"] == "accuracy"


def test_equal_runs_have_equal_results_byte_by_byte_and_times_apart(tmp_path: Path) -> None:
    one, other = (RunFolder(tmp_path / name / "run") for name in ("one", "other"))
    for folder in (one, other):
        assert trained(folder, TrainingObserver(), tracked=Tracked())
        folder.seal()
    files = [path for name in RESULTS for path in sorted((one.path / name).glob("**/*")) or [one.path / name]]
    files = [path for path in files if path.is_file()]
    names = {str(path.relative_to(one.path)) for path in files}
    assert names >= {
        "result.json",
        "weights.pt",
        "history.csv",
        "metrics.json",
        "pictures/learning_curves.png",
    }
    for path in files:
        assert path.read_bytes() == (other.path / path.relative_to(one.path)).read_bytes(), path.name
    assert all("seconds" not in row for row in one.history())
    assert "timing.csv" not in names
    assert one.seconds() > 0
    assert one.seconds() != other.seconds()


def test_logged_model_puts_out_probabilities(tmp_path: Path) -> None:
    folder, tracked = RunFolder(tmp_path / "run"), Tracked()
    trained(folder, TrainingObserver(), "tracking.log_model=true", tracked=tracked)
    (logged,) = tracked.models
    images, outputs = logged["example"], torch.from_numpy(logged["outputs"])
    assert images.shape == (2, 1, 32, 32)
    assert images.dtype == np.uint8
    assert outputs.shape == (2, 10)
    torch.testing.assert_close(outputs.sum(dim=1), torch.ones(2))
    assert (outputs >= 0).all()
    with torch.inference_mode():
        again = logged["model"](torch.from_numpy(images))
        logits = logged["model"].model(torch.from_numpy(images))
    torch.testing.assert_close(again, outputs)
    torch.testing.assert_close(logits.softmax(dim=1), outputs)
    assert "network.txt" in tracked.texts


def test_trial_of_a_search_leaves_results_but_no_pictures_and_no_model(tmp_path: Path) -> None:
    folder, tracked = RunFolder(tmp_path / "run"), Tracked()
    trained(folder, QUIET, "tracking.log_model=true", tracked=tracked)
    assert folder.has_results()
    assert not (folder.path / "pictures").exists()
    assert (tracked.models, tracked.texts) == ([], ["remarks.txt"])  # noise leaves most units dead


# What the model does not take.

RESTORE, OWN = (
    "end with a step that restores it, or change input_shape",
    "remove steps such as Normalize or ToFloat",
)
SHAPES = "its steps turn images of data.shape {} into {}, and model {} takes input_shape {}"
RESIZE, CROP = "albumentations.Resize", "albumentations.RandomCrop"
TOO_LARGE = "[{_target_: albumentations.RandomCrop, height: 64, width: 64}]"
GREY, BRAIN = (1, 32, 32), (1, 32, 48)
REFUSED = [
    # overrides, the problem, the way out
    ([step(RESIZE, height=16, width=24)], SHAPES.format(GREY, (1, 16, 24), "lenet5", GREY), RESTORE),
    # it could, but is not tested so
    (["model=resnet20", step(RESIZE, height=16, width=16)],
     SHAPES.format(GREY, (1, 16, 16), "resnet20", GREY), RESTORE),
    ([step("albumentations.ToFloat", p=1.0)],
     "its steps turn bytes into torch.float32, which preprocess does itself", OWN),
    # halves to 15 rows, which cannot be joined
    ([*DENSE, step(CROP, height=30, width=30)], SHAPES.format(BRAIN, (1, 30, 30), "unet_small", BRAIN), RESTORE),
    ([step("albumentations.Sequential", transforms=TOO_LARGE)],
     "a step refuses the images of data.shape: Crop size (height, width) exceeds image dimensions", "change that step"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "problem", "hint"), REFUSED)
def test_augmentation_that_the_model_does_not_take_is_refused(
    overrides: list[str], problem: str, hint: str, tmp_path: Path
) -> None:
    text = "" if problem.startswith("a step refuses") else f"augmentation: {problem}; {hint}"
    with refused("augmentation", hint=hint, text=text) as caught:
        check(overrides, tmp_path)
    assert caught.value.problem.startswith(problem)  # that of a library goes on


def test_crops_that_a_mean_image_does_not_fit_are_refused(tmp_path: Path) -> None:
    with refused("preprocess", got=(16, 16), hint="preprocess=channel_mean"):
        check([*DENSE, "preprocess=mean_image", step(CROP, height=16, width=16)], tmp_path)


@pytest.mark.parametrize(("num_images", "devices"), [(1, 1), (2, 2)])
def test_one_image_for_a_batch_norm_is_refused(num_images: int, devices: int) -> None:
    overrides = [f"trainer.devices={devices}", "trainer.strategy=ddp"]
    text = (
        "data: the training split leaves one image to each process, over which batch norms cannot normalise, "
        f"got {num_images}; add images, or set model.norm=instance or model.norm={{group: 8}}"
    )
    with refused("data", got=num_images, text=text):
        check_count(compose([*overrides, "model=resnet20"]), num_images)
    check_count(compose([*overrides, "model=resnet20"]), num_images + 1)
    check_count(compose([*overrides, "model=lenet5"]), num_images)


def test_odd_number_of_images_in_batches_of_two_trains_batch_norms(tmp_path: Path) -> None:
    layers = "model.layers=[flatten,{linear: 8, norm: batch}]"
    norm = ["trainer.batch_size=2", layers, "model.head=[{linear: outputs}]"]
    assert trained(RunFolder(tmp_path / "run"), QUIET, *norm, num_images=7)
    with refused("data", got=1):
        trained(RunFolder(tmp_path / "other" / "run"), QUIET, *norm, num_images=1)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["augmentation=jitter"],
        ["data.shape=[1,40,40]", "input_shape=[1,32,32]", "augmentation=crop"],
        [*DENSE, step("albumentations.RandomCrop", height=16, width=16)],
    ],
    ids=["none", "jitter", "crop of a larger image", "crops of masks"],
)
def test_augmentation_that_fits_is_not(overrides: list[str], tmp_path: Path) -> None:
    check(overrides, tmp_path)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3.0, [1, 2, 3, 4, 5, 6]), (0.4, [3, 6]), (0.01, [])],
    ids=["long epochs", "short epochs", "tiny epochs"],
)
def test_mlflow_is_told_of_short_epochs_together(
    seconds: float, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
    log: Any = Tracked()
    declaration = compose(["trainer.progress=false"])
    watched = Watched("val/accuracy", 1, [], has_batch_norms=False, is_averaged=False, num_val=9)
    report = EpochReport(
        declaration, Selection("accuracy", "max", None), log, TrainingObserver(), Remarks(watched)
    )
    history: list[dict[str, float]] = []
    for epoch in range(6):
        now[0] += seconds
        history.append({"epoch": float(epoch), "val/accuracy": 0.5, "train/loss": 1 / (1 + epoch)})
        report(history)
    assert log.told == told

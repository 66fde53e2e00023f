"""Weights of classes in the loss: torch's weighted mean, and balanced weights as scikit-learn computes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.classification.task import Classification
from pipeline.tasks.demands import load_demands
from pipeline.tasks.segmentation.task import Segmentation
from pipeline.tasks.weights import balance
from pipeline.training.assemble import build_task
from tests.refusals import refused
from tests.training.fitting import QUIET, Tracked, trained

NAMES = ["cat", "dog", "eel"]
WEIGHTS = {"cat": 0.5, "eel": 4.0}
VECTOR = torch.tensor([0.5, 1.0, 4.0])
EIGHT = "data.classes=['0','1','2','3','4','5','6','7']"


class Training:
    """A training split of which only the counts are known."""

    def __init__(self, counts: list[int] | None) -> None:
        self.counts = counts

    def count(self) -> list[int]:
        assert self.counts is not None, "nothing is to be counted"
        return self.counts

    def targets(self) -> np.ndarray[Any, Any]:
        raise AssertionError


def classify(weights: Any, *, smoothing: float = 0.0) -> Classification:
    return Classification(classes=NAMES, label_smoothing=smoothing, class_weights=weights)


def segment(weights: Any) -> Segmentation:
    return Segmentation(
        classes=NAMES,
        background="cat",
        ignore_label=255,
        dice_weight=0.0,
        dice_background=True,
        class_weights=weights,
    )


def draw(*shape: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    outputs = torch.randn(shape[0], 3, *shape[1:], generator=random)
    return outputs, torch.randint(0, 3, shape, generator=random, dtype=torch.uint8)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("count", [1, 7, 32])
def test_loss_of_labels_is_torchs_weighted_mean(count: int, smoothing: float) -> None:
    outputs, labels = draw(count)
    wanted = nn.CrossEntropyLoss(weight=VECTOR, label_smoothing=smoothing)(outputs, labels.long())
    found = classify(WEIGHTS, smoothing=smoothing).loss(outputs, {"target": labels})
    torch.testing.assert_close(found, wanted)


def test_loss_of_mixed_images_is_the_mean_of_both_weighted_losses() -> None:
    outputs, labels = draw(8)
    partners, loss = labels.flip(0), nn.CrossEntropyLoss(weight=VECTOR)
    batch = {"target": labels, "partner": partners, "weight": torch.tensor(0.3)}
    wanted = 0.3 * loss(outputs, labels.long()) + 0.7 * loss(outputs, partners.long())
    torch.testing.assert_close(classify(WEIGHTS).loss(outputs, batch), wanted)


def test_loss_of_masks_is_torchs_weighted_mean_over_pixels_that_count() -> None:
    outputs, masks = draw(2, 4, 5)
    masks[0, :2] = 255
    wanted = nn.CrossEntropyLoss(weight=VECTOR, ignore_index=255)(outputs, masks.long())
    torch.testing.assert_close(segment(WEIGHTS).loss(outputs, {"target": masks}), wanted)


@pytest.mark.parametrize("weights", ["none", WEIGHTS])
def test_loss_of_masks_of_which_no_pixel_counts_is_0(weights: Any) -> None:
    outputs, masks = draw(1, 2, 2)
    assert float(segment(weights).loss(outputs, {"target": torch.full_like(masks, 255)})) == 0


@pytest.mark.parametrize("counts", [[3, 3, 3], [90, 9, 1], [1, 1000, 5]])
def test_balanced_weights_are_those_of_scikit_learn(counts: list[int]) -> None:
    labels = np.repeat(np.arange(3), counts)
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    found = balance(counts, NAMES, what="images")
    assert list(found) == NAMES
    np.testing.assert_allclose(list(found.values()), wanted)
    assert sum(count * weight for count, weight in zip(counts, found.values(), strict=True)) == pytest.approx(
        sum(counts)
    )


@pytest.mark.parametrize(("kind", "shape"), [("label", (200,)), ("mask", (130, 3, 5))])
def test_classes_are_counted_whatever_is_ignored_left_out(kind: str, shape: tuple[int, ...]) -> None:
    targets = np.random.default_rng(0).integers(0, 3, shape, np.uint8)
    wanted = [int((targets == index).sum()) for index in range(3)]
    if kind == "mask":
        targets = np.concatenate([targets, np.full((1, *shape[1:]), 255, np.uint8)])
    assert load_kind(kind).count(targets, 3) == wanted


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_balanced_weights_are_resolved_from_the_training_split_alone(task: str) -> None:
    data = "brain" if task == "segmentation" else "digits"
    model = ["model=unet_small"] if task == "segmentation" else []
    declaration = compose([f"data={data}", f"task={task}", *model, "task.class_weights=balanced"])
    demands, classes = load_demands(declaration.task), declaration.data.classes
    counts = list(range(1, len(classes) + 1))
    resolved = demands.resolve(declaration.task, declaration.data, Training(counts))
    what = {"classification": "images", "segmentation": "pixels"}[task]
    assert resolved == {**declaration.task, "class_weights": balance(counts, classes, what=what)}
    build_task(declaration, resolved)
    with refused("task.class_weights", got="balanced", hint="state weights by name") as caught:
        demands.resolve(declaration.task, declaration.data, Training([0, *counts[1:]]))
    assert f"no {what} of the training split are of class '{classes[0]}'" in str(caught.value)


def test_settings_without_balanced_weights_count_nothing() -> None:
    for setting in ("none", "{3: 2.0}"):
        declaration = compose([f"task.class_weights={setting}"])
        resolved = load_demands(declaration.task).resolve(declaration.task, declaration.data, Training(None))
        assert resolved == declaration.task


def test_task_with_balanced_weights_predicts_without_the_training_split_but_has_no_loss() -> None:
    task = build_task(compose(["task.class_weights=balanced"]))
    outputs = torch.randn(2, 10)
    torch.testing.assert_close(task.decode(outputs), outputs.softmax(dim=1))
    with pytest.raises(AssertionError, match="resolved first"):
        task.loss(outputs, {"target": torch.zeros(2, dtype=torch.uint8)})


ALLOWED = "none, balanced or weights such as {cat: 1, dog: 2.5}"


@pytest.mark.parametrize(
    ("weights", "path", "told"),
    [
        ("even", "task.class_weights",
         {"got": "even", "allowed": ALLOWED, "text": f"task.class_weights must be {ALLOWED}, got 'even'"}),
        ("{}", "task.class_weights", {"got": {}, "allowed": ALLOWED}),
        ("{3: 0}", "task.class_weights.3", {"got": 0, "allowed": "above 0"}),
        ("{3: -1.0}", "task.class_weights.3", {"got": -1.0, "allowed": "above 0"}),
        ("{3: 1.0, 12: 2.0}", "task.class_weights", {"got": 12, "allowed": [str(n) for n in range(10)]}),
        ("{3: heavy}", "task.class_weights", {"allowed": "str | dict[str, float]"}),
    ],
)  # fmt: skip
def test_weights_that_fit_no_class_or_are_none_are_refused(
    weights: str, path: str, told: dict[str, Any]
) -> None:
    with refused(path, **told):
        compose([f"task.class_weights={weights}"])


def test_interrupted_training_of_balanced_classes_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, parts = (RunFolder(tmp_path / name / "run") for name in ("whole", "parts"))
    settings = ["task.class_weights=balanced", "trainer.sampler=balanced", "data.classes=['0','1','2']"]
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 2], np.uint8)
    assert trained(whole, QUIET, *settings, tracked=Tracked(), labels=labels)
    stops = TrainingObserver(log_artifacts=False, should_stop=lambda history: len(history) == 2)
    assert not trained(parts, stops, *settings, labels=labels)
    assert trained(parts, QUIET, *settings, tracked=Tracked(), labels=labels)
    found, wanted = (torch.load(folder.path / "weights.pt", weights_only=True) for folder in (parts, whole))
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_training_with_balanced_weights_says_and_logs_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked = Tracked()
    assert trained(
        RunFolder(tmp_path / "runs" / "a"), TrainingObserver(), "task.class_weights=balanced", EIGHT,
        "trainer.max_epochs=1", "tracking.log_model=false", tracked=tracked,
    )  # fmt: skip
    said = capsys.readouterr().err
    assert "task.class_weights=balanced: 0 1, 1 1, 2 1, 3 1, 4 1, 5 1, 6 1, 7 1\n" in said
    assert "resolved_task.txt" in tracked.texts

"""More classes than a byte tells apart: labels take as many bytes as they need, up to the batches and scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.batches import PreparedSplit
from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.targets.label import KIND
from pipeline.errors import ConfigError
from pipeline.tasks import intervals
from pipeline.tasks.classification import task as task_module
from pipeline.tasks.classification.task import Classification
from pipeline.tasks.segmentation.demands import DEMANDS as SEGMENTATION
from pipeline.tasks.segmentation.task import Segmentation
from tests.makers import data_section, encode, write_files


@pytest.mark.parametrize(
    ("num_classes", "dtype"),
    [(2, "|u1"), (255, "|u1"), (256, "|u1"), (257, "<i2"), (32_768, "<i2"), (32_769, "<i4"), (70_000, "<i4")],
)
def test_labels_have_the_smallest_type_that_holds_them(num_classes: int, dtype: str) -> None:
    facts = Facts(**data_section("images", classes=[*map(str, range(num_classes))]))
    assert KIND.dtype(facts).str == dtype


def test_labels_of_three_hundred_classes_reach_loss_and_scores(tmp_path: Path) -> None:
    classes = [f"c{index:03}" for index in range(300)]
    random = np.random.default_rng(0)
    files = {
        f"{split}/{name}/{split}.png": encode(random.integers(0, 256, (4, 4), dtype=np.uint8))
        for name in classes
        for split in ("train", "val")
    }
    root = write_files(tmp_path / "data.zip", files)
    facts = Facts(**data_section(root, classes=classes, shape=[1, 4, 4]))
    write_prepared(facts, tmp_path, data_digest="")
    prepared = Prepared.open(tmp_path, facts)
    targets = prepared.targets("train")
    assert targets.dtype == np.int16
    np.testing.assert_array_equal(targets, np.arange(300))
    batch = PreparedSplit(prepared.images("train"), targets, prepared.kind)[0, [0, 299, 256]]
    assert batch["target"].tolist() == [0, 299, 256]
    task = Classification(classes=classes, label_smoothing=0.1, class_weights="none")
    outputs = torch.eye(300)[batch["target"].long()] * 50
    assert task.loss(outputs, batch) == pytest.approx(0.1 * 50 * 299 / 300, abs=1e-3)
    assert task.scores(task.evidence(outputs, batch).numpy())["accuracy"] == 1


@pytest.mark.parametrize("num_classes", [2, 7, 40])
def test_auroc_counts_the_same_for_few_and_for_many_positives(
    num_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, (120, num_classes)) / 5  # many ties
    evidence = np.column_stack([scores, random.integers(0, num_classes, 120)])
    found = []
    for few in (0, 10, 1000):
        monkeypatch.setattr(task_module, "FEW_POSITIVES", few)
        found.append(task_module.auroc(evidence))
    assert found[0] == found[1] == found[2]


def test_scores_that_take_too_long_to_resample_have_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    def scores(evidence: Any) -> dict[str, float]:
        return {"accuracy": float(evidence[:, 0].mean()), "other": float(evidence.mean())}

    evidence = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(float)
    for most, has_interval in ((120, True), (119, False)):
        monkeypatch.setattr(intervals, "MOST_NUMBERS", most)
        found = intervals.with_intervals(scores, evidence, seed=0, shares=["accuracy"])
        assert not np.isnan(found["accuracy"]["low"])
        assert np.isnan(found["other"]["low"]) != has_interval


@pytest.mark.parametrize(("num_classes", "num_scores"), [(2, 4), (3, 12), (21, 84), (22, 4), (255, 4)])
def test_masks_of_many_classes_have_scores_of_their_means_alone(num_classes: int, num_scores: int) -> None:
    classes = [f"c{index}" for index in range(num_classes)]
    facts = Facts(**data_section("images", format="image_masks", classes=classes, background="c0"))
    task = Segmentation(
        classes=classes,
        background="c0",
        ignore_label=None,
        dice_weight=1.0,
        dice_background=True,
        class_weights="none",
    )
    titles = SEGMENTATION.scores(facts)
    assert list(task.scores(np.ones((2, 3 * num_classes)))) == list(titles)
    assert len(titles) == num_scores


def test_message_lists_some_of_a_thousand_names() -> None:
    names = [f"c{index:04}" for index in range(1000)]
    error = ConfigError.unknown("data.classes", "c0777x", names, what="class")
    assert error.hint.startswith("did you mean 'c0777'? allowed: c0000, ")
    assert error.hint.endswith(", c0059 and 940 more")
    assert error.allowed == names

"""More classes than a byte tells apart: labels take as many bytes as they need, up to the batches and scores."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.batches import PreparedSplit
from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.targets.label import KIND
from pipeline.tasks.classification.task import Classification
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
    task = Classification(classes=classes, label_smoothing=0.1)
    outputs = torch.eye(300)[batch["target"].long()] * 50
    assert task.loss(outputs, batch) == pytest.approx(0.1 * 50 * 299 / 300, abs=1e-3)
    assert task.scores(task.evidence(outputs, batch).numpy())["accuracy"] == 1

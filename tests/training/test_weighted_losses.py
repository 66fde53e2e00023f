"""Losses of weighted classes and of ignored pixels: means over what they are means of, whatever the batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pipeline.tasks.classification.task import Classification
from pipeline.tasks.segmentation.task import Segmentation
from pipeline.tasks.task import Task
from pipeline.training.learner import Batch
from tests.training.test_learner import fit, make_model, pytestmark  # noqa: F401

WEIGHTS: Any = {"a": 0.25, "b": 3.0, "c": 10.0}
WEIGHTED = [
    Classification(classes=["a", "b", "c"], label_smoothing=0.1, class_weights=WEIGHTS),
    *(
        Segmentation(
            classes=["a", "b", "c"],
            background="a",
            ignore_label=2,
            dice_weight=0.0,
            dice_background=True,
            class_weights=weights,
        )
        for weights in (WEIGHTS, "none")
    ),
]


class Masks(nn.Module):
    """Outputs for each pixel of grey images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        outputs: Tensor = self.layer(image)
        return outputs


@pytest.mark.parametrize("task", WEIGHTED, ids=["labels", "masks", "ignored pixels"])
def test_losses_of_weighted_classes_do_not_depend_on_the_batch_size(task: Task, tmp_path: Path) -> None:
    is_dense = isinstance(task, Segmentation)
    generator = torch.manual_seed(3)
    images = torch.randn(7, 1, 2, 2, generator=generator)
    targets = torch.randint(0, 3, (7, 2, 2) if is_dense else (7,), generator=generator)
    targets[:2] = 2  # a batch in which no pixel counts
    samples: Any = [{"image": image, "target": target} for image, target in zip(images, targets, strict=True)]
    model = Masks() if is_dense else make_model()
    wanted = float(task.loss(model(images).detach(), {"target": targets}))
    for size in (1, 2, 3, 7):
        loader: DataLoader[Batch] = DataLoader(samples, batch_size=size, generator=torch.Generator())
        row = fit(tmp_path / str(size), model, epochs=1, rate=0.0, task=task, batches=(loader, loader))[0]
        assert (row["train/loss"], row["val/loss"]) == pytest.approx((wanted, wanted), rel=1e-5)


def test_loss_of_masks_of_which_no_pixel_counts_is_0(tmp_path: Path) -> None:
    samples: Any = [{"image": torch.ones(1, 2, 2), "target": torch.full((2, 2), 2)}] * 2
    loader: DataLoader[Batch] = DataLoader(samples, generator=torch.Generator())
    row = fit(tmp_path, Masks(), epochs=1, task=WEIGHTED[1], batches=(loader, loader))[0]
    assert (row["train/loss"], row["val/loss"]) == (0, 0)

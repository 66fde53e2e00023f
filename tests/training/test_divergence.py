"""Training that diverged is refused: neither its weights nor its scores are kept."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.tasks.segmentation.task import Segmentation
from pipeline.training.learner import Batch
from tests.refusals import refused
from tests.training.test_learner import fit, make_model, pytestmark  # noqa: F401


@pytest.mark.parametrize("rate", [1e38, math.inf])
def test_diverged_loss_is_refused(rate: float, tmp_path: Path) -> None:
    hint = "lower it, or set trainer.gradient_clip"
    with refused("optimizer.lr", got=rate, hint=hint) as caught:
        fit(tmp_path, make_model(), epochs=3, rate=rate)
    wanted = r"optimizer\.lr: training diverged: the loss( of validation images)? is (nan|inf) in epoch \d"
    assert re.fullmatch(wanted + re.escape(f", got {rate}; {hint}"), str(caught.value))


def test_diverged_segmentation_is_refused_too(tmp_path: Path) -> None:
    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(math.nan))

        def forward(self, image: Tensor) -> Tensor:
            return self.scale * image.expand(-1, 3, -1, -1)

    class Masks(Segmentation):
        def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
            return super().loss(outputs, self.masked(batch))

        def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
            return super().evidence(outputs, self.masked(batch))

        @staticmethod
        def masked(batch: Batch) -> Batch:
            return {**batch, "target": batch["target"][:, None, None].expand(-1, 2, 2)}

    task = Masks(
        classes=["a", "b", "c"],
        background="a",
        ignore_label=None,
        dice_weight=1.0,
        dice_background=True,
        class_weights="none",
    )
    with refused("optimizer.lr", got=0.1) as caught:
        fit(tmp_path, Pixels(), epochs=1, task=task)
    assert caught.value.problem == "training diverged: the loss is nan in epoch 0"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_break_in_the_last_step_are_neither_scored_nor_kept(
    value: float, tmp_path: Path
) -> None:
    class Breaking(nn.Linear):
        def forward(self, image: Tensor) -> Tensor:
            outputs = super().forward(image)
            return outputs if self.training else outputs + torch.tensor([0.0, 0.0, value])

    torch.manual_seed(0)
    with refused("optimizer.lr", hint="lower it, or set trainer.gradient_clip") as caught:
        fit(tmp_path, nn.Sequential(nn.Flatten(), Breaking(4, 3)), epochs=2)
    assert caught.value.problem == "training diverged: the loss of validation images is nan in epoch 0"
    assert not list(tmp_path.glob("*.ckpt"))

"""Training that diverged is refused, with the layer and the images that it began at; nothing of it is kept."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pipeline.tasks.classification.task import Classification
from pipeline.tasks.segmentation.task import Segmentation
from pipeline.training.divergence import IMAGES, Diverged, Origin, find_origin
from pipeline.training.layer_names import name_layer
from pipeline.training.learner import Batch
from tests.refusals import refused
from tests.training.test_learner import fit, make_model, pytestmark  # noqa: F401

HINT = "lower it, or set trainer.gradient_clip or trainer.on_divergence=halve"


@pytest.mark.parametrize("rate", [1e38, math.inf])
def test_diverged_loss_is_refused(rate: float, tmp_path: Path) -> None:
    with refused("optimizer.lr", got=rate, hint=HINT) as caught:
        fit(tmp_path, make_model(), epochs=3, rate=rate)
    wanted = (
        r"optimizer\.lr: training diverged: the loss( of validation images)? is (nan|inf) in (step \d of )?epoch 1, "
        r"(where the output of 1 \(Linear\) is the first that is|as the weights of 1 \(Linear\) are) not finite"
    )
    assert re.fullmatch(wanted + re.escape(f", got {rate}; {HINT}"), str(caught.value))


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
    problem = (
        "training diverged: the loss is nan in step 1 of epoch 1, as the weights of Pixels are not finite"
    )
    assert caught.value.problem == problem


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_break_in_the_last_step_are_neither_scored_nor_kept(
    value: float, tmp_path: Path
) -> None:
    class Breaking(nn.Linear):
        def forward(self, image: Tensor) -> Tensor:
            outputs = super().forward(image)
            return outputs if self.training else outputs + torch.tensor([0.0, 0.0, value])

    torch.manual_seed(0)
    with refused("optimizer.lr", hint=HINT) as caught:
        fit(tmp_path, nn.Sequential(nn.Flatten(), Breaking(4, 3)), epochs=2)
    assert caught.value.problem == (
        "training diverged: the loss of validation images is nan in epoch 1, where the output of 1 (Breaking) is the "
        "first that is not finite"
    )
    assert not list(tmp_path.glob("*.ckpt"))


def batches_with_black(split: int) -> DataLoader[Batch]:
    """Return batches of two of six images, of which the fourth is black, with their indices."""
    images = torch.rand(6, 1, 2, 2, generator=torch.manual_seed(split)) + 0.1
    images[3] = 0
    samples: Any = [{"image": image, "target": i % 3, "index": i} for i, image in enumerate(images)]
    return DataLoader(samples, batch_size=2, generator=torch.Generator())


class Divides(nn.Module):
    """Divide each image by its brightest pixel."""

    def __init__(self, *, splits: tuple[bool, ...]) -> None:
        super().__init__()
        self.splits = splits

    def forward(self, x: Tensor) -> Tensor:
        return x / x.amax(dim=1, keepdim=True) if self.training in self.splits else x


@pytest.mark.parametrize(("in_training", "split"), [(True, "train"), (False, "val")])
def test_layer_and_image_of_a_division_by_zero_are_named(
    in_training: bool, split: str, tmp_path: Path
) -> None:
    model = make_model(nn.ReLU(), Divides(splits=(in_training,)))
    with refused("optimizer.lr") as caught:
        fit(tmp_path, model, epochs=1, batches=(batches_with_black(1), batches_with_black(2)))
    assert isinstance(caught.value, Diverged)
    assert caught.value.origin == Origin("2 (Divides)", split=split, images=(3,))
    assert (
        f"{IMAGES[split]} d.png"
        in caught.value.with_files(lambda _: ["a.png", "b.png", "c.png", "d.png"]).problem
    )
    assert ("step 2 of epoch 1" in caught.value.problem) == in_training


def test_weights_that_a_gradient_breaks_are_named_with_the_images_of_that_step(tmp_path: Path) -> None:
    class Root(nn.Module):
        """Its gradient at 0 is infinite, and its output is not."""

        def forward(self, x: Tensor) -> Tensor:
            return (x - x.detach()).abs().sqrt() + x

    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), Root(), nn.Linear(4, 3))
    with refused("optimizer.lr") as caught:
        fit(tmp_path, model, epochs=1, batches=(batches_with_black(1), batches_with_black(2)))
    assert isinstance(caught.value, Diverged)
    assert caught.value.origin == Origin("1 (Linear)", has_broken_weights=True, images=(0, 1))
    assert "in step 2 of epoch 1, as the weights of 1 (Linear) are not finite" in caught.value.problem


def test_loss_that_alone_is_not_finite_is_told_from_outputs_that_are_not(tmp_path: Path) -> None:
    class Infinite(Classification):
        def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
            return super().loss(outputs, batch) / 0

    task = Infinite(classes=["a", "b", "c"], label_smoothing=0.0, class_weights="none")
    with refused("optimizer.lr") as caught:
        fit(
            tmp_path,
            make_model(),
            epochs=1,
            task=task,
            batches=(batches_with_black(1), batches_with_black(2)),
        )
    assert isinstance(caught.value, Diverged)
    assert caught.value.problem == "training diverged: the loss is inf in step 1 of epoch 1"
    assert caught.value.origin == Origin(images=(0, 1))


def test_hooks_are_removed_again() -> None:
    model = make_model()
    found = find_origin(model, list(batches_with_black(1)), split="train", places={}, last_step=None)
    assert found == Origin(images=(4, 5))
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_are_named_by_their_place() -> None:
    places = {"network.layers.0": "layers[0] (conv 6, 5x5)", "network.head": "head[0] (linear 10)"}
    assert name_layer("network.head", nn.Linear(1, 1), places) == "head[0] (linear 10)"
    assert name_layer("network.layers.0.1", nn.ReLU(), places) == "the ReLU of layers[0] (conv 6, 5x5)"
    assert name_layer("preprocess", nn.ReLU(), places) == "preprocess (ReLU)"
    assert name_layer("", nn.ReLU(), places) == "ReLU"

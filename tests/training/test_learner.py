"""The learner: what it keeps of an epoch, and that a resumed run is the run that was never interrupted."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from pipeline.tasks.classification.task import Classification
from pipeline.tasks.task import Task
from pipeline.training.learner import Batch, Learner, Row

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*number of training batches.*"),
    pytest.mark.filterwarnings("ignore:.*Checkpoint directory .* exists and is not empty.*"),
]

TASK = Classification(classes=["a", "b", "c"], label_smoothing=0.0, class_weights="none")
CONSTANT = partial(ConstantLR, factor=1.0)
MakeScheduler = Callable[[Optimizer], LRScheduler]


class Draws(nn.Module):
    """Pass images on; keep a random number per training batch, as dropout would draw it."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def forward(self, image: Tensor) -> Tensor:
        if self.training:
            self.drawn.append(float(torch.rand(1)))
        return image


def make_model(*extra: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), *extra, nn.Linear(4, 3))


def make_batches(*, seed: int, count: int = 5, batch_size: int = 2) -> DataLoader[Batch]:
    """Five samples in batches of two: the last batch is smaller."""
    generator = torch.manual_seed(seed)
    images, targets = torch.randn(count, 1, 2, 2, generator=generator), torch.arange(count) % 3
    samples: Any = [{"image": image, "target": target} for image, target in zip(images, targets, strict=True)]
    # A loader without a generator takes its seed from torch's global one, in between the learner's draws.
    return DataLoader(samples, batch_size=batch_size, generator=torch.Generator())


def fit(
    folder: Path,
    model: nn.Module,
    *,
    epochs: int,
    rate: float = 0.1,
    schedule: MakeScheduler = CONSTANT,
    seed: int = 0,
    task: Task = TASK,
    resumes: bool = False,
    on_epoch: Callable[[list[Row]], bool] = lambda _: False,
    batches: tuple[DataLoader[Batch], DataLoader[Batch]] | None = None,
) -> list[Row]:
    def make_optimizer(parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=rate, momentum=0.9)

    learner = Learner(
        model,
        task=task,
        make_optimizer=make_optimizer,
        make_scheduler=schedule,
        seed=seed,
        on_epoch=on_epoch,
    )
    last = ModelCheckpoint(
        folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=[last],
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(
        learner,
        *(batches or (make_batches(seed=1), make_batches(seed=2))),
        ckpt_path=folder / "last.ckpt" if resumes else None,
    )
    return learner.history


def without_clock(history: list[Row]) -> list[Row]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def outputs_of(model: nn.Module, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    batches = list(make_batches(seed=seed))
    with torch.inference_mode():
        outputs = model(torch.cat([batch["image"] for batch in batches]))
    return outputs, {"target": torch.cat([batch["target"] for batch in batches])}


def test_row_holds_the_means_over_samples_and_the_scores_of_all(tmp_path: Path) -> None:
    model = make_model()
    row = fit(tmp_path, model, epochs=1, rate=0.0)[0]  # the weights stay, so all can be worked out afterwards
    train, val = outputs_of(model, 1), outputs_of(model, 2)
    scores = TASK.scores(TASK.evidence(*val).numpy())
    watched = {f"watch/{name}" for name in ("gradient_norm", "update_ratio", "largest_loss")}
    measured = {"train/loss", "val/loss", *(f"val/{s}" for s in scores)}
    assert row.keys() == {"epoch", "lr", "seconds", *measured, *watched}
    assert row["train/loss"] == pytest.approx(float(TASK.loss(*train)), rel=1e-5)
    assert row["val/loss"] == pytest.approx(float(TASK.loss(*val)), rel=1e-5)
    assert {name: row[f"val/{name}"] for name in scores} == pytest.approx(scores, rel=1e-5)
    assert (row["epoch"], row["lr"]) == (0, 0)
    assert row["seconds"] > 0


def test_history_is_told_after_each_epoch(tmp_path: Path) -> None:
    told: list[list[float]] = []

    def on_epoch(history: list[Row]) -> bool:
        told.append([row["epoch"] for row in history])
        return False

    fit(tmp_path, make_model(), epochs=3, on_epoch=on_epoch)
    assert told == [[0], [0, 1], [0, 1, 2]]


def test_schedule_is_stepped_once_per_epoch(tmp_path: Path) -> None:
    history = fit(tmp_path, make_model(), epochs=4, schedule=partial(StepLR, step_size=1, gamma=0.5))
    assert [row["lr"] for row in history] == pytest.approx([0.1, 0.05, 0.025, 0.0125])


def test_plateau_schedule_follows_the_validation_loss(tmp_path: Path) -> None:
    class Scripted(Classification):
        losses = iter(np.repeat([3, 2, 2.5, 1, 1.5, 1], 3).tolist())  # three batches an epoch

        def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
            if torch.is_grad_enabled():
                return super().loss(outputs, batch)
            return torch.tensor(next(self.losses))

    task = Scripted(classes=["a", "b", "c"], label_smoothing=0.0, class_weights="none")
    plateau = partial(ReduceLROnPlateau, factor=0.5, patience=0)
    history = fit(tmp_path, make_model(), epochs=6, schedule=plateau, task=task)
    assert [row["val/loss"] for row in history] == [3, 2, 2.5, 1, 1.5, 1]
    assert [row["lr"] for row in history] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.025])


@pytest.mark.parametrize(
    "schedule",
    [
        partial(CosineAnnealingLR, T_max=4),
        partial(StepLR, step_size=3, gamma=0.1),
        partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=1e6, threshold_mode="abs"),
    ],
    ids=["cosine", "step", "plateau"],
)
def test_resumed_run_equals_one_that_was_never_interrupted(schedule: MakeScheduler, tmp_path: Path) -> None:
    whole_model, model = make_model(nn.Dropout(0.5)), make_model(nn.Dropout(0.5))
    whole = fit(tmp_path / "whole", whole_model, epochs=4, schedule=schedule)
    fit(tmp_path / "parts", model, epochs=2, schedule=schedule)
    torch.manual_seed(123)  # another process would be in another random state
    resumed_model = make_model(nn.Dropout(0.5))
    resumed = fit(tmp_path / "parts", resumed_model, epochs=4, schedule=schedule, resumes=True)
    assert without_clock(resumed) == without_clock(whole)
    torch.testing.assert_close(resumed_model.state_dict(), whole_model.state_dict(), rtol=0, atol=0)


def test_run_that_was_told_to_stop_keeps_its_epoch_and_can_go_on(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", make_model(), epochs=4)
    stopped = fit(tmp_path / "parts", make_model(), epochs=4, on_epoch=lambda history: len(history) == 2)
    assert without_clock(stopped) == without_clock(whole[:2])
    kept = torch.load(tmp_path / "parts" / "last.ckpt", weights_only=True)
    assert (kept["epoch"], kept["history"]) == (1, stopped)
    resumed = fit(tmp_path / "parts", make_model(), epochs=4, resumes=True)
    assert without_clock(resumed) == without_clock(whole)


def test_draws_depend_on_seed_and_epoch_alone(tmp_path: Path) -> None:
    drawn = []
    for seed, noise in ((0, 1), (0, 2), (5, 1)):
        draws = Draws()
        model = make_model(draws)
        torch.manual_seed(noise)
        fit(tmp_path, model, epochs=2, seed=seed)
        drawn.append(draws.drawn)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0] + drawn[2])) == 12  # three batches, two epochs, two seeds: never the same twice


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    losses = [row["train/loss"] for row in fit(tmp_path, make_model(), epochs=10)]
    assert np.all(np.diff(losses)[:2] < 0)
    assert losses[-1] < losses[0]


def mixed_batch(weight: float) -> Batch:
    """Return four images that count for their target by a weight, and for their partner by the rest."""
    images = torch.randn(4, 1, 2, 2, generator=torch.manual_seed(1))
    targets, partners = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 1, 0, 1])
    return {"image": images, "target": targets, "partner": partners, "weight": torch.tensor(weight)}


def learner_of(model: nn.Module) -> Learner:
    return Learner(
        model,
        task=TASK,
        make_optimizer=partial(SGD, lr=0.1),
        make_scheduler=CONSTANT,
        seed=0,
        on_epoch=lambda _: False,
    )


def test_loss_of_mixed_images_by_hand() -> None:
    class Certain(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.tensor([1.0, 2.0, 5.0]).log().expand(len(image), 3)

    # Probabilities 1/8, 1/4, 5/8: the targets 0, 1, 2, 0 cost ln 8, ln 4, ln 1.6, ln 8 and their partners 2, 1, 0, 1
    # ln 1.6, ln 4, ln 8, ln 4.
    targets, partners = math.log(8 * 4 * 1.6 * 8) / 4, math.log(1.6 * 4 * 8 * 4) / 4
    for weight in (0.0, 0.25, 1.0):
        loss = learner_of(Certain()).training_step(mixed_batch(weight), 0)
        assert float(loss.detach()) == pytest.approx(weight * targets + (1 - weight) * partners)


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_loss_of_mixed_images_is_that_of_mixed_labels(weight: float) -> None:
    """Cross-entropy is linear in the target, so both ways of Zhang et al. 2018 to write it agree."""
    model, batch = make_model(), mixed_batch(weight)
    labels = [nn.functional.one_hot(batch[key], 3).float() for key in ("target", "partner")]
    wanted = nn.functional.cross_entropy(model(batch["image"]), weight * labels[0] + (1 - weight) * labels[1])
    torch.testing.assert_close(learner_of(model).training_step(batch, 0), wanted)


def test_recorded_loss_is_that_of_the_mixed_batches() -> None:
    learner, batches = learner_of(make_model()), [mixed_batch(0.3), mixed_batch(0.8)]
    losses = [float(learner.training_step(batch, 0).detach()) for batch in batches]
    assert learner._train.value() == pytest.approx(sum(losses) / 2)
    assert losses[0] != losses[1]

"""Training that diverged goes on with half the learning rate, deterministically."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from pipeline.errors import DamagedFileError
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.divergence import Diverged, Origin, scale_rates
from pipeline.training.learner import Learner
from tests.refusals import refused
from tests.training.fitting import QUIET, Tracked, trained

# Weight decay alone drives the weights: each step multiplies them by 1 - rate * decay, which is -2.5, and grows beyond
# all numbers in about 97 steps, in the last of four epochs of 32. With half the rate it is -0.75, and they shrink.
DECAY = 3.5
PLANTED = [
    *(
        "scheduler=constant",
        "optimizer.lr=1e-3",
        f"optimizer.weight_decay={DECAY * 1e3}",
        "trainer.batch_size=2",
    ),
    *(
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
        "model.layers=[flatten]",
        "model.head=[{linear: outputs}]",
    ),
]
HALVE = [*PLANTED, "trainer.on_divergence=halve"]


def planted(folder: RunFolder, *overrides: str, observer: TrainingObserver = QUIET) -> bool:
    labels = np.arange(64, dtype=np.uint8) % 10
    return trained(folder, observer, *overrides, tracked=Tracked(), num_images=64, labels=labels)


def results(folder: RunFolder) -> dict[str, bytes]:
    names = ("weights.pt", "history.csv", "metrics.json", "result.json")
    return {name: (folder.path / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("halved") / "run")
    assert planted(folder, *HALVE)
    return folder


def test_training_stops_where_it_diverges_by_default_and_names_the_files(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with refused("optimizer.lr", got=1e-3) as caught:
        planted(folder, *PLANTED)
    assert isinstance(caught.value, Diverged)
    assert caught.value.epoch >= 2
    assert "head[0] (linear 10)" in caught.value.problem
    assert " images train/" in caught.value.problem
    assert not folder.has_results()


def test_half_the_rate_recovers_and_is_recorded(halved: RunFolder) -> None:
    history, (halving,) = halved.history(), halved.result()["halvings"]
    epoch = halving["epoch"]
    assert [row["lr"] for row in history] == [1e-3] * epoch + [5e-4] * (4 - epoch)
    assert halving["rate"] == 1e-3
    assert halving["reason"].startswith("training diverged: the loss")
    assert all(math.isfinite(value) for row in history for key, value in row.items() if key.endswith("loss"))


def test_halved_run_resumed_after_any_epoch_has_equal_results(halved: RunFolder, tmp_path: Path) -> None:
    for epochs in (1, 2, 3):
        parts = RunFolder(tmp_path / str(epochs) / "run")
        stops = TrainingObserver(log_artifacts=False, should_stop=lambda history, n=epochs: len(history) == n)
        assert not planted(parts, *HALVE, observer=stops)
        torch.manual_seed(99)
        assert planted(parts, *HALVE)
        assert results(parts) == results(halved)


def test_run_that_is_killed_in_the_epoch_that_is_repeated_has_equal_results(
    halved: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, end = RunFolder(tmp_path / "run"), Learner.on_train_epoch_end

    def killed(learner: Learner) -> None:
        if learner.halvings:
            raise RuntimeError("killed")
        end(learner)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_epoch_end", killed)
        with pytest.raises(RuntimeError, match=r"^killed$"):
            planted(folder, *HALVE)
    assert planted(folder, *HALVE)
    assert results(folder) == results(halved)


def test_training_that_diverges_with_an_eighth_of_the_rate_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hint = "it was halved 3 times; lower it further, or set trainer.gradient_clip"
    with refused("optimizer.lr", got=125.0, hint=hint) as caught:
        planted(RunFolder(tmp_path / "run"), *HALVE, "optimizer.lr=1e3", observer=TrainingObserver())
    assert isinstance(caught.value, Diverged)
    assert [each["rate"] for each in caught.value.halvings] == [1e3, 500.0, 250.0]
    said = [line for line in capsys.readouterr().err.splitlines() if "diverged" in line]
    end = "going back to the start with half the learning rate"
    assert [line.partition("(learning rate ")[2] for line in said] == [
        f"1000); {end} (1 of 3)",
        f"500); {end} (2 of 3)",
        f"250); {end} (3 of 3)",
    ]


def test_validation_image_that_no_layer_passes_is_named_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = nn.Flatten.forward

    def broken(layer: nn.Flatten, x: Tensor) -> Tensor:
        found = forward(layer, x)
        if not layer.training:
            found[1:2] = math.nan
        return found

    monkeypatch.setattr(nn.Flatten, "forward", broken)
    with refused("optimizer.lr") as caught:
        planted(RunFolder(tmp_path / "run"), *PLANTED, "trainer.batch_size=64")
    assert caught.value.problem == (
        "training diverged: the loss of validation images is nan in epoch 1, where the output of layers[0] (flatten) "
        "is the first that is not finite, for validation images val/1.png"
    )


def test_damaged_input_is_not_taken_for_divergence(tmp_path: Path) -> None:
    damage = DamagedFileError(Path("train_images.npy"), "is damaged")
    with pytest.raises(DamagedFileError):
        trained(
            RunFolder(tmp_path / "run"),
            QUIET,
            *HALVE,
            "optimizer.lr=1e3",
            tracked=Tracked(),
            num_images=64,
            labels=np.arange(64, dtype=np.uint8) % 10,
            damage=damage,
        )


BROKEN, FIRST = (
    ", as the weights of a are not finite",
    ", where the output of a is the first that is not finite",
)


@pytest.mark.parametrize(
    ("origin", "files", "text"),
    [
        (Origin(), [], ""),
        (Origin("a"), [], FIRST),
        (Origin("a", images=(0,)), ["x.png"], f"{FIRST}, for training images x.png"),
        (Origin(images=(0,)), list("pqrst"), ", for training images p, q, r and 2 more"),
        (Origin("a", has_broken_weights=True), [], BROKEN),
        (
            Origin("a", has_broken_weights=True, images=(0,)),
            ["x.png"],
            f"{BROKEN}, which the step before broke on training images x.png",
        ),
    ],
    ids=str,
)
def test_origin_is_said_in_words(origin: Origin, files: list[str], text: str) -> None:
    assert origin.sentence(files) == text


@pytest.mark.parametrize(
    "schedule",
    [
        lambda optimizer: StepLR(optimizer, step_size=2, gamma=0.1),
        lambda optimizer: OneCycleLR(optimizer, max_lr=0.8, total_steps=6),
    ],
    ids=["step", "one cycle"],
)
def test_rates_are_halved_whatever_the_schedule(schedule: Callable[[Any], Any]) -> None:
    steps: list[list[float]] = []
    for factor in (1.0, 0.5):
        weight = nn.Parameter(torch.zeros((), dtype=torch.float64))
        optimizer = SGD([weight], lr=0.4)
        if factor != 1:
            scale_rates(optimizer, factor)
        scheduler, taken = schedule(optimizer), []
        for _ in range(5):
            before = weight.item()
            weight.grad = torch.ones_like(weight)
            optimizer.step()
            taken.append(before - weight.item())
            scheduler.step()
        steps.append(taken)
    assert steps[1] == pytest.approx([step / 2 for step in steps[0]])

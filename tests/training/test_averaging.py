"""Averages of weights: their formulas, the statistics of batch norms, and that a resumed run averages the same."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.layers.containers import Auxiliary
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.assemble import build_model, build_task
from pipeline.training.averaging import MOST_BATCHES, Averaging, kept_weights, warmed_up
from pipeline.training.checkpoints import read_checkpoint
from pipeline.transforms.statistics import measure
from tests.training.fitting import QUIET, Tracked, declared, trained

NORMED = "model.layers=[{conv: 4, norm: batch},{pool: global},flatten]", "model.head=[{linear: outputs}]"


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(12, 2)
    )


def batches(epoch: int) -> list[Any]:
    generator = torch.Generator().manual_seed(epoch)
    return [{"image": torch.randn(4, 1, 2, 2, generator=generator)} for _ in range(3)]


def wander(model: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def averages(settings: dict[str, float], *, epochs: int = 4, steps: int = 3) -> tuple[Averaging, list[Any]]:
    """Average weights that move at random; return them as they were after each step, in double precision, too."""
    model, generator, seen = small(), torch.Generator().manual_seed(1), []
    averaging = Averaging(settings, max_epochs=epochs, batches=batches)
    averaging.start(model)
    for epoch in range(epochs):
        for _ in range(steps):
            wander(model, generator)
            seen.append([parameter.detach().double().clone() for parameter in model.parameters()])
            averaging.end_step(model)
        averaging.end_epoch(model, epoch)
    return averaging, seen


def parameters_of(averaging: Averaging) -> list[Tensor]:
    return [each.double() for each in averaging.scored(nn.Identity()).parameters()]


@pytest.mark.parametrize("decay", [0.999, 0.5])
def test_moving_average_is_that_of_a_plain_loop(decay: float) -> None:
    averaging, seen = averages({"ema": decay})
    wanted = seen[0]
    for step, weights in enumerate(seen[1:], start=1):
        share = min(decay, (1 + step) / (10 + step))
        wanted = [share * old + (1 - share) * new for old, new in zip(wanted, weights, strict=True)]
    torch.testing.assert_close(parameters_of(averaging), wanted, rtol=1e-5, atol=1e-6)
    assert averaging.count == len(seen)


def test_mean_of_the_last_epochs_is_that_of_a_plain_loop() -> None:
    averaging, seen = averages({"swa": 3}, epochs=5, steps=2)
    last = seen[5::2]  # after the second step of the last three epochs
    wanted = [sum(column) / 3 for column in zip(*last, strict=True)]
    assert len(last) == averaging.count == 3
    torch.testing.assert_close(parameters_of(averaging), wanted, rtol=1e-5, atol=1e-6)


def test_decay_warms_up_to_the_declared_one() -> None:
    assert [warmed_up(0.9, steps) for steps in (1, 10, 80, 1000)] == [2 / 11, 11 / 20, 0.9, 0.9]


def test_weights_are_validated_until_the_mean_begins() -> None:
    model = small()
    averaging = Averaging({"swa": 2}, max_epochs=3, batches=batches)
    averaging.start(model)
    averaging.end_epoch(model, 0)
    assert averaging.scored(model) is model
    averaging.end_epoch(model, 1)
    assert averaging.scored(model) is not model


@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"swa": 2}], ids=str)
def test_statistics_of_batch_norms_are_those_of_the_averaged_weights(settings: dict[str, float]) -> None:
    averaging, _ = averages(settings)
    found = averaging.scored(nn.Identity())
    (norm,) = [each for each in found.modules() if isinstance(each, nn.BatchNorm2d)]
    maps = [found[0](batch["image"]) for batch in batches(3)]  # type: ignore[index]
    means = torch.stack([each.mean(dim=(0, 2, 3)) for each in maps]).mean(dim=0)
    variances = torch.stack([each.var(dim=(0, 2, 3)) for each in maps]).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, means)
    torch.testing.assert_close(norm.running_var, variances)
    assert (norm.momentum, norm.training) == (0.1, False)


def test_statistics_are_measured_on_few_batches_and_draw_no_random_number() -> None:
    model, drawn = small(), []

    def endless(_: int) -> Iterable[Any]:
        while True:
            drawn.append(1)
            yield batches(0)[0]

    averaging = Averaging({"ema": 0.9}, max_epochs=1, batches=endless)
    averaging.start(model)
    averaging.end_step(model)
    before = torch.get_rng_state()
    averaging.end_epoch(model, 0)
    assert len(drawn) == MOST_BATCHES
    assert torch.equal(torch.get_rng_state(), before), "dropout is off"


def test_frozen_norms_and_those_of_auxiliary_heads_keep_their_statistics() -> None:
    side = Auxiliary(nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2)), weight=0.3)
    frozen, free = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    model = nn.Sequential(frozen, side, free)
    for norm in (frozen, side.body[0], free):
        norm.running_mean.fill_(7.0)  # type: ignore[union-attr,operator]
    averaging = Averaging({"ema": 0.9}, max_epochs=1, batches=batches, frozen=[frozen])
    averaging.start(model)
    averaging.end_step(model)
    averaging.end_epoch(model, 0)
    norms = [each for each in averaging.scored(model).modules() if isinstance(each, nn.BatchNorm2d)]
    assert [float(norm.running_mean) == 7 for norm in norms] == [True, True, False]  # type: ignore[arg-type]


def test_frozen_weights_stay_bit_for_bit() -> None:
    model = small()
    averaging, generator = Averaging({"ema": 0.9}, max_epochs=1, batches=batches), torch.Generator()
    averaging.start(model)
    before = deepcopy(model[0].weight.detach())
    for _ in range(5):
        wander(model[4], generator)
        averaging.end_step(model)
    kept = averaging.scored(model)[0].weight  # type: ignore[index]
    torch.testing.assert_close(kept, before, rtol=0, atol=0)


# Within a training.


def stop_after(epochs: int) -> TrainingObserver:
    return TrainingObserver(log_artifacts=False, should_stop=lambda history: len(history) == epochs)


def results(folder: RunFolder) -> dict[str, bytes]:
    names = ("weights.pt", "history.csv", "metrics.json", "result.json")
    return {name: (folder.path / name).read_bytes() for name in names}


AVERAGES = ["trainer.average={ema: 0.9}", "trainer.average={swa: 2}"]


@pytest.mark.parametrize("average", AVERAGES)
def test_run_resumed_after_any_epoch_equals_one_that_was_never_interrupted(
    average: str, tmp_path: Path
) -> None:
    whole = RunFolder(tmp_path / "whole" / "run")
    assert trained(whole, QUIET, average, *NORMED, tracked=Tracked())
    for epochs in (1, 2, 3):
        parts = RunFolder(tmp_path / f"after {epochs}" / "run")
        assert not trained(parts, stop_after(epochs), average, *NORMED, tracked=Tracked())
        torch.manual_seed(99)
        assert trained(parts, QUIET, average, *NORMED, tracked=Tracked())
        assert results(parts) == results(whole)


@pytest.mark.parametrize("average", AVERAGES)
def test_result_is_the_averaged_weights_and_the_checkpoint_holds_both(average: str, tmp_path: Path) -> None:
    folder, plain = RunFolder(tmp_path / "one" / "run"), RunFolder(tmp_path / "other" / "run")
    assert trained(folder, QUIET, average, *NORMED, "trainer.keep=last", tracked=Tracked())
    assert trained(plain, QUIET, *NORMED, "trainer.keep=last", tracked=Tracked())
    kept = torch.load(folder.path / "weights.pt", weights_only=True)
    last = read_checkpoint(folder.last)
    torch.testing.assert_close(kept, kept_weights(last), rtol=0, atol=0)
    raw = {key.removeprefix("model."): value for key, value in last["state_dict"].items()}
    unaveraged = torch.load(plain.path / "weights.pt", weights_only=True)
    torch.testing.assert_close(raw, unaveraged, rtol=0, atol=0)
    assert kept.keys() == raw.keys()
    assert not torch.equal(kept["network.head.0.weight"], raw["network.head.0.weight"])
    about = folder.result()["average"]
    assert about["averaged"] == {"ema": 8, "swa": 2}[next(iter(about))]
    assert "average" not in plain.result()


def test_scores_are_those_of_the_averaged_weights(tmp_path: Path) -> None:
    folder, plain = RunFolder(tmp_path / "one" / "run"), RunFolder(tmp_path / "other" / "run")
    arguments = [*NORMED, "trainer.keep=last"]
    assert trained(folder, QUIET, "trainer.average={swa: 2}", *arguments, tracked=Tracked())
    assert trained(plain, QUIET, *arguments, tracked=Tracked())
    images = torch.from_numpy(np.load(folder.path.parent / "prepared" / "val_images.npy")).permute(0, 3, 1, 2)
    train_images = np.load(folder.path.parent / "prepared" / "train_images.npy")
    model = build_model(declared(*arguments), measure([train_images], patch=None)).eval()
    model.load_state_dict(torch.load(folder.path / "weights.pt", weights_only=True))
    with torch.inference_mode():
        loss = build_task(declared(*arguments)).loss(model(images), {"target": torch.arange(8)})
    averaged, raw = (each.history() for each in (folder, plain))
    assert averaged[-1]["val/loss"] == folder.metrics()["val/loss"] == pytest.approx(float(loss), rel=1e-5)
    assert raw[-1]["val/loss"] != averaged[-1]["val/loss"]
    assert [row["train/loss"] for row in averaged] == [row["train/loss"] for row in raw]
    assert [row["val/loss"] for row in averaged[:2]] == [row["val/loss"] for row in raw[:2]]

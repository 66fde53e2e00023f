"""What is watched of a training: each figure by other means, in one step of an epoch, without changing a bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from pipeline.layers.containers import Gate
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.assemble import build_model
from pipeline.training.watching import StepWatch, watched_layers
from tests.training.fitting import QUIET, Tracked, trained


def watch_step(model: nn.Module, images: Tensor, *, rate: float = 0.1) -> dict[str, float]:
    """Take one step of the mean square of the outputs; return its figures without their prefix."""
    watch, optimizer = StepWatch(model), SGD(model.parameters(), lr=rate)
    watch.start_epoch()
    watch.start_step()
    model(images).square().mean().backward()
    watch.look_at_gradients()
    optimizer.step()
    watch.end_step()
    watch.note_loss(2.0)
    watch.note_loss(1.0)
    assert not any(module._forward_hooks for module in model.modules())
    return {key.removeprefix("watch/"): value for key, value in watch.figures().items()}


def test_gradient_and_update_by_hand() -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 1.0)
    # The output of the image 3 is 7, its square has the gradient 2 * 7 * 3 = 42 for the weight and 14 for the bias.
    figures = watch_step(model, torch.tensor([[3.0]]), rate=0.01)
    assert figures["gradient_norm"] == pytest.approx(math.hypot(42, 14))
    assert figures["update_ratio"] == pytest.approx(0.42 / 2)  # biases are left out
    assert figures["largest_loss"] == 2.0


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3, 3)], ids=["vectors", "maps"])
def test_dead_units_are_those_that_are_0_for_all_images(shape: tuple[int, ...]) -> None:
    class Scripted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 1))
            self.first, self.second = nn.ReLU(), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x * self.weight.flatten()) - 0.5)

    images = -torch.ones(shape)
    images[2, 1], images[4, 3] = (
        1.0,
        0.25,
    )  # of four units, two are on for one image each, and then one of these
    figures = watch_step(Scripted(), images)
    assert (figures["dead_units"], figures["deadest_layer"]) == (0.75, 1)


def test_saturated_outputs_are_those_at_a_limit() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Tanh(), nn.Sigmoid())
    nn.init.constant_(model[0].weight, 1.0)
    figures = watch_step(model, torch.tensor([[0.0], [1.0], [3.0], [-9.0]]))  # tanh of 3 is 0.995
    assert (figures["saturated"], figures["most_saturated_layer"]) == (0.5, 0)


def test_gates_are_not_watched() -> None:
    gate = Gate(nn.Sequential(nn.ReLU(), nn.Sigmoid()), nn.ReLU())
    model = nn.Sequential(nn.Tanh(), gate, nn.ReLU6())
    assert [path for path, _ in watched_layers(model)] == ["0", "2"]


def hidden_layer(activation: str, *more: str) -> list[str]:
    """Return the settings of a network with a hidden layer."""
    layers = f"model.layers=[flatten,{{linear: 32, activation: {activation}}}]"
    return [layers, "model.head=[{linear: outputs}]", *more]


def test_training_is_the_same_with_and_without_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [RunFolder(tmp_path / name / "run") for name in ("with", "without")]
    assert trained(folders[0], QUIET, tracked=Tracked())
    for name in ("start_step", "look_at_gradients", "end_step"):
        monkeypatch.setattr(StepWatch, name, lambda _: None)
    assert trained(folders[1], QUIET, tracked=Tracked())
    for name in ("weights.pt", "history.csv", "metrics.json"):
        one, other = ((folder.path / name).read_bytes() for folder in folders)
        assert one == other


def test_figures_are_kept_in_a_file_of_their_own(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert trained(folder, QUIET, tracked=Tracked())
    header, *rows = (folder.path / "watch.csv").read_text().splitlines()
    assert header == "epoch,largest_loss,gradient_norm,update_ratio,dead_units,deadest_layer"
    assert len(rows) == 4
    assert not any("watch" in key for key in folder.history()[0])


# Planted faults, by whole trainings.

TOLD = TrainingObserver()


def remarks_of(folder: RunFolder, *overrides: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Train; return the remarks that are recorded, which are those that are said."""
    tracked = Tracked()
    assert trained(folder, TOLD, "trainer.max_epochs=7", *overrides, tracked=tracked)
    recorded: list[str] = folder.result().get("remarks", [])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert said == recorded
    assert ("remarks.txt" in tracked.texts) == bool(recorded)
    assert all(remark in tracked.note for remark in recorded)
    return recorded


def test_dead_layer_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*arguments: Any) -> nn.Sequential:
        model = build_model(*arguments)
        hidden: Any = model.get_submodule("network.layers.1.0")
        nn.init.constant_(hidden.bias, -1e3)
        return model

    monkeypatch.setattr("pipeline.training.fit.build_model", dead)
    found = remarks_of(RunFolder(tmp_path / "run"), *hidden_layer("relu"), capsys=capsys)
    named = "epoch 2: 100% of the units of the ReLU of layers[1] (linear 16) are dead"
    assert any(remark.startswith(named) for remark in found)


def test_saturated_layer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = "model.layers=[flatten,{linear: 32, activation: tanh, init: {normal: 1.0}}]"
    found = remarks_of(RunFolder(tmp_path / "run"), *hidden_layer("tanh", large), capsys=capsys)
    (remark,) = [each for each in found if "saturated" in each]
    assert remark.startswith("epoch 2: ")
    assert " of the outputs of the Tanh of layers[1] (linear 16) are saturated" in remark


def test_rate_that_is_too_low_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = remarks_of(RunFolder(tmp_path / "run"), *hidden_layer("relu", "optimizer.lr=1e-9"), capsys=capsys)
    (remark,) = found
    assert remark.startswith(
        "epoch 6: the loss has not moved for 5 epochs: optimizer.lr is too low (a step changes"
    )


def test_remarks_are_the_same_in_a_resumed_training_and_each_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = hidden_layer("relu", "optimizer.lr=1e-9", "trainer.max_epochs=8")
    whole, parts = (RunFolder(tmp_path / name / "run") for name in ("whole", "parts"))
    assert trained(whole, TOLD, *overrides, tracked=Tracked())
    stops = TrainingObserver(should_stop=lambda history: len(history) == 6)
    assert not trained(parts, stops, *overrides, tracked=Tracked())
    assert capsys.readouterr().err.count("has not moved") == 2
    assert trained(parts, TOLD, *overrides, tracked=Tracked())
    assert capsys.readouterr().err.count("has not moved") == 0
    assert parts.result()["remarks"] == whole.result()["remarks"] != []

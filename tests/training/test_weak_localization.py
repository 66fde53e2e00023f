"""Activation maps scored by boxes: perfect maps get perfect scores, and the controls those that they deserve."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from pipeline.runs.context import RunContext
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, Trained, open_trained
from pipeline.training.weak_localization import localize_weakly
from tests.makers import encode, write_files
from tests.refusals import refused
from tests.tasks.kinds import CLASSES, KINDS
from tests.tasks.test_contract import declare

pytestmark = pytest.mark.slow

BOXES = {**KINDS["boxes"], "columns": {**KINDS["boxes"]["columns"], "split": "split"}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    root = tmp_path_factory.mktemp("weak")
    run = train(declare("classification", root), RunRequest("test", "test", waits=False), RunContext(root))
    return open_trained(run, root=root), root


def write_squares(path: Path, num_images: int) -> None:
    """Write images of 32 x 32 in two splits, each with a bright square of 12 x 12 in a corner; the first has none."""
    rows, images = ["file,x_min,y_min,x_max,y_max,label,split"], {}
    for split in ("val", "test"):
        for index in range(num_images):
            image, name = np.zeros((32, 32), np.uint8), f"{split}{index:02}.png"
            left, top = 20 * (index % 2), 20 * (index // 2 % 2)
            if index:
                image[top : top + 12, left : left + 12] = 255
            cells = f"{left},{top},{left + 12},{top + 12},{CLASSES[index % 3]}" if index else ",,,,"
            rows.append(f"{name},{cells},{split}")
            images[name] = encode(image)
    write_files(path, {**images, "boxes.csv": "\n".join(rows).encode()})


def test_maps_of_the_objects_themselves_are_found_and_controls_are_not(
    trained: tuple[Trained, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, root = trained
    write_squares(tmp_path / "squares.zip", 25)
    data = {
        **run.declaration.sections["data"],
        "root": str(tmp_path / "squares.zip"),
        "name": "squares",
        **BOXES,
    }
    asked: list[Tensor] = []

    def brightness(self: Predictor, images: Tensor, classes: Tensor) -> Tensor:
        asked.append(classes)
        return images[:, 0] / 255

    monkeypatch.setattr(Predictor, "activation_maps", brightness)
    scores = localize_weakly(run, data, tmp_path / "out", root=root)
    values = {name: each["value"] for name, each in scores.items()}
    assert values["box_accuracy"] == values["pointing"] == 1
    assert values["box_accuracy_centre"] == values["pointing_centre"] == 0, "all objects lie in corners"
    assert values["box_accuracy_gain"] == 1 - values["box_accuracy_noise"] > 0.3
    assert 1 > scores["box_accuracy"]["low"] > 0.8
    assert asked[-1].tolist() == [index % 3 for index in range(1, 25)], (
        "the class of each object, in the run's order"
    )
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24, "an image without an object says nothing"
    assert {(row["found"], row["hit"]) for row in rows} == {("1", "1")}
    sides = {tuple(float(row[key]) for key in ("x_min", "y_min", "x_max", "y_max")) for row in rows}
    corners = [(16 * x, 16 * y) for x in (0, 1) for y in (0, 1)]
    assert sides == {(x, y, x + 16, y + 16) for x, y in corners}, "in pixels of the files, not of 8 x 8"
    assert (
        (tmp_path / "out" / "remarks.txt").read_text().startswith("thresholds, and the share of each side ")
    )
    assert (tmp_path / "out" / "pictures" / "maps.png").is_file()


def test_own_maps_are_scored_whatever_they_say(trained: tuple[Trained, Path], tmp_path: Path) -> None:
    run, root = trained
    write_squares(tmp_path / "squares.zip", 14)
    data = {
        **run.declaration.sections["data"],
        "root": str(tmp_path / "squares.zip"),
        "name": "squares",
        **BOXES,
    }
    first, second = (localize_weakly(run, data, tmp_path / name, root=root) for name in ("a", "b"))
    assert first == second, "noise has a seed"
    assert all(0 <= first[name]["value"] <= 1 for name in ("box_accuracy", "pointing", "box_accuracy_noise"))


def test_data_without_boxes_and_networks_without_maps_are_refused(
    trained: tuple[Trained, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, root = trained
    own: dict[str, Any] = run.declaration.sections["data"]
    with refused("data.format", got="class_folders", allowed="a format with boxes, such as csv_boxes"):
        localize_weakly(run, own, tmp_path, root=root)
    write_squares(tmp_path / "squares.zip", 4)
    data = {**own, "root": str(tmp_path / "squares.zip"), **BOXES}
    monkeypatch.setattr(Predictor, "explains", property(lambda _: False))
    with refused("explain", got="cam", hint="leave it out"):
        localize_weakly(run, data, tmp_path, root=root)

"""A trained classifier at every window of larger images: its maps, its detections and their scores."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.declaration.composition import compose, compose_sections
from pipeline.runs.context import RunContext
from pipeline.training.evaluation_requests import score
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, Trained, open_trained
from pipeline.training.windows import WindowPredictor, WindowSettings
from tests.makers import encode, write_class_folders, write_files
from tests.refusals import refused
from tests.tasks.kinds import CLASSES
from tests.tasks.test_contract import declare
from tests.training.squares import BOXES, ask, write_squares

pytestmark = pytest.mark.slow

COLUMNS = "file,x_min,y_min,x_max,y_max,label,split"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """Return a run on images of 8 x 8, without padding, and its project."""
    root = tmp_path_factory.mktemp("windows")
    declaration = declare("classification", root)
    model = {**declaration.model, "layers": [{"conv": 4, "padding": "valid"}, "pool"], "norm": "none"}
    run = train(declaration.replace(model=model), RunRequest("test", "test", waits=False), RunContext(root))
    return open_trained(run, root=root), root


def settings(**changes: Any) -> WindowSettings:
    given = {
        "crops": "windows",
        "mirror": False,
        "scales": [1.0],
        "background": None,
        "confidence": 0.5,
        "overlap": 0.3,
    }
    return WindowSettings(**{**given, **changes})


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).byte()


def test_one_pass_gives_what_the_run_says_of_each_window_cut_out(trained: tuple[Trained, Path]) -> None:
    run, _ = trained
    predictor, alone = WindowPredictor(run, (13, 18), [1.0]), Predictor(run)
    images = noise(2, 1, 13, 18)
    maps = predictor.maps(images, 1.0)
    assert maps.shape == (2, len(CLASSES), 3, 6)  # every 2 pixels
    for row in range(3):
        for column in range(6):
            window = images[..., 2 * row : 2 * row + 8, 2 * column : 2 * column + 8]
            torch.testing.assert_close(maps[..., row, column], alone.outputs(window), atol=1e-5, rtol=0)
    said = predictor.remarks(images.permute(0, 2, 3, 1).numpy())
    assert said[0].startswith("scale 1: 3x6 windows of 8x8 pixels, 2x2 apart: ")
    assert float(said[1].split(": ")[1].split(",")[0]) < 1e-5
    assert len(said) == 2


def fake(predictor: WindowPredictor, maps: dict[float, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let windows have these probabilities at each scale."""
    monkeypatch.setattr(
        predictor, "probabilities", lambda images, scale: maps[scale].expand(len(images), -1, -1, -1)
    )


def test_windows_that_overlap_a_more_probable_one_or_are_of_the_background_are_no_detections(
    trained: tuple[Trained, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = trained
    predictor = WindowPredictor(run, (8, 24), [1.0])
    map_of_classes = torch.zeros(1, 3, 1, 9)
    map_of_classes[0, 0] = 0.4  # of the first class, everywhere
    map_of_classes[0, 1, 0, 0], map_of_classes[0, 1, 0, 1] = 0.8, 0.9
    map_of_classes[0, 2, 0, 6] = 0.7
    fake(predictor, {1.0: map_of_classes}, monkeypatch)
    (found,) = predictor.detect(noise(1, 1, 8, 24), settings(background=CLASSES[0]), CLASSES)
    assert found[found[:, 4] >= 0] == pytest.approx(np.array([[2, 0, 10, 8, 1, 0.9], [12, 0, 20, 8, 2, 0.7]]))
    (found,) = predictor.detect(noise(1, 1, 8, 24), settings(), CLASSES)
    assert found[found[:, 4] == 0, 5] == pytest.approx([0.4] * (found[:, 4] == 0).sum())


def test_window_of_a_scale_is_told_in_pixels_of_the_image(
    trained: tuple[Trained, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = trained
    predictor = WindowPredictor(run, (16, 32), [1.0, 0.5])
    assert [network.shape for network in predictor.networks.values()] == [(1, 16, 32), (1, 8, 16)]
    maps = {1.0: torch.zeros(1, 3, 5, 13), 0.5: torch.zeros(1, 3, 1, 5)}
    maps[0.5][0, 2, 0, 3] = 0.9
    fake(predictor, maps, monkeypatch)
    (found,) = predictor.detect(noise(1, 1, 16, 32), settings(), CLASSES)
    assert found[0] == pytest.approx(np.array([12, 0, 28, 16, 2, 0.9]))
    assert predictor.remarks(np.zeros((1, 16, 32, 1), np.uint8))[2].startswith("all scales: ")


def test_windows_on_objects_alone_are_a_perfect_detector(
    trained: tuple[Trained, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, _ = trained
    data = {**run.declaration.sections["data"], **write_squares(tmp_path / "squares.zip")}

    def brightness(self: WindowPredictor, images: Tensor, scale: float) -> Tensor:
        light = torch.nn.functional.avg_pool2d(images.float() / 255, 8, stride=2)
        return torch.cat((torch.zeros_like(light), light, 0.6 * torch.ones_like(light)), dim=1)

    monkeypatch.setattr(WindowPredictor, "probabilities", brightness)
    overrides = ["views=windows", f"views.background='{CLASSES[2]}'", "views.overlap=0.1"]
    scores, _ = ask(run, data, *overrides, out=tmp_path / "out")
    assert {name: each["value"] for name, each in scores.items()} == {"ap50": 1, "ap": 1, "recall": 1}
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [
        f"{index}.png" for index in sorted(range(12), key=str) for _ in range(2 if index else 1)
    ]
    assert rows[0]["class"] == "", "an image without a detection has a row"
    (second,) = [row for row in rows if row["file"] == "1.png" and row["x_min"] == "0.00"]
    assert [second[name] for name in ("y_min", "x_max", "y_max")] == ["4.00", "16.00", "20.00"], (
        "pixels of the file"
    )
    row = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (row["data"], row["images"], row["score"]) == ("squares", 12, 1)
    assert (tmp_path / "out" / "pictures" / "windows.png").is_file()
    assert "times as many" in (tmp_path / "out" / "remarks.txt").read_text()


def test_windows_across_the_padding_of_a_letterbox_are_cut_at_the_borders_of_the_file(
    trained: tuple[Trained, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, _ = trained
    images = {f"{index}.png": encode(np.full((16, 48), 9, np.uint8)) for index in range(2)}
    rows = [COLUMNS, *(f"{name},0,0,16,16,{CLASSES[1]},test" for name in images)]
    write_files(tmp_path / "wide.zip", {**images, "boxes.csv": "\n".join(rows).encode()})
    facts = {"shape": [1, 24, 24], "resize": "letterbox", "root": str(tmp_path / "wide.zip"), "name": "wide"}
    data = {**run.declaration.sections["data"], **BOXES, "split": "random", **facts}

    def sure(self: WindowPredictor, images: Tensor, scale: float) -> Tensor:
        light = torch.nn.functional.avg_pool2d(0 * images.float(), 8, stride=2)
        return torch.cat((light, light + 1, light), dim=1)

    monkeypatch.setattr(WindowPredictor, "probabilities", sure)
    ask(run, data, "views=windows", "views.overlap=0", out=tmp_path / "out")
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        cases = [row for row in csv.DictReader(file) if row["file"] == "0.png"]
    found = {tuple(float(row[key]) for key in ("x_min", "y_min", "x_max", "y_max")) for row in cases}
    assert found == {(x, 0, x + 16, 16) for x in (0, 16, 32)}, "those above and below are in the padding"


def test_images_of_one_window_get_the_scores_of_evaluation(
    trained: tuple[Trained, Path], tmp_path: Path
) -> None:
    run, root = trained
    own, _ = score(run, [], tmp_path / "own", root=root, compose=compose_sections, command="evaluate")
    windows, _ = score(
        run, ["views=windows"], tmp_path / "windows", root=root, compose=compose_sections, command="evaluate"
    )
    assert windows == {name: pytest.approx(each, abs=1e-6, nan_ok=True) for name, each in own.items()}
    write_class_folders(tmp_path / "large.zip", classes=CLASSES, sides=(20, 12))
    data = {**run.declaration.sections["data"], "root": str(tmp_path / "large.zip"), "shape": [1, 20, 12]}
    scores, _ = ask(run, data, "views=windows", out=tmp_path / "large")
    assert 0 <= scores["accuracy"]["value"] <= 1
    assert "7x3 windows of 8x8 pixels" in (tmp_path / "large" / "remarks.txt").read_text()


def test_images_smaller_than_a_window_and_other_classes_are_refused(
    trained: tuple[Trained, Path], tmp_path: Path
) -> None:
    run, _ = trained
    with refused("views.scales", hint="choose larger scales"):
        WindowPredictor(run, (16, 16), [0.4])
    data = {**run.declaration.sections["data"], **write_squares(tmp_path / "squares.zip")}
    with refused("data.classes", got=["other", CLASSES[1]], hint="it was trained on "):
        ask(
            run,
            {**data, "classes": ["other", CLASSES[1]]},
            "views=windows",
            out=tmp_path / "out",
        )


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("views.mirror", {"mirror": True}),
        ("views.scales", {"scales": []}),
        ("views.scales[1]", {"scales": [1.0, 0]}),
        ("views.confidence", {"confidence": 1.5}),
        ("views.overlap", {"overlap": -0.1}),
        ("views.background", {"background": "none"}),
    ],
)
def test_settings_out_of_range_are_refused(path: str, changes: dict[str, Any]) -> None:
    with refused(path):
        settings(**changes).check(CLASSES)


def test_windows_are_not_for_training() -> None:
    text = (
        "views: windows are a way to evaluate a trained run, got 'windows'; train without them, then `python -m "
        "pipeline.evaluate <run> <folder to write> views=windows`"
    )
    with refused("views", got="windows", text=text):
        compose(["views=windows"])

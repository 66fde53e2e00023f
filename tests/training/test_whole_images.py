"""Whole images: of any sides, the same in tiles as at once, evaluated as predicted."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import find_multiple, plan_network
from pipeline.export import export
from pipeline.networks.build import build
from pipeline.runs.context import RunContext
from pipeline.tracking.convoy_serving import Served
from pipeline.training.evaluation import evaluate
from pipeline.training.prediction import predict
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Trained, open_trained
from pipeline.training.whole_images import WholeImages
from tests.makers import data_section, encode, write_files
from tests.refusals import refused

DENOISE = [{"residual": [{"conv": 4}, {"conv": "outputs"}], "activation": "none"}]
TWICE = [{"conv": 4}, {"residual": [{"conv": 4}, {"conv": 4}]}, {"subpixel": "outputs"}]
POOLED = [
    {"conv": 4},
    {"skip": ["pool", {"conv": 4}, "pool", {"conv": 8}, {"resize": 4}]},
    {"conv": "outputs"},
]
SEES_ALL = [{"conv": 4}, {"squeeze_excite": 2}, {"conv": "outputs"}]
NORMED = [{"conv": 4, "norm": "instance"}, {"conv": "outputs"}]
NETWORKS = {
    "denoise": (DENOISE, 1, 1),
    "twice": (TWICE, 2, 1),
    "pooled": (POOLED, 1, 4),
    "sees_all": (SEES_ALL, 1, 1),
    "normed": (NORMED, 1, 1),
}
EACH = pytest.mark.parametrize("name", sorted(NETWORKS))
SIDE = 16


def declare(
    name: str, root: object = "photos.zip", *, channels: int = 1, logs: bool = False, **changes: Any
) -> Declaration:
    layers, factor, _ = NETWORKS[name]
    sections = compose_sections(["task=restoration", "model=linear", "preprocess=unit", "optimizer.lr=0.01"])
    degrade = {"noise": 20} if factor == 1 else {"factor": factor}
    data = data_section(
        root, format="images", classes=[], shape=[channels, SIDE, SIDE], resize="cut", degrade=degrade
    )
    trainer = {"max_epochs": 1, "batch_size": 2, "progress": False}
    return check(
        {
            **sections,
            "name": name,
            "data": data,
            "input_shape": [channels, SIDE // factor, SIDE // factor],
            "model": {**sections["model"], "layers": layers, "head": []},
            "trainer": {**sections["trainer"], **trainer},
            "tracking": {"experiment": "tiny", "log_model": logs},
            **changes,
        }
    )


@EACH
def test_network_takes_multiples_of_what_its_pools_divide(name: str) -> None:
    assert find_multiple(declare(name)) == NETWORKS[name][2]


@EACH
@pytest.mark.parametrize("sides", [(37, 53), (1, 1), (64, 150)])
def test_outputs_in_tiles_are_those_of_the_whole_image(name: str, sides: tuple[int, int]) -> None:
    declaration = declare(name)
    network = build(plan_network(declaration), seed=0).double().eval()
    images = torch.randint(0, 256, (2, 1, *sides), dtype=torch.uint8, generator=torch.manual_seed(0))
    seen: list[tuple[int, ...]] = []

    def model(batch: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(batch.shape[2:]))
        outputs: torch.Tensor = network(batch.double() / 255)
        return outputs

    with torch.inference_mode():
        whole = WholeImages(declaration, model)(images)
        assert len(seen) == 1
        tiled = WholeImages(declaration, model, tile=64, most=100)(images)
    factor = NETWORKS[name][1]
    assert whole.shape == (2, 1, sides[0] * factor, sides[1] * factor)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)
    assert (len(seen) > 2) == (sides == (64, 150) and name not in ("sees_all", "normed"))


def test_padding_does_not_change_sides_that_fit() -> None:
    declaration = declare("pooled")
    network = build(plan_network(declaration), seed=0).eval()
    images = torch.randint(0, 256, (1, 1, 20, 24), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(
            WholeImages(declaration, lambda each: network(each.float()))(images), network(images.float())
        )


def test_network_for_one_size_of_images_is_refused_with_cut_alone() -> None:
    layers = [{"conv": 4}, {"pool": "adaptive", "bins": SIDE}, {"conv": "outputs"}]
    model = {**declare("denoise").sections["model"], "layers": layers}
    with refused(
        "data.resize", got="cut", hint="choose another model, or data.resize=squash, letterbox or crop"
    ):
        declare("denoise", model=model)
    data = {**declare("denoise").sections["data"], "resize": "squash"}
    assert declare("denoise", model=model, data=data).data.resize == "squash"


def test_input_shape_is_that_of_degraded_images() -> None:
    with refused("input_shape", got=[1, SIDE, SIDE]) as caught:
        declare("twice", input_shape=[1, SIDE, SIDE])
    assert caught.value.allowed == "[1, 8, 8], that is data.shape [1, 16, 16] divided by data.degrade.factor"


def photograph(rows: int, columns: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(rows) * 3, np.arange(columns) * 2)
    return np.clip(slope + random.integers(0, 30, (rows, columns)), 0, 255).astype(np.uint8)


def trained(name: str, root: Path, *, logs: bool = False) -> Trained:
    sides = {"train": [(20, 16), (16, 30), (17, 17)], "val": [(18, 18)], "test": [(21, 33), (40, 17)]}
    files = {
        f"{split}/{index}.png": encode(photograph(*each, index + len(split)))
        for split, found in sides.items()
        for index, each in enumerate(found)
    }
    write_files(root / "photos", files)
    run = train(
        declare(name, root / "photos", logs=logs), RunRequest("test", "test", waits=False), RunContext(root)
    )
    return open_trained(run, root=root)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pooled", "twice"])
def test_run_is_scored_on_whole_images_and_predicts_images_of_any_sides(name: str, tmp_path: Path) -> None:
    run, factor = trained(name, tmp_path), NETWORKS[name][1]
    scores = evaluate(run.folder, tmp_path / "out", root=tmp_path)
    assert scores["gain"]["value"] == pytest.approx(scores["psnr"]["value"] - scores["input_psnr"]["value"])
    drawn = {each.name for each in (tmp_path / "out" / "pictures").iterdir()}
    assert drawn == {"best.png", "median.png", "worst.png"}
    rows = (tmp_path / "out" / "cases.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["file", "test/0.png", "test/1.png"]

    images = {"a.png": (5, 7), "b.png": (33, 50), "c.png": (1, 1)}
    files = {file: encode(photograph(*sides, 9)) for file, sides in images.items()}
    files["colour.png"] = encode(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    files["glass.png"] = encode(np.full((9, 9, 4), 100, np.uint8))
    write_files(tmp_path / "images", files)
    (tmp_path / "restored").mkdir()
    summary = predict([run], tmp_path / "images", tmp_path / "restored", overlays=True)
    assert (summary.num_predicted, summary.num_unreadable) == (3, 2)
    for file, (rows_, columns) in images.items():
        with Image.open(tmp_path / "restored" / "restorations" / file) as image:
            assert (image.mode, image.size) == ("L", (columns * factor, rows_ * factor))
    table = (tmp_path / "restored" / "predictions.csv").read_text()
    assert "image is in colour, but data.shape has 1 channel" in table
    assert "image has transparent pixels" in table


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*")  # by MLflow, of its own
@pytest.mark.parametrize("name", ["pooled", "twice"])
def test_exported_and_logged_models_restore_as_predict_does(name: str, tmp_path: Path) -> None:
    """A grey level may be rounded either way."""
    run = trained(name, tmp_path, logs=True)
    (tmp_path / "restored").mkdir()
    files = {"a.png": (36, 20), "b.png": (21, 37)}
    write_files(tmp_path / "images", {file: encode(photograph(*sides, 3)) for file, sides in files.items()})
    predict([run], tmp_path / "images", tmp_path / "restored", overlays=False)
    restored = {}
    for file in files:
        with Image.open(tmp_path / "restored" / "restorations" / file) as image:
            restored[file] = np.asarray(image, dtype=int)

    (logged,) = (tmp_path / "mlartifacts").rglob("convoy.json")
    about = json.loads(logged.read_text())
    assert (about["resize"], about["input"]) == (None, ["N", None, None, 1])
    contents = [(tmp_path / "images" / file).read_bytes() for file in files]
    for file, answer in zip(files, Served(logged.parent).predict(contents), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(answer["image"]))) as image:
            assert np.abs(np.asarray(image, dtype=int) - restored[file]).max() <= 1

    said = export(str(run.folder.path), "torch", tmp_path / "a.pt2", root=tmp_path)
    assert "takes images uint8 (N, any, any, 1)" in said
    program = torch.export.load(tmp_path / "a.pt2").module()
    found = program(torch.tensor(photograph(36, 20, 3))[None, :, :, None])[0, ..., 0].numpy()
    assert np.abs(found.astype(int) - restored["a.png"]).max() <= 1

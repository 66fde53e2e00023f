"""Prediction: how fast `predict` is from files to files, beside its model alone on the same images in memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.figures import Figure, seconds
from pipeline.data.unlabelled import UnlabelledImage, open_unlabelled
from pipeline.declaration.composition import compose
from pipeline.runs.folder import RunFolder
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.assemble import build_model
from pipeline.training.ensemble import Ensemble
from pipeline.training.prediction import BATCH, predict
from pipeline.training.trained import Trained
from pipeline.transforms.statistics import measure

ROUNDS = 3
# Name -> declaration, number of images, their rows and columns on disk, and their format.
WORKLOADS = {
    "lenet5, 32 x 32 PNG": (["experiment=digits_lenet5"], 1024, (32, 32), "PNG"),
    "unet_small, 192 x 160 PNG": (["experiment=brain_unet"], 128, (192, 160), "PNG"),
    "resnet18, 500 x 375 JPEG to 224 x 224": (
        ["model=resnet18", "data.shape=[3,224,224]"],
        128,
        (375, 500),
        "JPEG",
    ),
}


def measured() -> Iterator[Figure]:
    """Yield the figures, of networks with random weights."""
    for name, (overrides, count, sides, form) in WORKLOADS.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            run = _untrained(overrides, folder / "run")
            channels = run.declaration.data.shape[0]
            _write_images(folder / "images", count, (*sides, channels), form)
            alone = _model_alone(run, folder / "images")
            with declared_arithmetic(run.declaration.trainer):
                alone()  # what is done once is not measured
                found = [
                    (_predict(run, folder / "images", folder / "out"), seconds(alone)) for _ in range(ROUNDS)
                ]
        ratios = [of_model / ours for ours, of_model in found]
        yield Figure.over(f"predict, {name}, images/s", [count / ours for ours, _ in found])
        yield Figure.over(f"predict, {name}, over its model alone in memory", ratios, goal=0.9)


def _untrained(overrides: list[str], folder: Path) -> Trained:
    """Write the folder of a run that was not trained."""
    declaration = compose(overrides)
    channels, rows, columns = declaration.data.shape
    noise = np.random.default_rng(0).integers(0, 256, (4, rows, columns, channels), dtype=np.uint8)
    statistics = measure([noise], patch=None)
    (folder / "statistics").mkdir(parents=True)
    statistics.save(folder / "statistics")
    torch.save(build_model(declaration, statistics).state_dict(), folder / "weights.pt")
    return Trained(RunFolder(folder), declaration)


def _write_images(folder: Path, count: int, shape: tuple[int, int, int], form: str) -> None:
    """Write smooth noise, which JPEG and PNG compress about as they do photographs."""
    folder.mkdir()
    random, (rows, columns, channels) = np.random.default_rng(0), shape
    for index in range(count):
        coarse = random.integers(0, 256, (rows // 4, columns // 4, channels), dtype=np.uint8).squeeze()
        image = Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC)
        image.save(folder / f"{index:04}.{form.lower()}", form)


def _predict(run: Trained, images: Path, out: Path) -> float:
    """Return the seconds from the first file to the last row; loading the model is not among them."""
    out.mkdir()
    summary = predict([run], images, out, overlays=False)
    shutil.rmtree(out)
    return summary.seconds


def _model_alone(run: Trained, folder: Path) -> Callable[[], object]:
    """Return the prediction of images that have been decoded before."""
    ensemble = Ensemble([run])
    with open_unlabelled(folder, run.declaration.data) as images:
        pixels = [each.pixels for each in images.decoded() if isinstance(each, UnlabelledImage)]
    return lambda: [ensemble.predict(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]

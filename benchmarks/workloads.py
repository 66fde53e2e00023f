"""Four trainings to time: what each declares, and the data it reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose, compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.training.inputs import prepare
from pipeline.transforms.statistics import Statistics, measure, pieces_of

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = REPOSITORY / "data"
CLASSES = 4  # of synthetic photographs
GRAIN = 8  # pixels of a photograph's smallest spot


@dataclass(frozen=True)
class Workload:
    """A training to time.

    Args:
        name: what is trained on what.
        overrides: told the project's folder, returns the declaration, and draws the photographs that it reads.
    """

    name: str
    overrides: Callable[[Path], list[str]]


@dataclass(frozen=True)
class Job:
    """A workload ready to be trained, by whichever contender.

    Args:
        root: the project's folder.
        declaration: what is trained, and how.
        prepared: the images that it reads.
        statistics: of its training images.
    """

    root: Path
    declaration: Declaration
    prepared: Prepared
    statistics: Statistics


def job_of(key: str, root: Path, more: Sequence[str] = ()) -> Job:
    """Declare a workload and prepare its data in a project of its own.

    Args:
        key: W1 to W4.
        more: overrides on top.
    """
    declaration = compose([*WORKLOADS[key].overrides(root), *more])
    prepared = Prepared.open(prepare(declaration, root=root), declaration.data)
    return Job(root, declaration, prepared, measure(pieces_of(prepared.images("train")), patch=None))


def _digits(_: Path) -> list[str]:
    return ["experiment=digits_lenet5", f"data.root={DATA / 'digits.zip'}", "trainer.accelerator=cpu"]


def _small_photographs(root: Path) -> list[str]:
    return [*_photographs(root, side=64, train=192, val=32), "model=resnet18", "augmentation=alexnet"]


def _brain(_: Path) -> list[str]:
    crop = {
        "_target_": "pipeline.transforms.steps.pad_crop.PadCrop",
        "rows": 96,
        "columns": 96,
        "padding": 0.0,
    }
    steps = [*_steps("augmentation=mirror"), crop, *_steps("augmentation=rotate")]
    return [
        "experiment=brain_unet",
        f"data.root={DATA / 'brain.zip'}",
        f"augmentation.steps={in_hydra(steps)}",
        "trainer.batch_size=16",
        "trainer.accelerator=cpu",
    ]


def _large_photographs(root: Path) -> list[str]:
    shapes = ["data.shape=[3,256,256]", "input_shape=[3,224,224]"]
    recipes = [f"augmentation={name}" for name in ("resized_crop", "mirror", "pca_color")]
    steps = [step for recipe in recipes for step in _steps(recipe, *shapes)]
    return [
        *_photographs(root, side=256, train=32, val=8),
        "input_shape=[3,224,224]",
        "model=mobilenet_v2",
        f"augmentation.steps={in_hydra(steps)}",
        "trainer.batch_size=32",
    ]


WORKLOADS = {
    "W1": Workload("W1 digits, lenet5", _digits),
    "W2": Workload("W2 photographs of 64, resnet18", _small_photographs),
    "W3": Workload("W3 brain, unet_small", _brain),
    "W4": Workload("W4 photographs of 224, mobilenet_v2", _large_photographs),
}


def in_hydra(value: Any) -> str:
    """Write a value as an override has it, where keys stand without quotes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{in_hydra(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(in_hydra(each) for each in value) + "]"
    return json.dumps(value)


def _steps(*overrides: str) -> list[dict[str, Any]]:
    """Return the steps of a recipe in conf/."""
    steps: list[dict[str, Any]] = compose_sections(overrides)["augmentation"]["steps"]
    return steps


def _photographs(root: Path, *, side: int, train: int, val: int) -> list[str]:
    """Draw a data set of square photographs where it is not there yet; return its declaration."""
    folder = root / f"photographs_{side}"
    if not folder.exists():
        for split, count in {"train": train, "val": val, "test": CLASSES}.items():
            _draw(folder / split, side=side, count=count)
    classes = [f"class_{label}" for label in range(CLASSES)]
    return [
        "data=digits",
        f"data.name=photographs_{side}",
        f"data.root={folder}",
        "data.digest=null",
        f"data.shape=[3,{side},{side}]",
        f"data.classes={in_hydra(classes)}",
        "data.groups=null",
        "data.mirror_changes_label=false",
        "trainer.accelerator=cpu",
    ]


def _draw(folder: Path, *, side: int, count: int) -> None:
    """Write smooth random fields of colour, brighter from class to class, as PNG files."""
    generator = np.random.default_rng(count)
    for index in range(count):
        label = index % CLASSES
        spots = generator.normal(100 + 20 * label, 40, (side // GRAIN, side // GRAIN, 3))
        field = cv2.resize(spots, (side, side), interpolation=cv2.INTER_CUBIC)
        path = folder / f"class_{label}" / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), field.clip(0, 255).astype(np.uint8))

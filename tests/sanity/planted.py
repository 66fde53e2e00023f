"""Faults that are planted into the declared experiment on digits: in its settings, or in its images."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration

DIGITS = Path(__file__).parents[2] / "data" / "digits.zip"
Files = dict[str, bytes]


def declare(*overrides: str, root: Path | None = None) -> Declaration:
    """Return digits_lenet5 with overrides, on one thread; on other images if `root` is given."""
    declaration = compose(["experiment=digits_lenet5", "trainer.threads=1", *overrides])
    if root is None:
        return declaration
    return declaration.replace(data={**declaration.sections["data"], "root": str(root), "digest": None})


def write_digits(path: Path, change: Callable[[Files], Files]) -> Path:
    """Write the digits with changed files."""
    with zipfile.ZipFile(DIGITS) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(change(files).items()):
            archive.writestr(name, content)
    return path


def relabelled(name: str, label: int) -> str:
    """Return the name of an image in the folder of another class."""
    split, old, file = name.split("/")
    return f"{split}/{label}/{old}_{file}"


def shuffle_labels(files: Files) -> Files:
    """Give each training image the label of another."""
    names = [name for name in files if name.startswith("train/")]
    labels = np.random.default_rng(0).permutation([int(name.split("/")[1]) for name in names])
    moved = {relabelled(name, label): files[name] for name, label in zip(names, labels, strict=True)}
    return {name: content for name, content in files.items() if name not in names} | moved


def rotate_classes(files: Files) -> Files:
    """Name each class of validation images after the next one."""
    return {
        relabelled(name, (int(name.split("/")[1]) + 1) % 10) if name.startswith("val/") else name: content
        for name, content in files.items()
    }


def copy_test_images(files: Files) -> Files:
    """Copy every tenth test image into the training split, one grey level brighter, so that its bytes differ."""
    copies = {}
    for name in sorted(name for name in files if name.startswith("test/"))[::10]:
        pixels = np.asarray(Image.open(io.BytesIO(files[name])))
        brighter = np.where(pixels < 255, pixels + 1, pixels).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(brighter).save(buffer, "PNG")
        copies[f"train/{name.split('/')[1]}/copy_{Path(name).name}"] = buffer.getvalue()
    return files | copies

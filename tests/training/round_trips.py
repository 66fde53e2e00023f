"""One network, asked in every way that users have: `evaluate`, `predict`, exported files, and MLflow's model.

Images are made ready for exported files, and masks brought back, by Pillow alone, as docs/using-a-model.md shows it.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.data.prepared import Prepared
from pipeline.declaration.checks import check
from pipeline.declaration.declaration import Declaration
from pipeline.export import export
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.tasks.demands import load_demands
from pipeline.tracking.uri import tracking_uri
from pipeline.training.deployment import FORMATS
from pipeline.training.evaluation import evaluate
from pipeline.training.inputs import prepare
from pipeline.training.prediction import predict
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import open_trained
from tests.makers import encode, write_files
from tests.tasks.kinds import CLASSES
from tests.tasks.test_contract import declare

TASKS = (
    "classification",
    "multilabel",
    "segmentation",
)  # those without boxes and points, which have no data here yet
NUM_FILES = 50
SIDES = (12, 10)  # of prepared images
LARGEST = 30  # side of images on disk
IGNORED = 255
TOLERANCE = 1e-4
HALF = 0.5  # probability from which on an image has a label, where it may have several

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """What is trained: a task of pipeline/tasks, a resize rule, grey or colour."""

    task: str
    rule: str
    channels: int


class Trip:
    """A network trained for a few steps on images of mixed sizes, and what each way out says of its 50 test files."""

    def __init__(self, case: Case, root: Path, folder: Path) -> None:
        self.case, self.root, self.folder = case, root, folder
        self.declaration = _declare(case, folder)
        self.run: RunFolder = train(
            self.declaration, RunRequest("test", "test", waits=False), RunContext(root)
        )
        self.files = sorted((folder / "data" / "test").rglob("*.png"))
        self.files = [file for file in self.files if "masks" not in file.parts]

    def predicted(self) -> tuple[list[dict[str, str]], Array | list[Array]]:
        """Return the rows of `predict`, and its probabilities or masks."""
        out = self.folder / "predicted"
        source = self.folder / "asked"
        write_files(source, {f"{index:03}.png": file.read_bytes() for index, file in enumerate(self.files)})
        out.mkdir()
        predict([open_trained(self.run, root=self.root)], source, out, overlays=False)
        rows = _read_rows(out / "predictions.csv")
        if "mask" in rows[0]:
            return rows, [np.asarray(_open(out / row["mask"])) for row in rows]
        return rows, np.array([[float(row[name]) for name in CLASSES] for row in rows])

    def exported(self, form: str) -> tuple[Array, dict[str, Any]]:
        """Return what an exported file says of images that Pillow made ready, and its description."""
        made = FORMATS[form]
        path = self.folder / f"model{made.suffix}"
        export(str(self.run.path), form, path, root=self.root)
        about = describe_file(form, path)
        ready = np.stack([make_ready(_open(file), about) for file in self.files])
        return made.read(path.read_bytes())(ready), about

    def restored(self, masks: Array, about: dict[str, Any]) -> list[Array]:
        """Return masks of prepared images in the sizes of the files."""
        return [
            bring_back(mask, _open(file).size, about) for mask, file in zip(masks, self.files, strict=True)
        ]

    def served(self) -> Array | list[Array]:
        """Return what the logged model answers to the files as base64: probabilities or masks."""
        run_id = self.run.state()["mlflow_run_id"]
        texts = [base64.b64encode(file.read_bytes()).decode() for file in self.files]
        (logged,) = mlflow.MlflowClient().get_run(run_id).outputs.model_outputs
        answers = mlflow.pyfunc.load_model(f"models:/{logged.model_id}").predict(texts)
        if "mask" in answers[0]:
            files = [io.BytesIO(base64.b64decode(answer["mask"])) for answer in answers]
            return [np.asarray(Image.open(file)) for file in files]
        for answer in answers:
            named = answer["probabilities"]
            assert answer.get("class", max(named, key=named.get)) == max(named, key=named.get)
            labels = [name for name in CLASSES if named[name] >= HALF]
            assert answer.get("labels", labels) == labels
        return np.array([list(answer["probabilities"].values()) for answer in answers])

    def evaluated(self) -> list[dict[str, str]]:
        """Return the rows of cases.csv, in the order of the files."""
        out = self.folder / "evaluated"
        evaluate(self.run, out, root=self.root)
        rows = {row["file"]: row for row in _read_rows(out / "cases.csv")}
        return [rows[str(file.relative_to(self.folder / "data"))] for file in self.files]

    def truth(self) -> Array:
        """Return the prepared targets of the files."""
        prepared = Prepared.open(prepare(self.declaration, root=self.root), self.declaration.data)
        order = {name: index for index, name in enumerate(prepared.files("test"))}
        names = [str(file.relative_to(self.folder / "data")) for file in self.files]
        return np.array(prepared.targets("test"))[[order[name] for name in names]]


def check_agreement(
    case: Case, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *, forms: Sequence[str]
) -> None:
    """Assert that all ways out say the same of the same files.

    Args:
        root: of a project.
        folder: an empty one.
        forms: formats of exported files.
    """
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(root))
    trip = Trip(case, root, folder)
    assert len(trip.files) == NUM_FILES
    rows, expected = trip.predicted()
    cases, served = trip.evaluated(), trip.served()
    exported = {form: trip.exported(form) for form in forms}
    if isinstance(expected, list):
        truth = trip.truth()
        for masks, about in exported.values():
            for found in (served, trip.restored(masks, about)):
                assert all(np.array_equal(mask, one) for mask, one in zip(expected, found, strict=True))
            for row, mask, one in zip(cases, masks, truth, strict=True):
                assert float(row["dice"]) == pytest.approx(dice(mask, one, len(CLASSES)), abs=1e-6)
        return
    for found in (served, *(probabilities for probabilities, _ in exported.values())):
        assert np.abs(found - expected).max() <= TOLERANCE
        assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
        assert np.array_equal(found >= HALF, expected >= HALF)
    assert [row["predicted"] for row in cases] == [row["class"] for row in rows]
    if "confidence" not in cases[0]:  # several labels per image
        return
    confidences = np.array([float(row["confidence"]) for row in cases])
    assert np.abs(confidences - expected.max(axis=1)).max() <= TOLERANCE


def available_forms() -> list[str]:
    """Return the formats of exported files whose packages are installed."""
    return [name for name, form in FORMATS.items() if all(find_spec(each) for each in form.packages)]


def bring_back(mask: Array, original: tuple[int, int], about: dict[str, Any]) -> Array:
    """Return a mask of a prepared image in the size (width, height) of its image."""
    size, (width, height) = (about["columns"], about["rows"]), original
    scale = max(size[0] / width, size[1] / height)
    shown = {
        "squash": size,
        "letterbox": ImageOps.contain(Image.new("L", original), size).size,
        "crop": (width * scale, height * scale),
    }[about["resize"]]
    left, top = ((whole - part) / 2 for whole, part in zip(size, shown, strict=True))
    if about["resize"] == "letterbox":
        left, top = round(left), round(top)
    affine = (shown[0] / width, 0, left + 1e-6, 0, shown[1] / height, top + 1e-6)
    image = Image.fromarray(mask)
    return np.asarray(image.transform(original, Image.Transform.AFFINE, affine, fillcolor=IGNORED))


def dice(mask: Array, truth: Array, num_classes: int) -> float:
    """Return the mean over classes of the Dice score of a mask, where the truth is not ignored."""
    scores = []
    for index in range(num_classes):
        guessed, true = (mask == index) & (truth != IGNORED), truth == index
        if guessed.any() or true.any():
            scores.append(2 * (guessed & true).sum() / (guessed.sum() + true.sum()))
    return float(np.mean(scores))


def _declare(case: Case, folder: Path) -> Declaration:
    plain = declare(case.task, folder, max_epochs=2, batch_size=8)
    kind = load_demands(plain.task).target
    _write(folder / "data", case.channels, kind)
    data = {
        **plain.sections["data"],
        "root": str(folder / "data"),
        "shape": [case.channels, *SIDES],
        "resize": case.rule,
        "padding_value": 114 if case.rule == "letterbox" else 0,
        "ignore_label": IGNORED if kind == "mask" else None,
    }
    tracking = {"experiment": "round trips", "log_model": True}
    return check({**plain.sections, "data": data, "input_shape": data["shape"], "tracking": tracking})


def _write(root: Path, channels: int, kind: str) -> None:
    """Write images of mixed sizes: brighter where, or if, the class is higher; of several labels, the sum counts."""
    random = np.random.default_rng(0)
    files, table = {}, ["file,tags"]
    for split, count in (("train", 24), ("val", 6), ("test", NUM_FILES)):
        for index in range(count):
            sides = random.integers(4, LARGEST, 2)
            labels = [name for bit, name in enumerate(CLASSES) if (index + 1) >> bit & 1]
            mask = random.integers(0, len(CLASSES), sides, dtype=np.uint8)
            if kind != "mask":
                mask[:] = len(labels) if kind == "labels" else index % len(CLASSES)
            noise = random.integers(0, 70, (*sides, channels), dtype=np.uint8)
            pixels = (mask[..., None] * np.uint8(60) + noise).squeeze()
            place = CLASSES[index % len(CLASSES)] if kind == "label" else "images"
            name = f"{split}/{place}/{index:03}.png"
            files[name] = encode(pixels)
            table.append(f"{name},{'|'.join(labels)}")
            if kind == "mask":
                files[f"{split}/masks/{index:03}.png"] = encode(mask)
    if kind == "labels":
        files["labels.csv"] = "\n".join(table).encode()
    write_files(root, files)


def make_ready(image: Image.Image, about: dict[str, Any]) -> Array:
    pad = partial(ImageOps.pad, color=(about["padding_value"],) * len(about["mode"]))
    resize = {"squash": Image.Image.resize, "letterbox": pad, "crop": ImageOps.fit}[about["resize"]]
    size, method = (about["columns"], about["rows"]), Image.Resampling[about["filter"]]
    ready = resize(ImageOps.exif_transpose(image).convert(about["mode"]), size, method)
    return np.asarray(ready, dtype=np.uint8).reshape(about["rows"], about["columns"], -1)


def _open(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def describe_file(form: str, path: Path) -> dict[str, Any]:
    if form == "torch":
        entries = {"convoy.json": ""}
        torch.export.load(path, extra_files=entries)
        return dict(json.loads(entries["convoy.json"]))
    import onnxruntime

    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    return dict(json.loads(metadata["convoy.json"]))


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

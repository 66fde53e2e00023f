"""Boxes and points on their whole way: somebody's folder, `inspect`, training and every way out, in its own pixels."""

from __future__ import annotations

import base64
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from PIL import Image

from pipeline import inspect
from pipeline.data.facts import Facts
from pipeline.data.places import Box, Point
from pipeline.data.prepared import Prepared
from pipeline.data.sources import load_source, open_source
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.export import export
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.training.deployment import FORMATS
from pipeline.training.evaluation import evaluate
from pipeline.training.inputs import prepare
from pipeline.training.prediction import predict
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import open_trained
from tests.makers import write_files
from tests.training.place_folders import NAMES, POINTS, SIDES, write_folder
from tests.training.round_trips import describe_file, make_ready

SHAPE = (1, 16, 24)
LAYERS = [{"conv": 4}]
HEADS: dict[str, list[Any]] = {
    "detection": [{"pool": "avg", "kernel": 8}, {"conv": "outputs", "kernel": 1}],
    "localization": ["flatten", {"linear": "outputs"}],
    "coordinates": ["flatten", {"linear": "outputs"}],
    "heatmaps": [{"conv": "outputs", "kernel": 1}],
}
OVERRIDES = {
    "detection": ["task=detection", "task.min_confidence=0.01", "task.max_detections=6"],
    "localization": ["task=localization"],
    "coordinates": ["task=landmarks"],
    "heatmaps": ["task=landmarks", "task.outputs=heatmaps"],
}
PRECISION = 0.02  # pixels of the file: two decimals, and single precision

Places = list[tuple[float, ...]]  # of an image: corners and confidence of each box, or x and y of each point


@dataclass(frozen=True)
class Case:
    """What is trained: a task or an output of one, on data of a format, resized by a rule."""

    task: str
    form: str
    rule: str


def check_trip(case: Case, project: Path, folder: Path, *, exported: str) -> None:
    """Assert that all ways out tell the same places of the same files, and that these can be read as data.

    Args:
        project: with conf/, which `inspect` writes to.
        folder: an empty one.
        exported: format of the exported file.
    """
    declaration = _declare(case, project, folder)
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(project))
    prepared = Prepared.open(prepare(declaration, root=project), declaration.data)
    files = {Path(name).name: Path(declaration.data.root) / name for name in prepared.files("test")}
    assert len(files) >= 4
    write_files(folder / "asked", {name: path.read_bytes() for name, path in files.items()})
    found = _predict(run, project, folder)
    assert found.keys() == files.keys()
    assert any(found.values()), "an untrained network predicts something, too"
    for name, places in found.items():
        with Image.open(files[name]) as image:
            assert "points" in case.form or all(_is_inside(each, image.size) for each in places)
    _assert_same(_evaluate(run, project, folder), found, has_more=True)
    _assert_same(_export(run, project, folder, files, exported), found)
    _assert_same(_serve(run, files), found)
    _assert_same(_read_again(declaration, folder), {name: _without(each) for name, each in found.items()})


def _declare(case: Case, project: Path, folder: Path) -> Declaration:
    """Write somebody's folder, let `inspect` declare it, and return the declaration of a tiny network on it."""
    write_folder(folder / "mine", case.form, most=1 if case.task == "localization" else 2)
    facts = inspect.declare([folder / "mine"], {"name": "mine"}, root=project).facts
    assert facts.format == case.form
    shape = f"data.shape=[{','.join(map(str, SHAPE))}]"
    overrides = ["data=mine", shape, f"data.resize={case.rule}", *OVERRIDES[case.task]]
    sections = compose_sections([*overrides, "model=linear", "optimizer.lr=0.01"])
    settings = {"max_epochs": 1, "batch_size": 8, "progress": False}
    return check(
        {
            **sections,
            "name": "tiny",
            "model": {**sections["model"], "layers": LAYERS, "head": HEADS[case.task]},
            "trainer": {**sections["trainer"], **settings},
            "tracking": {"experiment": "tiny", "log_model": True},
        }
    )


def _predict(run: RunFolder, project: Path, folder: Path) -> dict[str, Places]:
    (folder / "out").mkdir()
    predict([open_trained(run, root=project)], folder / "asked", folder / "out", overlays=False)
    found: dict[str, Places] = {}
    for row in _read(folder / "out" / "predictions.csv"):
        places = found.setdefault(row["file"], [])
        if "x_min" not in row:
            places += [(float(row[f"{name}_x"]), float(row[f"{name}_y"])) for name in POINTS]
        elif row["class"]:
            places.append(_box(row))
    return found


def _evaluate(run: RunFolder, project: Path, folder: Path) -> dict[str, Places]:
    evaluate(run, folder / "scores", root=project)
    found: dict[str, Places] = {}
    for row in _read(folder / "scores" / "cases.csv"):
        places = found.setdefault(Path(row["file"]).name, [])
        if "x_min" not in row:
            points = (each.split() for each in row["predicted"].split("; "))
            places += [(float(x), float(y)) for _, x, y in points]
        elif row["predicted"]:
            places.append(_box({**row, "class": row["predicted"]}))
    return found


def _export(
    run: RunFolder, project: Path, folder: Path, files: Mapping[str, Path], form: str
) -> dict[str, Places]:
    path = folder / f"model{FORMATS[form].suffix}"
    export(str(run.path), form, path, root=project)
    about, images, sides = describe_file(form, path), [], []
    for file in files.values():
        with Image.open(file) as image:
            images.append(make_ready(image, about))
            sides.append(image.size[::-1])
    predictions = FORMATS[form].read(path.read_bytes())(np.stack(images), np.array(sides))
    assert predictions.dtype == np.float32
    if about["places"] == "points":
        return {name: [(x, y) for x, y, _ in each] for name, each in zip(files, predictions, strict=True)}
    return {
        name: [(*box, index, confidence) for *box, index, confidence in each.tolist() if index >= 0]
        for name, each in zip(files, predictions, strict=True)
    }


def _serve(run: RunFolder, files: Mapping[str, Path]) -> dict[str, Places]:
    (logged,) = mlflow.MlflowClient().get_run(run.state()["mlflow_run_id"]).outputs.model_outputs
    texts = [base64.b64encode(file.read_bytes()).decode() for file in files.values()]
    answers = mlflow.pyfunc.load_model(f"models:/{logged.model_id}").predict(texts)
    if "points" in answers[0]:
        return {
            name: [(answer["points"][each]["x"], answer["points"][each]["y"]) for each in POINTS]
            for name, answer in zip(files, answers, strict=True)
        }
    pairs = zip(files, answers, strict=True)
    return {name: [_box(box) for box in answer["boxes"]] for name, answer in pairs}


def _read_again(declaration: Declaration, folder: Path) -> dict[str, Places]:
    """Return the predictions that a data set has, whose table is what `predict` wrote."""
    table = (folder / "out" / "predictions.csv").read_bytes()
    (folder / "asked" / "predictions.csv").write_bytes(table)
    columns = {"file": "file"}
    if declaration.data.points is None:
        columns |= {**{side: side for side in SIDES}, "label": "class"}
    facts = Facts(
        **{
            **declaration.sections["data"],
            "root": str(folder / "asked"),
            "format": "csv_boxes" if declaration.data.points is None else "csv_points",
            "table": "predictions.csv",
            "columns": columns,
            "split": {"val": 0.3, "test": 0.3, "seed": 0},
        }
    )
    with open_source(facts) as archive:
        samples = load_source(facts.format).samples(archive, facts)
        if declaration.data.points is None:  # points may lie outside of their images
            kind = load_kind("boxes").fitted(samples)
            for sample in samples:
                kind.read(sample, archive, facts, image=archive.read(sample.file))
    return {sample.file: [_tell(each) for each in sample.target] for sample in samples}


def _tell(place: Box | Point) -> tuple[float, ...]:
    if isinstance(place, Point):
        return place.x, place.y
    return place.x_min, place.y_min, place.x_max, place.y_max, place.label


def _box(row: Mapping[str, Any]) -> tuple[float, ...]:
    return (*(float(row[side]) for side in SIDES), NAMES.index(row["class"]), float(row["confidence"]))


def _without(places: Places) -> Places:
    """Return places without confidences."""
    return [each[:5] for each in places]


def _is_inside(box: Sequence[float], size: tuple[int, int]) -> bool:
    return 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]


def _has_area(box: Sequence[float]) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def _assert_same(
    found: Mapping[str, Places], expected: Mapping[str, Places], *, has_more: bool = False
) -> None:
    """Assert that places are the expected ones, in any order.

    Args:
        has_more: whether there may be boxes of no area, which `predict` leaves out.
    """
    assert found.keys() == expected.keys()
    for name, each in found.items():
        places = [place for place in each if not has_more or len(place) == 2 or _has_area(place)]
        assert len(places) == len(expected[name]), name
        if places:
            first, second = (np.array(sorted(each)) for each in (places, expected[name]))
            np.testing.assert_allclose(first, second, atol=PRECISION, rtol=0, err_msg=name)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

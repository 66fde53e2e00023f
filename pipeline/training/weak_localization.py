"""Weak localization by a classifier: its activation maps scored by boxes that it was not trained on.

The map is that of the class of the largest object in an image. Two controls do without the network: the best box in
the centre of every image, and maps of noise that are enlarged and thresholded like those of the network.
See `pipeline.boxes.weak` for sources.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.boxes.weak import (
    THRESHOLDS,
    are_found,
    are_hit,
    boxes_of_maps,
    brightest,
    centre_boxes,
)
from pipeline.data.external import prepare_external
from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing
from pipeline.data.resizing import Placement
from pipeline.declaration.keys import data_digest
from pipeline.errors import ConfigError
from pipeline.pictures.heat import draw_heat
from pipeline.tasks.intervals import Interval, with_intervals
from pipeline.training.activation_maps import normalise
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.box_data import declare_boxes, objects_of
from pipeline.training.evaluation import BATCH
from pipeline.training.score_files import write_rows, write_scores
from pipeline.training.score_tracking import track_scores
from pipeline.training.trained import Predictor, Trained

Array = NDArray[np.float64]

WAYS = ("maps", "centre", "noise")
TITLES = {
    "box_accuracy": "MaxBoxAcc at IoU 0.5",
    "box_accuracy_centre": "MaxBoxAcc, box in the centre",
    "box_accuracy_noise": "MaxBoxAcc, maps of noise",
    "box_accuracy_gain": "MaxBoxAcc above the better of both",
    "pointing": "pointing game",
    "pointing_centre": "pointing game, centre",
    "pointing_noise": "pointing game, maps of noise",
    "pointing_gain": "pointing game above the better of both",
}
SHARES = tuple(name for name in TITLES if not name.endswith("gain"))
COLUMNS = (
    "file",
    "class",
    "x_min",
    "y_min",
    "x_max",
    "y_max",
    "found",
    "hit",
)  # in pixels of the image's file
CASES = 16  # that are drawn


@dataclass(frozen=True)
class Split:
    """The images of a split that have an object, with what each way says of where it is.

    Args:
        files: names of the images.
        placements: where the images lie in the prepared ones.
        classes: (N,) indices in the classes of the run.
        images: (N, H, W, C).
        maps: (N, H, W) of the network.
        boxes: way -> boxes at each of `THRESHOLDS`, (N, T, 4) or (T, 4).
        found: way -> whether they are right, (N, T).
        hits: way -> whether its point lies in an object, (N,).
    """

    files: list[str]
    placements: list[Placement]
    classes: NDArray[np.int64]
    images: NDArray[np.uint8]
    maps: NDArray[np.floating]
    boxes: Mapping[str, Array]
    found: Mapping[str, NDArray[np.bool_]]
    hits: Mapping[str, NDArray[np.bool_]]


def localize_weakly(
    trained: Trained, data: Mapping[str, Any], out: Path, *, root: Path
) -> dict[str, Interval]:
    """Score the activation maps of a run on the test split of data with boxes; thresholds are chosen on its val split.

    Args:
        data: the section `data`.
        out: a folder for scores, cases and pictures.

    Returns:
        Score -> {value, low, high}, with a 95 % interval over images.

    Raises:
        ConfigError: the network has no activation maps, or the data no boxes of its classes.
    """
    declaration = trained.declaration
    other = declare_boxes(declaration, data, is_resized=True)
    facts, found_digest = other.data, data_digest(other, root=root)
    with declared_arithmetic(declaration.trainer):
        predictor = Predictor(trained)
        if not predictor.explains:
            problem = "activation maps are for classifiers with convolutions"
            raise ConfigError("explain", problem, got="cam", hint="leave it out")
        chosen_on = _load(predictor, facts, declaration.data, "val", seed=declaration.seed)
        split = _load(predictor, facts, declaration.data, "test", seed=declaration.seed)
    places = {way: int(found.mean(axis=0).argmax()) for way, found in chosen_on.found.items()}
    columns = [split.found[way][:, places[way]] for way in WAYS] + [split.hits[way] for way in WAYS]
    evidence = np.stack(columns, axis=1).astype(np.float64)
    scores = with_intervals(_scores, evidence, seed=declaration.seed, shares=SHARES)
    first = scores["box_accuracy"]
    summary = {
        "score": first["value"], "score_from": first["low"], "score_to": first["high"],
        "score_of": TITLES["box_accuracy"], "val_score": float(chosen_on.found["maps"].mean(axis=0).max()),
        "data": facts.name, "split": "test", "images": len(split.files), "data_digest": found_digest,
    }  # fmt: skip
    thresholds = ", ".join(f"{way} {THRESHOLDS[place]:.2f}" for way, place in places.items())
    remarks = [
        f"thresholds, and the share of each side that the box in the centre has, chosen on val: {thresholds}"
    ]
    write_scores(out, scores, {}, summary, guessed={}, remarks=remarks)
    write_rows(out / "cases.csv", COLUMNS, _rows(split, places["maps"], declaration.data.classes))
    _draw(split, places["maps"], declaration.data.classes, out / "pictures")
    track_scores(trained.folder, declaration, scores, out, root=root, place=f"localization_{facts.name}")
    return scores


def _scores(evidence: Array) -> dict[str, float]:
    """Return the scores of evidence (N, 6): whether the box, then the point of each of `WAYS` is right."""
    values: dict[str, float] = {}
    for name, (own, centre, noise) in zip(
        ("box_accuracy", "pointing"), evidence.mean(axis=0).reshape(2, 3), strict=True
    ):
        values |= {
            name: own,
            f"{name}_centre": centre,
            f"{name}_noise": noise,
            f"{name}_gain": own - max(centre, noise),
        }
    return {name: float(value) for name, value in values.items()}


def _load(predictor: Predictor, facts: Facts, own: Facts, split: str, *, seed: int) -> Split:
    """Return the images of a split that have an object, with the boxes and points of each way."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_external(facts, Path(folder), split=split)
        targets = objects_of(prepared, facts, own)
        images, files = np.array(prepared.images("test")), list(prepared.files("test"))
        sides = np.array(prepared.sides("test")).tolist()
    is_object = (targets[..., 4] >= 0) & (targets[..., 5] == 0)
    chosen = np.flatnonzero(is_object.any(axis=1))
    if not len(chosen):
        raise ConfigError(
            "data.root", f"no image of the {split} split has a box", got=facts.root, hint="add boxes"
        )
    targets, images, is_object = targets[chosen], images[chosen], is_object[chosen]
    areas = np.where(is_object, (targets[..., 2:4] - targets[..., :2]).prod(axis=-1), -1)
    labels = targets[np.arange(len(targets)), areas.argmax(axis=1), 4].astype(np.int64)
    is_same = is_object & (targets[..., 4] == labels[:, None])
    objects = np.where(is_same[..., None], targets[..., :4], np.nan)
    maps = _maps(predictor, images, labels)
    noise = _noise(len(maps), predictor.map_sides, maps.shape[1:], seed=seed)
    boxes = {
        "maps": boxes_of_maps(maps),
        "centre": centre_boxes(maps.shape[1:]),
        "noise": boxes_of_maps(noise),
    }
    middle = np.broadcast_to(np.array(maps.shape[:0:-1]) / 2, (len(maps), 2))
    points = {"maps": brightest(maps), "centre": middle, "noise": brightest(noise)}
    return Split(
        [files[index] for index in chosen],
        [find_resizing(facts).place((sides[index][0], sides[index][1])) for index in chosen],
        labels,
        images,
        maps,
        boxes,
        {way: are_found(each, objects) for way, each in boxes.items()},
        {way: are_hit(each, objects) for way, each in points.items()},
    )


def _noise(count: int, coarse: tuple[int, ...], sides: tuple[int, ...], *, seed: int) -> NDArray[np.floating]:
    """Return maps of noise that are made like those of the network: enlarged from its rows and columns."""
    noise = torch.rand((count, 1, *coarse), generator=torch.Generator().manual_seed(seed))
    large = functional.interpolate(noise, sides, mode="bilinear", align_corners=False)[:, 0]
    made: NDArray[np.floating] = normalise(large).numpy()
    return made


def _maps(
    predictor: Predictor, images: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.floating]:
    batches = range(0, len(images), BATCH)
    made = [
        predictor.activation_maps(
            torch.from_numpy(images[start : start + BATCH]).permute(0, 3, 1, 2),
            torch.from_numpy(classes[start : start + BATCH]),
        )
        for start in batches
    ]
    return torch.cat(made).numpy()


def _rows(split: Split, place: int, classes: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image."""
    for index, (file, label) in enumerate(zip(split.files, split.classes, strict=True)):
        (box,) = split.placements[index].boxes(split.boxes["maps"][index, place : place + 1])
        sides = ("" if np.isnan(side) else f"{side:.2f}" for side in box)
        right = (split.found["maps"][index, place], split.hits["maps"][index])
        yield file, classes[label], *sides, *(str(int(each)) for each in right)


def _draw(split: Split, place: int, classes: list[str], folder: Path) -> None:
    """Draw the first images with their maps and boxes."""
    shown = range(min(CASES, len(split.files)))
    draw_heat(
        split.images[: len(shown)],
        split.maps[: len(shown)],
        split.boxes["maps"][: len(shown), place],
        folder / "maps.png",
        captions=[
            f"{classes[split.classes[i]]}: {'found' if split.found['maps'][i, place] else 'missed'}\n"
            f"{PurePath(split.files[i]).name}"
            for i in shown
        ],
    )

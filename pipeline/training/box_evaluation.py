"""Evaluation of a classifier as a detector: boxes that it has named, scored by the boxes of other data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.boxes.matches import Matches, encode, mean
from pipeline.boxes.resampling import Drawn, Resampling
from pipeline.data.external import prepare_external
from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing
from pipeline.data.prepared import Prepared
from pipeline.declaration.keys import data_digest
from pipeline.tasks.intervals import Draw, Interval, with_intervals
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.box_data import KIND, declare_boxes, objects_of
from pipeline.training.found_boxes import MOST
from pipeline.training.score_files import write_rows, write_scores
from pipeline.training.score_tracking import track_scores
from pipeline.training.trained import Trained

Array = NDArray[np.float64]

TITLES = {"ap50": "AP at IoU 0.5", "ap": "AP, mean over IoU 0.5 to 0.95", "recall": "recall at IoU 0.5"}
COLUMNS = ("file", "class", "confidence", "x_min", "y_min", "x_max", "y_max")  # in pixels of the image's file
BATCH = 16  # images that are looked at together; does not affect scores
CASES = 6  # that are drawn


class Finder(Protocol):
    """A way to find objects by a classifier.

    Attributes:
        place: prefix of its scores in MLflow.
    """

    place: str

    @property
    def titles(self) -> Mapping[str, str]:
        """Titles of its own scores."""
        ...

    def detect(self, images: NDArray[np.uint8]) -> Array:
        """Return the detections of images (N, H, W, C): (N, MOST, 6), by falling confidence; class -1 for none."""
        ...

    def evidence(self, objects: Array) -> Array:
        """Return a row of numbers for each image so far, from which its own scores can be computed.

        Args:
            objects: (N, B, 6), the boxes of these images.
        """
        ...

    def scores(self, evidence: Array) -> dict[str, float]:
        """Return its own scores of some rows."""
        ...

    def remarks(self, images: NDArray[np.uint8]) -> list[str]:
        """Return sentences on the cost for images (N, H, W, C)."""
        ...

    def draw(self, images: NDArray[np.uint8], detections: Sequence[Array], folder: Path) -> None:
        """Draw the first images with their detections (n, 6) that are confident enough."""
        ...


MakeFinder = Callable[[Trained, Facts], Finder]


def score_boxes(
    trained: Trained,
    data: Mapping[str, Any],
    make_finder: MakeFinder,
    out: Path,
    *,
    confidence: float,
    root: Path,
    split: str,
) -> tuple[dict[str, Interval], Mapping[str, str]]:
    """Score the boxes that a classifier finds on data with boxes; images keep the size that `data` declares.

    Args:
        data: the section `data`.
        make_finder: returns the way to find them in images of the facts.
        out: a folder for scores, cases and pictures.
        confidence: least one of detections in cases and pictures.
        split: `test`, or `all` for the images of all splits.

    Returns:
        Score -> {value, low, high}, with a 95 % interval over images or groups; and their titles.

    Raises:
        ConfigError: the network is no classifier, or the data have no boxes of its classes.
    """
    declaration = trained.declaration
    other, own = declare_boxes(declaration, data, is_resized=False), declaration.data
    facts, digest = other.data, data_digest(other, root=root)
    with tempfile.TemporaryDirectory() as folder, declared_arithmetic(declaration.trainer):
        finder = make_finder(trained, facts)
        prepared = prepare_external(facts, Path(folder), split=split)
        images = prepared.images("test")
        detections = _detect(finder, images)
        scores = _score(finder, detections, prepared, facts, own, seed=declaration.seed)
        first = scores["ap50"]
        bounds = {} if np.isnan(first["low"]) else {"score_from": first["low"], "score_to": first["high"]}
        summary = {
            "score": first["value"], **bounds, "score_of": TITLES["ap50"],
            "val_score": trained.folder.metrics()["score"],
            "data": facts.name, "split": split, "images": len(detections), "data_digest": digest,
        }  # fmt: skip
        write_scores(out, scores, {}, summary, guessed={}, remarks=finder.remarks(images))
        shown = [each[(each[:, 4] >= 0) & (each[:, 5] >= confidence)] for each in detections]
        write_rows(out / "cases.csv", COLUMNS, _rows(shown, prepared, facts, own.classes))
        finder.draw(np.array(images[:CASES]), shown[:CASES], out / "pictures")
    track_scores(trained.folder, declaration, scores, out, root=root, place=f"{finder.place}_{facts.name}")
    return scores, {**TITLES, **finder.titles}


def as_batch(images: NDArray[np.uint8]) -> Tensor:
    """Return images (N, H, W, C) as a batch (N, C, H, W)."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def _score(
    finder: Finder, detections: Array, prepared: Prepared, facts: Facts, own: Facts, *, seed: int
) -> dict[str, Interval]:
    objects = objects_of(prepared, facts, own)
    evidence, more = encode(detections, objects), finder.evidence(objects)
    width = evidence.shape[1]

    def find(rows: Array) -> Matches:
        return Matches(rows[:, :width], detections.shape[1], len(own.classes))

    def score(matches: Matches | Drawn, its_own: Array) -> dict[str, float]:
        averages = matches.precisions().mean(axis=2)
        return {
            "ap50": mean(averages[:, 0]),
            "ap": mean(averages),
            "recall": mean(matches.recalls(MOST)[:, 0]),
            **finder.scores(its_own),
        }

    def resample(rows: Array) -> Draw:
        source = Resampling(find(rows))
        return lambda images: score(source.draw(images), rows[images, width:])

    return with_intervals(
        lambda rows: score(find(rows), rows[:, width:]),
        np.concatenate((evidence, more), axis=1),
        seed=seed,
        groups=prepared.groups("test"),
        resampled=resample,
    )


def _detect(finder: Finder, images: NDArray[np.uint8]) -> Array:
    """Return the detections of each image: (N, D, 6), where D is the most of an image."""
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    found = np.concatenate([finder.detect(np.array(batch)) for batch in batches])
    most: int = (found[..., 4] >= 0).sum(axis=1).max()
    return found[:, : max(1, most)]


def _rows(
    detections: Sequence[Array], prepared: Prepared, facts: Facts, classes: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each detection (n, 6) inside of each image, or one for an image without any."""
    sides = prepared.sides("test")
    assert sides is not None, "boxes keep them"
    resizing = find_resizing(facts)
    for file, (rows, columns), found in zip(prepared.files("test"), sides, detections, strict=True):
        own = resizing.place((int(rows), int(columns))).predictions(KIND, found)
        inside = own[own[:, 4] >= 0]
        for *box, label, confidence in inside:
            yield file, classes[int(label)], f"{confidence:.6f}", *(f"{side:.2f}" for side in box)
        if not len(inside):
            yield file, *[""] * (len(COLUMNS) - 1)

"""Evaluation of a classifier as a detector: its windows of larger images, scored by boxes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
from pipeline.pictures.windows import ShownWindows, draw_windows
from pipeline.tasks.intervals import Draw, Interval, with_intervals
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.box_data import KIND, declare_boxes, objects_of
from pipeline.training.score_files import write_rows, write_scores
from pipeline.training.score_tracking import track_scores
from pipeline.training.trained import Trained
from pipeline.training.windows import MOST, WindowPredictor, WindowSettings, window_boxes

Array = NDArray[np.float64]

TITLES = {"ap50": "AP at IoU 0.5", "ap": "AP, mean over IoU 0.5 to 0.95", "recall": "recall at IoU 0.5"}
COLUMNS = ("file", "class", "confidence", "x_min", "y_min", "x_max", "y_max")  # in pixels of the image's file
BATCH = 16  # images per forward pass; does not affect scores
CASES = 6  # that are drawn


def detect_by_windows(
    trained: Trained, data: Mapping[str, Any], settings: WindowSettings, out: Path, *, root: Path, split: str
) -> dict[str, Interval]:
    """Score the windows of a classifier as detections on data with boxes; images keep the size that `data` declares.

    Args:
        data: the section `data`.
        out: a folder for scores, cases and pictures.
        split: `test`, or `all` for the images of all splits.

    Returns:
        Score -> {value, low, high}, with a 95 % interval over images or groups.

    Raises:
        ConfigError: the network is no classifier, or the data have no boxes of its classes.
    """
    declaration = trained.declaration
    other, own = declare_boxes(declaration, data, is_resized=False), declaration.data
    facts, found = other.data, data_digest(other, root=root)
    with tempfile.TemporaryDirectory() as folder, declared_arithmetic(declaration.trainer):
        prepared = prepare_external(facts, Path(folder), split=split)
        predictor = WindowPredictor(trained, (facts.shape[1], facts.shape[2]), settings.scales)
        detections = _detect(predictor, prepared, settings, own.classes)
        scores = _score(detections, prepared, facts, own, seed=declaration.seed)
        first = scores["ap50"]
        bounds = {} if np.isnan(first["low"]) else {"score_from": first["low"], "score_to": first["high"]}
        summary = {
            "score": first["value"], **bounds, "score_of": TITLES["ap50"],
            "val_score": trained.folder.metrics()["score"],
            "data": facts.name, "split": split, "images": len(detections), "data_digest": found,
        }  # fmt: skip
        remarks = predictor.remarks(prepared.images("test"))
        write_scores(out, scores, {}, summary, guessed={}, remarks=remarks)
        write_rows(out / "cases.csv", COLUMNS, _rows(detections, prepared, facts, settings, own.classes))
        _draw(predictor, detections, prepared, settings, own.classes, out / "pictures")
    track_scores(trained.folder, declaration, scores, out, root=root, place=f"windows_{facts.name}")
    return scores


def _score(
    detections: Array, prepared: Prepared, facts: Facts, own: Facts, *, seed: int
) -> dict[str, Interval]:
    def find(evidence: Array) -> Matches:
        return Matches(evidence, detections.shape[1], len(own.classes))

    def score(matches: Matches | Drawn) -> dict[str, float]:
        averages = matches.precisions().mean(axis=2)
        return {
            "ap50": mean(averages[:, 0]),
            "ap": mean(averages),
            "recall": mean(matches.recalls(MOST)[:, 0]),
        }

    def resample(evidence: Array) -> Draw:
        source = Resampling(find(evidence))
        return lambda images: score(source.draw(images))

    return with_intervals(
        lambda evidence: score(find(evidence)),
        encode(detections, objects_of(prepared, facts, own)),
        seed=seed,
        groups=prepared.groups("test"),
        resampled=resample,
    )


def _detect(
    predictor: WindowPredictor, prepared: Prepared, settings: WindowSettings, classes: Sequence[str]
) -> Array:
    """Return the detections of each image: (N, D, 6), where D is the most of an image."""
    images = prepared.images("test")
    batches = (_as_batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH))
    found = np.concatenate([predictor.detect(batch, settings, classes) for batch in batches])
    most: int = (found[..., 4] >= 0).sum(axis=1).max()
    return found[:, : max(1, most)]


def _as_batch(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def _rows(
    detections: Array, prepared: Prepared, facts: Facts, settings: WindowSettings, classes: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each detection that is confident enough, or one for an image without any."""
    sides = prepared.sides("test")
    assert sides is not None, "boxes keep them"
    resizing = find_resizing(facts)
    for file, (rows, columns), found in zip(prepared.files("test"), sides, detections, strict=True):
        own = resizing.place((int(rows), int(columns))).predictions(KIND, found)
        chosen = own[(own[:, 4] >= 0) & (own[:, 5] >= settings.confidence)]
        for *box, label, confidence in chosen:
            yield file, classes[int(label)], f"{confidence:.6f}", *(f"{side:.2f}" for side in box)
        if not len(chosen):
            yield file, *[""] * (len(COLUMNS) - 1)


def _draw(
    predictor: WindowPredictor,
    detections: Array,
    prepared: Prepared,
    settings: WindowSettings,
    classes: Sequence[str],
    folder: Path,
) -> None:
    """Draw the first images: the class of each window, and the detections."""
    images = np.array(prepared.images("test")[:CASES])
    scale, network = next(iter(predictor.networks.items()))
    probabilities = predictor.probabilities(_as_batch(images), scale).cpu()
    confidences, labels = (each.numpy() for each in probabilities.max(dim=1))
    boxes = window_boxes(network, (images.shape[1], images.shape[2])).numpy()
    is_shown = (detections[: len(images), :, 4] >= 0) & (
        detections[: len(images), :, 5] >= settings.confidence
    )
    shown = [
        ShownWindows(images[i], labels[i], confidences[i], boxes, detections[i, is_shown[i]])
        for i in range(len(images))
    ]
    draw_windows(shown, classes, folder / "windows.png")

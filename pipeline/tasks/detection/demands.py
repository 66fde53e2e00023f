"""Requirements of detection: boxes for each image, a grid of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.boxes.anchors import count_lost, find_anchors, mean_best_iou, shape_iou
from pipeline.data.facts import Facts
from pipeline.errors import ConfigError, Range
from pipeline.tasks.box_demands import BoxDemands, are_single
from pipeline.tasks.demands import TrainingTargets

MOST_NAMED = 20  # classes that have scores of their own
MOST_ANCHORS = 20
MOST_DETECTIONS = 1000
SEED = 0  # of k-means: anchors depend on the training split alone
TITLES = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP, small",
    "ap_medium": "AP, medium",
    "ap_large": "AP, large",
    "recall_1": "recall at 1",
    "recall_10": "recall at 10",
    "recall": "recall",
}


def class_scores(classes: Sequence[str]) -> dict[str, str]:
    """Return the name of the AP of each class, and the class; empty for one class or too many."""
    return {f"ap_of_{name}": name for name in classes} if 1 < len(classes) <= MOST_NAMED else {}


def count_anchors(anchors: int | Sequence[Sequence[float]]) -> int:
    """Return the number of anchors that `task.anchors` asks for."""
    return anchors if isinstance(anchors, int) else len(anchors)


class DetectionDemands(BoxDemands):
    """Requirements of `pipeline.tasks.detection.task.Detection`."""

    name = "detection"
    score = "ap"
    facts = ("classes", "shape", "resize", "padding_value")
    suggested = ("model=yolo_small", "optimizer=adamw")

    def suits(self, targets: Iterable[Any]) -> bool:
        """Return whether an image has several objects, or one that is to be ignored."""
        return not are_single(targets)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check numbers and anchors.

        Raises:
            ConfigError: one is out of range.
        """
        Range(least=1, is_whole=True).check("task.stride", settings["stride"])
        Range(least=1, most=MOST_DETECTIONS, is_whole=True).check(
            "task.max_detections", settings["max_detections"]
        )
        for name in ("box_weight", "no_object_weight"):
            Range(above=0).check(f"task.{name}", settings[name])
        for name in ("ignore_iou", "nms_iou", "min_confidence"):
            Range(least=0, most=1).check(f"task.{name}", settings[name])
        anchors = settings["anchors"]
        if isinstance(anchors, int):
            Range(least=1, most=MOST_ANCHORS, is_whole=True).check("task.anchors", anchors)
        elif not anchors or len(anchors) > MOST_ANCHORS or not all(map(_is_shape, anchors)):
            raise ConfigError(
                "task.anchors",
                got=anchors,
                allowed=f"a number of them, or 1 to {MOST_ANCHORS} pairs of width and height in pixels, each above 0",
                hint="write them as in [[16, 20], [32, 40]]",
            )

    def resolve(
        self, settings: Mapping[str, Any], facts: Facts, training: TrainingTargets
    ) -> Mapping[str, Any]:
        """Return settings with the anchors that k-means finds on the boxes of the training split."""
        del facts
        if not isinstance(settings["anchors"], int):
            return settings
        anchors = find_anchors(_sizes(training.targets()), settings["anchors"], seed=SEED)
        while (
            len(anchors) < settings["anchors"]
        ):  # fewer shapes than anchors; outputs are as many as declared
            anchors = np.concatenate((anchors, anchors[-1:]))
        return {**settings, "anchors": np.round(anchors, 2).tolist()}

    def explain(self, settings: Mapping[str, Any], facts: Facts, training: TrainingTargets) -> list[str]:
        """Return how well the anchors fit the boxes of the training split, and how many objects are lost."""
        del facts
        targets, anchors = training.targets(), np.array(settings["anchors"], np.float64)
        sizes = _sizes(targets)
        lost = count_lost(targets, anchors, settings["stride"])
        poor = int((shape_iou(sizes, anchors).max(axis=1) < settings["ignore_iou"]).sum())
        shapes = ", ".join(f"{width:g} x {height:g}" for width, height in anchors)
        return [
            f"anchors in pixels: {shapes}; mean best IoU {mean_best_iou(sizes, anchors):.3f}",
            f"training objects that share cell and anchor with another one, and are lost: {lost:,} of {len(sizes):,}",
            f"training objects that no anchor takes with an IoU of {settings['ignore_iou']:g}: {poor:,}",
        ]

    def draw(self, settings: Mapping[str, Any], training: TrainingTargets, folder: Path) -> list[Path]:
        """Draw the anchors with the training objects that each of them takes; nothing without objects."""
        from pipeline.pictures.anchors import draw_anchors  # imports matplotlib

        sizes, path = _sizes(training.targets()), folder / "anchors.png"
        if not len(sizes):
            return []
        anchors = np.array(settings["anchors"], np.float64)
        draw_anchors(sizes, anchors, shape_iou(sizes, anchors), path, least=settings["ignore_iou"])
        return [path]

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return (A (5 + K), rows, columns) for A anchors, K classes and a cell for each stride.

        Raises:
            ConfigError: the stride does not divide rows and columns.
        """
        stride = settings["stride"]
        if shape[1] % stride or shape[2] % stride:
            raise ConfigError(
                "task.stride",
                got=stride,
                allowed=f"a divisor of rows and columns of data.shape {list(shape)}",
                hint="change one of them",
            )
        channels = count_anchors(settings["anchors"]) * (5 + len(facts.classes))
        return (channels, shape[1] // stride, shape[2] // stride)

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title: means over classes, then the AP of each class if there are few."""
        return {**TITLES, **{score: f"AP, {name}" for score, name in class_scores(facts.classes).items()}}

    def direction(self, metric: str) -> str:
        """Return `minimize` for the loss and `maximize` for each score, regardless of class names."""
        return "minimize" if metric == "val/loss" else "maximize"


def _is_shape(value: Any) -> bool:
    """Return whether a value is a pair of positive numbers."""
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    return is_pair and all(
        isinstance(side, int | float) and not isinstance(side, bool) and isfinite(side) and side > 0
        for side in value
    )


def _sizes(targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return width and height (n, 2) of the objects of targets (N, B, 6) that are not ignored."""
    rows = targets[(targets[..., 4] >= 0) & (targets[..., 5] <= 0)]
    return np.asarray(rows[:, 2:4] - rows[:, :2], np.float64)


DEMANDS = DetectionDemands()

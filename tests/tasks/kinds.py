"""Tiny data and targets of each kind, for the tests of all tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.declaration.composition import compose_sections
from pipeline.tasks.demands import load_demands
from tests.makers import write_class_folders, write_identity_folders, write_image_masks, write_label_sets
from tests.place_makers import write_boxes, write_points
from tests.tasks.rows import NUM_CLASSES

CLASSES = [str(index) for index in range(NUM_CLASSES)]
POINTS = ["left", "right"]
# Kind of target -> facts of data of that kind, see `write_data`.
KINDS: dict[str, dict[str, Any]] = {
    "label": {"format": "class_folders"},
    "identity": {"format": "identity_folders", "classes": []},
    "labels": {
        "format": "csv_labels",
        "table": "labels.csv",
        "columns": {"file": "file", "label": "tags"},
        "separator": "|",
    },
    "mask": {"format": "image_masks"},
    "image": {"format": "images", "classes": [], "degrade": {"noise": 25}},
    "boxes": {
        "format": "csv_boxes",
        "table": "boxes.csv",
        "columns": {name: name for name in ("file", "x_min", "y_min", "x_max", "y_max", "label")},
    },
    "points": {
        "format": "csv_points",
        "table": "points.csv",
        "columns": {"file": "file"},
        "points": POINTS,
        "classes": [],
    },
}


def write_data(path: Path, kind: str, *, most_boxes: int = 2) -> dict[str, Any]:
    """Write data of a kind of target, and return their facts; images have at most so many boxes."""
    if kind == "identity":
        write_identity_folders(path, names=CLASSES)
    elif kind in ("label", "image"):
        write_class_folders(path, classes=CLASSES, num_images=2)
    elif kind == "labels":
        write_label_sets(path, classes=CLASSES)
    elif kind == "boxes":
        write_boxes(path, classes=CLASSES, most=most_boxes)
    elif kind == "points":
        write_points(path, points=POINTS)
    else:
        write_image_masks(path, num_classes=NUM_CLASSES, num_images=6)
    return {"classes": CLASSES, **KINDS[kind]}


def targets_of_kind(name: str, labels: Tensor) -> Tensor:
    """Return targets of the kind that a task takes, made of labels (N,): rows of masks are these."""
    kind = load_demands(compose_sections([f"task={name}"])["task"]).target
    if kind == "labels":
        return torch.eye(NUM_CLASSES, dtype=torch.uint8)[labels.long()]
    if kind == "boxes":
        return boxes_of(labels)
    if kind == "points":
        return points_of(labels)
    if kind == "image":
        return images_of(labels)
    return labels.repeat(len(labels), 4, 1) if kind == "mask" else labels


def images_of(labels: Tensor) -> Tensor:
    """Return images (N, 1, 4, 6), brighter for higher labels."""
    return (100 * labels)[:, None, None, None].expand(-1, 1, 4, 6).to(torch.uint8)


def boxes_of(labels: Tensor) -> Tensor:
    """Return targets (N, 2, 6) of images of 8 x 8 with one box each, of the class of a label."""
    targets = torch.zeros(len(labels), 2, 6)
    targets[:, 0, :4] = torch.tensor([1.0, 2.0, 5.0, 7.0])
    targets[:, 0, 4] = labels
    targets[:, 1, 4] = -1
    return targets


def points_of(labels: Tensor) -> Tensor:
    """Return targets (N, 2, 3) of images of 8 x 8, whose points lie further right for higher labels."""
    targets = torch.ones(len(labels), 2, 3)
    targets[:, 0, :2] = torch.tensor([1.0, 2.0])
    targets[:, 1, :2] = torch.tensor([5.0, 6.0])
    targets[..., 0] += labels[:, None]
    return targets

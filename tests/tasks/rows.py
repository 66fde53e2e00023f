"""One row per task: outputs that are right, outputs that say the same of every image, and what they must score.

Shapes: N images, K classes; targets as their kind stores them, outputs as the network puts them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.tasks.style_files import style_outputs, write_style

NUM_CLASSES = 3

Outputs = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """What the contract asks of a task beside what holds for every task.

    Args:
        perfect: targets of a batch -> outputs that predict them.
        constant: targets of a batch -> the same outputs for every image.
        best: the selecting score of perfect outputs.
        chance: the selecting score that constant outputs do not beat, where each class is as frequent.
        head: of the network that puts out what the task needs; None for the usual one.
        lr: learning rate that trains on these data.
        compares: whether images are compared with each other, so that a single one has no score.
        most_boxes: objects of an image that the task can take.
        facts: of the data, where they are not those that its kind usually has.
        settings: writes the files that the task reads into a folder, and returns the settings that name them.
    """

    perfect: Outputs
    constant: Outputs
    best: float
    chance: float
    head: list[Any] | None = None
    lr: float = 0.1
    compares: bool = False
    most_boxes: int = 2
    facts: Mapping[str, Any] = field(default_factory=dict)
    settings: Callable[[Path], Mapping[str, Any]] = lambda folder: {}


# What composes a declaration of each task.
COMPOSED = {
    "classification": ["task=classification", "data=digits"],
    "detection": ["task=detection", "data=digits_scenes", "model=yolo_small"],
    "localization": ["task=localization", "data=digits_located", "model=localizer"],
    "multilabel": [
        *("task=multilabel", "data=digits", "data.format=csv_labels", 'data.separator=";"'),
        *(
            "data.table=t.csv",
            "data.columns={file: file, label: tags}",
            "data.split=random",
            "data.groups=null",
        ),
    ],
    "landmarks": ["task=landmarks", "data=clocks", "data.points=[left,right]"],
    "verification": ["task=verification", "data=faces_people", "model=face_lite0"],
    "restoration": ["task=restoration", "data=digits", "data.degrade={noise: 25}", "model=autoencoder"],
    "style": ["task=style", "data=digits", "data.format=images", "data.classes=[]", "model=dncnn"],
    "segmentation": ["task=segmentation", "data=brain", "model=unet_small"],
}


def one_hot(targets: Tensor) -> Tensor:
    """Return logits (N, K, ...) that are sure of the class of each target (N, ...)."""
    return 20 * functional.one_hot(targets.long(), NUM_CLASSES).movedim(-1, 1).float()


def box_outputs(targets: Tensor, labels: Tensor) -> Tensor:
    """Return outputs (N, 3 x 8, 1, 1) that are sure of the first box of each target (N, B, 6), and of a class (N,).

    The image is one cell of 8 pixels, whose anchors are squares of 8, 16 and 32 pixels.
    """
    box = targets[:, 0, :4]
    centres, sides = (box[:, :2] + box[:, 2:]) / 16, (box[:, 2:] - box[:, :2]) / 8
    parts = torch.full((len(targets), 3, 8), -20.0)
    parts[:, 0, :2], parts[:, 0, 2:4] = centres.logit(), sides.log()
    parts[:, 0, 4] = 10
    parts[torch.arange(len(targets)), 0, 5 + labels.long()] = 20
    return parts.reshape(len(targets), -1, 1, 1)


def box_shares(targets: Tensor, labels: Tensor) -> Tensor:
    """Return outputs (N, 5 + K) that are sure of the first box of each target (N, B, 6), and of a class (N,)."""
    corners = targets[:, 0, :4] / 8
    low, high = corners[:, :2], corners[:, 2:]
    shares = torch.cat(((low + high) / 2, high - low), dim=1)
    return torch.cat((torch.full((len(targets), 1), 20.0), shares.logit(), one_hot(labels)), dim=1)


ROWS = {
    "classification": Row(one_hot, lambda targets: one_hot(torch.zeros_like(targets)), best=1.0, chance=0.34),
    "detection": Row(
        lambda targets: box_outputs(targets, targets[:, 0, 4]),
        lambda targets: box_outputs(targets, torch.zeros(len(targets))),
        best=1.0,
        chance=0.52,  # a third of the boxes is right, in the order of the images
        head=[{"pool": "avg", "kernel": 8}, {"conv": "outputs", "kernel": 1}],
    ),
    "localization": Row(
        lambda targets: box_shares(targets, targets[:, 0, 4]),
        lambda targets: box_shares(targets, torch.zeros(len(targets))),
        best=1.0,
        chance=0.34,
        most_boxes=1,
    ),
    "landmarks": Row(
        lambda targets: (targets[..., :2] / 8 - 0.5).flatten(1),
        lambda targets: torch.zeros(len(targets), 4),
        best=0.0,
        chance=0.3,
    ),
    "multilabel": Row(
        lambda targets: 40 * targets.float() - 20,
        lambda targets: torch.ones(len(targets), NUM_CLASSES),
        best=1.0,
        chance=0.34,
    ),
    "restoration": Row(
        lambda targets: targets / 255,
        lambda targets: torch.full(targets.shape, 0.5),
        best=100.0,
        chance=13.0,  # dB, where images are black, or of grey 100 or 200
    ),
    "style": Row(
        style_outputs,
        lambda targets: torch.full(targets.shape, 0.5),
        best=0.0,
        chance=0.1,  # a grey image has other products of features
        lr=1e-4,
        facts={"degrade": None},
        settings=write_style,
    ),
    "verification": Row(
        one_hot,
        lambda targets: torch.ones(len(targets), NUM_CLASSES),
        best=1.0,
        chance=0.5,
        compares=True,
    ),
    "segmentation": Row(one_hot, lambda targets: one_hot(torch.zeros_like(targets)), best=1.0, chance=0.34),
}

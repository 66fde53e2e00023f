"""Localization: one object per image or none, y = [presence, box, classes].

Source: Sermanet et al. 2013, arXiv:1312.6229, section 4, who regress the box of the one object of an image. Unlike the
paper, presence, box and class are outputs of one head, and the box is relative to the whole image.
Shapes: N images, K classes, H rows, W columns; outputs (N, 5 + K): logit of presence; logits of the centre x, y, the
width and the height as shares of the image; logits of the classes. Targets are (N, B, 6): box in pixels, class or -1
for none, 1 if ignored, of which localization takes the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.boxes.iou import paired_iou
from pipeline.data.resizing import NOTHING, Resizing
from pipeline.tasks.localization.demands import DEMANDS
from pipeline.tasks.task import Batch, Evidence

LEAST_IOU = 0.5  # of a box that counts as found, as in PASCAL VOC
PRESENT = 0.5  # probability from which on an image has an object
BEND = 0.05  # error of a share where smooth L1 turns from squares to distances


class Localization:
    """Cross-entropy of presence and class, smooth L1 of the box; scored by class and IoU.

    Evidence is (N, 4): probability of an object, predicted class, IoU of the boxes (0 for no object), and class (-1 for
    no object).

    Args:
        classes: names of the K classes.
        shape: [C, H, W] of the images.
        resize: how images are brought to these sides, for the way back.
        box_weight: weight of the box in the loss; the other terms have 1.
    """

    def __init__(
        self, *, classes: Sequence[str], shape: Sequence[int], resize: str, box_weight: float
    ) -> None:
        DEMANDS.check_settings({"box_weight": box_weight})
        self.classes = list(classes)
        self.sides = (shape[1], shape[2])
        self.box_weight = box_weight
        self._resizing = Resizing(resize, self.sides, padding_value=0)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of presence over images, plus those of box and class over images with an object."""
        outputs, target = outputs.float(), batch["target"][:, 0]
        has_object = target[:, 4] >= 0
        loss = functional.binary_cross_entropy_with_logits(outputs[:, 0], has_object.float())
        if not has_object.any():
            return loss
        own, true = outputs[has_object], target[has_object]
        shares = functional.smooth_l1_loss(own[:, 1:5].sigmoid(), self._shares(true[:, :4]), beta=BEND)
        return loss + self.box_weight * shares + functional.cross_entropy(own[:, 5:], true[:, 4].long())

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, 4): probability of an object, predicted class, IoU and class."""
        outputs, target = outputs.cpu().double(), batch["target"][:, 0].cpu().double()
        iou, _ = paired_iou(self._boxes(outputs), target[:, :4])
        guess = outputs[:, 5:].argmax(dim=1).double()
        overlap = torch.where(target[:, 4] >= 0, iou, 0)
        return torch.stack((outputs[:, 0].sigmoid(), guess, overlap, target[:, 4]), dim=1)

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Return the mean of the outputs of the views; boxes of mirrored ones are mirrored back."""
        if len(outputs) == 1:
            return outputs[0]
        views = torch.stack([each.float() for each in outputs])
        # The centre x of a mirrored box is 1 - x, and sigmoid(-t) = 1 - sigmoid(t).
        signs = torch.tensor([-1.0 if each else 1.0 for each in mirrored], device=views.device)
        centres = views[..., 1] * signs[:, None]
        return torch.cat((views[..., :1], centres[..., None], views[..., 2:]), dim=-1).mean(dim=0)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return (N, 1, 6): box in pixels, class and confidence; class -1 for no object."""
        outputs = outputs.float()
        presence = outputs[:, :1].sigmoid()
        chance, label = outputs[:, 5:].softmax(dim=1).max(dim=1, keepdim=True)
        rows = torch.cat((self._boxes(outputs), label.to(chance.dtype), presence * chance), dim=1)
        return torch.where(presence >= PRESENT, rows, rows.new_tensor(NOTHING))[:, None]

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return the share of objects of right class and IoU, the mean IoU, and the accuracy of all images.

        The first two are over images with an object, and NaN without any; an object that is not found has an IoU of 0.
        """
        label, (found, iou) = evidence[:, 3], find_objects(evidence)
        has_object = label >= 0
        is_right = (found == label)[has_object]
        return {
            "localized": _mean(is_right & (iou[has_object] >= LEAST_IOU)),
            "mean_iou": _mean(iou[has_object]),
            "accuracy": float((found == label).mean()),
        }

    def remarks(self, evidence: Evidence) -> list[str]:
        """Return how many images have no object, and in how many of these one was found."""
        is_empty = evidence[:, 3] < 0
        if not is_empty.any():
            return []
        alarms = int((find_objects(evidence)[0][is_empty] >= 0).sum())
        return [
            f"images without an object: {int(is_empty.sum()):,} of {len(evidence):,}, of which {alarms:,} were given "
            "one; they count for accuracy alone"
        ]

    def to_file(self, box: NDArray[np.floating], sides: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return a box (4,) in pixels of the image's file.

        Args:
            sides: rows and columns of the file.
        """
        rows, columns = map(int, sides)
        own: NDArray[np.float64] = self._resizing.place((rows, columns)).boxes(box[None])[0]
        return own

    def _boxes(self, outputs: Tensor) -> Tensor:
        """Return boxes (N, 4) in pixels, inside of the image."""
        height, width = self.sides
        shares = outputs[:, 1:5].sigmoid()
        centre, half = shares[:, :2], shares[:, 2:] / 2
        corners = torch.cat((centre - half, centre + half), dim=1).clamp(0, 1)
        return corners * corners.new_tensor([width, height, width, height])

    def _shares(self, boxes: Tensor) -> Tensor:
        """Return centre, width and height (n, 4) of boxes in pixels as shares of the image."""
        height, width = self.sides
        corners = boxes.float() / boxes.new_tensor([width, height, width, height])
        low, high = corners[:, :2], corners[:, 2:]
        return torch.cat(((low + high) / 2, high - low), dim=1)


def find_objects(evidence: Evidence) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the class that is found in each image, -1 for none, and the IoU of its box, each (N,)."""
    is_found = evidence[:, 0] >= PRESENT
    return np.where(is_found, evidence[:, 1], -1), np.where(is_found, evidence[:, 2], 0)


def _mean(values: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")

"""Detection: boxes with classes, by one stage: a grid of cells, each with anchors.

Sources: Redmon et al. 2015, arXiv:1506.02640, eq. 3, the loss as a sum over the predictions of an image, its weights
of boxes and of predictions without an object; Redmon and Farhadi 2016, arXiv:1612.08242, anchors.
Unlike the papers, boxes are trained by the generalised IoU (Rezatofighi et al. 2019, arXiv:1902.09630).
Shapes: N images, A anchors, K classes, S x S' cells, B objects and D detections of an image; outputs
(N, A (5 + K), S, S'), see `pipeline.boxes.grid`; targets (N, B, 6): box in pixels, class or -1 for none, 1 if ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.boxes.grid import Grid
from pipeline.boxes.iou import areas, paired_iou, pairwise_intersections
from pipeline.boxes.matches import Matches, encode, mean
from pipeline.boxes.nms import keep_best
from pipeline.boxes.resampling import Drawn, Resampling
from pipeline.data.resizing import NOTHING, Resizing
from pipeline.tasks.detection.demands import TITLES, class_scores
from pipeline.tasks.task import Batch, Evidence

CANDIDATES = 4  # boxes that are compared with each other, for each that is kept at most
INSIDE = 0.5  # share of a box inside of what is ignored from which on it need not say no


class Detection:
    """Generalised IoU, cross-entropy of classes and of "is there an object"; scored by average precision as in COCO.

    Evidence is a row of matches for each image, see `pipeline.boxes.matches`.

    Args:
        classes: names of the K classes.
        shape: (C, H, W) of prepared images.
        resize: how images are brought to that shape.
        padding_value: of a letterbox.
        stride: pixels of the image for each cell.
        anchors: widths and heights in pixels; a number stands for anchors that are not found yet, see
            `DEMANDS.resolve`: squares, so that outputs can be decoded and exported.
        box_weight: weight of the boxes in the loss.
        no_object_weight: weight in the loss of predictions without an object.
        ignore_iou: IoU of shapes above which an anchor of an object's cell that is not its best one is left out of the
            loss.
        nms_iou: largest IoU of two detections of one class.
        min_confidence: least confidence of what is decoded; scores count all.
        max_detections: D.
    """

    def __init__(  # noqa: PLR0913 - each is a setting or a fact
        self,
        *,
        classes: Sequence[str],
        shape: Sequence[int],
        resize: str,
        padding_value: int,
        stride: int,
        anchors: int | list[list[float]],
        box_weight: float,
        no_object_weight: float,
        ignore_iou: float,
        nms_iou: float,
        min_confidence: float,
        max_detections: int,
    ) -> None:  # fmt: skip
        self.classes = list(classes)
        self.resizing = Resizing(resize, (shape[1], shape[2]), padding_value)
        self.box_weight, self.no_object_weight = box_weight, no_object_weight
        self.ignore_iou, self.nms_iou = ignore_iou, nms_iou
        self.min_confidence, self.max_detections = min_confidence, max_detections
        shapes = (
            [[stride * 2.0**index] * 2 for index in range(anchors)] if isinstance(anchors, int) else anchors
        )
        self.grid = Grid(shapes, stride=stride, num_classes=len(self.classes))
        self.meaning = shapes
        self._names = class_scores(classes)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean over images of the sum over predictions of the losses."""
        targets, guess = batch["target"], self.grid.decode(outputs)
        assigned = self.grid.assign(targets, outputs.shape, similar=self.ignore_iou)
        places, objects = assigned.places, assigned.objects
        _, generalised = paired_iou(guess.boxes[places], objects[:, :4])
        boxes = (1 - generalised).sum()
        classes = functional.cross_entropy(guess.classes[places], objects[:, 4].long(), reduction="sum")
        weights = torch.full_like(guess.objectness, self.no_object_weight)
        weights = weights.masked_fill(assigned.is_similar | self._in_ignored(guess.boxes, targets), 0)
        has_object = torch.zeros_like(guess.objectness)
        has_object[places], weights[places] = 1, 1
        confidence = functional.binary_cross_entropy_with_logits(
            guess.objectness, has_object, weights, reduction="sum"
        )
        return (self.box_weight * boxes + classes + confidence) / len(outputs)

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the matches of detections and objects of each image."""
        detections = self.detect(outputs).cpu().double().numpy()
        return torch.from_numpy(encode(detections, batch["target"].cpu().double().numpy()))

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Return the mean of the outputs of the views; those of mirrored ones are mirrored back."""
        if len(outputs) == 1:
            return outputs[0]
        views = [
            self._mirror(each) if is_mirrored else each
            for each, is_mirrored in zip(outputs, mirrored, strict=True)
        ]
        return torch.stack(views).mean(dim=0)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return (N, D, 6): boxes in pixels, class and confidence, by falling confidence; class -1 for no box."""
        found = self.detect(outputs)
        is_sure = found[..., 5:] >= self.min_confidence
        return torch.where(is_sure, found, found.new_tensor(NOTHING))

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return average precision over all IoUs, at 0.5 and at 0.75, by size and by class, and recall."""
        return self._score(self.matches(evidence))

    def resampled(self, evidence: Evidence) -> Callable[[NDArray[np.intp]], dict[str, float]]:
        """Return a function that scores images drawn from evidence, as `scores` does."""
        source = Resampling(self.matches(evidence))
        return lambda images: self._score(source.draw(images))

    def _score(self, matches: Matches | Drawn) -> dict[str, float]:
        found = matches.precisions()
        values = [found, found[:, 0], found[:, 5]]
        values += [matches.precisions(size) for size in ("small", "medium", "large")]
        values += [matches.recalls(most) for most in (1, 10, self.max_detections)]
        scores = {name: mean(each) for name, each in zip(TITLES, values, strict=True)}
        return scores | dict(zip(self._names, map(mean, found), strict=False))  # no names for many classes

    def remarks(self, evidence: Evidence) -> list[str]:
        """Return how many images have no object, and which classes are left out of the means."""
        matches = self.matches(evidence)
        absent = [name for name, count in zip(self.classes, matches.counts[:, 0], strict=True) if not count]
        num_empty, remarks = int((matches.objects == 0).sum()), []
        if num_empty:
            remarks.append(
                f"images without an object, which count by their false alarms: {num_empty:,} of {len(evidence):,}"
            )
        if absent:
            remarks.append(f"classes without an object, left out of AP and recall: {', '.join(absent)}")
        return remarks

    def difference(self, predictions: NDArray[Any], expected: NDArray[Any]) -> float:
        """Return the largest difference of confidences, or of boxes in shares of the image.

        Each box is compared with the one of its class that overlaps it most; what only one side has, as its confidence
        is close to the least one, differs by how far it exceeds that.
        """
        if predictions.shape != expected.shape:
            return inf
        pairs = [(a, b) for pair in zip(predictions, expected, strict=True) for a, b in (pair, pair[::-1])]
        return max((self._farthest(*pair) for pair in pairs), default=0.0)

    def matches(self, evidence: Evidence) -> Matches:
        """Return the matches that evidence holds."""
        return Matches(evidence, self.max_detections, len(self.classes))

    def detect(self, outputs: Tensor) -> Tensor:
        """Return (N, D, 6), as `decode` does, with boxes of any confidence.

        Each predicted box is a candidate of every class.
        """
        guess = self.grid.decode(outputs)
        chances = guess.objectness.sigmoid()[..., None] * guess.classes.softmax(dim=-1)
        most = CANDIDATES * self.max_detections
        # A map may have fewer; an exported graph must not depend on how many.
        confidences, order = functional.pad(chances.flatten(1), (0, most), value=-1.0).topk(most, dim=1)
        is_candidate = confidences >= 0
        order = order.where(is_candidate, 0)
        classes, places = order % len(self.classes), order // len(self.classes)
        height, width = (side * self.grid.stride for side in outputs.shape[2:])
        limits = torch.tensor([width, height, width, height], device=outputs.device)
        boxes = torch.minimum(guess.boxes.flatten(1, 3).clamp(min=0), limits)
        boxes = boxes.gather(1, places[..., None].expand(-1, -1, 4))
        rows = torch.cat((boxes, classes[..., None], confidences[..., None]), dim=-1)
        keep = keep_best(rows[..., :4], rows[..., 4], threshold=self.nms_iou) & is_candidate
        rows = torch.where(keep[..., None], rows, rows.new_tensor(NOTHING))
        ranks = torch.arange(rows.shape[1], 0, -1, device=rows.device)
        order = (keep * ranks).topk(self.max_detections, dim=1).indices
        return rows.gather(1, order[..., None].expand(-1, -1, 6))

    def _farthest(self, first: NDArray[Any], second: NDArray[Any]) -> float:
        """Return the largest difference of the boxes of an image (D, 6) from those of another detector."""
        first, second = first[first[:, 4] >= 0], second[second[:, 4] >= 0]
        farthest = 0.0
        for row in first:
            others = second[second[:, 4] == row[4]]
            gaps = np.maximum(np.abs(others[:, :4] - row[:4]).max(axis=1), np.abs(others[:, 5] - row[5]))
            farthest = max(farthest, float(min(gaps.min(initial=inf), row[5] - self.min_confidence)))
        return farthest

    def _in_ignored(self, boxes: Tensor, targets: Tensor) -> Tensor:
        """Return whether the larger part of a prediction lies in an object that is ignored: (N, A, S, S')."""
        ignored = torch.where(targets[..., 5:] > 0, targets[..., :4], 0)
        flat = boxes.detach().flatten(1, 3)
        common = pairwise_intersections(flat, ignored).amax(dim=-1)
        return (common > INSIDE * areas(flat)).reshape(boxes.shape[:-1])

    def _mirror(self, outputs: Tensor) -> Tensor:
        """Return outputs for the mirrored image: t_x changes its sign, as sigmoid(-t) = 1 - sigmoid(t)."""
        parts = outputs.flip(-1).reshape(outputs.shape[0], len(self.grid.anchors), -1, *outputs.shape[2:])
        return torch.cat((-parts[:, :, :1], parts[:, :, 1:]), dim=2).reshape(outputs.shape)

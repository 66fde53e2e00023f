"""Landmarks: named points, as coordinates or by the soft-argmax of a map for each.

Source: coordinates, Toshev and Szegedy 2014, arXiv:1312.4659; soft-argmax, Sun et al. 2018, arXiv:1711.08229, sec. 2.
Shapes: N images, K points, H rows, W columns of images, h rows, w columns of maps; outputs (N, 2 K): x, y of each point
in turn, or (N, K, h, w): logits. Targets are (N, K, 3): x, y in pixels of the image, and 1 if the point is visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.data.resizing import Resizing
from pipeline.errors import ConfigError
from pipeline.tasks.landmarks.demands import CORRECT, DEMANDS, DIAGONAL, FAILURE
from pipeline.tasks.task import Batch, Evidence

BEND = 0.01  # error, as a share of the sides, where smooth L1 turns from squares to distances
UNKNOWN = -1.0  # of points that are not visible, and of images without a unit


class Landmarks:
    """Smooth L1 loss of visible points, scored by normalised errors.

    Evidence is (N, K): the distance of each point from its place, divided by the unit of its image; -1 for points that
    are not visible, and for images whose unit is not defined.

    Args:
        points: names of the K points.
        swapped_points: pairs that a mirror swaps; null if that is not known.
        shape: [C, H, W] of the images.
        resize: how images are brought to these sides, for the way back.
        outputs: `coordinates` or `heatmaps`.
        range: of coordinates: `linear`, so that they may lie outside of the image, or `sigmoid`.
        unit: what errors are divided by: `diagonal` of the box around an image's points, or a pair of points, by whose
            distance.
    """

    guess_name = "the mean shape"

    def __init__(
        self,
        *,
        points: Sequence[str],
        swapped_points: Mapping[str, str] | None,
        shape: Sequence[int],
        resize: str,
        outputs: str,
        range: str,  # noqa: A002
        unit: str | list[str],
    ) -> None:
        DEMANDS.check_settings({"outputs": outputs, "range": range, "unit": unit})
        self.points = list(points)
        self.sides = (shape[1], shape[2])
        self.is_sigmoid = range == "sigmoid"
        self._resizing = Resizing(resize, self.sides, padding_value=0)
        self._pair = None if unit == DIAGONAL else [_find(name, self.points) for name in unit]
        pairs = swapped_points or {}
        other = {**pairs, **{right: left for left, right in pairs.items()}}
        self._partners = [self.points.index(other.get(name, name)) for name in self.points]

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean smooth L1 loss of visible points, in shares of the image's sides; 0 without any."""
        target = batch["target"]
        is_visible = (target[..., 2] > 0)[..., None]
        shares = self._shares(outputs)
        true = target[..., :2] / self._scale(target)
        errors = functional.smooth_l1_loss(shares, true, beta=BEND, reduction="none") * is_visible
        return errors.sum() / (2 * is_visible.sum()).clamp(min=1)

    def loss_weight(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the number of visible points."""
        del outputs
        return (batch["target"][..., 2] > 0).sum()

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, K): normalised distances."""
        target = batch["target"].cpu().double()
        found = self.decode(outputs)[..., :2].cpu().double()
        return torch.from_numpy(self._distances(found.numpy(), target.numpy()))

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Return the mean of the views; mirrored ones are mirrored back, and their pairs swapped."""
        if len(outputs) == 1:
            return outputs[0]
        turned = [
            self._mirror(each) if flips else each.float()
            for each, flips in zip(outputs, mirrored, strict=True)
        ]
        if outputs[0].ndim == 2:
            return torch.stack(turned).mean(dim=0)
        views = torch.stack([each.flatten(2).softmax(dim=2) for each in turned])
        return views.mean(dim=0).log().view_as(outputs[0])

    def decode(self, outputs: Tensor) -> Tensor:
        """Return (N, K, 3): x, y in pixels of the image, and of maps the probability of their highest pixel, else 1."""
        places = self._shares(outputs)
        confidence = torch.ones_like(places[..., :1])
        if outputs.ndim > 2:
            confidence = outputs.float().flatten(2).softmax(dim=2).amax(dim=2, keepdim=True)
        return torch.cat((places * self._scale(places), confidence), dim=2)

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return NME and failure rate, which are means over images, and PCK, a mean over points."""
        errors = self.image_scores(evidence)
        errors = errors[~np.isnan(errors)]
        known = evidence[evidence != UNKNOWN]
        return {
            "nme": float(errors.mean()) if errors.size else float("nan"),
            "failure_rate": float((errors > FAILURE).mean()) if errors.size else float("nan"),
            "pck": float((known <= CORRECT).mean()) if known.size else float("nan"),
        }

    def image_scores(self, evidence: Evidence) -> Evidence:
        """Return (N,): the mean normalised error of each image; NaN for those without visible points or a unit."""
        is_known = evidence != UNKNOWN
        counts = is_known.sum(axis=1)
        sums = np.where(is_known, evidence, 0).sum(axis=1)
        means: Evidence = np.divide(sums, counts, out=np.full(len(evidence), np.nan), where=counts > 0)
        return means

    def remarks(self, evidence: Evidence) -> list[str]:
        """Return how many images are left out, and how many points."""
        is_known = evidence != UNKNOWN
        left_out, hidden = int((~is_known.any(axis=1)).sum()), int((~is_known).sum())
        if not hidden:
            return []
        return [
            "points that are not visible, or in images without a unit to divide errors by, and left out: "
            f"{hidden:,} of {is_known.size:,}; images left out: {left_out:,} of {len(evidence):,}"
        ]

    def guess(self, training: NDArray[Any], targets: NDArray[Any]) -> Evidence:
        """Return the evidence of predicting the mean place of each point in training for each of some targets."""
        is_visible = training[..., 2:] > 0
        shape = (training[..., :2] * is_visible).sum(axis=0) / np.maximum(is_visible.sum(axis=0), 1)
        return self._distances(
            np.broadcast_to(shape, (len(targets), *shape.shape)), np.asarray(targets, float)
        )

    def to_file(self, points: NDArray[np.floating], sides: NDArray[np.integer]) -> NDArray[np.floating]:
        """Return points (K, 2) in pixels of the image's file.

        Args:
            sides: rows and columns of the file.
        """
        rows, columns = map(int, sides)
        return self._resizing.place((rows, columns)).to_original(points)

    def _distances(self, found: NDArray[Any], target: NDArray[Any]) -> Evidence:
        """Return (N, K): distances over the unit of each image; -1 where it or the point is not known."""
        is_visible = np.asarray(target[..., 2] > 0)
        unit = self._units(target, is_visible)
        distances = np.hypot(*np.moveaxis(found - target[..., :2], -1, 0))
        is_known = is_visible & (unit > 0)[:, None]
        normalised: Evidence = np.where(is_known, distances / np.where(unit > 0, unit, 1)[:, None], UNKNOWN)
        return normalised

    def _units(self, target: NDArray[Any], is_visible: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return (N,): what the errors of each image are divided by; 0 where it is not defined."""
        if self._pair is not None:
            first, second = (target[:, index, :2] for index in self._pair)
            has_pair = np.asarray(is_visible[:, self._pair].all(axis=1))
            sides = np.where(has_pair[:, None], first - second, 0)
        else:
            low = np.where(is_visible[..., None], target[..., :2], np.inf).min(axis=1)
            high = np.where(is_visible[..., None], target[..., :2], -np.inf).max(axis=1)
            has_points = np.asarray(is_visible.any(axis=1))
            sides = np.where(has_points[:, None], high - low, 0)
        units: Evidence = np.hypot(sides[:, 0], sides[:, 1])
        return units

    def _shares(self, outputs: Tensor) -> Tensor:
        """Return coordinates (N, K, 2) in shares of the image's sides."""
        outputs = outputs.float()
        if outputs.ndim > 2:
            rows, columns = outputs.shape[2:]
            chances = outputs.flatten(2).softmax(dim=2).reshape(-1, len(self.points), rows, columns)
            x = (torch.arange(columns, device=outputs.device) + 0.5) / columns
            y = (torch.arange(rows, device=outputs.device) + 0.5) / rows
            return torch.stack(
                ((chances.sum(dim=2) * x).sum(dim=2), (chances.sum(dim=3) * y).sum(dim=2)), dim=2
            )
        pairs = outputs.reshape(-1, len(self.points), 2)
        return pairs.sigmoid() if self.is_sigmoid else pairs + 0.5

    def _mirror(self, outputs: Tensor) -> Tensor:
        """Return the outputs for the mirrored image as those for the image.

        A point at x is at 1 - x in the mirror image, and the outputs of these are opposite numbers.
        """
        outputs = outputs.float()
        if outputs.ndim > 2:
            return outputs.flip(-1)[:, self._partners]
        pairs = outputs.reshape(-1, len(self.points), 2)[:, self._partners]
        return torch.stack((-pairs[..., 0], pairs[..., 1]), dim=2).flatten(1)

    def _scale(self, places: Tensor) -> Tensor:
        height, width = self.sides
        return places.new_tensor([width, height], dtype=torch.float32)


def _find(name: str, points: Sequence[str]) -> int:
    if name not in points:
        raise ConfigError.unknown("task.unit", name, points, what="point")
    return points.index(name)

"""Segmentation: one label per pixel.

Dice (Dice 1945) and IoU (Jaccard 1912) are computed per image and class, then averaged over images; pooled scores are
the ratio of counts summed over all images (as Cityscapes does, Cordts et al. 2016, arXiv:1604.01685, section 4.1). Both
are then averaged over classes. The loss is cross-entropy plus soft Dice over the batch (Isensee et al. 2021,
arXiv:1904.08128, online methods).
Absent classes: an image in which a class is absent from both truth and prediction is excluded from the mean of that
class; if the class is absent from the truth but predicted, the image scores 0 (both as nnU-Net evaluates).
Unlike nnU-Net's loss, soft Dice includes the background by default, see `dice_background`.
Shapes: N images, K classes, H rows, W columns; outputs (N, K, H, W), masks (N, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import ConfigError
from pipeline.layers.crops import centred
from pipeline.tasks.segmentation.demands import DEMANDS, named_classes
from pipeline.tasks.task import Batch, ClassWeights, Evidence, mean_of_softmax, mixed_loss


class Segmentation:
    """Cross-entropy plus soft Dice loss, scored by Dice and IoU.

    Evidence is (N, 3 K): for each class, the number of pixels in the intersection, the prediction and the truth.

    Args:
        classes: names of the K classes.
        background: name of the class to exclude from mean scores; null to include every class.
        ignore_label: mask value that is excluded from loss and scores.
        dice_weight: weight of the soft Dice loss relative to the cross-entropy, at least 0.
        dice_background: whether the soft Dice loss is a mean over all classes, or over those but the background.
        class_weights: weight of the pixels of each class in the cross-entropy: none, or weights by name, 1 where there
            is none. The loss is not defined for `balanced`, which `DEMANDS.resolve` turns into numbers.

    Raises:
        ConfigError: a setting is out of range, or would leave out a background that there is not.
    """

    def __init__(
        self,
        *,
        classes: Sequence[str],
        background: str | None,
        ignore_label: int | None,
        dice_weight: float,
        dice_background: bool,
        class_weights: str | dict[str, float],
    ) -> None:
        settings = {"dice_weight": dice_weight, "dice_background": dice_background}
        DEMANDS.check_settings({**settings, "class_weights": class_weights})
        DEMANDS.check_classes({"class_weights": class_weights}, classes)
        if background is None and not dice_background:
            raise ConfigError(
                "task.dice_background",
                got=dice_background,
                allowed="true for data without a background",
                hint="set data.background to the class to leave out",
            )
        self.classes = list(classes)
        self.background = background
        self.ignore_label = ignore_label
        self.dice_weight = dice_weight
        self._class_weights = ClassWeights(class_weights, classes)
        self._kept = [index for index, name in enumerate(self.classes) if name != background]
        self._named = set(named_classes(self.classes, background))
        self._learnt = list(range(len(self.classes))) if dice_background else self._kept

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return cross-entropy plus weighted soft Dice loss over all pixels that are not ignored."""
        return mixed_loss(lambda masks: self._loss(outputs, masks), batch)

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        outputs, targets = outputs.float(), centred(targets, outputs).long()
        valid = self._valid(targets)
        weight = self._class_weights.on(outputs.device)
        total = _total_weight(targets, valid, weight)
        targets = targets.masked_fill(~valid, 0)
        flat = outputs.movedim(1, -1).flatten(0, -2)  # the 2-d cross-entropy is not deterministic on CUDA
        entropy = functional.cross_entropy(flat, targets.flatten(), weight, reduction="none").view_as(targets)
        entropy = (entropy * valid).sum() / total.where(valid.any(), 1)
        if not self.dice_weight:
            return entropy
        soft_dice = _soft_dice(outputs.softmax(dim=1), targets, valid)
        return entropy + self.dice_weight * (1 - soft_dice[self._learnt].mean())

    def loss_weight(self, outputs: Tensor, batch: Batch) -> Tensor | None:
        """Return the sum of the weights of the pixels that are not ignored; None if all pixels weigh the same."""
        weight = self._class_weights.on(outputs.device)
        if weight is None and self.ignore_label is None:
            return None

        def total(masks: Tensor) -> Tensor:
            targets = centred(masks, outputs).long()
            return _total_weight(targets, self._valid(targets), weight)

        return mixed_loss(total, batch)

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, 3 K): pixel counts of intersection, prediction and truth per class."""
        num_classes = outputs.shape[1]
        targets = centred(batch["target"], outputs)
        valid = self._valid(targets)
        guesses = _one_hot(outputs.argmax(dim=1), num_classes, valid)
        truth = _one_hot(targets.long().masked_fill(~valid, 0), num_classes, valid)
        counts = [each.sum(dim=(1, 2)).cpu().double() for each in (guesses & truth, guesses, truth)]
        return torch.stack(counts, dim=2).flatten(1)

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return Dice and IoU, per image and pooled: means over all classes except the background, and each of few."""
        dice, iou = per_image_scores(evidence)
        pooled_dice, pooled_iou = per_image_scores(evidence.sum(axis=0, keepdims=True))
        scores = {}
        for name, values in (
            ("dice", dice),
            ("iou", iou),
            ("pooled_dice", pooled_dice),
            ("pooled_iou", pooled_iou),
        ):
            means = np.array([_mean(values[:, index]) for index in self._kept])
            scores[name] = _mean(means)
            scores |= {
                f"{name}_{self.classes[index]}": float(mean)
                for index, mean in zip(self._kept, means, strict=True)
                if self.classes[index] in self._named
            }
        return scores

    def remarks(self, evidence: Evidence) -> list[str]:
        """Return how many images are left out of the means over images."""
        absent = np.isnan(per_image_scores(evidence)[0]).sum(axis=0)
        counts = [f"{self.classes[index]} {absent[index]:,}" for index in self._kept if absent[index]]
        if not counts:
            return []
        return [
            "images left out of the means over images (not of pooled scores), as they neither have the class nor are "
            f"predicted to: {', '.join(counts)}; of {len(evidence):,}"
        ]

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Return outputs whose probabilities are averaged over the views, after flipping mirrored ones back."""
        turned = [each.flip(-1) if flips else each for each, flips in zip(outputs, mirrored, strict=True)]
        return mean_of_softmax(turned)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the most probable class of each pixel: (N, H, W) uint8."""
        return outputs.argmax(dim=1).to(torch.uint8)

    def image_scores(self, evidence: Evidence) -> Evidence:
        """Return (N,): the Dice score of each image, averaged over its classes except the background."""
        dice = per_image_scores(evidence)[0]
        return np.array([_mean(row[self._kept]) for row in dice])

    def _valid(self, targets: Tensor) -> Tensor:
        if self.ignore_label is None:
            return torch.ones_like(targets, dtype=torch.bool)
        return targets != self.ignore_label


def per_image_scores(evidence: Evidence) -> tuple[Evidence, Evidence]:
    """Return Dice and IoU (N, K) of each image and class; NaN if the class is absent from both."""
    common, guessed, true = np.moveaxis(evidence.reshape(len(evidence), -1, 3), 2, 0)
    total = guessed + true
    with np.errstate(invalid="ignore"):
        return 2 * common / total, common / (total - common)


def _total_weight(targets: Tensor, valid: Tensor, weight: Tensor | None) -> Tensor:
    """Return the sum of the weights (K,) of the valid pixels of masks (N, H, W); their number without weights."""
    return valid.sum() if weight is None else (weight[targets.masked_fill(~valid, 0)] * valid).sum()


def _soft_dice(probabilities: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Return (K,): (2 |p g| + 1) / (|p| + |g| + 1) of each class, with sums over the whole batch."""
    truth = _one_hot(targets, probabilities.shape[1], valid)
    probabilities = probabilities * valid[:, None]
    axes = (0, 2, 3)
    common = (probabilities * truth.permute(0, 3, 1, 2)).sum(dim=axes)
    total = probabilities.sum(dim=axes) + truth.sum(dim=(0, 1, 2))
    return (2 * common + 1) / (total + 1)


def _one_hot(classes: Tensor, num_classes: int, valid: Tensor) -> Tensor:
    """Return (N, H, W, K) booleans; ignored pixels belong to no class."""
    return functional.one_hot(classes, num_classes).bool() & valid[..., None]


def _mean(values: Evidence) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")

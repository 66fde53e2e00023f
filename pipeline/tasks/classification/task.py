"""Classification: one label per image.

Sources: balanced accuracy, Brodersen et al. 2010; calibration error, Guo et al. 2017, arXiv:1706.04599,
eq. 3, with 15 bins of equal width; AUROC, one class against the rest, mean over classes.
Shapes: N images, K classes; outputs (N, K), labels (N,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.tasks.classification.demands import DEMANDS
from pipeline.tasks.task import Batch, ClassWeights, Evidence, mean_of_softmax, mixed_loss

CALIBRATION_BINS = 15
FEW_POSITIVES = 10  # images of a class; sorting is faster for more


class Classification:
    """Cross-entropy loss, scored by accuracy, F1, AUROC and calibration error.

    Evidence is (N, K + 1): the probabilities, then the label.

    Args:
        classes: names of the K classes.
        label_smoothing: share of the target spread over all classes, in [0, 1).
        class_weights: weight of the images of each class in the loss: none, or weights by name, 1 where there is none.
            The loss is not defined for `balanced`, which `DEMANDS.resolve` turns into numbers.
    """

    def __init__(
        self, *, classes: Sequence[str], label_smoothing: float, class_weights: str | dict[str, float]
    ) -> None:
        settings = {"label_smoothing": label_smoothing, "class_weights": class_weights}
        DEMANDS.check_settings(settings)
        DEMANDS.check_classes(settings, classes)
        self.classes = list(classes)
        self.label_smoothing = label_smoothing
        self._class_weights = ClassWeights(class_weights, classes)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats, weighted by class as in torch's `CrossEntropyLoss`."""
        outputs = outputs.float()
        weight = self._class_weights.on(outputs.device)

        def entropy(labels: Tensor) -> Tensor:
            return functional.cross_entropy(
                outputs, labels.long(), weight, label_smoothing=self.label_smoothing
            )

        return mixed_loss(entropy, batch)

    def loss_weight(self, outputs: Tensor, batch: Batch) -> Tensor | None:
        """Return the sum of the weights of the images' classes; None if all weigh the same."""
        weight = self._class_weights.on(outputs.device)
        return None if weight is None else mixed_loss(lambda labels: weight[labels.long()].sum(), batch)

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, K + 1): softmax probabilities and the label."""
        probabilities = outputs.cpu().double().softmax(dim=1)  # not every accelerator supports float64
        return torch.cat((probabilities, batch["target"][:, None].cpu().double()), dim=1)

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:  # noqa: ARG002
        """Return outputs whose probabilities are the mean of those of each view."""
        return mean_of_softmax(outputs)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class: (N, K)."""
        return outputs.float().softmax(dim=1)

    def constant(self, targets: NDArray[Any], index: int) -> Evidence:
        """Return the evidence of predicting the class `index` for each label, with a probability of 1."""
        evidence = np.zeros((len(targets), len(self.classes) + 1))
        evidence[:, index], evidence[:, -1] = 1, targets
        return evidence

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return accuracy, balanced accuracy, macro F1, AUROC and calibration error.

        Classes without images are excluded from balanced accuracy and AUROC; classes without images and predictions
        are excluded from macro F1.
        """
        matrix = confusion(evidence)
        hits, truth, guesses = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
        seen, named = truth > 0, truth + guesses > 0
        return {
            "accuracy": float(hits.sum() / matrix.sum()),
            "balanced_accuracy": float(np.mean(hits[seen] / truth[seen])),
            "macro_f1": float(np.mean(2 * hits[named] / (truth + guesses)[named])),
            "auroc": auroc(evidence),
            "calibration_error": _calibration_error(evidence),
        }


def confusion(evidence: Evidence) -> NDArray[np.int64]:
    """Return the confusion matrix (K, K): rows are true classes, columns predicted ones."""
    num_classes = evidence.shape[1] - 1
    labels, guesses = evidence[:, -1].astype(np.int64), evidence[:, :-1].argmax(axis=1)
    counts = np.bincount(labels * num_classes + guesses, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def auroc(evidence: Evidence) -> float:
    """Return the mean over classes of P(score of a positive > score of a negative), ties counting half.

    Computed from ranks (Mann-Whitney), which is fast enough for a thousand bootstrap resamples, or for few positives by
    comparing each with all negatives, which counts the same. NaN if fewer than two classes have images.
    """
    areas = []
    for index, column in enumerate(np.ascontiguousarray(evidence[:, :-1].T)):
        positive = evidence[:, -1] == index
        num_positive, num_negative = positive.sum(), (~positive).sum()
        if not num_positive or not num_negative:
            continue
        if num_positive <= FEW_POSITIVES:
            negatives = column[~positive]
            wins = sum(
                np.count_nonzero(negatives < score) + np.count_nonzero(negatives == score) / 2
                for score in column[positive]
            )
        else:
            _, places, counts = np.unique(column, return_inverse=True, return_counts=True)
            ranks = (counts.cumsum() - (counts - 1) / 2)[places]
            wins = ranks[positive].sum() - num_positive * (num_positive + 1) / 2
        areas.append(wins / (num_positive * num_negative))
    return float(np.mean(areas)) if areas else float("nan")


def _calibration_error(evidence: Evidence) -> float:
    """Return the mean over images of |accuracy - confidence| of their bin, each bin open below and closed above."""
    confidence = evidence[:, :-1].max(axis=1)
    hits = evidence[:, :-1].argmax(axis=1) == evidence[:, -1]
    bins = np.digitize(confidence, np.linspace(0, 1, CALIBRATION_BINS + 1), right=True)
    gaps = np.bincount(bins, weights=hits - confidence)
    return float(np.abs(gaps).sum() / len(evidence))

"""Multilabel: any number of labels per image, each class decided by itself.

Scores are those of scikit-learn: average precision is the sum of the precisions at each threshold, weighted by the
increase in recall, without interpolation; AUROC is computed from ranks (Mann-Whitney), ties counting half; F1 and the
exact match are those of labels predicted from a probability of 0.5 on.
Classes that no image has are left out of the means of AP and AUROC, and from AUROC also those that every image has;
classes that are neither true nor predicted are left out of macro F1.
Shapes: N images, K classes; outputs (N, K), labels (N, K) of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.tasks.multilabel.demands import DEMANDS
from pipeline.tasks.task import Batch, Evidence, mixed_loss

MOST_NAMES = 10  # of classes in a remark
THRESHOLD = log(DEMANDS.threshold / (1 - DEMANDS.threshold))  # of logits
SEPARATOR = "|"  # of names where the data have none


class Multilabel:
    """Binary cross-entropy loss, scored by mean average precision, F1, AUROC and exact matches.

    Evidence is (N, 2 K): the outputs, which are logits and tell near certainties apart, then the labels.

    Args:
        classes: names of the K classes.
        separator: text between the names of an image's labels; null for "|".
    """

    def __init__(self, *, classes: Sequence[str], separator: str | None) -> None:
        self.classes = list(classes)
        self.separator = separator

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the binary cross-entropy in nats, its mean over images and classes."""
        outputs = outputs.float()

        def entropy(labels: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(outputs, labels.float())

        return mixed_loss(entropy, batch)

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, 2 K): outputs and labels."""
        return torch.cat((outputs.cpu().double(), batch["target"].cpu().double()), dim=1)

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:  # noqa: ARG002
        """Return outputs whose probabilities are the mean of those of each view."""
        if len(outputs) == 1:
            return outputs[0]
        views = torch.stack([each.float() for each in outputs])
        # The logit of the mean, from logarithms: a mean that rounds to 1 would have an infinite one.
        present, absent = functional.logsigmoid(views), functional.logsigmoid(-views)
        return present.logsumexp(dim=0) - absent.logsumexp(dim=0)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class: (N, K)."""
        return outputs.float().sigmoid()

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return mean average precision, macro and micro F1, AUROC and the share of exact matches."""
        logits, labels = split_evidence(evidence)
        hits, guesses, truth = count_labels(evidence)
        named = guesses + truth > 0
        ranked = [_rank(*pair) for pair in zip(logits.T, labels.T, strict=True)]
        return {
            "mean_ap": _mean([precision for precision, _ in ranked]),
            "macro_f1": _mean(2 * hits[named] / (guesses + truth)[named]),
            "micro_f1": _mean([2 * hits.sum() / (guesses + truth).sum()] if named.any() else []),
            "auroc": _mean([area for _, area in ranked]),
            "exact_match": float((predict_labels(evidence) == labels).all(axis=1).mean()),
        }

    def remarks(self, evidence: Evidence) -> list[str]:
        """Return which classes are left out of means, and how many images have no label."""
        labels = split_evidence(evidence)[1]
        counts, remarks = labels.sum(axis=0), []
        for what, is_so, scores in (
            ("no image", counts == 0, "mean AP and AUROC"),
            ("every image", counts == len(labels), "AUROC"),
        ):
            names = [self.classes[index] for index in np.flatnonzero(is_so)]
            if names:
                remarks.append(
                    f"classes that {what} has, left out of {scores}: {len(names)} ({', '.join(names[:MOST_NAMES])}"
                    f"{', ...' if len(names) > MOST_NAMES else ''})"
                )
        if not labels.any(axis=1).all():
            remarks.append(f"images without a label: {(~labels.any(axis=1)).sum():,} of {len(labels):,}")
        return remarks


def split_evidence(evidence: Evidence) -> tuple[Evidence, NDArray[np.bool_]]:
    """Return the outputs and the labels, each (N, K)."""
    num_classes = evidence.shape[1] // 2
    return evidence[:, :num_classes], evidence[:, num_classes:] > 0


def predict_labels(evidence: Evidence) -> NDArray[np.bool_]:
    """Return whether each image is predicted to have each class: (N, K)."""
    return split_evidence(evidence)[0] >= THRESHOLD


def count_labels(evidence: Evidence) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return three numbers of images for each class: predicted rightly, predicted, and true.

    Each is (K,).
    """
    guesses, labels = predict_labels(evidence), split_evidence(evidence)[1]
    return (guesses & labels).sum(axis=0), guesses.sum(axis=0), labels.sum(axis=0)


def join_names(classes: Sequence[str], present: NDArray[np.bool_], separator: str | None) -> str:
    """Return the names of the classes that an image has as one text; empty if it has none.

    Args:
        present: (K,).
        separator: `data.separator`; null for "|".
    """
    return (separator or SEPARATOR).join(classes[int(index)] for index in np.flatnonzero(present))


def _rank(logits: Evidence, labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Return average precision and AUROC of one class, (N,) each; NaN where they are not defined."""
    order = np.argsort(-logits, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(logits[order]), 1))  # of runs of equal ones
    hits = np.cumsum(labels[order])[ends]
    num_positive, num_negative = int(hits[-1]), len(labels) - int(hits[-1])
    if not num_positive:
        return float("nan"), float("nan")
    gains = np.diff(hits, prepend=0)
    precision = float((gains * hits / (ends + 1)).sum() / num_positive)
    if not num_negative:
        return precision, float("nan")
    alarms = ends + 1 - hits
    area = (np.diff(alarms, prepend=0) * (hits - gains / 2)).sum() / (num_positive * num_negative)
    return precision, float(area)


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    numbers = np.asarray(values, dtype=float)
    defined = numbers[~np.isnan(numbers)]
    return float(defined.mean()) if defined.size else float("nan")

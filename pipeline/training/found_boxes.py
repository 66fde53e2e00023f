"""What of many boxes that a classifier has named is a detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.boxes.nms import suppress
from pipeline.errors import ConfigError, Range

MOST = 100  # detections of an image
MOST_COMPARED = 2000  # boxes of an image that are compared with each other, those of the highest confidence
EMPTY = np.array([0.0, 0, 0, 0, -1, 0])


class BoxSettings(Protocol):
    """Settings that every way to find boxes by a classifier has in the section `views`."""

    @property
    def mirror(self) -> bool:
        """False."""
        ...

    @property
    def background(self) -> str | None:
        """The class that stands for nothing; None if there is none."""
        ...

    @property
    def confidence(self) -> float:
        """Least confidence of what is shown."""
        ...

    @property
    def overlap(self) -> float:
        """Largest IoU of two detections of an image."""
        ...


def check_box_settings(settings: BoxSettings, classes: Sequence[str]) -> None:
    """Check that values are in range, and that the background is a class.

    Raises:
        ConfigError: one is not.
    """
    if settings.mirror:
        raise ConfigError("views.mirror", got=True, allowed="false for boxes")
    Range(least=0, most=1).check("views.confidence", settings.confidence)
    Range(least=0, most=1).check("views.overlap", settings.overlap)
    if settings.background is not None and settings.background not in classes:
        raise ConfigError.unknown("views.background", settings.background, classes, what="class")


def most_probable(
    probabilities: Tensor, background: str | None, classes: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Return the most probable class of each box, -1 for the background, and its probability: (N, n) each.

    Args:
        probabilities: (N, K, n).
    """
    confidences, labels = probabilities.max(dim=1)
    if background is not None:
        labels = labels.masked_fill(labels == classes.index(background), -1)
    return labels, confidences


def choose_detections(found: Tensor, *, overlap: float) -> NDArray[np.float64]:
    """Return the detections of an image among its boxes: (MOST, 6), by falling confidence; class -1 for none.

    A box has one class, so the more confident one of two boxes that overlap by more is kept, whatever their classes.

    Args:
        found: (n, 6): box, class or -1 for the background, and confidence.
        overlap: largest IoU of two detections.
    """
    named = found[found[:, 4] >= 0]
    best = named[named[:, 5].argsort(descending=True, stable=True)[:MOST_COMPARED]]
    kept = best[suppress(best[:, :4], best[:, 5], threshold=overlap)[:MOST]]
    detections = np.tile(EMPTY, (MOST, 1))
    detections[: len(kept)] = kept.double().cpu().numpy()
    return detections

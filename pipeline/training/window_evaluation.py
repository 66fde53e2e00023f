"""The windows of a classifier as detections on data with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.facts import Facts
from pipeline.pictures.windows import ShownWindows, draw_windows
from pipeline.training.box_evaluation import as_batch
from pipeline.training.trained import Trained
from pipeline.training.windows import WindowPredictor, WindowSettings, window_boxes

Array = NDArray[np.float64]


class WindowFinder:
    """Every window of an image, as a detection of its most probable class, see `box_evaluation.Finder`.

    Args:
        trained: a run of a classifier.
        facts: of the data with boxes.
    """

    place = "windows"
    titles: Mapping[str, str] = {}

    def __init__(self, trained: Trained, facts: Facts, settings: WindowSettings) -> None:
        self._predictor = WindowPredictor(trained, (facts.shape[1], facts.shape[2]), settings.scales)
        self._settings, self._classes = settings, trained.declaration.data.classes

    def detect(self, images: NDArray[np.uint8]) -> Array:
        """Return the detections of images (N, H, W, C): (N, MOST, 6)."""
        return self._predictor.detect(as_batch(images), self._settings, self._classes)

    def evidence(self, objects: Array) -> Array:
        """Return rows without a number, as there are no scores but those of detections."""
        return np.empty((len(objects), 0))

    def scores(self, evidence: Array) -> dict[str, float]:  # noqa: ARG002
        """Return no scores."""
        return {}

    def remarks(self, images: NDArray[np.uint8]) -> list[str]:
        """Return sentences on the cost at each scale."""
        return self._predictor.remarks(images)

    def draw(self, images: NDArray[np.uint8], detections: Sequence[Array], folder: Path) -> None:
        """Draw the class of each window, and the detections."""
        scale, network = next(iter(self._predictor.networks.items()))
        probabilities = self._predictor.probabilities(as_batch(images), scale).cpu()
        confidences, labels = (each.numpy() for each in probabilities.max(dim=1))
        boxes = window_boxes(network, (images.shape[1], images.shape[2])).numpy()
        shown = [
            ShownWindows(image, labels[index], confidences[index], boxes, detections[index])
            for index, image in enumerate(images)
        ]
        draw_windows(shown, self._classes, folder / "windows.png")

"""Predictions of verification for a user: embeddings, or whose an image is by a gallery.

Shapes: embeddings (G, D) of a gallery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pipeline.data.facts import Facts
from pipeline.tasks.predictions import Enrolled, Predicted, Present, Presented
from pipeline.tasks.verification.task import Verification

UNKNOWN = "unknown"  # of whom no image of the gallery is near enough


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present the numbers of an embedding (D,) as cells."""
    del facts
    return Presented({f"embedding_{index}": f"{value:.8f}" for index, value in enumerate(predicted.decoded)})


def enrol(task: Verification, embeddings: NDArray[Any], images: Sequence[Enrolled]) -> Present:
    """Return what presents an image by the nearest one of a gallery: whose it is, and how far."""
    gallery, threshold = task.points(embeddings), task.threshold
    assert threshold is not None, "training decided it"

    def present(predicted: Predicted, facts: Facts) -> Presented:
        del facts
        distances = cdist(task.points(predicted.decoded[None]), gallery, task.metric)[0]
        nearest = int(distances.argmin())
        name = images[nearest].identity
        found = name if distances[nearest] <= threshold else UNKNOWN
        return Presented(
            {
                "identity": found,
                "nearest": name,
                "distance": f"{distances[nearest]:.6f}",
                "threshold": f"{threshold:.6f}",
                "image": images[nearest].file,
            },
            shares={found: 1.0},
            caption=f"{found} {distances[nearest]:.3f}",
        )

    return present

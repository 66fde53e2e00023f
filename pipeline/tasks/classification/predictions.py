"""Predictions of classification for a user: the most probable class, and the probability of each."""

from __future__ import annotations

from pipeline.data.facts import Facts
from pipeline.tasks.predictions import Predicted, Presented, class_columns


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present probabilities (K,) as cells; the image counts for its most probable class."""
    best = int(predicted.decoded.argmax())
    name = facts.classes[best]
    probabilities = zip(class_columns(facts.classes), predicted.decoded, strict=True)
    return Presented(
        {"class": name, **{column: f"{probability:.8f}" for column, probability in probabilities}},
        shares={name: 1.0},
        caption=f"{name} {predicted.decoded[best]:.0%}",
    )

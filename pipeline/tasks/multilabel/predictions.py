"""Predictions of several labels for a user: the names of the labels, and the probability of each class."""

from __future__ import annotations

import numpy as np

from pipeline.data.facts import Facts
from pipeline.tasks.multilabel.demands import DEMANDS
from pipeline.tasks.multilabel.task import join_names
from pipeline.tasks.predictions import Predicted, Presented, class_columns


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present probabilities (K,) as cells; the image counts for each class whose probability is at least 0.5."""
    labels = predicted.decoded >= DEMANDS.threshold
    probabilities = zip(class_columns(facts.classes), predicted.decoded, strict=True)
    names = [facts.classes[index] for index in np.flatnonzero(labels)]
    return Presented(
        {
            "class": join_names(facts.classes, labels, facts.separator),
            **{column: f"{probability:.8f}" for column, probability in probabilities},
        },
        shares=dict.fromkeys(names, 1.0),
        caption=", ".join(names) or "no class",
    )

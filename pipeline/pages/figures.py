"""The figures of a page, with their titles, embedded as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TITLES = {
    "statistics": "Statistics of the training images",
    "best_so_far": "Every trial's value in order, and the best so far",
    "slices": "Each key against the value; importance measures how much the value depends on it",
    "parallel": "Every trial as a line across its keys, coloured by its value",
    "training_images": "Training images, as the network sees them",
    "anchors": "Anchors, and the training objects that each of them takes",
    "augmentation": "Draws of the first epochs, with the steps that changed them",
    "augmentation_steps": "Each step of the augmentation by itself",
    "learning_curves": "Learning curves; the dotted line marks the epoch whose weights were kept",
    "confusion": "Confusion matrix of the test split",
    "mistakes": "Most confident mistakes: true class, predicted class, confidence, file",
    "mistakes_maps": "The same mistakes: which parts of the image speak for the predicted class, and for the true one",
    "labels": "Test images of each class: found, missed, and those that are predicted to have it and do not",
    "wrong_labels": "Test images with most wrong labels: - is missed, + is not true; file",
    "wrong_labels_maps": "The same images: which parts of each speak for the label that is most wrong",
    "map": "Embeddings of the test images on their two principal axes, by identity",
    "recognition": "Recognition by one image of each identity, as the gallery grows",
    "roc": "Accepted pairs of one identity, and of two, at each distance",
    "distances": "Distances of test images of one identity, and of two",
    "alike_impostors": "Most alike test images of two identities: identity, file, distance",
    "unlike_genuine": "Least alike test images of one identity: identity, file, distance",
    "best": "Best test cases",
    "median": "Median test cases",
    "worst": "Worst test cases",
}


@dataclass(frozen=True)
class Picture:
    """A PNG with its title; `source` is a data URI, so that the page is self-contained."""

    title: str
    path: str
    source: str


def load_pictures(folders: Sequence[Path], artifacts: Path) -> list[Picture]:
    """Return the figures in some folders, in the order of `TITLES`, followed by any others."""
    order = {name: place for place, name in enumerate(TITLES)}
    found = [file for folder in folders for file in folder.glob("*.png")]
    files = sorted(found, key=lambda f: (order.get(f.stem, len(order)), f.stem))
    return [
        Picture(
            TITLES.get(file.stem, file.stem.replace("_", " ")),
            f"../{file.relative_to(artifacts).as_posix()}",
            f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}",
        )
        for file in files
    ]

"""A classifier on proposed regions of larger images: regions first, the classifier second.

Source: R-CNN, Girshick et al. 2013, arXiv:1311.2524, section 2 and appendix A. Unlike the paper, the classifier has not
seen regions in training, boxes are not refined, and what lies outside of the image repeats its border.
Shapes: N images, H rows, W columns, R regions of an image, K classes; images (N, H, W, C) uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.boxes.average_precision import overlaps
from pipeline.boxes.recall import average_recall, best_overlaps, recall
from pipeline.data.facts import Facts
from pipeline.data.resizing import FILTER
from pipeline.declaration.network import plan_network
from pipeline.errors import ConfigError
from pipeline.pictures.detections import draw_detections
from pipeline.pictures.places import Marks
from pipeline.plans.windows import cost_of_cropping
from pipeline.tasks.demands import load_demands
from pipeline.training.box_evaluation import as_batch
from pipeline.training.evaluation import BATCH
from pipeline.training.found_boxes import choose_detections, most_probable
from pipeline.training.regions import ProposalSettings, Proposer
from pipeline.training.trained import Predictor, Trained
from pipeline.training.windows import WindowPredictor

COUNTS = (1, 10, 100, 300, 1000)  # regions of an image whose recall is told
TIMED = 16  # images that windows are computed on, to tell their seconds
LEAST_IOU = 0.5  # of a region that is drawn as that of an object
FOUND, MISSED = "#117733", "#CC6677"
DRAWN = 4  # images

Images = NDArray[np.uint8]
Array = NDArray[np.float64]


class ProposalFinder:
    """Regions as detections of their most probable class, see `box_evaluation.Finder`.

    Its own scores are those of the regions, whatever the classifier says of them.

    Args:
        trained: a run of a classifier.
        facts: of the data with boxes.
        proposer: of regions of their images.

    Raises:
        ConfigError: the network does not put out a number for each class.
    """

    place = "proposals"

    def __init__(
        self, trained: Trained, facts: Facts, settings: ProposalSettings, proposer: Proposer
    ) -> None:
        own = trained.declaration
        demands = load_demands(own.task)
        if demands.output_shape(own.task, own.data, own.input_shape) != (len(own.data.classes),):
            raise ConfigError(
                "views", "proposals are for classifiers", got=demands.name, hint="leave them out"
            )
        self._trained, self._facts, self._settings = trained, facts, settings
        self._proposer, self._predictor = proposer, Predictor(trained)
        self._counts = [count for count in COUNTS if count < settings.most] + [settings.most]
        self._regions: list[Array] = []
        self._objects = np.empty((0, 0, 6))
        self._seconds = {"proposing": 0.0, "classifying": 0.0}

    @property
    def titles(self) -> Mapping[str, str]:
        """Titles of the scores of regions."""
        recalls = {f"recall_{count}": f"of {count:,} regions: recall" for count in self._counts}
        return {**recalls, "average_recall": f"of {self._counts[-1]:,} regions: average recall"}

    def detect(self, images: Images) -> Array:
        """Return the detections of images: (N, MOST, 6)."""
        start = perf_counter()
        regions = [each[: self._settings.most] for each in self._proposer.propose(images)]
        middle = perf_counter()
        found = [self._classify(image, each) for image, each in zip(images, regions, strict=True)]
        self._seconds["proposing"] += middle - start
        self._seconds["classifying"] += perf_counter() - middle
        self._regions += [each[:, :4] for each in regions]
        return np.stack([choose_detections(each, overlap=self._settings.overlap) for each in found])

    def evidence(self, objects: Array) -> Array:
        """Return the best IoU of each object with the first regions, by number of regions."""
        self._objects = objects
        return best_overlaps(self._regions, objects, self._counts).reshape(len(objects), -1)

    def scores(self, evidence: Array) -> dict[str, float]:
        """Return recall by number of regions, and average recall of all of them."""
        best = evidence.reshape(len(evidence), -1, len(self._counts))
        recalls = {f"recall_{count}": recall(best[..., place]) for place, count in enumerate(self._counts)}
        return {**recalls, "average_recall": average_recall(best[..., -1])}

    def remarks(self, images: Images) -> list[str]:
        """Return sentences on the cost of an image, beside those of a grid of a detector, and of windows."""
        num_images, proposer = len(self._regions), self._proposer
        number = sum(map(len, self._regions)) / num_images
        alone = plan_network(self._trained.declaration).multiply_adds
        seconds = {name: value / num_images for name, value in self._seconds.items()}
        adds = "" if proposer.multiply_adds is None else f"{proposer.multiply_adds:,} multiply-adds, "
        return [
            f"{proposer.about}: {adds}{_tell(seconds['proposing'])} of an image",
            f"classifying {number:.1f} regions of an image one by one: {number * alone:,.0f} multiply-adds, "
            f"{_tell(seconds['classifying'])}",
            self._tell_windows(images),
        ]

    def draw(self, images: Images, detections: Sequence[Array], folder: Path) -> None:
        """Draw detections, and below them the region that covers each object best."""
        classes = self._trained.declaration.data.classes
        marks, captions = [], []
        shown = range(min(DRAWN, len(images)))
        for index in shown:
            found = detections[index]
            names = [f"{classes[int(label)]} {confidence:.0%}" for label, confidence in found[:, 4:]]
            marks.append(Marks(found[:, :4], colours=[FOUND] * len(found), names=names))
            captions.append(f"{len(found)} detections")
        for index in shown:
            marks.append(self._mark_regions(index))
            captions.append(f"{len(self._regions[index])} regions, the best of each object")
        draw_detections(
            [images[index] for index in (*shown, *shown)], marks, captions, folder / "proposals.png"
        )

    @torch.inference_mode()
    def _classify(self, image: Images, regions: Array) -> torch.Tensor:
        """Return box, class and confidence of each region: (R, 6); class -1 for the background."""
        if not len(regions):
            return torch.empty((0, 6), dtype=torch.float64)
        shown = cut(image, regions[:, :4], self._trained.declaration.data.shape[1:], self._settings)
        batches = (as_batch(shown[start : start + BATCH]) for start in range(0, len(shown), BATCH))
        decoded = [self._predictor.task.decode(self._predictor.outputs(batch)).cpu() for batch in batches]
        classes, background = self._trained.declaration.data.classes, self._settings.background
        labels, confidences = most_probable(torch.cat(decoded).T[None], background, classes)
        boxes = torch.from_numpy(regions)
        return torch.cat((boxes[:, :4], labels.T.double(), confidences.T.double() * boxes[:, 4:]), dim=1)

    def _tell_windows(self, images: Images) -> str:
        """Return a sentence on the cost of every window of an image."""
        try:
            predictor = WindowPredictor(self._trained, (self._facts.shape[1], self._facts.shape[2]), [1.0])
        except ConfigError as refusal:
            return f"windows are not compared: {refusal}"
        batch, network = as_batch(images[:TIMED]), predictor.networks[1.0]
        predictor.probabilities(batch, 1.0)  # the first pass also takes what is only done once
        start = perf_counter()
        predictor.probabilities(batch, 1.0)
        seconds = (perf_counter() - start) / len(batch)
        return (
            f"every window at one scale, in one pass: {network.multiply_adds:,} multiply-adds, {_tell(seconds)}; by "
            f"cropping each: {cost_of_cropping(network):,} multiply-adds"
        )

    def _mark_regions(self, index: int) -> Marks:
        """Return the region of an image that covers each object best, or the object if none covers half of it."""
        objects = self._objects[index]
        objects = objects[(objects[:, 4] >= 0) & (objects[:, 5] <= 0)]
        regions = self._regions[index]
        boxes, colours, names = [], [], []
        for each, ious in zip(objects, overlaps(regions[None], objects[None])[0].T, strict=True):
            best = ious.max(initial=0)
            is_found = best >= LEAST_IOU
            boxes.append(regions[int(ious.argmax())] if is_found else each[:4])
            colours.append(FOUND if is_found else MISSED)
            names.append(f"IoU {best:.2f}" if is_found else "no region")
        dashed = [colour == MISSED for colour in colours]
        return Marks(np.array(boxes).reshape(-1, 4), colours=colours, names=names, is_dashed=dashed)


def cut(image: Images, regions: Array, sides: Sequence[int], settings: ProposalSettings) -> Images:
    """Return regions (R, 4) of an image (H, W, C), resized to some rows and columns as images of training are.

    What lies outside of the image repeats its border.
    """
    rows, columns = sides
    boxes = _enlarge(regions, columns / rows, settings)
    margin = max(
        0, *np.ceil(-boxes[:, :2]).max(axis=0), *np.ceil(boxes[:, 2:] - image.shape[1::-1]).max(axis=0)
    )
    padding = int(margin)
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode="edge")
    page = Image.fromarray(padded[..., 0] if image.shape[2] == 1 else padded)
    shown = [
        np.asarray(page.resize((columns, rows), Image.Resampling[FILTER], box=tuple(box)))
        for box in (boxes + padding).tolist()
    ]
    return np.stack(shown).reshape(len(shown), rows, columns, -1)


def _enlarge(regions: Array, ratio: float, settings: ProposalSettings) -> Array:
    """Return boxes around regions (R, 4): with context, and without warping of an aspect ratio.

    Args:
        ratio: columns to rows of the network's image.
    """
    halves = (regions[:, 2:] - regions[:, :2]) * (0.5 + settings.context)
    centres = (regions[:, :2] + regions[:, 2:]) / 2
    if not settings.warp:
        width = np.maximum(halves[:, 0], halves[:, 1] * ratio)
        halves = np.stack((width, width / ratio), axis=1)
    return np.concatenate((centres - halves, centres + halves), axis=1)


def _tell(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"

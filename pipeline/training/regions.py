"""Proposed regions of images, of which a classifier is asked what they show: segments and their groups, or boxes.

Sources: segments, Felzenszwalb and Huttenlocher 2004, https://doi.org/10.1023/B:VISI.0000022288.19776.77; their groups,
see `pipeline.boxes.grouping`.
Shapes: N images, H rows, W columns, R regions of an image; images (N, H, W, C) uint8, regions (R, 5): x_min, y_min,
x_max, y_max in pixels of the image, and confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes.grouping import propose
from pipeline.data.facts import Facts
from pipeline.declaration.network import plan_network
from pipeline.errors import ConfigError, Range
from pipeline.tasks.demands import load_demands
from pipeline.training.box_data import KIND
from pipeline.training.found_boxes import check_box_settings
from pipeline.training.trained import Predictor, Trained, find_trained

SEGMENTATION = "segmentation"
MOST_REGIONS = 5000
MOST_SEGMENTATIONS = 16
MOST_SEGMENTS = 4000  # of an image: each pair is compared

Images = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class ProposalSettings:
    """Proposed regions of test images, as given in the section `views` of conf/views/proposals.yaml.

    Args:
        crops: `proposals`.
        mirror: false.
        proposals: `segmentation`, or a run that puts out boxes, by any of the names that commands take.
        most: regions of an image, the first ones.
        scales: of segmentation: the larger, the larger are the segments.
        smoothing: of segmentation: standard deviation in pixels of the Gaussian that images are smoothed by.
        min_segment: of segmentation: pixels of the smallest segment.
        min_side: of segmentation: pixels of the shorter side of the smallest region.
        warp: whether a region is stretched to the sides of the network's image; otherwise the smallest box of their
            aspect ratio around the region is shown.
        context: share of its sides by which a region is enlarged at each side before.
        background: the class that stands for nothing; null if there is none.
        confidence: least confidence of a detection that is shown.
        overlap: largest IoU of two detections of an image.
    """

    crops: str
    mirror: bool
    proposals: str
    most: int
    scales: list[float]
    smoothing: float
    min_segment: int
    min_side: float
    warp: bool
    context: float
    background: str | None
    confidence: float
    overlap: float

    def check(self, classes: Sequence[str]) -> None:
        """Check that values are in range, and that the background is a class.

        Raises:
            ConfigError: one is not.
        """
        check_box_settings(self, classes)
        Range(least=1, most=MOST_REGIONS, is_whole=True).check("views.most", self.most)
        if not 1 <= len(self.scales) <= MOST_SEGMENTATIONS:
            raise ConfigError("views.scales", got=self.scales, allowed=f"1 to {MOST_SEGMENTATIONS} numbers")
        for index, scale in enumerate(self.scales):
            Range(above=0).check(f"views.scales[{index}]", scale)
        Range(least=0, most=100).check("views.smoothing", self.smoothing)
        Range(least=1, is_whole=True).check("views.min_segment", self.min_segment)
        Range(least=0).check("views.min_side", self.min_side)
        Range(least=0, most=4).check("views.context", self.context)


class Proposer(Protocol):
    """A way to propose regions.

    Attributes:
        about: what proposes them, for people.
    """

    about: str

    @property
    def multiply_adds(self) -> int | None:
        """Those of a network for each image; None if there is none."""
        ...

    def propose(self, images: Images) -> list[Array]:
        """Return the regions of each image, the most promising first."""
        ...


def find_proposer(settings: ProposalSettings, facts: Facts, *, seed: int, root: Path) -> Proposer:
    """Return what proposes regions of the images of a data set.

    Args:
        facts: of the data set.
        seed: of the order of groups of segments.

    Raises:
        ConfigError: a package is missing; there is no such run, or it puts out no boxes or takes other images.
    """
    if settings.proposals == SEGMENTATION:
        return SegmentProposer(settings, seed=seed)
    return BoxProposer(find_trained(settings.proposals, root=root), facts)


class SegmentProposer:
    """Segments of each image and their groups.

    Args:
        seed: an image has the same regions whatever other images there are.

    Raises:
        ConfigError: scikit-image is not installed.
    """

    about = "segments and their groups"
    multiply_adds = None

    def __init__(self, settings: ProposalSettings, *, seed: int) -> None:
        if find_spec("skimage") is None:
            problem = "segmentation needs scikit-image, not installed here"
            hint = 'pip install -e ".[proposals]", or name a run that puts out boxes'
            raise ConfigError("views.proposals", problem, got=SEGMENTATION, hint=hint)
        self._settings, self._seed = settings, seed

    def propose(self, images: Images) -> list[Array]:
        """Return the regions of each image, of confidence 1."""
        return [self._propose(image) for image in images]

    def _propose(self, image: Images) -> Array:
        segmentations = [self._segment(image, scale) for scale in self._settings.scales]
        boxes = propose(image, segmentations, np.random.default_rng(self._seed))
        is_large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= self._settings.min_side
        regions: Array = np.concatenate((boxes, np.ones((len(boxes), 1))), axis=1)[is_large]
        return regions

    def _segment(self, image: Images, scale: float) -> NDArray[np.integer]:
        from skimage.segmentation import felzenszwalb

        least, sigma = self._settings.min_segment, self._settings.smoothing
        segments: NDArray[np.integer] = felzenszwalb(
            image, scale=scale, sigma=sigma, min_size=least, channel_axis=-1
        )
        if segments.max() >= MOST_SEGMENTS:
            raise ConfigError(
                "views.min_segment",
                f"an image has {segments.max() + 1:,} segments at the scale {scale:g}, more than {MOST_SEGMENTS:,}",
                got=least,
                hint="raise it, or choose larger scales or a smaller data.shape",
            )
        return segments


class BoxProposer:
    """The boxes of a run, whatever their class.

    Args:
        run: its task puts out boxes.
        facts: of the data whose images it will see.

    Raises:
        ConfigError: its task puts out no boxes, or it takes images of another shape.
    """

    def __init__(self, run: Trained, facts: Facts) -> None:
        declaration = run.declaration
        demands = load_demands(declaration.task)
        if demands.target != KIND:
            raise ConfigError(
                "views.proposals",
                f"{demands.name} puts out no boxes",
                got=declaration.name,
                allowed="segmentation, or a run that puts out boxes",
            )
        if declaration.data.shape != facts.shape:
            raise ConfigError(
                "views.proposals",
                f"the run takes images of {declaration.data.shape}, and data {facts.name} have {facts.shape}",
                got=declaration.name,
                hint="set data.shape, or name a run on images of this shape",
            )
        self.about = f"boxes of {declaration.name}"
        self._predictor = Predictor(run)
        self.multiply_adds = plan_network(declaration).multiply_adds

    @torch.inference_mode()
    def propose(self, images: Images) -> list[Array]:
        """Return the boxes of each image, by falling confidence."""
        batch = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        decoded: NDArray[Any] = self._predictor.task.decode(self._predictor.outputs(batch)).cpu().numpy()
        return [self._sort(rows[rows[:, 4] >= 0].astype(np.float64)) for rows in decoded]

    def _sort(self, rows: Array) -> Array:
        order = np.argsort(-rows[:, 5], kind="stable")
        sorted_rows: Array = rows[order][:, [0, 1, 2, 3, 5]]
        return sorted_rows

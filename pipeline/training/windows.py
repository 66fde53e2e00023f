"""A trained classifier at every window of larger images, in one pass for each scale.

Source: Sermanet et al. 2013, arXiv:1312.6229, section 3.5. Without a class for nothing, a window without an object is
told by the probability of its most probable class, which has to be high.
Shapes: N images, K classes, R x S windows; outputs (N, K, R, S).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError, Range
from pipeline.networks.build import build, load_as_convolutions
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.plans.windows import cost_of_cropping, differences, grid, say_cost, step
from pipeline.training.found_boxes import check_box_settings, choose_detections, most_probable
from pipeline.training.trained import Predictor, Trained

MOST_SCALES = 16
PROBES = 16  # windows that are compared with themselves, cut out
ALIKE = 1e-3  # difference of probabilities that is worth a word

Sides = tuple[int, int]


@dataclass(frozen=True)
class WindowSettings:
    """Windows of test images, as given in the section `views` of conf/views/windows.yaml.

    Args:
        crops: `windows`.
        mirror: false.
        scales: factors that images are resized by.
        background: the class that stands for nothing; null if there is none.
        confidence: least probability of a class that is shown.
        overlap: largest IoU of two detections of an image.
    """

    crops: str
    mirror: bool
    scales: list[float]
    background: str | None
    confidence: float
    overlap: float

    def check(self, classes: Sequence[str]) -> None:
        """Check that values are in range, and that the background is a class.

        Raises:
            ConfigError: one is not.
        """
        check_box_settings(self, classes)
        if not 1 <= len(self.scales) <= MOST_SCALES:
            raise ConfigError("views.scales", got=self.scales, allowed=f"1 to {MOST_SCALES} factors")
        for index, scale in enumerate(self.scales):
            Range(above=0, most=16).check(f"views.scales[{index}]", scale)


class WindowPredictor(Predictor):
    """The classifier of a run at every window of images of one size.

    Args:
        sides: rows and columns of the images.
        scales: factors that they are resized by.

    Attributes:
        networks: the plan at each scale.
        window: rows and columns of a window.

    Raises:
        ConfigError: the network is no classifier, or the images are smaller than a window.
    """

    def __init__(self, trained: Trained, sides: Sides, scales: Sequence[float]) -> None:
        super().__init__(trained)
        self._maps = None  # of activations: those of a window are not of the image
        self._image = sides
        self.window = trained.declaration.input_shape[1:]
        self.networks = {scale: _plan(trained.declaration, _scaled(sides, scale)) for scale in scales}
        self._together = build(next(iter(self.networks.values())), seed=0)
        load_as_convolutions(self._together, self._model.get_submodule("network").state_dict())
        self._together.to(self.device).eval()

    @torch.inference_mode()
    def maps(self, images: Tensor, scale: float) -> Tensor:
        """Return the outputs at every window of uint8 images (N, C, *sides): (N, K, R, S)."""
        resized = _resize(images.to(self.device), _scaled(self._image, scale))
        outputs: Tensor = self._together(self._model.get_submodule("preprocess")(resized))
        return outputs

    def outputs(self, images: Tensor) -> Tensor:
        """Return the outputs for images (N, C, *sides), merged over all windows of all scales: (N, K)."""
        maps = [self.maps(images, scale).flatten(2).unbind(2) for scale in self.networks]
        windows = [window for each in maps for window in each]
        return self.task.merge(windows, [False] * len(windows))

    def probabilities(self, images: Tensor, scale: float) -> Tensor:
        """Return the probability of each class at every window: (N, K, R, S)."""
        maps = self.maps(images, scale)
        decoded = self.task.decode(maps.movedim(1, -1).flatten(0, 2))
        return decoded.reshape(len(maps), *maps.shape[2:], -1).movedim(-1, 1)

    def remarks(self, images: NDArray[np.uint8]) -> list[str]:
        """Return sentences on the cost at each scale, and on how far one pass and windows cut out differ.

        Args:
            images: (N, *sides, C); both are compared at some windows of the first one.
        """
        said = [f"scale {scale:g}: {say_cost(network)}" for scale, network in self.networks.items()]
        if len(self.networks) > 1:
            said.append(_say_total([*self.networks.values()]))
        gap = self._largest_difference(torch.from_numpy(np.array(images[:1])).permute(0, 3, 1, 2))
        said.append(
            f"largest difference of a probability from that of a window cut out: {gap:.1e}, in {PROBES} windows"
        )
        return said + (differences(next(iter(self.networks.values()))) if gap > ALIKE else [])

    @torch.inference_mode()
    def _largest_difference(self, images: Tensor) -> float:
        scale, network = next(iter(self.networks.items()))
        resized = _resize(images.to(self.device), _scaled(self._image, scale))
        found = self.probabilities(images, scale)[0]
        (rows, columns), (down, across) = grid(network), step(network)
        gaps = []
        for index in np.linspace(0, rows * columns - 1, min(PROBES, rows * columns)).astype(int):
            row, column = divmod(int(index), columns)
            top, left = row * down, column * across
            window = resized[..., top : top + self.window[0], left : left + self.window[1]]
            alone = self.task.decode(self._model(window))[0]
            gaps.append(float((alone - found[:, row, column]).abs().max()))
        return max(gaps)

    def detect(self, images: Tensor, settings: WindowSettings, classes: Sequence[str]) -> NDArray[np.float64]:
        """Return the windows of each image that say most: (N, MOST, 6), by falling confidence; class -1 for none.

        The columns are x_min, y_min, x_max, y_max in pixels of the images, class and confidence.
        """
        parts = [self._windows(images, scale, settings, classes) for scale in self.networks]
        found = torch.cat(parts, dim=1).cpu()
        return np.stack([choose_detections(each, overlap=settings.overlap) for each in found])

    def _windows(
        self, images: Tensor, scale: float, settings: WindowSettings, classes: Sequence[str]
    ) -> Tensor:
        """Return box, class and confidence of each window of a scale: (N, R * S, 6); class -1 for the background."""
        probabilities = self.probabilities(images, scale).flatten(2)
        labels, confidences = most_probable(probabilities, settings.background, classes)
        boxes = window_boxes(self.networks[scale], self._image).to(confidences)
        shared = boxes.expand(len(images), *boxes.shape)
        return torch.cat((shared, labels[..., None].to(confidences), confidences[..., None]), dim=2)


def window_boxes(network: Network, sides: Sides) -> Tensor:
    """Return the box of each window, row by row, in pixels of an image of some rows and columns: (R * S, 4)."""
    assert network.windows is not None
    (rows, columns), (down, across), window = grid(network), step(network), network.windows.sides
    tops, lefts = torch.arange(rows) * down, torch.arange(columns) * across
    top, left = (each.flatten() for each in torch.meshgrid(tops, lefts, indexing="ij"))
    boxes = torch.stack((left, top, left + window[1], top + window[0]), dim=1).double()
    _, height, width = network.shape
    factors = torch.tensor([sides[1] / width, sides[0] / height] * 2, dtype=torch.float64)
    return (boxes * factors).clamp(max=torch.tensor([sides[1], sides[0]] * 2))


def _plan(declaration: Declaration, sides: Sides) -> Network:
    """Plan the network of a run as convolutions, for images of some rows and columns."""
    model: Mapping[str, Any] = declaration.model
    window = declaration.input_shape[1:]
    if sides[0] < window[0] or sides[1] < window[1]:
        raise ConfigError(
            "views.scales",
            f"images of {sides[0]} x {sides[1]} are smaller than a window of {window[0]} x {window[1]}",
            hint="choose larger scales, or larger rows and columns of data.shape",
        )
    inner = {"layers": model["layers"], "head": model["head"]}
    changed = {"layers": [], "head": [], "classifier": inner, "window": list(window)}
    return plan(
        {**model, **changed},
        shape=(declaration.input_shape[0], *sides),
        outputs=len(declaration.data.classes),
    )


def _scaled(sides: Sides, scale: float) -> Sides:
    return round(sides[0] * scale), round(sides[1] * scale)


def _resize(images: Tensor, sides: Sides) -> Tensor:
    """Return uint8 images of other rows and columns, antialiased."""
    if tuple(images.shape[-2:]) == sides:
        return images
    large = functional.interpolate(
        images.float(), sides, mode="bilinear", align_corners=False, antialias=True
    )
    return large.round().clamp(0, 255).byte()


def _say_total(networks: Sequence[Network]) -> str:
    together = sum(network.multiply_adds for network in networks)
    cropping = sum(cost_of_cropping(network) for network in networks)
    return f"all scales: {together:,} multiply-adds, {cropping:,} by cropping, {cropping / together:.1f} times as many"

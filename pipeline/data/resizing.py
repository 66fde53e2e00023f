"""How images are brought to the sides of prepared ones, and the way back to their own pixels.

- squash: the whole image, whose aspect ratio changes.
- letterbox: the whole image in its aspect ratio, centred and padded, as `PIL.ImageOps.pad` places it.
- crop: the largest centred part of the wanted aspect ratio, as `PIL.ImageOps.fit` cuts it.

A copy of this file travels with every logged model, so it imports nothing of this package. The functions take arrays of
numpy, or tensors with `library=torch`, so that exported graphs hold the same way back as everything else.
Coordinates are (x, y) in pixels; the pixel in row r and column c covers x from c to c + 1 and y from r to r + 1.
Shapes: H rows, W columns; masks (H, W). Of images, as of one image alone (...): sides (..., 2), rows and columns; parts
(..., 4), left, top, right and bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILTER = (
    "BILINEAR"  # of PIL.Image.Resampling: its triangle grows with the reduction, so that it is antialiased
)

LEAST_SIDE = 0.01  # pixels of the file: a narrower box is none, as two decimals may not tell its edges apart
NOTHING = (0.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # a row without a box

TIE = 1e-6  # pixels: a centre on the border of two pixels takes the right or lower one, however sums are rounded

Box = tuple[float, float, float, float]  # left, top, right, bottom


def find_parts(rule: str, original: Any, prepared: Any, *, library: Any = np) -> tuple[Any, Any]:
    """Return the part of images that is shown, in their own pixels, and where in whole pixels of prepared images.

    Args:
        rule: squash, letterbox or crop.
        original, prepared: sides of images and of prepared images, in double precision.
    """
    height, width, rows, columns = *_split(original), *_split(prepared)
    zero = 0 * (width + columns)
    x, y, left, top = zero, zero, zero, zero
    ratio, wanted = width / height, columns / rows
    if rule == "letterbox":
        inner_rows = library.where(
            ratio > wanted, (height / width * columns).round().clip(min=1), rows + zero
        )
        inner_columns = library.where(
            ratio < wanted, (width / height * rows).round().clip(min=1), columns + zero
        )
        left, top = ((columns - inner_columns) * 0.5).round(), ((rows - inner_rows) * 0.5).round()
        rows, columns = inner_rows, inner_columns
    elif rule == "crop":
        inner_width = library.where(ratio > wanted, wanted * height, width + zero)
        inner_height = library.where(ratio < wanted, width / wanted, height + zero)
        x, y = (width - inner_width) * 0.5, (height - inner_height) * 0.5
        width, height = inner_width, inner_height
    shown = (x, y, x + width, y + height)
    target = (left, top, left + columns, top + rows)
    return library.stack(shown, -1), library.stack([side + zero for side in target], -1)


def points_in_files(points: Any, shown: Any, target: Any) -> Any:
    """Return points (..., n, 2) of prepared images in pixels of the images' files.

    Args:
        shown, target: see `find_parts`.
    """
    shown, target = shown[..., None, :], target[..., None, :]
    scale = (target[..., 2:] - target[..., :2]) / (shown[..., 2:] - shown[..., :2])
    return (points - target[..., :2]) / scale + shown[..., :2]


def boxes_in_files(boxes: Any, original: Any, shown: Any, target: Any, *, library: Any = np) -> Any:
    """Return boxes (..., n, 4) of prepared images in pixels of the images' files, cut at their borders.

    Args:
        original: sides of the files.
        shown, target: see `find_parts`.
    """
    height, width = _split(original[..., None, :])
    limits = library.stack((width, height), -1)
    ends = [points_in_files(boxes[..., place : place + 2], shown, target) for place in (0, 2)]
    return library.concatenate([library.minimum(end.clip(min=0), limits) for end in ends], -1)


def predictions_in_files(
    places: str, predictions: Any, original: Any, shown: Any, target: Any, *, library: Any = np
) -> Any:
    """Return predictions of places in pixels of the images' files.

    A box outside of the file, such as in the padding of a letterbox, becomes a row without a box. Points may lie
    outside.

    Args:
        places: `boxes`, (..., n, 6) with class and confidence, or `points`, (..., n, 3) with confidence.
        original, shown, target: see `boxes_in_files`.
    """
    if places == "points":
        points = points_in_files(predictions[..., :2], shown, target)
        return library.concatenate((points, predictions[..., 2:]), -1)
    boxes = boxes_in_files(predictions[..., :4], original, shown, target, library=library)
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    is_box = (predictions[..., 4] >= 0) & (width >= LEAST_SIDE) & (height >= LEAST_SIDE)
    moved = library.concatenate((boxes, predictions[..., 4:]), -1)
    nothing = library.stack([0 * width + value for value in NOTHING], -1)
    return library.where(is_box[..., None], moved, nothing)


def _split(sides: Any) -> tuple[Any, Any]:
    return sides[..., 0], sides[..., 1]


@dataclass(frozen=True)
class Placement:
    """Where an image lies in its prepared image: an affine map of each axis.

    Args:
        original: rows and columns of the image.
        prepared: rows and columns of the prepared image.
        shown: the part of the image that is shown, in its own pixels.
        target: where it is shown, in whole pixels of the prepared image.
    """

    original: tuple[int, int]
    prepared: tuple[int, int]
    shown: Box
    target: tuple[int, int, int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Return prepared pixels for each pixel of the image, along x and y."""
        left, top, right, bottom = self.shown
        return (
            (self.target[2] - self.target[0]) / (right - left),
            (self.target[3] - self.target[1]) / (bottom - top),
        )

    def to_prepared(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points (..., 2) of the image as points of the prepared image."""
        return (points - self.shown[:2]) * self.scale + self.target[:2]

    def to_original(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points (..., 2) of the prepared image as points of the image."""
        found: NDArray[np.float64] = points_in_files(points.astype(np.float64), *self._parts)
        return found.reshape(points.shape)

    def boxes(self, boxes: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return boxes (n, 4) of the prepared image as boxes of the image, cut at its borders."""
        found: NDArray[np.float64] = boxes_in_files(boxes.astype(np.float64), self._sides, *self._parts)
        return found

    def predictions(self, places: str, predictions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return predicted boxes (n, 6) or points (n, 3) as those of the image, see `predictions_in_files`."""
        found: NDArray[np.float64] = predictions_in_files(
            places, predictions.astype(np.float64), self._sides, *self._parts
        )
        return found

    @property
    def _sides(self) -> NDArray[np.float64]:
        return np.array(self.original, np.float64)

    @property
    def _parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.shown, np.float64), np.array(self.target, np.float64)

    def restore(self, mask: NDArray[np.uint8], *, unseen: int) -> NDArray[np.uint8]:
        """Return a mask of the prepared image as one of the image: each pixel takes the value at its centre.

        Args:
            mask: of the prepared image, or of its centre.
            unseen: value of the pixels that the mask does not cover.
        """
        border = [(whole - part) // 2 for whole, part in zip(self.prepared, mask.shape, strict=True)]
        (x_scale, y_scale), (x, y) = self.scale, self.to_prepared(np.zeros(2)) - border[::-1] + TIE
        restored = Image.fromarray(mask).transform(
            self.original[::-1],
            Image.Transform.AFFINE,
            (x_scale, 0, x, 0, y_scale, y),
            Image.Resampling.NEAREST,
            fillcolor=unseen,
        )
        return np.asarray(restored, dtype=np.uint8)


@dataclass(frozen=True)
class Resizing:
    """A rule for images of any sides.

    Args:
        rule: squash, letterbox or crop.
        sides: rows and columns of prepared images.
        padding_value: grey level of the padding of a letterbox.
    """

    rule: str
    sides: tuple[int, int]
    padding_value: int

    def place(self, original: tuple[int, int]) -> Placement:
        """Return where an image of some rows and columns lies in its prepared image."""
        sides = np.array(original, np.float64), np.array(self.sides, np.float64)
        shown, target = (part.tolist() for part in find_parts(self.rule, *sides))
        left, top, right, bottom = map(int, target)
        return Placement(original, self.sides, tuple(shown), (left, top, right, bottom))

    def image(self, image: Image.Image) -> Image.Image:
        """Return the prepared image, antialiased."""
        padding = (self.padding_value,) * len(image.getbands())
        return self._resize(image, Image.Resampling[FILTER], padding)

    def mask(self, mask: NDArray[np.uint8], *, padding: int) -> NDArray[np.uint8]:
        """Return the mask of the prepared image, by nearest neighbour.

        Args:
            padding: value of what a letterbox adds.
        """
        return np.asarray(self._resize(Image.fromarray(mask), Image.Resampling.NEAREST, (padding,)))

    def _resize(
        self, image: Image.Image, resample: Image.Resampling, padding: tuple[int, ...]
    ) -> Image.Image:
        rows, columns = self.sides
        if image.size == (columns, rows):
            return image
        place = self.place((image.height, image.width))
        left, top, right, bottom = place.target
        resized = image.resize((right - left, bottom - top), resample, box=place.shown)
        if resized.size == (columns, rows):
            return resized
        padded = Image.new(image.mode, (columns, rows), padding)
        padded.paste(resized, (left, top))
        return padded

"""How images are brought to the sides of prepared ones, and the way back to their own pixels.

- squash: the whole image, whose aspect ratio changes.
- letterbox: the whole image in its aspect ratio, centred and padded, as `PIL.ImageOps.pad` places it.
- crop: the largest centred part of the wanted aspect ratio, as `PIL.ImageOps.fit` cuts it.
- cut: the centre in its own pixels, of images that are as large at least.

A copy of this file travels with every logged model, so it imports nothing of this package.
Coordinates are (x, y) in pixels; the pixel in row r and column c covers x from c to c + 1 and y from r to r + 1.
Shapes: H rows, W columns; masks (H, W).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILTER = (
    "BILINEAR"  # of PIL.Image.Resampling: its triangle grows with the reduction, so that it is antialiased
)

TIE = 1e-6  # pixels: a centre on the border of two pixels takes the right or lower one, however sums are rounded

Box = tuple[float, float, float, float]  # left, top, right, bottom


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

    def to_original(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points (..., 2) of the prepared image as points of the image."""
        return (points - self.target[:2]) / self.scale + self.shown[:2]

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

    def restore_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what a network put out for the prepared image as one of the image, black where that was cut off.

        Args:
            image: (H, W, C), in the sides of the prepared image or a multiple of them; so much larger is the result.
        """
        factor = image.shape[0] // self.prepared[0]
        left, top, right, bottom = (round(factor * side) for side in self.shown)
        size, sides = (max(1, right - left), max(1, bottom - top)), [factor * side for side in self.original]
        bands = []
        for band in np.ascontiguousarray(image.transpose(2, 0, 1)):
            seen = Image.fromarray(band).crop(tuple(factor * side for side in self.target))
            canvas = Image.new("L", (sides[1], sides[0]))
            canvas.paste(seen.resize(size, Image.Resampling.BICUBIC), (left, top))
            bands.append(np.asarray(canvas))
        return np.stack(bands, axis=-1)


@dataclass(frozen=True)
class Resizing:
    """A rule for images of any sides.

    Args:
        rule: squash, letterbox, crop or cut.
        sides: rows and columns of prepared images.
        padding_value: grey level of the padding of a letterbox.
    """

    rule: str
    sides: tuple[int, int]
    padding_value: int

    def place(self, original: tuple[int, int]) -> Placement:
        """Return where an image of some rows and columns lies in its prepared image."""
        (height, width), (rows, columns) = original, self.sides
        shown, target = (0.0, 0.0, float(width), float(height)), (0, 0, columns, rows)
        ratio, wanted = width / height, columns / rows
        if self.rule == "letterbox":
            inner_rows = max(1, round(height / width * columns)) if ratio > wanted else rows
            inner_columns = max(1, round(width / height * rows)) if ratio < wanted else columns
            left, top = round((columns - inner_columns) * 0.5), round((rows - inner_rows) * 0.5)
            target = (left, top, left + inner_columns, top + inner_rows)
        elif self.rule == "crop":
            inner_width = wanted * height if ratio > wanted else width
            inner_height = width / wanted if ratio < wanted else height
            x, y = (width - inner_width) * 0.5, (height - inner_height) * 0.5
            shown = (x, y, x + inner_width, y + inner_height)
        elif self.rule == "cut":
            x, y = float((width - columns) // 2), float((height - rows) // 2)
            shown = (x, y, x + columns, y + rows)
        return Placement(original, self.sides, shown, target)

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
        if self.rule == "cut":
            return image.crop(place.shown)
        left, top, right, bottom = place.target
        resized = image.resize((right - left, bottom - top), resample, box=place.shown)
        if resized.size == (columns, rows):
            return resized
        padded = Image.new(image.mode, (columns, rows), padding)
        padded.paste(resized, (left, top))
        return padded

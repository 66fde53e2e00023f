"""Decoding of masks: files of class indices, or of values or colours that `data.mask_values` maps to classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.images import Pixels, convert, is_grey, open_image
from pipeline.data.resizing import Resizing
from pipeline.errors import ConfigError


@dataclass(frozen=True)
class Coding:
    """What is in the files of masks; class indices, if there are neither values nor colours.

    Args:
        values: value in files -> class index or ignore label.
        colours: colour in files, such as `#ff0000` -> class index or ignore label.
    """

    num_classes: int
    ignore_label: int | None
    values: Mapping[int, int] | None = None
    colours: Mapping[str, int] | None = None


class Palettes:
    """The colours of the values of palette images seen so far; they must agree, or a value means several things."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, str]] = {}  # value -> colour and file
        self._lock = Lock()

    def check(self, mask: Image.Image, name: str) -> None:
        """Check the palette of a mask against those seen before.

        Raises:
            ConfigError: a value has another colour than in another file; the message names both.
        """
        for value, colour in read_palette(mask).items():
            with self._lock:
                known, file = self._known.setdefault(value, (colour, name))
            if known != colour:
                raise ConfigError(
                    name,
                    f"value {value} is {colour} in its palette, but {known} in that of {file}",
                    hint=f'tell classes by colour: data.mask_values={{"{known}": <class>, ...}}',
                )


def read_palette(mask: Image.Image) -> dict[int, str]:
    """Return the colour of each value that a palette image has."""
    colours = np.asarray(mask.convert("RGB")).reshape(-1, 3)
    values, first = np.unique(np.asarray(mask).ravel(), return_index=True)
    return {
        int(value): f"#{colours[index].tobytes().hex()}" for value, index in zip(values, first, strict=True)
    }


def refuse_lossy(mask: Image.Image, data: bytes, name: str) -> None:
    """Raise if a mask was saved in a format that changes values: JPEG, AVIF, or WebP with loss."""
    lossy = {"JPEG": "JPEG", "MPO": "JPEG", "AVIF": "AVIF"}.get(mask.format or "")
    if mask.format == "WEBP" and b"VP8 " in data[:64]:
        lossy = "WebP with loss"
    if lossy is not None:
        raise ConfigError(
            name,
            f"is a mask saved as {lossy}, which changes its values",
            hint="save it again as PNG, from what it was made of",
        )


def decode_mask(
    data: bytes,
    *,
    name: str,
    image_sides: tuple[int, int],
    resizing: Resizing,
    padding: int,
    coding: Coding,
    palettes: Palettes | None = None,
    max_pixels: int | None = None,
) -> Pixels:
    """Decode a mask to class indices and resize it by nearest neighbour.

    Args:
        image_sides: rows and columns of its image on disk.
        resizing: of its image.
        padding: value of what that adds.
        coding: what is in its file.
        palettes: those of masks decoded before; None if there is nothing to compare with.
        max_pixels: rows times columns of the largest mask on disk to decode; None for any.

    Raises:
        ConfigError: unreadable, saved with loss, more than one channel, another shape than its image, a value that is
            neither a class nor the ignore label, or that means something else in another file.
    """
    mask = open_image(data, name, max_pixels)
    refuse_lossy(mask, data, name)
    if (mask.height, mask.width) != image_sides:
        raise ConfigError(
            name,
            got=(mask.height, mask.width),
            allowed=f"a mask of shape {image_sides}, like its image",
            hint="save both in the same shape",
        )
    if coding.colours is None and palettes is not None and mask.mode == "P":
        palettes.check(mask, name)
    if coding.colours is not None:
        indices = _of_colours(mask, name, coding.colours)
    elif coding.values is not None:
        indices = _of_values(mask, name, coding.values)
    else:
        indices = _of_indices(mask, name, coding)
    return resizing.mask(indices, padding=padding)


def read_values(mask: Image.Image, name: str) -> NDArray[Any] | None:
    """Return the whole numbers of a mask of any mode: one bit is 0 and 1, palettes are indices, equal channels are one.

    Returns:
        Values (H, W); None for colours.

    Raises:
        ConfigError: values are fractions, or pixels transparent.
    """
    if mask.mode == "1":
        return np.asarray(mask).astype(np.uint8)
    if mask.mode in ("L", "P") or mask.mode.startswith("I"):
        return np.asarray(mask)
    if mask.mode == "F":
        values = np.asarray(mask)
        is_whole = np.isfinite(values) & (values == np.rint(values))
        if not is_whole.all():
            raise ConfigError(
                name,
                "has values that are no whole numbers",
                got=float(values[~is_whole][0]),
                hint="save one whole number for each class",
            )
        return values.astype(np.int64)
    colour = convert(mask, name, 3)
    return np.asarray(colour.getchannel("R")) if is_grey(colour) else None


def count_values(values: NDArray[Any]) -> dict[int, int]:
    """Return each value with its number of pixels."""
    if values.dtype == np.uint8:  # several times as fast as sorting
        counts = np.bincount(values.ravel(), minlength=256)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    found, numbers = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), numbers.tolist(), strict=True))


def _of_indices(mask: Image.Image, name: str, coding: Coding) -> Pixels:
    """Return the values of a mask, which must be class indices."""
    values = read_values(mask, name)
    if values is None:
        raise ConfigError(
            name,
            got=mask.mode,
            allowed="a mask with one channel, or with equal channels",
            hint='or set data.mask_values={"#ff0000": <class>, ...} if its colours stand for classes',
        )
    num_classes, ignore_label = coding.num_classes, coding.ignore_label
    present = np.array(sorted(count_values(values)))
    wrong = present[(present < 0) | ((present >= num_classes) & (present != ignore_label))]
    if wrong.size:
        ignored = "" if ignore_label is None else f", or {ignore_label} (data.ignore_label)"
        found = ", ".join(f"{value}: <class>" for value in present[:4])
        raise ConfigError(
            name,
            got=int(wrong[0]),
            allowed=f"a mask with class indices from 0 to {num_classes - 1}{ignored}",
            hint=f"set data.mask_values={{{found}}} if other values stand for classes",
        )
    return values.astype(np.uint8)


def _of_values(mask: Image.Image, name: str, meanings: Mapping[int, int]) -> Pixels:
    """Return the class indices that the values of a mask mean."""
    values = read_values(mask, name)
    if values is None:
        raise ConfigError(
            name,
            got=mask.mode,
            allowed="a mask with one channel, as data.mask_values has numbers",
            hint='write colours, as in data.mask_values={"#ff0000": <class>}',
        )
    if mask.mode == "1" and 255 in meanings:
        values = values * 255
    return _look_up(values, name, meanings, str)


def _of_colours(mask: Image.Image, name: str, meanings: Mapping[str, int]) -> Pixels:
    """Return the class indices that the colours of a mask mean."""
    numbers = {int.from_bytes(bytes.fromhex(f"{colour[1:]}ff"), "little"): colour for colour in meanings}
    pixels = np.asarray(
        convert(mask, name, 3).convert("RGBA")
    )  # four bytes, which are compared as one number
    return _look_up(
        pixels.view("<u4")[..., 0],
        name,
        {number: meanings[colour] for number, colour in numbers.items()},
        lambda number: f"#{number.to_bytes(4, 'little')[:3].hex()}",
    )


def _look_up(
    values: NDArray[Any], name: str, meanings: Mapping[int, int], spell: Callable[[int], str]
) -> Pixels:
    indices: Pixels = np.zeros(values.shape, np.uint8)
    is_known = np.zeros(values.shape, bool)
    for value, index in meanings.items():
        is_value = values == value
        indices[is_value] = index
        is_known |= is_value
    if not is_known.all():
        raise ConfigError(
            name,
            got=spell(int(values[~is_known][0])),
            allowed=f"a mask of the values in data.mask_values: {', '.join(map(spell, meanings))}",
            hint="add it there with its class, or with null to ignore it",
        )
    return indices

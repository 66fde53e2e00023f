"""A survey of a data set: every image and mask is read once; only counters and short digests are kept of it.

A million images take about 100 MB: 16 bytes of digest, 72 of thumbnail, 4 of brightness and 4 of index each. The
perceptual hash is the difference hash (dHash): an image is shrunk to 8 x 9 grey values, and each bit says whether a
value is above its left neighbour.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipeline.data.archive import Archive
from pipeline.data.depth import is_deep
from pipeline.data.facts import Facts
from pipeline.data.images import (
    convert,
    is_grey,
    is_misnamed,
    is_turned,
    load_formats,
    open_image,
)
from pipeline.data.masks import count_values, read_palette, read_values, refuse_lossy
from pipeline.data.sources import Sample
from pipeline.data.threads import in_order
from pipeline.data.value_ranges import find_extrema
from pipeline.errors import ConfigError

ROWS, COLUMNS = 8, 9  # of a thumbnail
FLAT = 8  # grey levels: a thumbnail of a smaller range has no hash
PIECE = 16  # images per work item of a thread
MOST_COLOURS = 256  # of a mask that are counted


class Look(NamedTuple):
    """What is kept of one image.

    Args:
        sides: rows and columns, EXIF orientation applied.
        mode: as Pillow calls it, such as `L`, `RGB` or `I;16`.
        digest: of the bytes of the file.
        thumbnail: grey values, row by row.
        brightness: mean value, of 255 or in the values of an image that needs a range of values.
        values: value or colour -> pixels of its mask.
        palette: value -> colour of its mask, if that has a palette.
        is_turned: whether EXIF turns it, but not its mask.
        extrema: smallest and largest value, if it needs a range of values.
        refusal: why preparation would refuse it; None if it would not.
    """

    sides: tuple[int, int] = (0, 0)
    mode: str = ""
    digest: bytes = b""
    thumbnail: bytes = b""
    brightness: float = 0.0
    is_colour: bool = False
    is_misnamed: bool = False
    is_deep: bool = False
    values: Mapping[str, int] = MappingProxyType({})
    palette: Mapping[str, str] = MappingProxyType({})
    is_turned: bool = False
    extrema: tuple[int, int] | None = None
    refusal: ConfigError | None = None


@dataclass
class Survey:
    """What was found in the images of a data set.

    Args:
        samples: all of them, in the order in which they were looked at.
        readable: indices of those that can be used.
        sides: rows and columns -> number of images.
        first: rows and columns -> index of an image.
        turned: indices of images that EXIF turns, but not their masks.
        extrema: smallest and largest value of the images that need a range of values; None if none does.
        num_shallow: number of images with 8 bits per channel.
        digests: 16 bytes of each readable image.
        thumbnails: 72 bytes of each readable image.
        brightness: mean value of each readable image.
        pixels: value or colour of masks -> pixels.
        masks: value or colour of masks -> masks that have it.
        colours: value and colour of masks with palettes -> pixels.
        refused: reason -> sentences, each of which names its file.
    """

    samples: Sequence[Sample]
    readable: array[int] = field(default_factory=lambda: array("I"))
    sides: Counter[tuple[int, int]] = field(default_factory=Counter)
    first: dict[tuple[int, int], int] = field(default_factory=dict)
    turned: list[int] = field(default_factory=list)
    extrema: tuple[int, int] | None = None
    num_shallow: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    digests: bytearray = field(default_factory=bytearray)
    thumbnails: bytearray = field(default_factory=bytearray)
    brightness: array[float] = field(default_factory=lambda: array("f"))
    pixels: Counter[str] = field(default_factory=Counter)
    masks: Counter[str] = field(default_factory=Counter)
    colours: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    num_misnamed: int = 0
    is_colour: bool = False

    def add(self, index: int, look: Look) -> None:
        """Count an image."""
        if look.refusal is not None:
            self.refused[_reason(look.refusal)].append(str(look.refusal))
            return
        self.readable.append(index)
        self.sides[look.sides] += 1
        self.first.setdefault(look.sides, index)
        self.turned += [index] if look.is_turned else []
        self.num_shallow += not look.is_deep
        if look.extrema is not None:
            low, high = self.extrema or look.extrema
            self.extrema = min(low, look.extrema[0]), max(high, look.extrema[1])
        self.modes[look.mode] += 1
        self.digests += look.digest
        self.thumbnails += look.thumbnail
        self.brightness.append(look.brightness)
        self.num_misnamed += look.is_misnamed
        self.is_colour |= look.is_colour
        self.pixels.update(look.values)
        self.masks.update(look.values.keys())
        for value, colour in look.palette.items():
            self.colours[value, colour] += look.values[value]

    def has_contradictions(self) -> bool:
        """Return whether a value of masks has several colours, in palettes of several files."""
        return len(self.colours) > len({value for value, _ in self.colours})


def survey(
    archive: Archive,
    samples: Sequence[Sample],
    facts: Facts,
    *,
    finds_range: bool = False,
    follow: Callable[[Iterable[Look]], Iterable[Look]] = iter,
) -> Survey:
    """Look at every image and mask of a data set, on all cores.

    Args:
        finds_range: whether images of 16 bits are looked at without a range of values, which is to be found.
        follow: passes looks on as they come, such as to a progress bar.
    """
    load_formats()
    found = Survey(samples)
    look_at = partial(_look, archive, found, facts, finds_range=finds_range)
    looks = in_order(look_at, samples, piece=PIECE)
    for index, look in enumerate(follow(looks)):
        found.add(index, look)
    return found


def _look(archive: Archive, found: Survey, facts: Facts, sample: Sample, *, finds_range: bool) -> Look:
    """Look at one image and its mask; `found` tells whether it is still of interest that an image is grey."""
    try:
        data = archive.read(sample.file)
        image = open_image(data, sample.file, facts.max_pixels)
        extrema = find_extrema(image, sample.file) if finds_range else None
        own_range = (extrema[0], max(extrema[1], extrema[0] + 1)) if extrema else facts.value_range
        colour = convert(image, sample.file, 3, own_range)
        seen = Look(is_deep=is_deep(image), extrema=extrema)
        if isinstance(sample.target, str):
            mask, sides = archive.read(sample.target), (image.height, image.width)
            values, palette = _look_at_mask(mask, sample.target, sides, facts.max_pixels)
            is_turned_alone = is_turned(data) and not is_turned(mask)
            seen = seen._replace(values=values, palette=palette, is_turned=is_turned_alone)
    except ConfigError as refusal:
        return Look(refusal=refusal)
    grey = image if image.mode == "L" else colour.convert("L")
    thumbnail = grey.resize((COLUMNS, ROWS), Image.Resampling.BOX, reducing_gap=3.0).tobytes()
    low, high = own_range if extrema and own_range else (0, 255)
    return seen._replace(
        sides=(image.height, image.width),
        mode=image.mode,
        digest=hashlib.sha256(data).digest()[:16],
        thumbnail=thumbnail,
        brightness=low + (high - low) * sum(thumbnail) / len(thumbnail) / 255,
        is_colour=found.is_colour or (image.mode != "L" and not is_grey(colour)),
        is_misnamed=is_misnamed(data, sample.file),
    )


def _look_at_mask(
    data: bytes, name: str, sides: tuple[int, int], max_pixels: int
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the values, or where it is in colour the colours, of a mask with their pixels; and its palette."""
    mask = open_image(data, name, max_pixels)
    refuse_lossy(mask, data, name)
    if (mask.height, mask.width) != sides:
        raise ConfigError(
            name,
            "has other sides than its image",
            got=(mask.height, mask.width),
            hint=f"save it with {sides[0]} x {sides[1]} pixels, like its image",
        )
    present = read_values(mask, name)
    if present is not None:
        palette = read_palette(mask) if mask.mode == "P" else {}
        if mask.mode == "1":  # white, as in masks of 8 bits that are black and white
            present = present * np.uint8(255)
        counts = {str(value): count for value, count in count_values(present).items()}
        return counts, {str(value): colour for value, colour in palette.items()}
    colours: Any = convert(mask, name, 3).getcolors(MOST_COLOURS)
    if colours is None:
        raise ConfigError(name, f"has more than {MOST_COLOURS} colours", hint="save one colour per class")
    return {f"#{bytes(colour).hex()}": count for count, colour in colours}, {}


def _reason(refusal: ConfigError) -> str:
    """Return a refusal without what differs between files."""
    text = refusal.problem or f"must be {refusal.allowed}"
    text = re.sub(r"^cannot read .* \(", "cannot be read (", text)
    return re.sub(r" \(.*\)$|\d[\d,]* (?=bytes|pixels)", "", text)

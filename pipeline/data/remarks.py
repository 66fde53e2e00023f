"""What is unusual about images that are used all the same: counted, and said once each with the name of a file."""

from __future__ import annotations

from threading import Lock

from pipeline.data.facts import Facts
from pipeline.data.images import Decoded
from pipeline.data.pixel_facts import SQUASH
from pipeline.errors import warn

SQUASHED = (
    "data.resize: images whose aspect ratio changes by more than a quarter",
    "data.resize=letterbox or crop keeps it",
)
EXTREME = ("data.root: images of extreme shape", "are they what you mean to train on?")
TURNED = (
    "data.root: images that EXIF turns, but not their masks",
    "masks are taken to fit the image as it is seen; look at one with python -m pipeline.inspect",
)
CLIPPED = ("data.value_range: images with values outside of it", "these are clipped")

MOST_SQUASHED = 1.25  # factor on the aspect ratio
MOST_EXTREME = 10  # times that one side is as long as the other
FEWEST_PIXELS = 4  # of the shorter side

Remark = tuple[str, str]  # what is unusual, and what follows from it


class Remarks:
    """Collects what is unusual; safe to use from several threads."""

    def __init__(self) -> None:
        self._counts: dict[Remark, tuple[int, str]] = {}  # number of files, the first of their names
        self._lock = Lock()

    def note(self, remark: Remark, file: str, *, count: int = 1) -> None:
        """Count a file, or several of which one is named."""
        with self._lock:
            known, first = self._counts.get(remark, (0, file))
            self._counts[remark] = known + count, min(first, file)

    def note_sides(self, sides: tuple[int, int], file: str, facts: Facts, *, count: int = 1) -> None:
        """Count images of some rows and columns if these are unusual, or the resize rule changes their ratio."""
        if is_squashed(sides, facts):
            self.note(SQUASHED, file, count=count)
        if is_extreme(sides):
            self.note(EXTREME, f"{file} ({sides[0]} x {sides[1]})", count=count)

    def note_image(self, image: Decoded, file: str, facts: Facts) -> None:
        """Count a decoded image if its sides or values are unusual."""
        self.note_sides(image.sides, file, facts)
        if image.is_clipped:
            self.note(CLIPPED, file)

    def sentences(self) -> list[str]:
        """Return what was counted: how many images, and the first of their names."""
        return [
            f"{what}: {count:,}, such as {first}; {so}"
            for (what, so), (count, first) in sorted(self._counts.items())
        ]

    def warn(self) -> None:
        """Warn once about each."""
        for sentence in self.sentences():
            warn(sentence)


def is_squashed(sides: tuple[int, int], facts: Facts) -> bool:
    """Return whether the resize rule changes the aspect ratio of an image by more than a quarter."""
    factor = sides[0] / sides[1] / (facts.shape[1] / facts.shape[2])
    return facts.resize == SQUASH and not 1 / MOST_SQUASHED <= factor <= MOST_SQUASHED


def is_extreme(sides: tuple[int, int]) -> bool:
    """Return whether an image is a line or a dot."""
    return max(sides) > MOST_EXTREME * min(sides) or min(sides) < FEWEST_PIXELS

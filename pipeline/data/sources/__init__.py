"""Sources: on-disk formats, one module per value of `data.format`.

Each module exports `TARGET`, the kind of target it provides (a module of `pipeline/data/targets`), or
`find_target(facts)` if facts decide that; and `samples(archive, facts) -> list[Sample]`. Some export more: `FACTS`, the
facts that only some formats have and this one uses; `COLUMNS`, the columns of a table that it knows; `LISTS`, those of
them that may be several columns; `NEEDED`, those that it needs, if they are others than `file` and `label`;
`MOST_CLASSES` and `FEWEST_CLASSES`, if their number is limited; `check_facts(facts)`, whether the facts fit each other;
and, if it reads neither a folder nor a zip, `opened(facts)`, a context manager that yields its `Archive`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast
from unicodedata import normalize

from pipeline.data.archive import Archive, opened
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.places import Box, Point
from pipeline.errors import ConfigError

# Suffixes of images, and the formats that they name, as Pillow calls them.
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".mpo": "JPEG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
}
IMAGE_SUFFIXES = tuple(FORMATS)
SPECIAL = (
    "table",
    "columns",
    "separator",
    "mask_values",
    "points",
    "swapped_points",
)  # facts of some formats only

ITSELF = "image"  # the kind of target that any format provides

Target = int | tuple[int, ...] | str | tuple[Box, ...] | tuple[Point, ...]


@dataclass(frozen=True, slots=True)  # there may be millions
class Sample:
    """An image of the archive, with its split and target.

    Args:
        file: name of the image.
        split: train, val or test.
        target: input to its kind of target: a class index, several of them, the name of a file in the archive, boxes,
            or points.
        group: what no split or fold divides, where a table tells it; None to find it by `data.groups`.
        unit: name that decides its split without groups, where that is not its file.
    """

    file: str
    split: str
    target: Target
    group: str | None = None
    unit: str | None = None


class Source(Protocol):
    """The interface of the module of a format."""

    samples: Callable[[Archive, Facts], list[Sample]]


def load_source(name: str) -> Source:
    """Return the module of a format.

    Raises:
        ConfigError: the format is unknown.
    """
    formats = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__"}
    if name not in formats:
        raise ConfigError.unknown("data.format", name, formats, what="format")
    return cast(Source, importlib.import_module(f"{__name__}.{name}"))


def find_target(facts: Facts) -> str:
    """Return the kind of target that a data set provides: images themselves, if they are to be degraded.

    Raises:
        ConfigError: its format is unknown.
    """
    source = load_source(facts.format)
    if facts.degrade is not None:
        return ITSELF
    target: str = source.find_target(facts) if hasattr(source, "find_target") else source.TARGET  # type: ignore[attr-defined]
    return target


def check_source(facts: Facts) -> None:
    """Check that a format has the facts that it needs, that it uses those that are set, and the number of classes.

    Raises:
        ConfigError: one is missing, or would be ignored, or there are too many classes.
    """
    source = load_source(facts.format)
    _check_number_of_classes(source, facts)
    used = getattr(source, "FACTS", ())
    for name in SPECIAL:
        value = getattr(facts, name)
        if value is not None and name not in used:
            raise ConfigError(
                f"data.{name}", f"is not used by data.format={facts.format}", got=value, hint="remove it"
            )
    if facts.table is None and "table" in used:
        raise ConfigError("data.table", "is missing", hint="name the file of labels in data.root")
    known = getattr(source, "COLUMNS", ())
    columns = facts.columns or {}
    for key in columns:
        if key not in known:
            raise ConfigError.unknown(f"data.columns.{key}", key, known, what="column")
        if isinstance(columns[key], list) and key not in getattr(source, "LISTS", ()):
            allowed = f"one column with data.format={facts.format}"
            raise ConfigError(f"data.columns.{key}", got=columns[key], allowed=allowed)
    needed = [key for key in known if key in getattr(source, "NEEDED", ("file", "label"))]
    if not set(needed) <= columns.keys():
        example = ", ".join(f"{key}: <column>" for key in needed)
        raise ConfigError(
            "data.columns",
            got=facts.columns,
            allowed=f"{{{example}}}",
            hint="name columns by the header of the table, or by their numbers from 0 if it has none",
        )
    if hasattr(source, "check_facts"):
        source.check_facts(facts)


def _check_number_of_classes(source: Source, facts: Facts) -> None:
    fewest = getattr(source, "FEWEST_CLASSES", 2)
    if len(facts.classes) < fewest:
        number = {1: "at least one name", 2: "at least two different names"}[fewest]
        raise ConfigError("data.classes", got=facts.classes, allowed=number)
    most = getattr(source, "MOST_CLASSES", len(facts.classes))
    if len(facts.classes) > most:
        raise ConfigError(
            "data.classes",
            f"data.format={facts.format} has at most {most} classes",
            got=len(facts.classes),
            hint="merge some of them",
        )


@contextmanager
def open_source(facts: Facts) -> Iterator[Archive]:
    """Open the archive of a data set.

    Raises:
        ConfigError: it is missing or damaged, or the format is unknown.
    """
    opens = getattr(load_source(facts.format), "opened", None)
    root = Path(facts.root)
    with opened(root, max_bytes=facts.max_file_bytes) if opens is None else opens(facts) as archive:
        yield archive


def is_image(name: str) -> bool:
    """Return whether a file name has an image suffix."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def index_classes(facts: Facts) -> dict[str, int]:
    """Return the index of each class by its name in Unicode form NFC, as names in archives and tables are compared."""
    return {normalize("NFC", name): index for index, name in enumerate(facts.classes)}


def read_split(name: str, archive: Archive) -> str:
    """Return the split that a file's first folder names.

    Raises:
        ConfigError: the folder is not train, val or test.
    """
    first = name.split("/", maxsplit=1)[0]
    if first not in SPLITS:
        raise ConfigError(
            "data.root",
            f"{archive.root} has an image outside train/, val/ and test/",
            got=name,
            hint="move it there, or set data.split=random to have splits drawn",
        )
    return first

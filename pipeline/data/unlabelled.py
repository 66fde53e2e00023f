"""Images without targets, as a user wants them predicted: a folder, a zip file or a single image.

They are decoded as those of training. One that cannot be decoded is returned with the reason, so that the others go on.
Shapes: images (H, W, C).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from pipeline.data.archive import Archive, opened
from pipeline.data.facts import Facts
from pipeline.data.folder import Folder
from pipeline.data.images import Pixels, decode_image, decode_original, load_formats
from pipeline.data.sources import is_image
from pipeline.data.threads import AHEAD, in_order, num_threads
from pipeline.errors import ConfigError


@dataclass(frozen=True)
class UnlabelledImage:
    """A decoded image.

    Args:
        file: its name below the folder, or in the zip file.
        pixels: (H, W, C), as the data of training are prepared.
        sides: rows and columns on disk, EXIF orientation applied.
    """

    file: str
    pixels: Pixels
    sides: tuple[int, int]


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be decoded, and why."""

    file: str
    reason: str


class UnlabelledImages:
    """The images of an archive.

    Args:
        facts: of the data set that the model was trained on.
        is_whole: whether images are decoded in their own sides.

    Attributes:
        files: names of the images, sorted.
        num_others: number of files that are no images, by their suffix.
    """

    def __init__(self, archive: Archive, names: Sequence[str], facts: Facts, *, is_whole: bool) -> None:
        self._archive = archive
        self._facts = facts
        self._is_whole = is_whole
        self.files = [name for name in names if is_image(name)]
        self.num_others = len(names) - len(self.files)

    def decoded(self, *, ahead: int = 1) -> Generator[UnlabelledImage | Unreadable]:
        """Yield the images in the order of `files`, decoded on all cores.

        Args:
            ahead: number of images that are decoded before they are asked for, at least.
        """
        load_formats()
        return in_order(self._decode, self.files, piece=ceil(ahead / (AHEAD * num_threads())))

    def original(self, image: UnlabelledImage) -> Pixels:
        """Return the pixels of an image in its own size."""
        return decode_original(self._archive.read(image.file), name=image.file, facts=self._facts)

    def _decode(self, file: str) -> UnlabelledImage | Unreadable:
        try:
            data = self._archive.read(file)
            if self._is_whole:
                pixels = decode_original(data, name=file, facts=self._facts)
                return UnlabelledImage(file, pixels, (pixels.shape[0], pixels.shape[1]))
            decoded = decode_image(data, name=file, facts=self._facts)
            return UnlabelledImage(file, decoded.pixels, decoded.sides)
        except ConfigError as reason:
            return Unreadable(file, str(reason).removeprefix(f"{file}: "))


@contextmanager
def open_unlabelled(path: Path, facts: Facts, *, is_whole: bool = False) -> Iterator[UnlabelledImages]:
    """Open the images of a folder, a zip file, or a single file with the suffix of an image.

    Args:
        is_whole: whether they are decoded in their own sides, and not resized as facts say.

    Raises:
        ConfigError: there are none, or the archive cannot be read.
    """
    with ExitStack() as stack:
        try:
            if path.is_file() and is_image(path.name):
                archive: Archive = Folder(path.parent, facts.max_file_bytes)
                names = [path.name]
            else:
                archive = stack.enter_context(opened(path, max_bytes=facts.max_file_bytes))
                names = archive.names()
        except ConfigError as reason:
            where = "images" if reason.path == "data.root" else reason.path
            raise ConfigError(
                where,
                reason.problem,
                got=reason.got,
                allowed=reason.allowed,
                hint="name a folder, a zip file or an image",
            ) from None
        images = UnlabelledImages(archive, names, facts, is_whole=is_whole)
        if not images.files:
            raise ConfigError(
                "images",
                f"there is no image among its {images.num_others} files",
                got=str(path),
                hint="images are recognised by their suffix, such as .png, .jpg or .tif",
            )
        yield images

"""Build the archive named on the command line."""

import argparse
from collections.abc import Callable
from pathlib import Path

from pipeline.data.bundled.brain import list_brain
from pipeline.data.bundled.clocks import list_clocks
from pipeline.data.bundled.digits import list_digits
from pipeline.data.bundled.encoding import write_archive, write_folder
from pipeline.data.bundled.faces import list_faces
from pipeline.data.bundled.objects import list_objects
from pipeline.data.bundled.paintings import list_style
from pipeline.data.bundled.photos import list_photos
from pipeline.data.bundled.scenes import list_scenes

ARCHIVES: dict[str, Callable[[], dict[str, bytes]]] = {
    "brain": list_brain,
    "clocks": list_clocks,
    "digits": list_digits,
    "digits_scenes": lambda: list_scenes("digits_scenes"),
    "digits_located": lambda: list_scenes("digits_located"),
    "faces": list_faces,
    "objects": list_objects,
    "photos": lambda: list_photos(is_grey=False),
    "photos_grey": lambda: list_photos(is_grey=True),
    "style": list_style,
}


def main() -> None:
    """Build an archive."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.data.bundled",
        description="Make an archive that ships with Convoy, or is made where it is used.",
    )
    parser.add_argument("archive", choices=sorted(ARCHIVES))
    parser.add_argument(
        "path", type=Path, help="where to write it, such as data/digits.zip; a folder without .zip"
    )
    arguments = parser.parse_args()
    write = write_archive if arguments.path.suffix == ".zip" else write_folder
    write(arguments.path, ARCHIVES[arguments.archive]())


if __name__ == "__main__":
    main()

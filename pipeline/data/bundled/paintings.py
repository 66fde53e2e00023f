"""The images `style`: paintings whose style is transferred, and photographs as contents.

GCompris has 22 paintings as puzzles, in Debian's package gcompris-qt-data: pieces with transparent edges, and boards
that say where the centre of each belongs. The photographs come with scikit-image.
"""

import io
import re
from pathlib import Path, PurePosixPath

from PIL import Image

from pipeline.data.bundled.debian import read_package
from pipeline.data.bundled.photos import COPYRIGHT, PACKAGE, TESTED, encode_netpbm, open_tested, read_rcc
from pipeline.errors import ConfigError

PAINTINGS = "usr/share/gcompris-qt/rcc/paintings.rcc"
BOARD = (702, 515)  # columns and rows that places are shares of
PIECE = re.compile(
    r'"pixmapfile"\s*:\s*"(?P<file>image/[^"]+\.webp)",\s*"x"\s*:\s*"(?P<x>[\d.]+)",\s*"y"\s*:\s*"(?P<y>[\d.]+)"'
)
EDGE = 3  # rows and columns that are cut off at each side, where pieces do not end together
OPAQUE = 128  # alpha from which on a pixel is inside the painting

README = """\
Images for style transfer

Paintings    Those of GCompris, put together from the pieces of its puzzles; {edge} pixels of each edge are cut off:
{paintings}
             They are from the WebMuseum of Nicolas Pioch, under the GPL, version 3 or later, see COPYRIGHT.txt, the
             package's own; share them under it alone.
Photographs  Six that scikit-image ships, without restriction by their authors: astronaut (NASA), camera (Lav Varshney),
             chelsea (Stefan van der Walt), coffee (Rachel Michetti), motorcycle_left (Middlebury Stereo, Scharstein et
             al. 2014), rocket (SpaceX).
Files        Binary PPM, 8 bits per channel.
"""


def list_style() -> dict[str, bytes]:
    """Return the files by name."""
    package = read_package(PACKAGE, PAINTINGS, COPYRIGHT)
    members, lines = {"COPYRIGHT.txt": package[COPYRIGHT]}, []
    files = dict(read_rcc(package[PAINTINGS]))
    for path in sorted(each for each in files if "/board/" in each):
        title, image = put_together(path, files)
        stem = find_stem(title)
        members |= [encode_netpbm(stem, image, is_grey=False)]
        lines.append(f"             {stem}.ppm  {title.rstrip('.')}")
    for file in TESTED:
        with open_tested(file, "style") as photograph:
            members |= [encode_netpbm(Path(file).stem, photograph, is_grey=False)]
    return members | {"README.txt": README.format(edge=EDGE, paintings="\n".join(lines)).encode()}


def find_stem(title: str) -> str:
    """Return a short name of a painting, such as `great_wave`, by the title of its puzzle: painter, name - years."""
    name = title.partition(", ")[2].partition(" - ")[0].removeprefix("The ")
    return re.sub(r"\W+", "_", re.split(r" (?:at|in|off|over) ", name)[0].lower())


def put_together(board: str, files: dict[str, bytes]) -> tuple[str, Image.Image]:
    """Return the title of a puzzle, and its painting.

    Args:
        board: path of the file that says where pieces belong.
        files: path -> content.

    Raises:
        ConfigError: the board says no title or no piece.
    """
    text = files[board].decode()
    title, pieces = re.search(r'qsTr\("([^"]+)"\)', text), list(PIECE.finditer(text))
    if title is None or not pieces:
        raise ConfigError(
            "gcompris-qt-data", f"{board} is no puzzle as known", hint="use version 3.1-2 of the package"
        )
    canvas = Image.new("RGBA", BOARD)
    folder = PurePosixPath(board).parent.parent
    for piece in pieces:
        image = Image.open(io.BytesIO(files[f"{folder}/{piece['file']}"])).convert("RGBA")
        left, top = (
            round(float(share) * side - own / 2)
            for share, side, own in zip((piece["x"], piece["y"]), BOARD, image.size, strict=True)
        )
        canvas.alpha_composite(image, (max(left, 0), max(top, 0)), (max(-left, 0), max(-top, 0)))
    box = canvas.getchannel("A").point(lambda alpha: 255 * (alpha >= OPAQUE)).getbbox()
    assert box is not None, "there are pieces"
    left, top, right, bottom = box
    return title[1], canvas.crop((left + EDGE, top + EDGE, right - EDGE, bottom - EDGE)).convert("RGB")

"""The archives `photos` and `photos_grey`: photographs to learn restoration from, and six to test it on.

Those of training come with GCompris, in Debian's package gcompris-qt-data, as an RCC file of Qt; those of the test with
scikit-image. They are stored as binary PPM and PGM, whose bytes depend on nothing but the pixels; grey ones are the
luma that Pillow computes, with whole numbers.
"""

import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.bundled.encoding import explain_missing
from pipeline.errors import ConfigError

INSTALLED = Path("/usr/share/gcompris-qt")
DEBIAN = "gcompris-qt-data_*.deb"  # looked for in the current folder where it is not installed
RCC, COPYRIGHT = "usr/share/gcompris-qt/rcc/categorization.rcc", "usr/share/doc/gcompris-qt-data/copyright"
CLASSES = ("fishes", "monuments", "renewable", "tools")
SMALLEST = 160  # rows and columns of a photograph of training at least
ONE_IN = 8  # photographs that are for validation
TESTED = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
FOLDER, COMPRESSED = 2, 1  # flags of entries
ZSTD = 4

README = """\
Photographs for denoising and super resolution

train, val  Photographs of fishes, monuments, renewable energies and tools of GCompris, as Debian's package
            gcompris-qt-data has them; those of fewer than {smallest} rows or columns are left out. Of {count}, one in
            {one_in} is for validation. Their authors and licences (CC BY, CC BY-SA, CC0, public domain, GPL) are listed
            by file in COPYRIGHT.txt, the package's own; share the archive with it, and under these licences alone.
test        Six photographs that scikit-image ships, without restriction by their authors: astronaut (NASA), camera (Lav
            Varshney), chelsea (Stefan van der Walt), coffee (Rachel Michetti), motorcycle_left (Middlebury Stereo,
            Scharstein et al. 2014), rocket (SpaceX).
Files       Binary {form}, 8 bits per channel. Changed here: {changed}.
"""


def list_photos(*, is_grey: bool) -> dict[str, bytes]:
    """Return the members of an archive by name."""
    name = "photos_grey" if is_grey else "photos"
    rcc, copyright_text = read_package(RCC, COPYRIGHT)
    members, count = {"COPYRIGHT.txt": copyright_text}, 0
    for path, content in sorted(read_rcc(rcc)):
        folder, _, file = path.rpartition("/")
        if folder.rpartition("/")[2] not in CLASSES or not file.endswith(".webp"):
            continue
        with Image.open(io.BytesIO(content)) as image:
            if min(image.size) < SMALLEST:
                continue
            split = "val" if count % ONE_IN == ONE_IN - 1 else "train"
            members |= [encode_netpbm(f"{split}/{file.removesuffix('.webp')}", image, is_grey=is_grey)]
        count += 1
    for file in TESTED:
        with open_tested(file, name) as image:
            members |= [encode_netpbm(f"test/{Path(file).stem}", image, is_grey=is_grey)]
    form, changed = ("PGM", "decoded, and grey") if is_grey else ("PPM", "decoded")
    readme = README.format(smallest=SMALLEST, count=count, one_in=ONE_IN, form=form, changed=changed)
    return members | {"README.txt": readme.encode()}


def open_tested(file: str, archive: str) -> Image.Image:
    """Open a photograph of scikit-image."""
    try:
        content = (files("skimage") / "data" / file).read_bytes()
    except ModuleNotFoundError as error:
        raise explain_missing(archive, error) from error
    return Image.open(io.BytesIO(content))


def encode_netpbm(stem: str, image: Image.Image, *, is_grey: bool) -> tuple[str, bytes]:
    """Return the name and the contents of a binary PGM or PPM file."""
    pixels = np.asarray(image.convert("L" if is_grey else "RGB"))
    head = f"P{5 if is_grey else 6}\n{pixels.shape[1]} {pixels.shape[0]}\n255\n"
    return f"{stem}.{'pgm' if is_grey else 'ppm'}", head.encode() + pixels.tobytes()


def read_package(*names: str) -> list[bytes]:
    """Return files of Debian's package.

    Args:
        names: paths below the root of a system.

    Raises:
        ConfigError: the package is neither installed nor in the current folder.
    """
    root = Path("/")
    if (root / names[0]).is_file():
        return [(root / name).read_bytes() for name in names]
    for package in sorted(Path.cwd().glob(DEBIAN)):
        with tarfile.open(fileobj=io.BytesIO(read_debian(package))) as archive:
            found = [archive.extractfile(f"./{name}") for name in names]
            return [each.read() for each in found if each is not None]
    raise ConfigError(
        "python -m pipeline.data.bundled",
        f"its images are those of Debian's package gcompris-qt-data, which is not in {INSTALLED}, nor a {DEBIAN} here",
        hint="`apt-get download gcompris-qt-data` puts one here, on Debian and Ubuntu",
    )


def read_debian(path: Path) -> bytes:
    """Return the tar file of a Debian package (deb(5)): a member of an ar archive, compressed by xz."""
    data, place = path.read_bytes(), 8
    while place < len(data):
        name, size = data[place : place + 16].decode().strip(), int(data[place + 48 : place + 58])
        if name.rstrip("/") == "data.tar.xz":
            return lzma.decompress(data[place + 60 : place + 60 + size])
        place += 60 + size + size % 2
    raise ConfigError(str(path), "has no data.tar.xz", hint="download it again")


def read_rcc(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a Qt resource file with their paths (qtbase, src/tools/rcc/rcc.cpp).

    A header tells where three parts begin: nodes, contents and names. A node is a folder with a range of nodes, or a
    file with the place of its contents. Files compressed by Zstandard are passed over.
    """
    magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
    if magic != b"qres":
        raise ConfigError(
            "gcompris-qt-data", "its file of photographs is no RCC file", hint="install it again"
        )
    width = 22 if version >= 2 else 14  # bytes of a node; the later ones end with a date
    pending = [(0, "")]
    while pending:
        index, folder = pending.pop()
        node = tree + index * width
        name_place, flags = struct.unpack_from(">IH", data, node)
        (length,) = struct.unpack_from(">H", data, names + name_place)
        start = names + name_place + 6  # behind the length and a hash
        path = f"{folder}/{data[start : start + 2 * length].decode('utf-16-be')}" if index else ""
        if flags & FOLDER:
            count, first = struct.unpack_from(">II", data, node + 6)
            pending += [(first + number, path) for number in range(count)]
        elif not flags & ZSTD:
            (place,) = struct.unpack_from(">I", data, node + 10)
            (size,) = struct.unpack_from(">I", data, contents + place)
            content = data[contents + place + 4 : contents + place + 4 + size]
            yield path, zlib.decompress(content[4:]) if flags & COMPRESSED else content

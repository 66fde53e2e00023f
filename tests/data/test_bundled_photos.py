"""Photographs are read from Debian's package, as a Qt resource file holds them."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.bundled import photos
from pipeline.data.facts import Facts
from pipeline.data.images import decode_image
from tests.makers import data_section
from tests.refusals import refused

TREE = {"": ["a", "b.txt"], "a": ["c.webp"]}  # folder -> its files and folders
CONTENTS = {"b.txt": b"plain", "a/c.webp": b"packed" * 40}


def make_rcc(*, version: int = 3) -> bytes:
    """Write a resource file of the root with a folder `a` and a file, as Qt's rcc.cpp does."""
    names, places = b"", {}
    for name in ("a", "b.txt", "c.webp"):
        places[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    packed = struct.pack(">I", len(CONTENTS["a/c.webp"])) + zlib.compress(CONTENTS["a/c.webp"])
    contents, begins = b"", []
    for each in (CONTENTS["b.txt"], packed):
        begins.append(len(contents))
        contents += struct.pack(">I", len(each)) + each
    date = struct.pack(">Q", 0) if version >= 2 else b""
    nodes = [
        struct.pack(">IHII", 0, 2, 2, 1),
        struct.pack(">IHII", places["a"], 2, 1, 3),
        struct.pack(">IHHHI", places["b.txt"], 0, 0, 0, begins[0]),
        struct.pack(">IHHHI", places["c.webp"], 1, 0, 0, begins[1]),
    ]
    tree = b"".join(node + date for node in nodes)
    starts = (24, 24 + len(tree), 24 + len(tree) + len(contents))  # of the three parts, behind the header
    return struct.pack(">4s5I", b"qres", version, *starts, 0) + tree + contents + names


def make_package(folder: Path) -> Path:
    """Write a Debian package with a resource file and its licences."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in ((photos.RCC, make_rcc()), (photos.COPYRIGHT, b"CC0")):
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    package = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0"), ("data.tar.xz", lzma.compress(tar.getvalue()))):
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        package += head.encode() + content + b"\n" * (len(content) % 2)
    path = folder / "gcompris-qt-data_1.0_all.deb"
    path.write_bytes(package)
    return path


@pytest.mark.parametrize("version", [1, 2, 3])
def test_resource_file_is_read_with_paths_and_unpacked(version: int) -> None:
    assert dict(photos.read_rcc(make_rcc(version=version))) == {
        f"/{name}": data for name, data in CONTENTS.items()
    }


def test_package_in_the_current_folder_is_read_and_its_absence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if (Path("/") / photos.RCC).is_file():
        pytest.skip("the package is installed here")
    with refused("python -m pipeline.data.bundled") as caught:
        photos.read_package(photos.RCC, photos.COPYRIGHT)
    assert "apt-get download gcompris-qt-data" in caught.value.hint
    make_package(tmp_path)
    assert photos.read_package(photos.RCC, photos.COPYRIGHT) == [make_rcc(), b"CC0"]
    (tmp_path / "gcompris-qt-data_0.9_all.deb").write_bytes(b"!<arch>\n")
    with refused(str(tmp_path / "gcompris-qt-data_0.9_all.deb"), hint="download it again"):
        photos.read_package(photos.RCC, photos.COPYRIGHT)


@pytest.mark.parametrize("is_grey", [True, False])
def test_photographs_are_stored_as_their_pixels(is_grey: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    name, content = photos.encode_netpbm("train/a", image, is_grey=is_grey)
    assert name == ("train/a.pgm" if is_grey else "train/a.ppm")
    facts = Facts(**data_section("mine", shape=[1 if is_grey else 3, 5, 7]))
    wanted = np.asarray(image.convert("L"))[..., None] if is_grey else pixels
    assert np.array_equal(decode_image(content, name=name, facts=facts).pixels, wanted)

"""Names in zip files of other systems: each is read as who packed it meant it, or refused with the way out."""

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from pipeline.data.archive import opened
from tests.refusals import refused

NAME = "cat/S\u00fc\u00df.png"
WINDOWS, UNIX = 0, 3


def write(
    path: Path, stored: bytes, *, extra: bytes = b"", system: int = WINDOWS, data: bytes = b"1"
) -> Path:
    """Write a zip of one file whose name has these bytes, and no flag of UTF-8, by hand."""
    sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
    middle = struct.pack("<HHHH", 0, 0, 0, 0) + sizes + struct.pack("<HH", len(stored), len(extra))
    local = b"PK\3\4" + struct.pack("<H", 20) + middle + stored + extra + data
    central = b"PK\1\2" + struct.pack("<BBH", 20, system, 20) + middle
    central += struct.pack("<HHHII", 0, 0, 0, 0, 0) + stored + extra
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


def unicode_field(stored: bytes, name: str) -> bytes:
    body = struct.pack("<BI", 1, zlib.crc32(stored)) + name.encode()
    return b"UT\5\0\1\0\0\0\0" + struct.pack("<HH", 0x7075, len(body)) + body  # a time stamp stands before it


@pytest.mark.parametrize(
    ("stored", "extra"),
    [
        (NAME.encode(), b""),
        (NAME.encode("cp850"), unicode_field(NAME.encode("cp850"), NAME)),
        (b"cat/??.png".replace(b"?", b"\x81"), unicode_field(b"cat/\x81\x81.png", NAME)),
        ("cat/Su\u0308\u00df.png".encode(), b""),  # as macOS writes it
    ],
    ids=[
        "UTF-8 without its flag",
        "Unicode field",
        "Unicode field beside a name that says nothing",
        "decomposed",
    ],
)
def test_name_is_read_where_its_encoding_can_be_told(stored: bytes, extra: bytes, tmp_path: Path) -> None:
    with opened(write(tmp_path / "a.zip", stored, extra=extra)) as archive:
        assert archive.names() == [NAME]
        assert archive.read(NAME) == b"1"


@pytest.mark.parametrize(
    "extra",
    [b"", unicode_field(b"another name", "x.png"), struct.pack("<HH", 0x7075, 3) + b"\1ab"],
    ids=["none", "of another name", "too short"],
)
def test_name_in_an_unknown_encoding_is_refused(extra: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", NAME.encode("cp850"), extra=extra)
    text = (
        f"data.root: {path} has a name in an encoding that it does not tell, got b'cat/S\\x81\\xe1.png'; unpack it in "
        "that encoding, as by `unzip -O cp850 a.zip`, and name the folder; or make it again with names in UTF-8"
    )
    with opened(path) as archive, refused("data.root", text=text):
        archive.names()


def test_backslashes_of_windows_are_separators(tmp_path: Path) -> None:
    with opened(write(tmp_path / "a.zip", b"train\\cat\\1.png")) as archive:
        assert archive.names() == ["train/cat/1.png"]
        assert archive.read("train/cat/1.png") == b"1"


def test_backslash_of_another_system_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", b"cat\\1.png", system=UNIX)
    hint = "make the archive again, with slashes between folders"
    with opened(path) as archive, refused("data.root", got="cat\\1.png", hint=hint) as caught:
        archive.names()
    assert caught.value.problem == f"{path} has a name with a backslash"


@pytest.mark.parametrize("stored", [b"..\\..\\1.png", b"\\1.png", b"C:\\data\\1.png", b"a/../../1.png"])
def test_name_that_leads_out_is_refused_by_name(stored: bytes, tmp_path: Path) -> None:
    hint = "make the archive again, with names relative to its top"
    got = stored.decode().replace("\\", "/")
    with opened(write(tmp_path / "a.zip", stored)) as archive, refused("data.root", got=got, hint=hint):
        archive.names()


def test_names_that_python_writes_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(NAME, b"1")
    with opened(tmp_path / "a.zip") as archive:
        assert archive.names() == [NAME]

"""The directory of zip files: what zipfile reads is read, in a fraction of its memory, and damage is a refusal."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.archive import opened
from pipeline.errors import ConfigError

RANDOM = np.random.default_rng(0)
FILES = {
    "train/cat/a.png": RANDOM.bytes(3_000_000),  # several chunks
    "train/cat/b.png": bytes(2_500_000),
    "train/dog/empty.png": b"",
    f"val/cat/{'long' * 50}.png": b"1",
    "val/dog/\u00e4.png": b"2",
}


class Unseekable(io.BytesIO):
    """A stream such as a pipe: zipfile then writes sizes behind the contents."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError

    def seek(self, *_: int) -> int:
        raise OSError


def stored(file: zipfile.ZipFile) -> None:
    for name, data in FILES.items():
        file.writestr(name, data, zipfile.ZIP_STORED)


def deflated(file: zipfile.ZipFile) -> None:
    for name, data in FILES.items():
        file.writestr(name, data, zipfile.ZIP_DEFLATED, 9)


def with_zip64(file: zipfile.ZipFile) -> None:
    for name, data in FILES.items():
        with file.open(name, "w", force_zip64=True) as member:
            member.write(data)


def with_comments(file: zipfile.ZipFile) -> None:
    for name, data in FILES.items():
        entry = zipfile.ZipInfo(name)
        entry.comment, entry.extra = b"c" * 60_000, b"UT\5\0\1\0\0\0\0"
        file.writestr(entry, data)
    file.comment = b"PK " * 20_000


@pytest.mark.parametrize("write", [stored, deflated, with_zip64, with_comments])
@pytest.mark.parametrize("place", ["file", "stream", "behind others"])
def test_files_are_those_that_zipfile_wrote(
    write: Callable[[zipfile.ZipFile], None], place: str, tmp_path: Path
) -> None:
    stream = Unseekable() if place == "stream" else io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        write(file)
    path = tmp_path / "data.zip"
    path.write_bytes(b"#!/bin/sh\n" * (place == "behind others") + stream.getvalue())
    with opened(path) as archive:
        assert archive.names() == sorted(FILES)
        assert {name: archive.read(name) for name in archive.names()} == FILES
        with pytest.raises(KeyError):
            archive.read("absent.png")


def crowd(path: Path, count: int) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for number in range(count):
            file.writestr(zipfile.ZipInfo(f"cat/image_{number:07d}.png"), str(number))
    return path


def test_end_of_a_zip_with_more_files_than_others_can_have_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)  # then it is written as if there were 65,536
    path = crowd(tmp_path / "data.zip", 3)
    assert b"PK\6\6" in path.read_bytes()
    with opened(path) as archive:
        assert len(archive.names()) == 3
        assert archive.read("cat/image_0000002.png") == b"2"


def test_listing_takes_little_memory_for_each_file(tmp_path: Path) -> None:
    path = crowd(tmp_path / "data.zip", 5_000)
    tracemalloc.start()
    with opened(path) as archive:
        archive.names()
        kept, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert kept < 5_000 * 120  # with zipfile: 650
    assert most < 5_000 * 250 + 2**21


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_any_damaged_byte_is_harmless_or_a_refusal(method: int, tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("train/a.png", b"0123456789")
        file.writestr("train/b.png", b"abcdefghij" * 9)
    whole, refusals = path.read_bytes(), 0
    for index in range(len(whole)):
        for value in (0, 0xFF, whole[index] ^ 1):
            path.write_bytes(whole[:index] + bytes([value]) + whole[index + 1 :])
            try:
                with opened(path, max_bytes=2**20) as archive:
                    contents = [archive.read(name) for name in archive.names()]
                assert set(contents) <= {b"0123456789", b"abcdefghij" * 9}
            except ConfigError:
                refusals += 1
    assert refusals > len(whole)


def test_zip_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", b"0123456789")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match="not a complete zip archive"), opened(path) as archive:
            archive.names()

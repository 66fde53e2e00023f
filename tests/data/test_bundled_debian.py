"""Files of Debian packages: a file, or all below a folder, of a package in the current folder."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

import pytest

from pipeline.data.bundled.debian import read_package
from tests.refusals import refused

FILES = {
    "usr/share/stamps/a/1.png": b"1",
    "usr/share/stamps/a/b/2.png": b"2",
    "usr/share/doc/licence": b"CC0",
}


def make_package(folder: Path, *, version: str = "1.0") -> Path:
    """Write a Debian package: an ar archive with a compressed tar file."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    package = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0"), ("data.tar.xz", lzma.compress(tar.getvalue()))):
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        package += head.encode() + content + b"\n" * (len(content) % 2)
    path = folder / f"stamps-of-nobody_{version}_all.deb"
    path.write_bytes(package)
    return path


def test_package_in_the_current_folder_is_read_and_its_absence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("python -m pipeline.data.bundled") as caught:
        read_package("stamps-of-nobody", "usr/share/stamps")
    assert "apt-get download stamps-of-nobody" in caught.value.hint
    make_package(tmp_path)
    assert read_package("stamps-of-nobody", "usr/share/stamps", "usr/share/doc/licence") == FILES
    assert list(read_package("stamps-of-nobody", "usr/share/stamps/a/b")) == ["usr/share/stamps/a/b/2.png"]
    later = tmp_path / "stamps-of-nobody_2.0_all.deb"
    later.write_bytes(b"!<arch>\n")
    with refused(str(later), hint="download it again"):
        read_package("stamps-of-nobody", "usr/share/stamps")

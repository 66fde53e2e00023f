"""Archives from strangers: what is no regular file, leads elsewhere, or would take the memory, is refused by name."""

import os
import socket
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from pipeline.data.archive import archive_digest, opened
from pipeline.data.facts import Facts
from pipeline.data.prepared import write_prepared
from pipeline.errors import warn
from tests.makers import data_section, encode, write_class_folders, write_files, write_image_masks
from tests.refusals import refused

LARGE = 100_000


@pytest.mark.parametrize("kind", ["data", "data.zip"])
def test_file_larger_than_allowed_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / kind, {"a.png": b"a" * 11, "b.png": b"b" * 10})
    text = "a.png: has 11 bytes, more than data.max_file_bytes=10; remove it, or raise data.max_file_bytes"
    with opened(root, max_bytes=10) as archive:
        assert archive.read("b.png") == b"b" * 10
        with refused("a.png", text=text):
            archive.read("a.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_file_larger_than_its_entry_says_takes_no_more_memory_than_that(method: int, tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("a.png", bytes(30 * 2**20))
    whole = path.read_bytes()
    told, tells = struct.pack("<I", 30 * 2**20), struct.pack("<I", 1000)
    if method == zipfile.ZIP_STORED:
        whole = whole.replace(told + told, told + tells)  # only the size of the content lies
        told = tells
    assert whole.count(told) == 2  # in the local header and in the directory
    path.write_bytes(whole.replace(told, tells))
    tracemalloc.start()
    with opened(path, max_bytes=10_000) as archive, refused(str(path)) as caught:
        archive.read("a.png")
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert caught.value.problem.startswith("cannot read a.png (")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_without_a_bound_on_memory_is_refused(method: int, tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("a.png", b"a")
    text = (
        f"{path}: cannot read a.png (compressed by another method than deflate); make the archive again by deflate, "
        "which zip uses by default"
    )
    with opened(path) as archive, refused(str(path), text=text):
        archive.read("a.png")


def test_bounds_are_those_of_the_declaration(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data")
    (tmp_path / "prepared").mkdir()
    for setting, path in (("max_file_bytes", "train/cat/000.png"), ("max_pixels", "train/cat/000.png")):
        small = {"max_pixels": 63, "shape": [1, 4, 4]} if setting == "max_pixels" else {"max_file_bytes": 10}
        facts = Facts(**data_section(tmp_path / "data", **small))
        with refused(path, hint=f"raise data.{setting}"):
            write_prepared(facts, tmp_path / "prepared", data_digest="")


def test_mask_of_more_pixels_than_allowed_is_refused(tmp_path: Path) -> None:
    written = write_image_masks(tmp_path / "data")
    name = "train/masks/000.png"
    write_files(tmp_path / "data", {name: encode(written[name].repeat(2, axis=0))})
    facts = Facts(**data_section(tmp_path / "data", format="image_masks", max_pixels=64))
    (tmp_path / "prepared").mkdir()
    with refused(name, hint="raise data.max_pixels"):
        write_prepared(facts, tmp_path / "prepared", data_digest="")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # a socket's path is short
        server.bind(path.name)


SPECIAL = {
    "pipe": os.mkfifo,
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "broken link": lambda path: path.symlink_to("nowhere"),
    "loop of links": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_refused_before_it_is_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    write_class_folders(root)
    SPECIAL[kind](root / "train" / "zero.png")
    text = (
        f"data.root: {root} has something that is neither a file, nor a folder, nor a link to a file, "
        "got 'train/zero.png'; remove it, or put the files there to which it leads"
    )
    with refused("data.root", got="train/zero.png", text=text):
        archive_digest(root, memory=tmp_path / "digests.json")
    (root / "train" / "zero.png").rename(root / "train" / ".zero.png")
    archive_digest(root, memory=tmp_path / "digests.json")  # hidden files are left out


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_root_that_is_no_file_is_refused_before_it_is_opened(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    text = f"data.root must be a folder or a zip file, got '{path}'"
    with refused("data.root", got=path, text=text):
        archive_digest(Path(path), memory=tmp_path / "digests.json")
    with refused("data.root", got=path), opened(Path(path)):
        pass


@pytest.mark.parametrize("name", ["a" * 5000, "data.zip/inside"])
def test_root_that_cannot_be_looked_at_is_refused(name: str, tmp_path: Path) -> None:
    write_files(tmp_path / "data.zip", {"a.png": b""})
    with refused("data.root", got=str(tmp_path / name)):
        archive_digest(tmp_path / name, memory=tmp_path / "digests.json")


def test_link_to_a_file_is_followed(tmp_path: Path) -> None:
    write_files(tmp_path / "cache", {"a": b"bytes"})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").symlink_to(tmp_path / "cache" / "a")  # as DVC links to its cache
    with opened(tmp_path / "data") as archive:
        assert archive.read(archive.names()[0]) == b"bytes"


def test_link_to_a_folder_inside_is_followed(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"all/a.png": b"a", "all/deep/b.png": b"b"})
    (root / "train").mkdir()
    (root / "train" / "cat").symlink_to("../all")
    (root / "train" / "dog").symlink_to(root / "all" / "deep")
    names = ["all/a.png", "all/deep/b.png", "train/cat/a.png", "train/cat/deep/b.png", "train/dog/b.png"]
    with opened(root) as archive:
        assert archive.names() == names
        assert archive.read("train/dog/b.png") == b"b"
    (tmp_path / "link").symlink_to(root)
    with opened(tmp_path / "link") as archive:
        assert archive.names() == names
    assert archive_digest(root, memory=tmp_path / "m.json") == archive_digest(
        tmp_path / "link", memory=tmp_path / "n"
    )


LINKS = {
    "outside": ("..", "a link to a folder outside", "or set data.root to them"),
    "beside, by a name that begins alike": (
        "../data2",
        "a link to a folder outside",
        "or set data.root to them",
    ),
    "root": (".", "a link to a folder that it lies in", "remove it"),
    "to and fro": ("sub", "a link to a folder that it lies in", "remove it"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_link_to_a_folder_outside_or_around_itself_is_refused(kind: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"sub/a.png": b""})
    (tmp_path / "data2").mkdir()
    target, problem, hint = LINKS[kind]
    link = root / "sub" / "up" if kind == "to and fro" else root / "up"
    link.symlink_to(root / target, target_is_directory=True)
    name = link.relative_to(root).as_posix()
    with opened(root) as archive, refused("data.root", got=name, hint=hint) as caught:
        archive.names()
    assert caught.value.problem == f"{root} has {problem}"


def test_link_that_leads_round_two_folders_is_refused(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"a/1.png": b"", "b/2.png": b""})
    (root / "a" / "x").symlink_to(root / "b")
    (root / "b" / "y").symlink_to(root / "a")
    with opened(root) as archive, refused("data.root", hint="remove it"):
        archive.names()


def test_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_files(tmp_path / "data", {"a.png": b"a"})

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # a test may run as root, whom nothing is denied

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    text = f"{root}: cannot read a.png (Permission denied); restore an intact copy, or point data.root to one"
    with refused(str(root), text=text):
        archive_digest(root, memory=tmp_path / "absent" / "digests.json")
    with opened(root) as archive, refused(str(root), text=text):
        archive.read("a.png")


ENTRIES = {
    "../a.png": "a name that leads out of the archive",
    "train/../../a.png": "a name that leads out of the archive",
    "/etc/a.png": "a name that leads out of the archive",
    "train/a\nb.png": "a file whose name has control characters or is not valid UTF-8",
    "train/a\x1b[2J.png": "a file whose name has control characters or is not valid UTF-8",
}


@pytest.mark.parametrize("name", ENTRIES)
def test_name_in_a_zip_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / "data.zip", {name: b"a"})
    with opened(root) as archive, refused("data.root", got=name) as caught:
        archive.names()
    assert caught.value.problem == f"{root} has {ENTRIES[name]}"


def test_name_in_a_folder_that_is_not_valid_is_refused(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"b.png": b""})
    (root / "a\udcff.png").touch()
    with opened(root) as archive, refused("data.root", got="a\udcff.png", hint="rename it"):
        archive.names()


def test_entry_without_a_name_is_no_image(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data.zip", {"a.png": b""})
    with zipfile.ZipFile(root, "a") as file:
        file.writestr(zipfile.ZipInfo(""), b"")
    with opened(root) as archive:
        assert archive.names() == ["", "a.png"]


def test_two_files_of_one_name_in_a_zip_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "data.zip"
    with zipfile.ZipFile(root, "w") as file:
        file.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.png", b"2")
    text = f"data.root: {root} has two files of the same name, got 'a.png'; make the archive again without one of them"
    with opened(root) as archive, refused("data.root", got="a.png", text=text):
        archive.names()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_entry_of_a_zip_that_is_no_file_is_refused(kind: int, tmp_path: Path) -> None:
    root, entry = tmp_path / "data.zip", zipfile.ZipInfo("a.png")
    entry.external_attr = (kind | 0o644) << 16
    with zipfile.ZipFile(root, "w") as file:
        file.writestr(entry, "/etc/passwd")
    with opened(root) as archive, refused("data.root", got="a.png"):
        archive.names()


@pytest.mark.parametrize("source", ["class_folders", "image_masks"])
def test_images_whose_suffix_says_another_format_are_read_and_counted_in_one_warning(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warn.cache_clear()
    write = write_class_folders if source == "class_folders" else write_image_masks
    written = write(tmp_path / "data")
    names = sorted(written)[:2]
    write_files(tmp_path / "data", {name: encode(written[name], "BMP") for name in names})
    (tmp_path / "prepared").mkdir()
    facts = Facts(**data_section(tmp_path / "data", format=source))
    write_prepared(facts, tmp_path / "prepared", data_digest="")
    assert capsys.readouterr().err == (
        f"warning: data.root: images in {tmp_path}/data that have another format than their suffix says: 2, such as "
        f"{names[0]}; they are read as what they are\n"
    )

"""Archives: folders and zips read the same, damage is reported with its remedy, digests are remembered."""

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from pipeline.data import archive
from pipeline.data.archive import archive_digest, opened
from tests.makers import write_files
from tests.refusals import refused

FILES = {"train/cat/b.png": b"\x00\x01", "train/cat/a.png": b"", "README.txt": "größe".encode()}
HIDDEN = {".DS_Store": b"x", "train/.hidden/c.png": b"x", "__MACOSX/train/cat/a.png": b"x"}
RESTORE = "restore it with `git checkout data.dvc && dvc pull --force --remote store data.dvc`"


@pytest.fixture(params=["data", "data.zip"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_files(tmp_path / request.param, FILES | HIDDEN)


def test_names_are_sorted_and_leave_out_hidden_files(root: Path) -> None:
    with opened(root) as found:
        assert found.names() == ["README.txt", "train/cat/a.png", "train/cat/b.png"]


def test_bytes_are_those_of_the_files(root: Path) -> None:
    with opened(root) as found:
        assert {name: found.read(name) for name in found.names()} == FILES


def test_what_systems_leave_beside_files_is_passed_over_and_counted(tmp_path: Path) -> None:
    left = [
        "Thumbs.db",
        "cat/desktop.ini",
        "cat/.DS_Store",
        ".git/config",
        "__MACOSX/cat/._a.png",
        "@eaDir/a.png",
    ]
    files = {"cat/a.png": b"", **dict.fromkeys(left, b"")}
    for root in (write_files(tmp_path / "data", files), write_files(tmp_path / "data.zip", files)):
        with opened(root) as found:
            assert found.names() == found.names() == ["cat/a.png"]
            assert found.skipped.total() == 6


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["pets/cat/1.png", "pets/dog/1.png", "__MACOSX/x"], ["cat/1.png", "dog/1.png"]),
        (["a/b/train/cat/1.png", "a/b/val/cat/1.png"], ["train/cat/1.png", "val/cat/1.png"]),
        (["set/labels.csv", "set/images/1.png"], ["images/1.png", "labels.csv"]),
        (["train/cat/1.png", "train/dog/1.png"], ["train/cat/1.png", "train/dog/1.png"]),
        (["cat/1.png", "cat/2.png"], ["cat/1.png", "cat/2.png"]),
        (["cat/1.png", "dog/1.png"], ["cat/1.png", "dog/1.png"]),
    ],
)
def test_folder_around_all_files_of_a_zip_is_opened(
    files: list[str], names: list[str], tmp_path: Path
) -> None:
    root = write_files(tmp_path / "data.zip", {name: name.encode() for name in files})
    with opened(root) as found:
        assert found.names() == names
        assert [next(file for file in files if file.endswith(name)).encode() for name in names] == [
            found.read(name) for name in names
        ]


def test_names_are_in_one_unicode_form(root: Path) -> None:
    composed, apart = "caf\u00e9/\uc22b.png", "cafe\u0301/\u1109\u116e\u11ba.png"
    folder = root.with_name(f"other_{root.name}")
    write_files(folder, {apart: b"1", "b/c.png": b"2"})
    with opened(folder) as found:
        assert found.names() == ["b/c.png", composed]
        assert found.read(composed) == b"1"
    write_files(root.with_name(f"both_{root.name}"), {apart: b"1", composed: b"2"})
    with opened(root.with_name(f"both_{root.name}")) as found, refused("data.root", got=composed):
        found.names()


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = {f"{name}.png": random.bytes(100_000) for name in "abcdefgh"}
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    asked = list(files) * 10
    with opened(path) as found, ThreadPoolExecutor(8) as pool:
        for name, content in zip(asked, pool.map(found.read, asked), strict=True):
            assert content == files[name]


def test_zip_with_entries_for_folders_names_files_only(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.mkdir("train")
        file.writestr("train/a.png", b"a")
    with opened(path) as found:
        assert found.names() == ["train/a.png"]


def test_missing_archive_is_refused_with_the_command_that_restores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    absent = Path("data/digits.zip")
    for read in (lambda: opened(absent).__enter__(), lambda: archive_digest(absent, memory=Path("m.json"))):
        text = f"data.root: no such file or folder, got 'data/digits.zip'; {RESTORE}"
        with refused("data.root", got="data/digits.zip", hint=RESTORE, text=text):
            read()


def test_missing_archive_of_a_user_is_refused_with_advice(tmp_path: Path) -> None:
    root = tmp_path / "mine.zip"
    text = (
        f"data.root: no such file or folder, got '{root}'; restore an intact copy, or point data.root to one"
    )
    with refused("data.root", got=str(root), text=text), opened(root):
        pass


@pytest.mark.parametrize("damage", ["truncated", "text"])
def test_file_that_is_not_a_complete_zip_is_refused_with_the_command_that_restores_it(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_files(Path("data/digits.zip"), FILES)
    path.write_bytes(path.read_bytes()[:-30] if damage == "truncated" else b"version https://git-lfs...")
    text = (
        "data.root: not a complete zip archive (it has no end of a zip file), got 'data/digits.zip'; "
        "restore it with `git checkout data.dvc && dvc pull --force --remote store data.dvc`"
    )
    with refused("data.root", got="data/digits.zip", hint=RESTORE, text=text), opened(path):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_inside_a_zip_is_refused_naming_the_file(method: int, tmp_path: Path) -> None:
    path, text = tmp_path / "data.zip", b"0123456789" * 50
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("a.png", text)
    whole = path.read_bytes()
    start = len("a.png") + 30  # of the content, behind the local header
    path.write_bytes(whole[:start] + b"\xff" * 5 + whole[start + 5 :])
    hint = "restore an intact copy, or point data.root to one"
    sentence = f"{path}: cannot read a.png (its CRC-32 is another); {hint}"
    is_stored = method == zipfile.ZIP_STORED  # the other reason is in the words of zlib
    with opened(path) as found, refused(str(path), hint=hint, text=sentence if is_stored else "") as caught:
        found.read("a.png")
    assert caught.value.problem.startswith("cannot read a.png (")


def test_digest_of_a_table_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = write_files(tmp_path, {"data.csv": b"1,2\n"}) / "data.csv"
    expected = f"sha256:{sha256(path.read_bytes()).hexdigest()}"
    assert archive_digest(path, memory=tmp_path / "new" / "digests.json") == expected


def test_digest_is_that_of_the_sorted_names_and_digests_of_all_files(tmp_path: Path) -> None:
    lines = [f"{name}\0{sha256(FILES[name]).hexdigest()}\n" for name in sorted(FILES)]
    expected = f"sha256:{sha256(''.join(lines).encode()).hexdigest()}"
    for name in ("data", "data.zip"):
        root = write_files(tmp_path / name, FILES | HIDDEN)
        assert archive_digest(root, memory=tmp_path / "digests.json") == expected


def test_damaged_file_of_a_zip_is_named_where_its_digest_is_taken(tmp_path: Path) -> None:
    path = write_files(tmp_path / "data.zip", {"a.png": b"bytes", "b.png": b"others"})
    path.write_bytes(path.read_bytes().replace(b"others", b"0thers", 1))
    with refused(str(path), hint="restore an intact copy") as caught:
        archive_digest(path, memory=tmp_path / "digests.json")
    assert caught.value.problem.startswith("cannot read b.png (")


def test_digest_is_remembered_and_the_archive_not_read_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "digests.json"
    digest = archive_digest(root, memory=memory)
    monkeypatch.setattr(archive, "_hash_of", lambda path: pytest.fail(f"{path} was read again"))
    assert archive_digest(root, memory=memory) == digest


def test_memory_keeps_archives_apart_and_survives_nonsense(tmp_path: Path) -> None:
    memory = tmp_path / "digests.json"
    first = write_files(tmp_path / "first.zip", {"a": b"1"})
    second = write_files(tmp_path / "second.zip", {"a": b"2"})
    memory.write_text("{half of a JSON")
    digests = [archive_digest(path, memory=memory) for path in (first, second, first, second)]
    assert digests[:2] == digests[2:]
    assert digests[0] != digests[1]


def test_digest_changes_when_a_byte_changes(root: Path, tmp_path: Path) -> None:
    memory = tmp_path / "digests.json"
    before = archive_digest(root, memory=memory)
    changed = root if root.is_file() else root / "README.txt"
    then = changed.stat().st_mtime_ns
    content = FILES["README.txt"]
    write_files(root, FILES | {"README.txt": bytes([content[0] ^ 1, *content[1:]])})
    os.utime(changed, ns=(then + 1, then + 1))  # the same length; a coarse clock could keep the time
    assert archive_digest(root, memory=memory) != before


def test_digest_changes_with_the_length_alone(tmp_path: Path) -> None:
    memory, path = tmp_path / "digests.json", write_files(tmp_path / "data.zip", FILES)
    stat, before = path.stat(), archive_digest(path, memory=memory)
    write_files(path, FILES | {"more.png": b""})
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert archive_digest(path, memory=memory) != before


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_digest_depends_on_names_and_contents_alone(suffix: str, tmp_path: Path) -> None:
    def digest_of(name: str, files: dict[str, bytes]) -> str:
        return archive_digest(
            write_files(tmp_path / f"{name}{suffix}", files), memory=tmp_path / "digests.json"
        )

    digest = digest_of("first", FILES)
    other_order = dict(reversed(FILES.items()))
    assert digest_of("second", other_order | HIDDEN) == digest
    for path in tmp_path.rglob("second*"):
        os.utime(path, ns=(0, 0))
    assert archive_digest(tmp_path / f"second{suffix}", memory=tmp_path / "digests.json") == digest
    renamed = {name.replace("b.png", "c.png"): content for name, content in FILES.items()}
    assert digest_of("third", renamed) != digest
    assert digest_of("fourth", FILES | {"train/cat/a.png": b"\x00"}) != digest
    assert digest_of("fifth", FILES | {"more.png": b""}) != digest

"""Results of the cache that were damaged after they were written: set aside and made again, and never copied on."""

import os
from pathlib import Path

import pytest

from pipeline.runs import cache
from pipeline.runs.cache import find_or_make, publish
from pipeline.storage.sealed import CHANGED, DIFFERENT, DIGESTS, check_files
from tests.refusals import refused
from tests.runs.numbers import WRITTEN, refuse, tree, write_numbers


def spoil(file: Path) -> None:
    """Change a file as a power cut does: its size and time stay."""
    stat = file.stat()
    file.write_bytes(bytes(stat.st_size))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("name", ["numbers.txt", "more/letters.txt", "key", DIGESTS])
def test_damaged_result_is_set_aside_and_made_again(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = find_or_make(tmp_path, "prepare", "abc", write_numbers)
    spoil(made / name)
    assert tree(find_or_make(tmp_path, "prepare", "abc", write_numbers)) == WRITTEN
    problem = CHANGED if name in ("key", DIGESTS) else DIFFERENT
    said = f"warning: {made / name} {problem}; the folder was set aside as abc.damaged and is made again\n"
    assert capsys.readouterr().err == said
    aside = made.with_name("abc.damaged")
    assert not any((aside / name).read_bytes()), "zeros"
    assert find_or_make(tmp_path, "prepare", "abc", refuse) == made


def test_large_files_are_checked_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LARGE", 4)
    made = find_or_make(tmp_path, "prepare", "abc", write_numbers)
    spoil(made / "numbers.txt")
    assert find_or_make(tmp_path, "prepare", "abc", refuse) == made
    assert tree(find_or_make(tmp_path, "prepare", "abc", write_numbers, is_thorough=True)) == WRITTEN


def test_damaged_artifact_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = find_or_make(tmp_path / "first", "prepare", "abc", write_numbers)
    published = tmp_path / "artifacts" / "prepare" / "digits"
    publish(made, published, root=tmp_path)
    spoil(published / "numbers.txt")  # the same file as in the cache, where links are possible
    assert tree(find_or_make(tmp_path, "prepare", "abc", write_numbers)) == WRITTEN
    file = published / "numbers.txt"
    said = (
        f"warning: {file} {DIFFERENT}; {published} is not used, delete it and `dvc repro` writes it again\n"
    )
    assert capsys.readouterr().err == said


def test_damaged_result_is_not_published(tmp_path: Path) -> None:
    made = find_or_make(tmp_path, "prepare", "abc", write_numbers)
    spoil(made / "more" / "letters.txt")
    with refused(str(made / "more" / "letters.txt")):
        publish(made, tmp_path / "target", root=tmp_path)
    publish(made, tmp_path / "artifacts" / "target", root=tmp_path, names=["numbers.txt"])
    assert tree(tmp_path / "artifacts" / "target") == {"numbers.txt": "1 2 3"}


def test_what_is_published_has_digests_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_numbers(source)
    target = tmp_path / "artifacts" / "target"
    publish(source, target, root=tmp_path, names=["more"])
    check_files(target)
    spoil(target / "more" / "letters.txt")
    with refused(str(target / "more" / "letters.txt")):
        check_files(target)

"""Results cached by key: made once, completely or not at all, never twice on the disk."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.runs.cache import find_or_make, publish, refuse_foreign
from tests.refusals import refused
from tests.runs.numbers import WRITTEN, refuse, tree, write_numbers


def test_result_is_made_once(tmp_path: Path) -> None:
    made = find_or_make(tmp_path, "prepare", "abc", write_numbers)
    assert made == tmp_path / "cache" / "prepare" / "abc"
    assert tree(made) == WRITTEN
    assert find_or_make(tmp_path, "prepare", "abc", refuse) == made


def test_other_key_and_other_stage_are_other_results(tmp_path: Path) -> None:
    places = {find_or_make(tmp_path, *each, write_numbers) for each in (("a", "1"), ("a", "2"), ("b", "1"))}
    assert len(places) == 3


def test_result_that_dvc_restored_is_taken_as_it_is(tmp_path: Path) -> None:
    made = find_or_make(tmp_path / "first", "prepare", "abc", write_numbers)
    published = tmp_path / "second" / "artifacts" / "prepare" / "digits"
    publish(made, published, root=tmp_path / "second")
    found = find_or_make(tmp_path / "second", "prepare", "abc", refuse)
    assert tree(found) == WRITTEN
    assert (found / "numbers.txt").samefile(published / "numbers.txt")


def test_half_of_a_copy_is_never_taken_for_a_result(tmp_path: Path) -> None:
    # What `publish` leaves when it is killed: the key was copied, the rest was not.
    draft = tmp_path / "artifacts" / "prepare" / ".digits.123.unfinished"
    draft.mkdir(parents=True)
    (draft / "key").write_text("abc")
    assert tree(find_or_make(tmp_path, "prepare", "abc", write_numbers)) == WRITTEN


def test_artifact_of_another_key_is_not_taken(tmp_path: Path) -> None:
    publish(
        find_or_make(tmp_path, "prepare", "old", write_numbers),
        tmp_path / "artifacts/prepare/digits",
        root=tmp_path,
    )
    made: list[Path] = []
    find_or_make(tmp_path, "prepare", "new", made.append)
    assert len(made) == 1


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_numbers(folder)
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        find_or_make(tmp_path, "prepare", "abc", fail)
    assert [path.name for path in (tmp_path / "cache" / "prepare").iterdir()] == ["abc.lock"]
    assert tree(find_or_make(tmp_path, "prepare", "abc", write_numbers)) == WRITTEN


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_is_refused(number: int, tmp_path: Path) -> None:
    def fill_the_disk(folder: Path) -> None:
        write_numbers(folder)
        raise OSError(number, os.strerror(number))

    hint = "free some disk space and try again; partial files were removed"
    text = f"prepare: cannot write the result ({os.strerror(number)}); {hint}"
    with refused("prepare", hint=hint, text=text):
        find_or_make(tmp_path, "prepare", "abc", fill_the_disk)
    assert [path.name for path in (tmp_path / "cache" / "prepare").iterdir()] == ["abc.lock"]


def test_other_errors_of_the_disk_are_passed_on(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "not yours")

    with pytest.raises(PermissionError, match="not yours"):
        find_or_make(tmp_path, "prepare", "abc", fail)


DIE = """
import os, signal, sys
from pathlib import Path
from pipeline.runs.cache import find_or_make

def die(folder):
    (folder / "numbers.txt").write_text("1 2")
    os.kill(os.getpid(), signal.SIGKILL)

find_or_make(Path(sys.argv[1]), "prepare", "abc", die)
"""


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", DIE, str(tmp_path)], check=False)
    assert killed.returncode == -9
    home = tmp_path / "cache" / "prepare"
    assert any(path.name.endswith(".unfinished") for path in home.iterdir())
    find_or_make(tmp_path, "prepare", "abc", write_numbers)
    assert {path.name for path in home.iterdir()} == {"abc", "abc.lock"}
    assert tree(home / "abc") == WRITTEN


MAKE = """
import sys, time
from pathlib import Path
from pipeline.runs.cache import find_or_make

def make(folder):
    time.sleep(0.3)
    with Path(sys.argv[1], "made").open("a") as file:
        file.write("once ")

print(find_or_make(Path(sys.argv[1]), "prepare", "abc", make))
"""


def test_processes_that_ask_at_once_make_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    askers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {asker.communicate()[0] for asker in askers}
    assert answers == {f"{tmp_path / 'cache' / 'prepare' / 'abc'}\n"}
    assert (tmp_path / "made").read_text() == "once "


def test_published_files_take_no_extra_space(tmp_path: Path) -> None:
    made = find_or_make(tmp_path, "prepare", "abc", write_numbers)
    target = tmp_path / "artifacts" / "prepare" / "digits"
    publish(made, target, root=tmp_path)
    assert tree(target) == WRITTEN
    for name in WRITTEN:
        assert (made / name).samefile(target / name)


def test_publish_replaces_what_was_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "artifacts" / "digits"
    target.mkdir(parents=True)
    (target / "numbers.txt").write_text("old")
    source.mkdir()
    write_numbers(source)
    publish(source, target, names=["numbers.txt"], root=tmp_path)
    assert tree(target) == {"numbers.txt": "1 2 3"}
    assert [path.name for path in target.parent.iterdir()] == ["digits"]


def test_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "docs"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    source.mkdir()
    write_numbers(source)
    text = (
        f"{target} must be a new folder, or one that holds only an older result, got ['thesis.tex']; "
        "choose another folder"
    )
    with refused(str(target), got=["thesis.tex"], text=text):
        publish(source, target, root=tmp_path)
    assert tree(target) == {"thesis.tex": "years of work"}


def test_folder_that_was_not_published_is_not_replaced_though_its_names_are_those_of_a_result(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "source", tmp_path / "mine"
    target.mkdir()
    (target / "numbers.txt").write_text("years of work")
    source.mkdir()
    write_numbers(source)
    with refused(str(target), got=["numbers.txt"], hint="choose another folder"):
        publish(source, target, root=tmp_path)
    with refused(str(target), got=["numbers.txt"]):
        refuse_foreign(target, root=tmp_path)
    with refused(str(target / "numbers.txt"), got="a file"):
        refuse_foreign(target / "numbers.txt", root=tmp_path)
    assert tree(target) == {"numbers.txt": "years of work"}
    (target / "numbers.txt").unlink()
    refuse_foreign(tmp_path / "new", root=tmp_path)
    for _ in range(2):  # an empty folder is filled, and what was written is replaced
        refuse_foreign(target, root=tmp_path)
        publish(source, target, root=tmp_path)
        assert tree(target).keys() == {"numbers.txt", "more/letters.txt", ".convoy"}


@pytest.mark.parametrize("place", ["artifacts/digits", "elsewhere"])
def test_folder_inside_a_result_keeps_files_that_a_user_added(place: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / place
    source.mkdir()
    write_numbers(source)
    publish(source, target, root=tmp_path)
    (target / "more" / "thesis.tex").write_text("years of work")
    with refused(str(target), got=["more/thesis.tex"], hint="choose another folder"):
        publish(source, target, root=tmp_path)
    assert (target / "more" / "thesis.tex").read_text() == "years of work"


def test_result_with_folders_and_files_that_the_next_one_lacks_is_replaced(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "elsewhere"
    (source / "more" / "inner").mkdir(parents=True)
    (source / "more" / "inner" / "numbers.npy").write_text("written by a result")
    publish(source, target, root=tmp_path)
    (source / "more" / "inner" / "numbers.npy").unlink()
    (source / "more" / "inner").rmdir()
    publish(source, target, root=tmp_path)
    assert tree(target).keys() == {".convoy"}


def test_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "thesis.tex"
    source.mkdir()
    target.write_text("years of work")
    with refused(str(target), got="a file", hint="choose another folder"):
        publish(source, target, root=tmp_path)
    assert target.read_text() == "years of work"


def test_failed_publish_keeps_what_was_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "artifacts" / "digits"
    target.mkdir(parents=True)
    (target / "numbers.txt").write_text("old")
    source.mkdir()
    write_numbers(source)
    with pytest.raises(FileNotFoundError):
        publish(source, target, names=["numbers.txt", "missing.txt"], root=tmp_path)
    assert tree(target) == {"numbers.txt": "old"}
    assert [path.name for path in target.parent.iterdir()] == ["digits"]


def copy_across_disks(source: str, target: str) -> None:
    raise OSError(errno.EXDEV, "another disk")


@pytest.mark.parametrize("link", [copy_across_disks, os.link], ids=["another disk", "links"])
def test_publish_follows_symbolic_links(
    link: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "elsewhere.txt").write_text("1 2 3")
    (source / "numbers.txt").symlink_to(tmp_path / "elsewhere.txt")  # as DVC links to its cache
    monkeypatch.setattr(os, "link", link)
    target = tmp_path / "artifacts" / "digits"
    publish(source, target, root=tmp_path)
    assert not (target / "numbers.txt").is_symlink()
    assert tree(target) == {"numbers.txt": "1 2 3"}

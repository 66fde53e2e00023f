"""Files appear whole or not at all; what was computed from files is remembered until they change."""

import json
import os
from pathlib import Path

import pytest

from pipeline import files
from pipeline.files import read_yaml, remove_drafts, write_text, yaml_text
from pipeline.storage import sealed
from pipeline.storage.memo import file_state, memoize_by_mtime
from pipeline.storage.sealed import CHANGED, DIGESTS, check_files, read_sealed, write_digests, write_sealed
from tests.refusals import refused


def test_text_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_text(path, "old")

    def die(draft: Path, target: Path) -> None:
        assert draft.read_text(encoding="utf-8") == "new"
        assert target.read_text(encoding="utf-8") == "old"
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "ä")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == "ä".encode()


def test_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".run.json.123", ".last.ckpt.4567", ".hidden", "run.json", "00001.5"):
        (tmp_path / name).touch()
    remove_drafts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "00001.5", "run.json"]


def test_yaml_text_is_read_back_with_its_keys_in_their_order() -> None:
    values = {
        "z": 1,
        "a": [1.0, 1, True, None, "1", "true", "null", ""],
        "m": {"b": {}, "a": []},
        "long": "ä " * 99,
    }
    loaded = read_yaml(yaml_text(values))
    assert loaded == values
    assert [type(each) for each in loaded["a"]] == [type(each) for each in values["a"]]
    assert list(loaded) == list(values)


def ask(memory: Path, key: str, state: str, asked: list[str]) -> str:
    def compute() -> str:
        asked.append(key)
        return f"{key} in {state}"

    return memoize_by_mtime(memory, [(key, state, compute)])[0]


def test_each_text_is_computed_once_per_state(tmp_path: Path) -> None:
    memory, asked = tmp_path / "new" / "memory.json", []
    states = [("a", "1"), ("b", "1"), ("a", "1"), ("a", "2"), ("b", "1")]
    texts = [ask(memory, key, state, asked) for key, state in states]
    assert texts == [f"{key} in {state}" for key, state in states]
    assert asked == ["a", "b", "a"]
    assert [path.name for path in memory.parent.iterdir()] == ["memory.json"]


def test_many_texts_come_in_their_order(tmp_path: Path) -> None:
    wanted = [(key, "1", lambda key=key: key.upper()) for key in "cab"]
    assert memoize_by_mtime(tmp_path / "memory.json", wanted) == ["C", "A", "B"]
    assert memoize_by_mtime(tmp_path / "memory.json", reversed(wanted)) == ["B", "A", "C"]


def test_a_damaged_memory_is_made_anew_which_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory, asked = tmp_path / "memory.json", []
    ask(memory, "a", "1", asked)
    memory.write_text(memory.read_text().replace("a in 1", "b in 1"))
    assert ask(memory, "a", "1", asked) == ask(memory, "a", "1", asked) == "a in 1"
    assert asked == ["a", "a"]
    said = f"warning: {memory} {CHANGED}; it only saves time, and is written again\n"
    assert capsys.readouterr().err == said


def test_state_of_a_file_tells_its_length_and_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("12")
    os.utime(file, ns=(0, 5))
    before = file_state(file)
    os.utime(file, ns=(0, 6))
    assert file_state(file) != before
    file.write_text("123")
    os.utime(file, ns=(0, 5))
    assert file_state(file) != before


def damage(file: Path, how: str) -> None:
    data = file.read_bytes()
    half = len(data) // 2
    file.write_bytes(
        {
            "empty": b"",
            "half": data[:half],
            "zeroed tail": data[:half] + bytes(len(data) - half),
            "one byte": data[:half] + bytes([data[half] ^ 4]) + data[half + 1 :],
        }[how]
    )


HOW = ["empty", "half", "zeroed tail", "one byte"]


def test_sealed_values_are_read_back(tmp_path: Path) -> None:
    values = {"state": "finished", "nested": {"ü": [1, 0.1, None]}}
    write_sealed(tmp_path / "run.json", values, of="abc")
    assert read_sealed(tmp_path / "run.json", of="abc") == values
    assert json.loads((tmp_path / "run.json").read_text()).keys() == {"sha256", *values}


@pytest.mark.parametrize("how", HOW)
def test_damage_of_a_sealed_file_is_noticed(how: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_sealed(path, {"state": "finished"}, of="abc")
    damage(path, how)
    problem = "is empty" if how == "empty" else CHANGED
    text = f"{path}: {problem}; it was damaged after it was written, as by a power cut; delete it"
    with refused(str(path), text=text):
        read_sealed(path, of="abc")


def test_sealed_file_of_something_else_is_noticed(tmp_path: Path) -> None:
    write_sealed(tmp_path / "run.json", {"state": "finished"}, of="abc")
    with refused(str(tmp_path / "run.json")):
        read_sealed(tmp_path / "run.json", of="abd")


def write_result(folder: Path) -> None:
    (folder / "pictures").mkdir(parents=True)
    (folder / "numbers.npy").write_bytes(bytes(range(256)))
    (folder / "pictures" / "a.png").write_bytes(b"a picture")
    write_digests(folder)


@pytest.mark.parametrize("how", [*HOW, "missing"])
@pytest.mark.parametrize("name", ["numbers.npy", "pictures/a.png", DIGESTS])
def test_damage_of_a_file_with_a_digest_is_noticed(name: str, how: str, tmp_path: Path) -> None:
    write_result(tmp_path)
    check_files(tmp_path)
    stat = (tmp_path / name).stat()
    if how == "missing":
        (tmp_path / name).unlink()
    else:
        damage(tmp_path / name, how)
        os.utime(tmp_path / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a power cut leaves it
    with refused(str(tmp_path / name), hint="bring it back"):
        check_files(tmp_path, hint="bring it back")


def test_only_what_counts_is_checked(tmp_path: Path) -> None:
    write_result(tmp_path)
    damage(tmp_path / "numbers.npy", "one byte")
    check_files(tmp_path, ["pictures"])
    check_files(tmp_path, up_to=255)
    with refused(str(tmp_path / "numbers.npy")):
        check_files(tmp_path, up_to=256)


def test_everything_is_flushed_before_its_digest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(sealed, "sync", flushed.append)
    monkeypatch.setattr(files, "sync", flushed.append)
    write_result(tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in flushed]
    assert set(names[:3]) == {"numbers.npy", "pictures/a.png", "pictures"}
    assert names[-1] == ".", "the entry of digests.json comes last"

"""Files appear whole or not at all; what was computed from files is remembered until they change."""

import os
from pathlib import Path

import pytest

from pipeline.files import file_state, memoize_by_mtime, read_yaml, remove_drafts, write_text, yaml_text


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


def test_a_broken_memory_is_made_anew(tmp_path: Path) -> None:
    memory, asked = tmp_path / "memory.json", []
    memory.write_text('{"a": {"sta')
    assert ask(memory, "a", "1", asked) == ask(memory, "a", "1", asked) == "a in 1"
    assert asked == ["a"]


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

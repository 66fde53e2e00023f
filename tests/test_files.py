"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from pipeline.files import write_text


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

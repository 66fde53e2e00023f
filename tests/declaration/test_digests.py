"""Digests: equal where two declarations or sources mean the same, different where they do not."""

import ast
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import digests
from pipeline.declaration.digests import code_digest, digest


def test_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


DIFFERENT: list[Any] = [1, 1.0, True, "1", [1], {"a": 1}, {"a": 1.0}, {"b": 1}, 0, False, None, "", [], {},
                        [1, 2], [2, 1], "true", "None", float("inf")]  # fmt: skip


def test_values_and_their_types_matter() -> None:
    assert len({digest(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_digest_is_the_same_in_every_process() -> None:
    # By hand: the first 16 digits of `printf '{"a":1}' | sha256sum`.
    assert digest({"a": 1}) == "015abd7f5cc57a2d"


SOURCE = '''
"""A module."""

import math


class Disc:
    """A disc."""

    radius: float = 1.0

    def area(self) -> float:
        """Return the area."""
        return math.pi * self.radius**2


async def wait(seconds: int = 1) -> str:
    """Wait."""
    return f"{seconds}"
'''

SAME = [
    ('"""A module."""', '"""Discs."""\n# and a comment'),
    ('"""A module."""', ""),
    ('"""Return the area."""\n', "\n"),
    ('"""A disc."""', "'Another text.'"),
    ('"""Wait."""', '"Wait no longer."'),
    ("math.pi * self.radius**2", "(math.pi\n            * self.radius ** 2)  # Archimedes"),
    ("\n\n\nclass", "\n\n\n\n\nclass"),
    ('f"{seconds}"', "f'{seconds}'"),
]

CHANGED = [
    ("math.pi * self.radius**2", "math.pi * self.radius**3"),
    ("math.pi * self.radius**2", "self.radius**2 * math.pi"),
    ("radius: float = 1.0", "radius: float = 1"),
    ("seconds: int = 1", "seconds: int = 2"),
    ('f"{seconds}"', 'f"{seconds} "'),
    ("import math", "import math, os"),
    ("def area", "@property\n    def area"),
    ("async def", "def"),
]


def digest_of(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "disc.py").write_text(text)
    return code_digest([folder], root=folder.parent)


@pytest.mark.parametrize(("old", "new"), SAME)
def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    assert old in SOURCE
    room = tmp_path / "room"
    assert digest_of(room, SOURCE.replace(old, new)) == digest_of(room, SOURCE)


@pytest.mark.parametrize(("old", "new"), CHANGED)
def test_every_change_of_code_counts(tmp_path: Path, old: str, new: str) -> None:
    assert old in SOURCE
    room = tmp_path / "room"
    assert digest_of(room, SOURCE.replace(old, new)) != digest_of(room, SOURCE)


def test_files_count_at_any_depth_by_name_wherever_the_project_lies(tmp_path: Path) -> None:
    def write(place: str, name: str) -> str:
        file = tmp_path / place / "room" / name
        file.parent.mkdir(parents=True)
        file.write_text(SOURCE)
        return code_digest([tmp_path / place / "room"], root=tmp_path)

    assert write("here", "deep/disc.py") == write("there", "deep/disc.py")
    assert write("with", "deep/ring.py") != write("where", "deep/disc.py")


def test_other_files_do_not_count(tmp_path: Path) -> None:
    before = digest_of(tmp_path / "room", SOURCE)
    (tmp_path / "room" / "notes.md").write_text("text")
    assert code_digest([tmp_path / "room"], root=tmp_path) == before


def test_a_file_by_itself_counts_and_no_other_of_its_name_may_hide_it(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        digest_of(tmp_path / folder, SOURCE)
    one, other = (code_digest([tmp_path / folder / "disc.py"], root=tmp_path) for folder in ("a", "b"))
    assert one == other
    with pytest.raises(AssertionError, match=r"two of the paths hold a disc\.py"):
        code_digest([tmp_path / "a" / "disc.py", tmp_path / "b" / "disc.py"], root=tmp_path)


def test_what_a_file_says_is_remembered_and_parsed_anew_where_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: parsed.append(text) or parse(text))
    before = digest_of(tmp_path / "room", SOURCE)
    digests._meaning.cache_clear()  # as in a new process
    assert code_digest([tmp_path / "room"], root=tmp_path) == before
    assert parsed == [SOURCE]
    changed = SOURCE + "MORE = 1\n"
    assert digest_of(tmp_path / "room", changed) != before
    assert parsed == [SOURCE, changed]

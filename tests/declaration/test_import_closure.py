"""Import closures: the modules that code imports, at whatever level, and what their source says."""

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import digests
from pipeline.declaration.digests import Closure, import_closure

Write = Callable[..., None]
CloseOver = Callable[..., Closure]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes modules of a package `small`, which stands in for `pipeline`."""
    home = tmp_path / "small"
    home.mkdir()
    (home / "__init__.py").write_text('"""A package."""\n')
    monkeypatch.setattr(digests, "PACKAGE", home)
    digests._own_file.cache_clear()
    times = iter(range(1, 1000))

    def write_modules(**modules: str) -> None:
        """Write modules by their dotted names below the package, `__` for a point and INIT for a package's own."""
        for name, text in modules.items():
            *packages, module = name.split("__")
            folder = home
            for package in packages:
                folder /= package
                folder.mkdir(exist_ok=True)
                (folder / "__init__.py").touch()
            file = folder / f"{'__init__' if module == 'INIT' else module}.py"
            file.write_text(text)
            os.utime(file, ns=(0, next(times)))  # later than any before, however fast the test is
        digests._own_file.cache_clear()

    return write_modules


@pytest.fixture(autouse=True)
def forget_places() -> Any:
    """Let no test see where the modules of another lay."""
    yield
    digests._own_file.cache_clear()


@pytest.fixture
def closure(tmp_path: Path) -> CloseOver:
    """Return `import_closure` of modules by their names below the package."""

    def close_over(*names: str, **options: Any) -> Closure:
        return import_closure([f"small.{name}" for name in names], root=tmp_path / "project", **options)

    return close_over


def names_of(found: Closure) -> set[str]:
    return {name.removeprefix("small").removeprefix(".") or "small" for name in found.digests}


# Which modules are in it.


def test_modules_are_followed_through_every_form_of_import(write: Write, closure: CloseOver) -> None:
    write(
        start="import small.one\nimport small.two as other\nfrom small import three\nfrom small.four import Thing\n",
        one="from small.far import thing",
        two="",
        three="",
        four="class Thing: ...",
        far="import small.start  # round in a circle\nthing = 1",
        beside="",
    )
    assert names_of(closure("start")) == {"small", "start", "one", "two", "three", "four", "far"}
    assert names_of(closure("two", "three")) == {"small", "two", "three"}


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    from small.used import thing",
        "class C:\n    def f(self):\n        import small.used",
        "try:\n    import small.used\nexcept ImportError:\n    pass",
        "if True:\n    pass\nelse:\n    import small.used",
        "async def f():\n    with open('a'):\n        from small import used",
        "f = lambda: 0\nif TYPE_CHECKING:\n    pass\nimport small.used",
    ],
)
def test_imports_count_wherever_they_are_run(text: str, write: Write, closure: CloseOver) -> None:
    write(start=text, used="thing = 1")
    assert "used" in names_of(closure("start"))


@pytest.mark.parametrize(
    "text",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from small.typed import Thing",
        "if TYPE_CHECKING:\n    import small.typed\n    import numpy",
        "text = 'import small.typed'",
        "# import small.typed",
        "'''\nimport small.typed\n'''",
        "import smaller.typed",
    ],
)
def test_imports_for_type_checkers_and_mere_text_do_not_count(
    text: str, write: Write, closure: CloseOver
) -> None:
    write(start=text, typed="")
    found = closure("start")
    assert names_of(found) == {"small", "start"}
    assert found.libraries <= {"smaller"}


def test_pipeline_has_no_relative_imports_which_would_not_be_followed() -> None:
    for file in digests.PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level], file


def test_packages_of_a_module_are_in_it_with_what_they_import(write: Write, closure: CloseOver) -> None:
    write(deep__room__start="", deep__INIT="import small.first", first="", deep__beside="")
    assert names_of(closure("deep.room.start")) == {"small", "deep", "deep.room", "deep.room.start", "first"}
    write(deep__INIT="import small.second", second="")
    assert "second" in names_of(closure("deep.room.start"))


def test_name_imported_from_a_package_is_its_module_where_there_is_one(
    write: Write, closure: CloseOver
) -> None:
    write(start="from small.deep import room, Thing", deep__INIT="Thing = 1", deep__room="", deep__Other="")
    assert names_of(closure("start")) == {"small", "start", "deep", "deep.room"}


def test_what_is_left_out_is_left_out_with_what_only_it_imports(write: Write, closure: CloseOver) -> None:
    write(
        start="import small.log.file, small.logic",
        log__file="import small.paper, small.ink, elsewhere",
        logic="import small.ink",
        paper="",
        ink="",
    )
    assert names_of(closure("start")) == {"small", "start", "log", "log.file", "logic", "paper", "ink"}
    found = closure("start", without=["small.log"])
    assert names_of(found) == {"small", "start", "logic", "ink"}
    assert found.libraries == frozenset()
    assert names_of(closure("start", without=["small.log.file"])) == {"small", "start", "logic", "ink"}
    assert names_of(closure("start", without=["small.start"])) == set()


def test_libraries_are_named_by_their_top_package(write: Write, closure: CloseOver) -> None:
    write(
        start="import os.path, json\nimport numpy as np\nimport small.more",
        more="from torch.nn import functional\ndef f():\n    import PIL.Image\nfrom __future__ import annotations",
        beside="import mlflow",
    )
    assert closure("start").libraries == {"numpy", "torch", "PIL"}


def test_name_that_is_no_module_of_the_package_is_left_out(write: Write, closure: CloseOver) -> None:
    write(start="")
    assert names_of(closure("start", "nowhere", "start.Thing")) == {"small", "start"}
    assert import_closure(["torch.nn"], root=Path("unused")) == Closure({}, frozenset())


# What a module says.


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


@pytest.mark.parametrize(("old", "new"), SAME)
def test_comments_docstrings_and_layout_do_not_count(
    old: str, new: str, write: Write, closure: CloseOver
) -> None:
    assert old in SOURCE
    write(disc=SOURCE)
    before = closure("disc")
    write(disc=SOURCE.replace(old, new))
    assert closure("disc") == before


@pytest.mark.parametrize(("old", "new"), CHANGED)
def test_every_change_of_code_counts(old: str, new: str, write: Write, closure: CloseOver) -> None:
    assert old in SOURCE
    write(disc=SOURCE, start="import small.disc")
    before = closure("start").digests
    write(disc=SOURCE.replace(old, new))
    after = closure("start").digests
    assert {name for name in before if before[name] != after[name]} == {"small.disc"}


def test_digests_do_not_depend_on_where_the_project_lies(
    write: Write, closure: CloseOver, tmp_path: Path
) -> None:
    write(disc=SOURCE)
    here = closure("disc").digests
    elsewhere = import_closure(["small.disc"], root=tmp_path / "elsewhere").digests
    assert here == elsewhere


def test_digest_of_a_module_does_not_depend_on_the_fields_that_a_version_of_python_adds(
    write: Write, closure: CloseOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.12 added `type_params` to functions and classes, 3.13 leaves empty fields out of `ast.dump`."""
    write(disc=SOURCE)
    before = closure("disc").digests
    fields = ast.iter_fields

    def later(node: ast.AST) -> Any:
        yield from fields(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield "type_params", []

    monkeypatch.setattr(ast, "iter_fields", later)
    digests._parse.cache_clear()
    write(disc=SOURCE)
    assert closure("disc").digests == before


def test_relative_imports_are_followed(write: Write, closure: CloseOver) -> None:
    write(a__INIT="from . import b", a__b="from .. import c\nfrom .d import VALUE", a__d="VALUE = 1", c="")
    assert closure("a").digests.keys() == {"small", "small.a", "small.a.b", "small.a.d", "small.c"}


def test_what_is_imported_where_types_are_not_checked_counts(write: Write, closure: CloseOver) -> None:
    write(a="if TYPE_CHECKING:\n    import small.b\nelse:\n    import small.c", b="", c="")
    assert closure("a").digests.keys() == {"small", "small.a", "small.c"}


def test_digests_come_in_the_order_of_their_names_whatever_was_asked_for_first(
    write: Write, closure: CloseOver
) -> None:
    write(a="import small.c", b="", c="")
    assert list(closure("b", "a").digests) == ["small", "small.a", "small.b", "small.c"]
    assert closure("b", "a") == closure("a", "b")


def test_what_a_file_says_is_remembered_and_parsed_anew_where_it_changed(
    write: Write, closure: CloseOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(disc=SOURCE, start="import small.disc")
    parsed: list[str] = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: parsed.append(text) or parse(text))
    before = closure("start")
    assert sorted(parsed) == sorted([SOURCE, "import small.disc", '"""A package."""\n'])
    digests._parse.cache_clear()  # as in a new process
    assert closure("start") == before
    assert len(parsed) == 3
    changed = SOURCE + "MORE = 1\n"
    write(disc=changed)
    assert closure("start") != before
    assert parsed[3:] == [changed]

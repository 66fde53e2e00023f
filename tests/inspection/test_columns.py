"""Several labels per image in somebody's table: told from single ones, and from commas that belong to names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import inspect
from pipeline.declaration import composition
from pipeline.declaration.composition import compose
from pipeline.inspection.columns import Labels
from pipeline.inspection.layout import find_layout
from pipeline.training.inputs import prepare
from tests.makers import write_files, write_label_sets
from tests.refusals import refused

FILES = [f"{index}.png" for index in range(8)]


def layout(root: Path, header: str, cells: list[str], **options: str) -> dict[str, Any]:
    """Return what is found of a table whose rows are those cells, each after the name of an image."""
    rows = [f"{file},{cells[index % len(cells)]}" for index, file in enumerate(FILES)]
    table = "\n".join([header] * bool(header) + rows).encode()
    write_files(root, {"t.csv": table, **dict.fromkeys(FILES, b"")})
    facts = find_layout(root, max_bytes=10_000, labels=Labels(**options))
    return {key: facts.get(key) for key in ("columns", "separator", "classes")}


def single(column: str | int, classes: list[str]) -> dict[str, Any]:
    file = "file" if isinstance(column, str) else 0
    return {"columns": {"file": file, "label": column}, "separator": None, "classes": classes}


def several(separator: str, classes: list[str], column: str = "tags") -> dict[str, Any]:
    return {"columns": {"file": "file", "label": column}, "separator": separator, "classes": classes}


def test_separator_that_the_user_names_is_not_taken_for_the_delimiter(tmp_path: Path) -> None:
    cells = ["cat;dog;cow;hen", "dog"]
    found = layout(tmp_path, "", cells, separator=";")
    assert found == {
        "columns": {"file": 0, "label": 1},
        "separator": ";",
        "classes": ["cat", "cow", "dog", "hen"],
    }


CELLS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("file,tags", ["cat", "dog"], single("tags", ["cat", "dog"])),
    ("file,tags", ["cat|dog", "dog", "", "cow| cat"], several("|", ["cat", "cow", "dog"])),
    ("file,label", ["cat;dog", "dog", "cow"], several(";", ["cat", "cow", "dog"], "label")),
    ("file,tags", ['"cat, dog"', "dog", '"cow,cat"'], several(",", ["cat", "cow", "dog"])),
    ("file,tags", ['"cat, wild"', '"cat, tame"', '"dog, brown"'],
     single("tags", ["cat, tame", "cat, wild", "dog, brown"])),
    ("file,tags,cat,dog", ["cow,0,1", "hen,1,0"], single("tags", ["cow", "hen"])),
    ("file,cat,dog", ["0,1", "1,1", "0,0"],
     {"columns": {"file": "file", "label": ["cat", "dog"]}, "separator": None, "classes": ["cat", "dog"]}),
    ("file,dog,cat,age", ["0,1,7", "1,1,9", "0,0,7"],
     {"columns": {"file": "file", "label": ["dog", "cat"]}, "separator": None, "classes": ["dog", "cat"]}),
    ("", ["0,1", "1,1", "0,0"],
     {"columns": {"file": 0, "label": [1, 2]}, "separator": None, "classes": ["class_1", "class_2"]}),
    ("file,defect", ["0", "1"], single("defect", ["0", "1"])),
    ("file,kind,defect", ["a,0", "b,1"], single("kind", ["a", "b"])),
]  # fmt: skip


@pytest.mark.parametrize(("header", "cells", "expected"), CELLS)
def test_labels_are_recognised(
    header: str, cells: list[str], expected: dict[str, Any], tmp_path: Path
) -> None:
    assert layout(tmp_path, header, cells) == expected


def test_columns_and_separator_that_the_user_names_are_taken(tmp_path: Path) -> None:
    cells = ["a,0,1,x y", "b,1,0,y z"]
    found = layout(tmp_path / "1", "file,kind,one,two,tags", cells, column="two,one")
    assert found["columns"] == {"file": "file", "label": ["two", "one"]}
    assert found["classes"] == ["two", "one"]
    found = layout(tmp_path / "2", "file,kind,one,two,tags", cells, column="tags", separator=" ")
    assert found == several(" ", ["x", "y", "z"])
    with refused("label", hint="did you mean 'one'?"):
        layout(tmp_path / "3", "file,kind,one,two,tags", cells, column="two,onee")


@pytest.mark.parametrize("root", ["pets", "pets.zip"])
def test_several_labels_per_image_are_declared_counted_and_prepared(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(composition.CONF, tmp_path / "conf")
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    write_label_sets(tmp_path / root, classes=["cat", "dog", "cow"], splits=(), num_images=140)
    found = inspect.declare([tmp_path / root], {}, root=tmp_path)
    written = yaml.safe_load((tmp_path / "conf" / "data" / "pets.yaml").read_text())
    assert written["columns"] == {"file": "file", "label": "tags"}
    assert (written["separator"], written["classes"]) == ("|", ["cat", "cow", "dog"])
    # Of seven images in turn, three have each class, and one has none.
    rows = {row[0]: row[-2:] for row in found.blocks[0].rows}
    assert rows["cat"] == ("60", "42.9%")
    assert rows["(no class)"] == ("20", "14.3%")
    assert rows["all"] == ("140", "")
    remark = "Guessing at random has a mean AP of 0.429, the mean share of the classes."
    assert found.blocks[0].remarks == [remark]
    assert found.problems == []
    advice = inspect.advise(found)
    assert advice.command == "python -m pipeline.train data=pets task=multilabel model=resnet18"
    made = prepare(compose(["data=pets", "task=multilabel", "model=resnet18"]), root=tmp_path)
    assert np.load(made / "train_targets.npy").shape[1:] == (3,)


def test_bars_in_names_are_no_separators_if_the_user_says_so(tmp_path: Path) -> None:
    assert layout(tmp_path, "file,tags", ["a|b", "c"], separator="none") == single("tags", ["a|b", "c"])

"""Several labels per image in a table: in a cell with a separator, or as 0 and 1 in a column per class."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.sources import check_source, find_target, load_source, open_source
from pipeline.data.splits import fold_samples
from pipeline.data.targets.kind import load_kind
from tests.makers import data_section, encode, write_files, write_label_sets
from tests.refusals import refused

CLASSES = ["ant", "b|c", "Caf\u00e9"]
SHARES = {"val": 0.2, "test": 0.2, "seed": 0}
SETS = {"a.png": (0, 2), "b.png": (), "c.png": (1,)}


def section(root: Path, **changes: Any) -> dict[str, Any]:
    facts = {"format": "csv_labels", "table": "t.csv", "classes": CLASSES, "split": SHARES}
    return data_section(root, **{**facts, **changes})


def list_targets(root: Path, text: str, **changes: Any) -> dict[str, Any]:
    """Return the target of each file of a table."""
    write_files(root, {"t.csv": text.encode(), **dict.fromkeys(SETS, b"")})
    facts = Facts(**section(root, **changes))
    check_source(facts)
    with open_source(facts) as archive:
        return {sample.file: sample.target for sample in load_source(facts.format).samples(archive, facts)}


IN_CELLS: list[tuple[str, dict[str, Any]]] = [
    ("file,tags\na.png,ant;Cafe\u0301\nb.png,\nc.png,b|c\n", {"separator": ";"}),
    ('file,tags\na.png,"Caf\u00e9, ant"\nb.png,""\nc.png,b|c\n', {"separator": ","}),
    ("file\ttags\na.png\t Caf\u00e9 ;; ant;ant; \nb.png\t;\nc.png\tb|c\n", {"separator": ";"}),
    # The first line has more separators than delimiters.
    ("a.png,Caf\u00e9;ant;ant;ant\nb.png,\nc.png,b|c\n", {"separator": ";", "columns": {"file": 0, "label": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "changes"), IN_CELLS)
@pytest.mark.parametrize("root", ["data", "data.zip"])
def test_labels_in_a_cell_are_divided(text: str, changes: dict[str, Any], root: str, tmp_path: Path) -> None:
    changes = {"columns": {"file": "file", "label": "tags"}, **changes}
    assert list_targets(tmp_path / root, text, **changes) == SETS


@pytest.mark.parametrize("flags", [("0", "1"), ("0.0", "1.0"), ("False", "True")])
@pytest.mark.parametrize("has_header", [False, True])
def test_a_column_of_each_class_holds_0_or_1(
    flags: tuple[str, str], has_header: bool, tmp_path: Path
) -> None:
    rows = [[*(flags[place in present] for place in range(3)), file] for file, present in SETS.items()]
    header = [["ant", "b|c", "coffee", "file"]] if has_header else []
    label = ["ant", "b|c", "coffee"] if has_header else [0, 1, 2]
    columns = {"file": "file" if has_header else 3, "label": label}
    text = "\n".join(",".join(row) for row in [*header, *rows])
    assert list_targets(tmp_path, text, columns=columns) == SETS


TAGS = {"file": "file", "label": "tags"}
FLAGS = {"file": "file", "label": ["x", "y", "z"]}
REFUSED: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("file,tags\na.png,ant;bee\nb.png,cow\n", {"columns": TAGS, "separator": ";"}, "data.classes",
     {"text": "data.classes: rows of t.csv that have a label that is no class: 2 (row 2: bee, row 3: cow); "
      "data.classes has ant, b|c, Caf\u00e9"}),
    ("file,tags\na.png,ant\na.png,b|c\n", {"columns": TAGS, "separator": ";"}, "data.columns.file",
     {"hint": "keep one row of each file"}),
    ("file,x,y,z\na.png,0,1,0\nb.png,0,-1,\n", {"columns": FLAGS}, "data.columns.label",
     {"text": "data.columns.label: rows of t.csv that have neither 0 nor 1 in column y: 1 (row 3: b.png); write 1 "
      "where the image has the class, else 0"}),
    ("file,x,y\na.png,0,1\n", {"columns": FLAGS}, "data.columns.label", {"hint": "allowed: file, x, y"}),
    ("file,x,y\na.png,0,1\n", {"columns": {**FLAGS, "label": ["x", "y"]}}, "data.columns.label",
     {"text": "data.columns.label must be one column, or one for each of the 3 classes, in their order, got "
      "['x', 'y']"}),
    ("file,x,y,z\na.png,0,1,0\n", {"columns": FLAGS, "separator": ";"}, "data.separator",
     {"text": "data.separator: is not used where each class has its column, got ';'; remove it, or name one column as "
      "data.columns.label"}),
    ("file,tags\na.png,ant\n", {"columns": TAGS, "separator": ""}, "data.separator",
     {"text": "data.separator must be null or the text between labels, such as \"|\", got ''"}),
    ("file,x\na.png,ant\n", {"columns": {"file": ["file"], "label": "x"}}, "data.columns.file",
     {"text": "data.columns.file must be one column with data.format=csv_labels, got ['file']"}),
    ("file,x\na.png,ant\n", {"format": "csv_pixels", "table": None, "columns": {"label": ["x"]}}, "data.columns.label",
     {"allowed": "one column with data.format=csv_pixels"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "changes", "path", "fields"), REFUSED)
def test_what_says_no_labels_is_refused(
    text: str, changes: dict[str, Any], path: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    with refused(path, **fields):
        list_targets(tmp_path, text, **changes)


def test_table_decides_the_kind_of_target(tmp_path: Path) -> None:
    for changes, kind in (
        ({"columns": TAGS}, "label"),
        ({"columns": TAGS, "separator": "|"}, "labels"),
        ({"columns": FLAGS}, "labels"),
    ):
        assert find_target(Facts(**section(tmp_path, **changes))) == kind


def test_prepared_labels_are_bits_and_counted_by_class(tmp_path: Path) -> None:
    write_label_sets(tmp_path / "data.zip", classes=["cat", "dog", "cow"], num_images=7)
    changes = {"table": "labels.csv", "columns": TAGS, "separator": "|", "split": "folders"}
    facts = Facts(**section(tmp_path / "data.zip", **{**changes, "classes": ["cat", "dog", "cow"]}))
    (tmp_path / "out").mkdir()
    write_prepared(facts, tmp_path / "out", data_digest="")
    prepared = Prepared.open(tmp_path / "out", facts)
    eye = np.eye(3, dtype=np.uint8)
    wanted = np.concatenate([eye, 1 - eye, np.zeros((1, 3), np.uint8)])
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(prepared.targets(split), wanted)
    assert prepared.about()["images_of_classes"] == {key: [3, 3, 3] for key in ("train", "val", "test")}
    manifest = (tmp_path / "out" / "manifest.csv").read_text().splitlines()
    assert manifest[0] == "split,index,file,labels,group,digest"
    assert manifest[4].startswith("train,3,train/003.png,1 2,,")
    assert manifest[7].startswith("train,6,train/006.png,,,")


def test_folds_and_splits_are_drawn_without_strata(tmp_path: Path) -> None:
    rows = [f"{index:03}.png,{'ant' if index % 3 else ''}" for index in range(90)]
    table = "\n".join(["file,tags", *rows]).encode()
    write_files(tmp_path, {"t.csv": table, **{f"{index:03}.png": b"" for index in range(90)}})
    facts = Facts(**section(tmp_path, columns=TAGS, separator="|", fold={"index": 0, "of": 3}))
    with open_source(facts) as archive:
        samples = load_source(facts.format).samples(archive, facts)
    assert {sample.split for sample in samples} == {"train", "val", "test"}
    folded = fold_samples(samples, facts, load_kind("labels").stratum)
    assert 20 < sum(sample.split == "val" for sample in folded) < 30


@pytest.mark.parametrize(
    ("sets", "problem", "hint"),
    [
        (["cat", "cat|dog", ""], None, ""),
        (["cat", "", "cat"], "no training image of ROOT has the class 'dog'", "add some that have it"),
        (["cat|dog", "dog", "dog"], "every training image of ROOT has the class 'dog'", "that do not"),
    ],
)
def test_every_class_is_there_and_absent_in_training(
    sets: list[str], problem: str | None, hint: str, tmp_path: Path
) -> None:
    lines, files = ["file,tags"], dict[str, bytes]()
    for split in ("train", "val", "test"):
        for index, labels in enumerate(sets if split == "train" else ["cat|dog", "cat"]):
            lines.append(f"{split}/{index}.png,{labels}")
            files[f"{split}/{index}.png"] = encode(np.full((8, 8), 10 * len(files), np.uint8))
    write_files(tmp_path / "data", {"labels.csv": "\n".join(lines).encode(), **files})
    changes = {"table": "labels.csv", "columns": TAGS, "separator": "|", "split": "folders"}
    facts = Facts(**section(tmp_path / "data", **changes, classes=["cat", "dog"]))
    (tmp_path / "out").mkdir()
    with refused("data.classes", hint=hint) if problem else nullcontext() as caught:
        write_prepared(facts, tmp_path / "out", data_digest="")
    if problem:
        assert caught.value.problem == problem.replace("ROOT", facts.root)

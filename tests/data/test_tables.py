"""Tables of labels: read whatever the delimiter, and refused with the number of rows that are wrong."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.splits import fold_samples
from pipeline.data.table_files import find_files
from pipeline.data.tables import read_table
from tests.makers import data_section, encode, list_samples, write_files
from tests.refusals import refused

SHARES = {"val": 0.2, "test": 0.2, "seed": 0}
ROWS = [["a.png", "cat"], ["b.png", "dog"], ["sub/c, d.png", "cat"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiter_is_found(delimiter: str, end: str) -> None:
    lines = [f'"{file}"{delimiter}{label}' for file, label in ROWS]
    table = read_table(end.join(lines).encode(), "t.csv", has_header=False)
    assert table.rows == ROWS


def test_columns_may_be_aligned_by_spaces() -> None:
    assert read_table(b"a.png   1.0   mono\nb.png   0.3   poly\n", "t.csv", has_header=False).rows == [
        ["a.png", "1.0", "mono"],
        ["b.png", "0.3", "poly"],
    ]


def test_header_byte_order_mark_and_empty_lines_are_no_rows() -> None:
    table = read_table("\ufefffile,label\n\na.png,cat\n".encode(), "t.csv", has_header=True)
    assert (table.header, table.rows, table.lines) == (["file", "label"], [["a.png", "cat"]], [3])
    zipped = read_table(gzip.compress(b"file,label\na.png,cat\n"), "t.csv.gz", has_header=True)
    assert zipped.rows == table.rows


BROKEN: list[tuple[bytes, str, str]] = [
    (b"", "t.csv", "t.csv: has no rows; name another table"),
    (b"file,label\n", "t.csv", "t.csv: has no rows; name another table"),
    (b"f,l\na,b\nc\n", "t.csv", "t.csv: rows that have another number of cells than the first, which has 2: "
     "1 (row 3: 1 cells); correct them; text that holds a delimiter must be in quotes"),
    (b'f,l\n"a,b\n', "t.csv", "t.csv: is not a table (unexpected end of data); save it as CSV in UTF-8"),
    (b"f,l\n\xff,b\n", "t.csv", "t.csv: is not UTF-8; save it as CSV in UTF-8"),
    (b"f,l\na,b\n", "t.csv.gz", "t.csv.gz: cannot be unpacked (Error -3 while decompressing data: incorrect header "
     "check); restore an intact copy"),
    (gzip.compress(b"f,l\na,b\n", mtime=0)[:-3], "t.csv.gz", "t.csv.gz: is cut off; restore an intact copy"),
    (gzip.compress(bytes(2000), mtime=0), "t.csv.gz",
     "t.csv.gz: has more than data.max_file_bytes=1000 bytes when unpacked; raise data.max_file_bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "name", "text"), BROKEN)
def test_broken_table_is_refused_by_name(data: bytes, name: str, text: str) -> None:
    with refused(name, text=text):
        read_table(data, name, has_header=True, max_bytes=1000)


def labels_section(root: Path, **changes: Any) -> dict[str, Any]:
    facts = {"format": "csv_labels", "table": "labels.csv", "columns": {"file": "file", "label": "label"}}
    return data_section(root, **{**facts, "split": SHARES, **changes})


def write_labels(root: Path, rows: Sequence[str], files: Sequence[str] = ("a.png", "b.png")) -> Path:
    text = "\n".join(["file,label,part,patient", *rows])
    return write_files(root, {"labels.csv": text.encode(), **dict.fromkeys(files, b"")})


@pytest.mark.parametrize("root", ["data", "data.zip"])
@pytest.mark.parametrize("folder", ["", "deep/er/"])
def test_files_are_relative_to_the_folder_of_the_table(root: str, folder: str, tmp_path: Path) -> None:
    table = b"images/a.png,dog\n./images/../b.png,cat\n"
    files = {
        f"{folder}labels.csv": table,
        f"{folder}images/a.png": b"",
        f"{folder}b.png": b"",
        "other.png": b"",
    }
    write_files(tmp_path / root, files)
    found = list_samples(
        labels_section(tmp_path / root, table=f"{folder}labels.csv", columns={"file": 0, "label": 1})
    )
    assert [(sample.file, sample.target) for sample in found] == [
        (f"{folder}b.png", 0),
        (f"{folder}images/a.png", 1),
    ]


@pytest.mark.parametrize("separator", [",", " "])
def test_rows_have_the_lines_of_their_file(separator: str) -> None:
    text = "a.png,cat\n\nb.png,dog\n\n\nc.png,cow\n".replace(",", separator)
    assert read_table(text.encode(), "t.csv", has_header=False).lines == [1, 3, 6]
    quoted = b'a.png,cat\n"two\nlines",dog\nb.png,dog\n'
    assert read_table(quoted, "t.csv", has_header=False).lines == [1, 2, 4]


def test_name_of_several_columns_is_refused_where_it_is_asked_for() -> None:
    table = read_table(b"file,label,label,note\na.png,cat,dog,x\n", "t.csv", has_header=True)
    assert table.find("note", path="data.columns.group") == 3
    text = (
        "data.columns.label: several columns of t.csv have the name, got 'label'; rename all but one of them"
    )
    with refused("data.columns.label", got="label", text=text):
        table.find("label", path="data.columns.label")


def test_end_of_a_name_may_be_the_whole_name_of_a_file_at_the_top_of_the_archive() -> None:
    names = {"x/a.png", "p/y/b.png"}
    assert find_files(["x/a", "p/y/b"], "labels.csv", names) == ["x/a.png", "p/y/b.png"]
    assert find_files(["a", "b"], "labels.csv", names | {"z/b.png"}) == ["x/a.png", "b"]


def test_column_of_splits_is_followed_and_groups_are_whole(tmp_path: Path) -> None:
    files = [f"{index}.png" for index in range(60)]
    rows = [f"{index}.png,{'cat' if index % 2 else 'dog'},{['train', 'val', 'test'][index % 3]},p{index % 20}"
            for index in range(60)]  # fmt: skip
    root = write_labels(tmp_path / "data", rows, files)
    columns = {"file": "file", "label": "label"}
    by_column = list_samples(labels_section(root, columns=columns | {"split": "part"}))
    assert {sample.file: sample.split for sample in by_column}["4.png"] == "val"
    drawn = list_samples(labels_section(root, columns=columns | {"group": "patient"}))
    sides = {(sample.group, sample.split) for sample in drawn}
    assert len(sides) == 20
    assert {split for _, split in sides} == {"train", "val", "test"}
    section = labels_section(root, columns=columns | {"group": "patient"}, fold={"index": 0, "of": 3})
    folded = fold_samples(drawn, Facts(**section), lambda sample: int(sample.target))
    assert len({(sample.group, sample.split) for sample in folded}) == 20


REFUSED: list[tuple[list[str], str, str]] = [
    (["a.png,cat,,", "c.png,dog,,", "d.png,dog,,"], "data.columns.file",
     "rows of labels.csv that name a file that ROOT does not have: 2 (row 3: c.png, row 4: d.png); add "
     "it, or remove the row"),
    ([",cat,,"], "data.columns.file",
     "rows of labels.csv that name no file: 1 (row 2); fill it in, or remove the row"),
    (["a.png,cat,,", "../b.png,dog,,", "/b.png,dog,,"], "data.columns.file",
     "rows of labels.csv that name a file outside the folder of the table: 2 (row 3: ../b.png, row 4: "
     "/b.png); write relative paths"),
    (["a.png,cat,,", "b.png,,,"], "data.columns.label",
     "rows of labels.csv that give no label: 1 (row 3: b.png); fill it in, or remove the row"),
    (["a.png,cat,,", "b.png,dog,,", "a.png,dog,,"], "data.columns.label",
     "rows of labels.csv that give a file several labels: 2 (row 2: a.png, row 4: a.png); keep one row of each file; "
     "several labels of an image go into one cell, divided by data.separator, or into a column per class"),
    (["b.png,cat,,", "a.png,cat,,", "./a.png,cat,,"], "data.columns.file",
     "rows of labels.csv that name a file that another row names, too: 2 (row 3: a.png, row 4: a.png); keep one "
     "row of each file"),
    (["a.png,cat,,", "b.png,cta,,"], "data.classes",
     "rows of labels.csv that have a label that is no class: 1 (row 3: cta); did you mean 'cat'? data.classes has cat, "
     "dog"),
    ([",cat,,", "b.png,,,", *(f"x{n}.png,cat,," for n in range(7)), "a.png,dgo,,", "c.png,,,"], "data.columns.file",
     "rows of labels.csv that name no file: 1 (row 2), and that name a file that ROOT does not have: 8 (row 4: x0.png, "
     "row 5: x1.png, row 6: x2.png, row 7: x3.png, row 8: x4.png, ...), and that give no label: 1 (row 3: b.png), and "
     "that have a label that is no class: 1 (row 11: dgo); fill it in, or remove the row; add it, or remove the row; "
     "did you mean 'dog'? data.classes has cat, dog"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "path", "text"), REFUSED)
def test_wrong_rows_are_refused_with_their_number(
    rows: list[str], path: str, text: str, tmp_path: Path
) -> None:
    root = write_labels(tmp_path / "data", rows)
    with refused(path, text=f"{path}: {text}".replace("ROOT", str(root))):
        list_samples(labels_section(root))


SETTINGS: list[tuple[dict[str, Any], str, dict[str, str]]] = [
    ({"table": None}, "data.table", {"text": "data.table: is missing; name the file of labels in data.root"}),
    ({"table": "label.csv"}, "data.table", {"hint": "did you mean 'labels.csv'? "}),
    ({"columns": None}, "data.columns", {"allowed": "{file: <column>, label: <column>}", "hint": "by the header"}),
    ({"columns": {"file": "file"}}, "data.columns", {"allowed": "{file: <column>, label: <column>}"}),
    ({"columns": {"file": "file", "lable": "label"}}, "data.columns.lable", {"hint": "did you mean 'label'? "}),
    ({"columns": {"file": "fil", "label": "label"}}, "data.columns.file", {"hint": "did you mean 'file'? "}),
    ({"columns": {"file": 0, "label": 9}}, "data.columns.label", {"allowed": "a column of labels.csv, from 0 to 3"}),
    ({"columns": {"file": "file", "label": 1}}, "data.columns",
     {"allowed": "all names, where the table has a header, or all numbers, where it has none"}),
    ({"columns": {"file": "file", "label": "label", "split": "part"}}, "data.columns.split", {"hint": "fill it in"}),
    ({"columns": {"file": "file", "label": "label", "group": "patient"}}, "data.columns.group", {"hint": "fill it in"}),
    ({"columns": {"file": "file", "label": "label", "group": "patient"}, "groups": "a"}, "data.groups",
     {"hint": "remove one of them"}),
    ({"format": "class_folders"}, "data.table",
     {"text": "data.table: is not used by data.format=class_folders, got 'labels.csv'; remove it"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path", "fields"), SETTINGS)
def test_setting_that_does_not_fit_the_table_is_refused(
    changes: dict[str, Any], path: str, fields: dict[str, str], tmp_path: Path
) -> None:
    root = write_labels(tmp_path / "data", ["a.png,cat,,", "b.png,dog,,"])
    with refused(path, **fields):
        list_samples(labels_section(root, **changes))


def test_images_of_a_table_are_prepared(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    rows = "\n".join(f"{index}.png\t{['cat', 'dog'][index % 2]}" for index in range(40)).encode()
    files = {f"{index}.png": encode(image) for index, image in enumerate(images)}
    root = write_files(tmp_path / "data.zip", {"labels.csv": rows, **files})
    facts = Facts(**labels_section(root, columns={"file": 0, "label": 1}))
    (tmp_path / "out").mkdir()
    write_prepared(facts, tmp_path / "out", data_digest="")
    prepared = Prepared.open(tmp_path / "out", facts)
    for split in ("train", "val", "test"):
        order = [int(file.removesuffix(".png")) for file in prepared.files(split)]
        np.testing.assert_array_equal(prepared.images(split)[..., 0], images[order])
        np.testing.assert_array_equal(prepared.targets(split), np.array(order) % 2)

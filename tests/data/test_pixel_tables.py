"""Tables of pixels: every row becomes its exact image, and what is no pixel is refused."""

import gzip
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.sources import check_source, csv_pixels, open_source
from pipeline.data.sources.csv_pixels import is_pixel
from pipeline.data.tables import Table, read_table
from tests.makers import data_section, list_samples
from tests.refusals import refused

SHARES = {"val": 0.2, "test": 0.2, "seed": 0}
PIXELS = np.random.default_rng(0).integers(0, 256, (30, 4, 6), dtype=np.uint8)


@pytest.mark.parametrize("name", ["digits.csv", "digits.csv.gz"])
@pytest.mark.parametrize("has_header", [False, True])
def test_rows_of_pixels_become_the_exact_images(name: str, has_header: bool, tmp_path: Path) -> None:
    lines = [
        ",".join([*map(str, image.ravel()), ["cat", "dog"][index % 2]]) for index, image in enumerate(PIXELS)
    ]
    header = [",".join([*(f"p{index}" for index in range(24)), "label"])] if has_header else []
    text = "\n".join([*header, *lines]).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    columns = {"label": "label" if has_header else 24}
    section = data_section(
        tmp_path / name, format="csv_pixels", columns=columns, shape=[1, 4, 6], split=SHARES
    )
    facts = Facts(**section)
    check_source(facts)
    (tmp_path / "out").mkdir()
    write_prepared(facts, tmp_path / "out", data_digest="")
    prepared = Prepared.open(tmp_path / "out", facts)
    seen = 0
    for split in ("train", "val", "test"):
        rows = [int(file[4:11]) - 1 for file in prepared.files(split)]
        np.testing.assert_array_equal(prepared.images(split)[..., 0], PIXELS[rows])
        np.testing.assert_array_equal(prepared.targets(split), np.array(rows) % 2)
        seen += len(rows)
    assert seen == 30


REFUSED_PIXELS: list[tuple[str, dict[str, Any], str, str]] = [
    ("1,2,3,4,cat\n1,2,256,4,dog\n1,2,3,4,cat\n1,x,256,4,dog\n", {}, "t.csv",
     "t.csv: rows that hold what is no pixel: 2 (row 2: '256' in column 2, row 4: 'x' in column 1); pixels are whole "
     "numbers from 0 to 255; name the columns that hold something else in data.columns"),
    ("1,2,3,x,cat\n", {}, "t.csv", ""),
    ("1,2,3,0.5,cat\n", {}, "t.csv", ""),
    ("1,2,3,cat\n", {"columns": {"label": 3}}, "data.shape",
     "data.shape: its rows times columns are not the 3 pixels of a row, which are no square either, got [1, 8, 8]; set "
     "data.shape=[1, <rows>, <columns>], and name the columns that are no pixels in data.columns"),
    ("1,2,3,4,cow\n", {}, "data.classes", ""),
    ("1,2,3,4,cat\n", {"columns": {"label": 4, "file": 0}}, "data.columns.file", ""),
]  # fmt: skip


@pytest.mark.parametrize(("table", "changes", "path", "text"), REFUSED_PIXELS)
def test_table_that_holds_no_pixels_is_refused(
    table: str, changes: dict[str, Any], path: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(table)
    section = {"format": "csv_pixels", "columns": {"label": 4}, "split": SHARES, **changes}
    with refused(path, text=text):
        list_samples(data_section("t.csv", **section))


def test_pixels_written_as_fractions_of_zero_are_whole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1.0,2.0,255.0,0.0,cat\n")
    facts = Facts(**data_section(tmp_path / "t.csv", format="csv_pixels", columns={"label": 4}, split=SHARES))
    with open_source(facts) as archive:
        assert archive.read("row_0000001.pgm") == b"P5 2 2 255\n\x01\x02\xff\x00"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0", True),
        ("255.0", True),
        ("0.5", False),
        ("256", False),
        ("-1", False),
        ("nan", False),
        ("inf", False),
    ],
)
def test_pixels_are_whole_numbers_of_a_byte(cell: str, expected: bool) -> None:
    assert is_pixel(cell) is expected


def test_labels_of_pixels_may_hold_any_text(tmp_path: Path) -> None:
    labels = ["cat, tame", "cat;|wild"]
    rows = "".join(f'1\t2\t3\t4\t"{label}"\n' for label in labels)
    (tmp_path / "t.tsv").write_text(rows)
    split = {"val": 0.5, "seed": 0}
    facts = {"format": "csv_pixels", "columns": {"label": 4}, "classes": labels, "split": split}
    samples = list_samples(data_section(tmp_path / "t.tsv", **facts))
    assert [sample.target for sample in samples] == [0, 1]


def test_cells_of_pixels_are_not_kept_while_their_images_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables: list[weakref.ref[Table]] = []

    def read(*arguments: Any, **options: Any) -> Table:
        table = read_table(*arguments, **options)
        tables.append(weakref.ref(table))
        return table

    monkeypatch.setattr(csv_pixels, "read_table", read)
    (tmp_path / "t.csv").write_text("1,2,3,4,cat\n")
    facts = Facts(**data_section(tmp_path / "t.csv", format="csv_pixels", columns={"label": 4}, split=SHARES))
    with open_source(facts):
        assert [table() for table in tables] == [None]

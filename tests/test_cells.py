"""Cells of CSV files: no text is a formula to a spreadsheet, numbers stay numbers, and Convoy reads what it wrote."""

import csv
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.pages.chapters import _found
from pipeline.storage.names import escape_cells, unescape_cells
from pipeline.sweeps.ledger import Trial
from pipeline.tracking.comparison import ComparedRun, _table
from pipeline.training.score_files import write_rows
from pipeline.trials.results import _csv
from tests.makers import data_section, write_class_folders

CELLS: list[tuple[Any, Any]] = [
    ("=1+1", "'=1+1"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("-2+3", "'-2+3"), ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("\n=1", "'\n=1"), ("\uff1d1+1", "'\uff1d1+1"), ("'=1", "''=1"), ("-", "'-"),
    ("-0.5", "-0.5"), ("+1", "+1"), ("-1e-05", "-1e-05"), ("-inf", "-inf"), ("nan", "nan"), ("-.5", "-.5"),
    (-0.5, -0.5), (-1, -1), ("cat", "cat"), ("a=1", "a=1"), ("", ""), ("'cat", "'cat"), ("1-2", "1-2"),
]  # fmt: skip
ATTACK = '=HYPERLINK("http://evil","x")'


@pytest.mark.parametrize(("cell", "written"), CELLS, ids=repr)
def test_text_that_begins_like_a_formula_is_quoted_and_numbers_are_not(cell: Any, written: Any) -> None:
    assert escape_cells([cell]) == [written]


@given(st.lists(st.text(alphabet="'=+-@\t\n\uff1d0.5ea", max_size=5)))
def test_what_was_written_is_read_again(row: list[str]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["first", *escape_cells(row)])
    text.seek(0)
    assert unescape_cells(next(csv.reader(text))[1:]) == row


def cells_of(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text)) for cell in row]


def test_manifest_of_prepared_data(tmp_path: Path) -> None:
    classes = ["=cat", "@dog"]
    written = write_class_folders(tmp_path / "data.zip", classes=classes, splits=(), num_images=40)
    facts = Facts(
        **data_section(tmp_path / "data.zip", classes=classes, split={"val": 0.3, "test": 0.3, "seed": 0})
    )
    write_prepared(facts, tmp_path, data_digest="")
    cells = cells_of((tmp_path / "manifest.csv").read_text())
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    prepared = Prepared.open(tmp_path, facts)
    assert {name for split in ("train", "val", "test") for name in prepared.files(split)} == written.keys()


def test_cases_of_an_evaluation(tmp_path: Path) -> None:
    write_rows(tmp_path / "cases.csv", ["file", "dice"], [(ATTACK, "-0.5")])
    assert cells_of((tmp_path / "cases.csv").read_text()) == ["file", "dice", f"'{ATTACK}", "-0.5"]


def test_comparison_of_a_sweep() -> None:
    runs = [
        ComparedRun(f"{name}x", str(number), f"runs/{number}", {"name": name}, {"score": -0.5})
        for number, name in enumerate((ATTACK, "plain"))
    ]
    header = ["run", "folder", "mlflow_run", "name", "score"]
    cells = cells_of(_table(runs))
    assert cells[:10] == [*header, f"'{ATTACK}x", "runs/0", "0", f"'{ATTACK}", "-0.5"]
    assert cells[10:] == ["plainx", "runs/1", "1", "plain", "-0.5"]


def test_trials_of_a_search_and_their_table_in_the_report(tmp_path: Path) -> None:
    search: Any = SimpleNamespace(entries=[SimpleNamespace(key="+model.name")])
    trial = Trial(0, {"+model.name": "-x"}, "finished", 1, [-0.5], reason="@x")
    text = _csv(search, [trial])
    assert cells_of(text)[5:7] == ["'+model.name", "reason"]
    assert cells_of(text)[7:] == ["0", "finished", "-0.5", "0", "", "''-x'", "'@x"]
    (tmp_path / "trials.csv").write_text(text)
    (tmp_path / "remarks.txt").touch()
    found = _found(
        tmp_path, {"direction": "maximize", "metric": None, "sampler": "random"}, tmp_path, "auroc"
    )
    assert found is not None
    assert found.header[-1] == "+model.name"
    assert found.best[0][-1] == "'-x'"  # as Hydra writes it

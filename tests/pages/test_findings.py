"""Findings of checks: as they are printed, kept, and shown in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.pages.findings import FindingRow, findings_markdown, print_findings, read_findings, summarise
from pipeline.report import report
from tests.refusals import refused
from tests.reports import NASTY, Page, result_of, write_experiment

ROWS = [
    FindingRow("inputs", "inputs normalised", "fault", f"mean 78 [a] {NASTY}", "normalise", {"mean": 78.0}),
    FindingRow("rate", "learning rate", "warning", "too low", "raise it", {"low": float("nan")}),
    FindingRow("norms", "batch norms", "not applicable", "there are none", "", {}),
    FindingRow("speed", "speed", "ok", "9 images per second", "", {"images_per_second": 9.0}),
]


def write(file: Path, declaration: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"declaration": declaration, "checks": [row.plain() for row in ROWS]}))
    return file


def test_printed_table_says_what_is_wrong_and_where_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(ROWS)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"mean 78 [a] {NASTY}" in shown
    assert "3 checks: 1 fault and 1 warning; begin with the first fault, inputs normalised" in shown
    assert summarise(ROWS[2:]) == "1 checks: nothing is wrong"


def test_markdown_escapes_cells() -> None:
    assert "g&lt;r>&amp;e\\|y" in findings_markdown(ROWS)


def test_kept_findings_are_read_without_what_differs_between_machines(tmp_path: Path) -> None:
    file = write(tmp_path / "check.json", "abc")
    found = read_findings(tmp_path, declaration="abc")
    assert [row.check for row in found] == ["inputs", "rate", "norms"]
    assert found[1].numbers == {"low": None}
    assert read_findings(tmp_path, declaration="other") == []
    assert read_findings(tmp_path / "none", declaration="abc") == []
    file.write_text('{"declaration": "abc", "checks": [{"title": 3}]}')
    with refused(str(file), hint="it was damaged after it was written, as by a power cut; delete it"):
        read_findings(tmp_path, declaration="abc")


def test_report_shows_what_was_kept_of_the_same_declaration(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    write_experiment(artifacts, "digits_lenet5")
    report(artifacts, artifacts / "without")
    file = write(
        artifacts / "check" / "digits_lenet5" / "check.json", result_of("digits_lenet5")["declaration"]
    )
    report(artifacts, artifacts / "with")
    page = Page((artifacts / "with" / "report.html").read_text(encoding="utf-8"))
    assert "inputs normalised fault mean 78 [a] g<r>&e|y normalise" in page.text
    assert (
        "| learning rate | warning | too low | raise it |" in (artifacts / "with" / "report.md").read_text()
    )
    assert "pipeline.check" not in (artifacts / "without" / "report.md").read_text()
    write(file, "another declaration")
    report(artifacts, artifacts / "other")
    assert (artifacts / "other" / "report.md").read_bytes() == (
        artifacts / "without" / "report.md"
    ).read_bytes()

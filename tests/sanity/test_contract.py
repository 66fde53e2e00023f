"""What holds for every check and every task: it runs on tiny data, and says why it does not apply."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pipeline.declaration.digests import import_closure
from pipeline.sanity.checks import check_names, load_checks, memorised
from pipeline.sanity.finding import COST, DATA, FAULT, NOT_APPLICABLE, OK, WARNING
from pipeline.sanity.report import run_checks
from tests.tasks.rows import ROWS
from tests.tasks.test_contract import declare

DOCS = Path(__file__).parents[2] / "docs" / "babysitting.md"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_check_runs_on_every_task(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorised, "STEPS", 30)
    findings = run_checks(declare(name, tmp_path), root=tmp_path)
    assert sorted(findings) == check_names()
    for check, finding in findings.items():
        assert finding.verdict in (OK, WARNING, FAULT, NOT_APPLICABLE), check
        assert finding.figure, check
        assert finding.advice or finding.verdict in (OK, NOT_APPLICABLE), check
        for picture, draw in finding.pictures.items():
            draw(tmp_path / picture)
            assert (tmp_path / picture).stat().st_size > 1000


def test_every_check_has_a_title_of_its_own_a_source_and_its_line_in_the_docs() -> None:
    checks = load_checks()
    assert len({check.title for check in checks.values()}) == len(checks)
    assert [check.group for check in checks.values()] == sorted(check.group for check in checks.values())
    assert {check.group for check in checks.values()} <= set(range(DATA, COST + 1))
    for name, check in checks.items():
        assert importlib.import_module(f"pipeline.sanity.checks.{name}").__doc__
        assert check.title in DOCS.read_text(), f"docs/babysitting.md does not explain {check.title}"


def test_no_training_depends_on_the_checks(tmp_path: Path) -> None:
    closure = import_closure(["pipeline.training.fit"], root=tmp_path)
    assert [module for module in closure.digests if "sanity" in module] == []

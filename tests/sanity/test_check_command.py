"""`python -m pipeline.check`: what it prints, writes and logs, its exit code, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pipeline.check import FOUND_FAULT, main
from pipeline.sanity.checks import check_names
from pipeline.tracking.store import CHECKED_TAG, Store
from tests.refusals import refused
from tests.sanity.planted import DIGITS

GIVEN = (
    "experiment=digits_lenet5",
    "trainer.threads=1",
    f"data.root={DIGITS}",
    "tracking.experiment=checked",
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["check", *GIVEN, *arguments])
    try:
        main()
    except SystemExit as end:
        return int(str(end.code))
    return 0


@pytest.mark.slow
def test_all_checks_are_printed_written_and_logged_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "nothing is wrong" in shown
    (folder,) = (project / "runs" / "checks").iterdir()
    written = json.loads((folder / "check.json").read_text())
    assert sorted(each["check"] for each in written["checks"]) == check_names()
    assert written["declaration"] == folder.name
    assert {path.name for path in (folder / "pictures").iterdir()} == {
        "activations.png",
        "learning_rates.png",
    }
    assert run(monkeypatch, "format=json") == 0
    assert [each["check"] for each in json.loads(capsys.readouterr().out)["checks"]] == [
        each["check"] for each in written["checks"]
    ]
    store = Store(project, "checked")
    (logged,) = store.client.search_runs([store.experiment_id], f"tags.`{CHECKED_TAG}` = '{folder.name}'")
    assert logged.data.tags["convoy.check.rate"] == "ok"
    assert logged.data.metrics["check/signal/prior"] == pytest.approx(0.105)
    assert "check.md" in {
        Path(each.path).name for each in store.client.list_artifacts(logged.info.run_id, "check")
    }


def test_fault_ends_with_its_own_code_and_is_what_to_begin_with(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "preprocess=none", "checks=[speed,inputs]", "out=found") == FOUND_FAULT
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 checks: 1 fault; begin with the first fault, inputs normalised" in shown
    assert (project / "found" / "check.md").is_file()
    assert not (project / "runs" / "checks").exists()


def test_warning_is_no_fault(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "optimizer.lr=3.0e-4", "checks=[rate]") == 0


def test_unknown_check_and_format_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("checks", got="speeed", hint="did you mean 'speed'?"):
        run(monkeypatch, "checks=[speeed]")
    with refused("format", got="xml", hint="allowed: json, text"):
        run(monkeypatch, "format=xml")

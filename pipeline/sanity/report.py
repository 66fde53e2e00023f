"""Run the checks of a declaration; write what they find, and log it to MLflow."""

from __future__ import annotations

import json
from collections.abc import Collection
from math import isfinite
from pathlib import Path

from rich.console import Console
from rich.progress import track

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import declaration_digest
from pipeline.files import write_text
from pipeline.pages.findings import FindingRow, findings_markdown, summarise
from pipeline.sanity.checks import load_checks
from pipeline.sanity.finding import FAULT, Finding
from pipeline.sanity.places import FINDINGS
from pipeline.sanity.subject import Subject
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import CHECKED_TAG, Store
from pipeline.training.arithmetic import declared_arithmetic

VERDICT_TAG = "convoy.check"


def run_checks(
    declaration: Declaration, *, root: Path, names: Collection[str] | None = None
) -> dict[str, Finding]:
    """Return the findings of checks by their names.

    Args:
        root: the project's folder.
        names: of the checks; None for all.
    """
    console, found = Console(stderr=True), {}
    checks = {name: check for name, check in load_checks().items() if names is None or name in names}
    with declared_arithmetic(declaration.trainer):
        subject = Subject(declaration, root=root)
        steps = track(checks, "checking", console=console, transient=True, disable=not console.is_terminal)
        for name in steps:
            found[name] = checks[name].run(subject)
    return found


def as_rows(findings: dict[str, Finding]) -> list[FindingRow]:
    """Return findings as they are shown."""
    checks = load_checks()
    return [
        FindingRow(name, checks[name].title, each.verdict, each.figure, each.advice, each.numbers)
        for name, each in findings.items()
    ]


def has_fault(findings: dict[str, Finding]) -> bool:
    """Return whether a check has found a fault."""
    return any(each.verdict == FAULT for each in findings.values())


def findings_json(declaration: Declaration, rows: list[FindingRow]) -> str:
    """Return findings as JSON."""
    found = {
        "name": declaration.name,
        "declaration": declaration_digest(declaration),
        "checks": [row.plain() for row in rows],
    }
    return json.dumps(found, indent=2) + "\n"


def write_findings(declaration: Declaration, findings: dict[str, Finding], folder: Path) -> None:
    """Write `check.json`, `check.md` and `pictures/` into a folder."""
    rows = as_rows(findings)
    write_text(folder / FINDINGS, findings_json(declaration, rows))
    write_text(folder / "check.md", findings_markdown(rows))
    for finding in findings.values():
        for name, draw in finding.pictures.items():
            draw(folder / "pictures" / name)


def log_findings(declaration: Declaration, findings: dict[str, Finding], folder: Path, *, root: Path) -> str:
    """Log findings to MLflow, as a run that is found again for the same declaration; return its id.

    Args:
        folder: that `write_findings` filled.
    """
    store, rows = Store(root, declaration.tracking.experiment), as_rows(findings)
    tags = {CHECKED_TAG: declaration_digest(declaration)}
    run_id = store.tagged_run(CHECKED_TAG, tags[CHECKED_TAG])
    name = f"check of {declaration.name}"
    tracked = (
        TrackedRun.start(store, name=name, parent=None, tags=tags)
        if run_id is None
        else TrackedRun(store, run_id)
    )
    numbers = {
        f"check/{row.check}/{key}": value
        for row in rows
        for key, value in row.numbers.items()
        if isfinite(value)
    }
    tracked.log_scores(numbers)
    tracked.log_tags(
        {VERDICT_TAG: summarise(rows), **{f"{VERDICT_TAG}.{row.check}": row.verdict for row in rows}}
    )
    tracked.log_files(folder, "check")
    tracked.log_note(findings_markdown(rows))
    tracked.end("FINISHED")
    return tracked.run_id

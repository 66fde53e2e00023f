"""Check a declaration before it is trained: would it learn, and if not, why not?

    python -m pipeline.check experiment=digits_lenet5
    python -m pipeline.check experiment=brain_unet optimizer.lr=0.01 format=json
    python -m pipeline.check experiment=brain_unet checks=[rate,memorised] out=checked

Takes the same overrides as `pipeline.train`, and trains some dozen steps, several times. Each check has a verdict (ok,
warning, fault, not applicable), what was measured, and what to do. The exit code is 2 if there is a fault. Results of
all checks are written to `runs/checks/` and logged to MLflow, those of some only where `out` says. docs/babysitting.md
explains each check.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.grants import grant_typed
from pipeline.declaration.keys import declaration_digest
from pipeline.errors import ConfigError
from pipeline.pages.findings import print_findings
from pipeline.runs.cache import publish, refuse_foreign
from pipeline.runs.command import exit_on_mistake
from pipeline.sanity.checks import check_names
from pipeline.sanity.finding import Finding
from pipeline.sanity.places import folder_of

OPTIONS = ("format", "checks", "out")
FORMATS = ("text", "json")
FOUND_FAULT = 2


def main() -> None:
    """Check the declaration on the command line."""
    root, arguments = Path.cwd(), sys.argv[1:]
    options = dict(
        each.split("=", 1) for each in arguments if each.partition("=")[0] in OPTIONS and "=" in each
    )
    overrides = [each for each in arguments if each.partition("=")[0] not in OPTIONS]
    shown, names = _read(options)
    grant_typed(overrides)
    declaration = compose(overrides)
    is_kept = names is None or "out" in options
    out = Path(options["out"]) if "out" in options else folder_of(declaration_digest(declaration), root)
    refuse_foreign(out, root=root)
    from pipeline.sanity.report import as_rows, findings_json, has_fault, run_checks  # imports torch

    findings = run_checks(declaration, root=root, names=names)
    if is_kept:
        _keep(declaration, findings, out, root=root, is_whole=names is None)
    if shown == "json":
        sys.stdout.write(findings_json(declaration, as_rows(findings)))
    else:
        print_findings(as_rows(findings))
        place = out.relative_to(root) if out.is_relative_to(root) else out
        sys.stdout.write(f"{place}/: check.md, check.json, pictures/\n" if is_kept else "")
    if has_fault(findings):
        raise SystemExit(FOUND_FAULT)


def _keep(
    declaration: Declaration, findings: dict[str, Finding], out: Path, *, root: Path, is_whole: bool
) -> None:
    """Write findings to a folder, and log those of all checks."""
    from pipeline.sanity.report import log_findings, write_findings

    with tempfile.TemporaryDirectory() as draft:
        write_findings(declaration, findings, Path(draft))
        if is_whole:
            log_findings(declaration, findings, Path(draft), root=root)
        publish(Path(draft), out, root=root, replaces=("pictures",))


def _read(options: dict[str, str]) -> tuple[str, list[str] | None]:
    """Return how to show the findings, and the names of the checks to run; None for all."""
    shown, names = options.get("format", "text"), None
    if shown not in FORMATS:
        raise ConfigError.unknown("format", shown, FORMATS, what="format")
    if "checks" in options:
        names = [each.strip() for each in options["checks"].strip("[]").split(",")]
        for name in names:
            if name not in check_names():
                raise ConfigError.unknown("checks", name, check_names(), what="check")
    return shown, names


if __name__ == "__main__":
    exit_on_mistake(main)

"""Compare trained runs on their test images: is the second better than the first, or was it luck?

    python -m pipeline.compare digits_lenet5 digits_search
    python -m pipeline.compare runs/<fingerprint> runs/<fingerprint> score=macro_f1 out=differences
    python -m pipeline.compare -m <sweep>

All are compared with the first one; of a sweep, with the point that is best on validation images. Each run stands for
all finished runs that differ from it in their seed. docs/comparing.md explains what the intervals cover.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pipeline.comparisons.compared import compare
from pipeline.comparisons.methods import Method, find_methods, find_points
from pipeline.comparisons.results import log_comparison, write_comparison
from pipeline.declaration.digests import digest
from pipeline.errors import ConfigError
from pipeline.pages.differences import print_differences
from pipeline.runs.cache import publish, refuse_foreign
from pipeline.runs.command import exit_on_mistake

COMMAND = "python -m pipeline.compare"
USAGE = f"usage: {COMMAND} <run> <other run> ... | -m <sweep> [score=<name>] [out=<folder to write>]"
OPTIONS = ("score", "out")
SWEEP = "-m"


def main() -> None:
    """Compare the runs that the command line names."""
    root = Path.cwd()
    names, options = _read(sys.argv[1:])
    parent, methods = _find(names, root)
    out = Path(options["out"]) if "out" in options else _default_folder(methods, root)
    refuse_foreign(out, root=root)
    comparison = compare(methods, root=root, score=options.get("score"))
    with tempfile.TemporaryDirectory() as draft:
        table = write_comparison(comparison, Path(draft))
        log_comparison(comparison, table, Path(draft), root=root, parent=parent)
        publish(Path(draft), out, root=root)
    print_differences(table)
    place = out.relative_to(root) if out.is_relative_to(root) else out
    sys.stdout.write(f"\n{place}/: differences.md, differences.csv, images.csv, pictures/\n")


def _read(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the names and the options of a command line."""
    names = [each for each in arguments if each.partition("=")[0] not in OPTIONS]
    options = dict(each.split("=", 1) for each in arguments if each not in names and "=" in each)
    unknown = [each for each in names if "=" in each and not Path(each).exists()]
    if unknown:
        raise ConfigError.unknown(COMMAND, unknown[0].partition("=")[0], OPTIONS, what="option")
    if len(names) < 2 or (SWEEP in names and (names[0] != SWEEP or len(names) != 2)):
        raise ConfigError(COMMAND, "expected two runs or a sweep", got=" ".join(arguments), hint=USAGE)
    return names, options


def _find(names: list[str], root: Path) -> tuple[str | None, list[Method]]:
    if names[0] == SWEEP:
        return find_points(names[1], root=root)
    return None, find_methods(names, root=root)


def _default_folder(methods: list[Method], root: Path) -> Path:
    prints = [method.first.folder.result()["fingerprint"] for method in methods]
    return root / "runs" / "comparisons" / digest(prints)


if __name__ == "__main__":
    exit_on_mistake(main)

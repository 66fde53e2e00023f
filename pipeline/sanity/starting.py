"""Where a search of the learning rate starts: the range that the range test suggests, measured once."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import fingerprint
from pipeline.errors import ConfigError
from pipeline.files import read_json, write_text
from pipeline.runs.cache import find_or_make

STAGE, FILE = "range_test", "range.json"


def suggested_rates(declaration: Declaration, *, root: Path) -> tuple[float, float]:
    """Return the lowest and the highest learning rate that the range test suggests; found again in the cache.

    Raises:
        ConfigError: the loss falls at no rate, or the optimizer has none.
    """

    def make(folder: Path) -> None:
        from pipeline.sanity.report import run_checks  # imports torch

        finding = run_checks(declaration, root=root, names=["rate"])["rate"]
        if "low" not in finding.numbers:
            raise ConfigError(
                "search.space.optimizer.lr",
                f"the range test suggests no rates: {finding.figure}",
                got="from check",
                hint="write an interval, or find out with `python -m pipeline.check` why",
            )
        found = {end: float(f"{finding.numbers[end]:.1e}") for end in ("low", "high")}
        write_text(folder / FILE, json.dumps(found) + "\n")

    found = read_json(find_or_make(root, STAGE, fingerprint(declaration, root=root), make) / FILE)
    return found["low"], found["high"]

r"""Stage `search`: draw points from a space, train each, keep the best.

    python -m pipeline.search artifacts/compose/digits_search.yaml artifacts/search/digits_search \
        experiment=digits_search

The other door to the same is the sweeper: python -m pipeline.train -m experiment=digits_search
A declaration without a search passes through: it is its own best.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pipeline.declaration.checks import load
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.files import write_text
from pipeline.runs.found import publish
from pipeline.training.run import follow
from pipeline.trials.declared import search_of
from pipeline.trials.runner import conduct

BEST = "best.yaml"


def main() -> None:
    """Search for one experiment, or pass its declaration through."""
    if follow():
        return
    if len(sys.argv) < 3:
        raise ConfigError(
            "usage: python -m pipeline.search <declaration>.yaml <folder to write> experiment=<name> [overrides]; "
            f"got {len(sys.argv) - 1} arguments"
        )
    declaration, out, overrides = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    root = Path.cwd()
    config = load(declaration)
    if config["plan"]:
        raise ConfigError("plan=true searches nothing; leave it out of what DVC reproduces")
    if config["search"]["space"]:
        publish(conduct(search_of(overrides, root=root), root=root, door="dvc", renews=True), out)
        return
    with tempfile.TemporaryDirectory() as draft:
        write_text(Path(draft) / BEST, declaration.read_text(encoding="utf-8"))
        publish(Path(draft), out)


if __name__ == "__main__":
    exit_on_mistake(main)

r"""Stage `search`: sample points from a space, train each, and select the best.

    python -m pipeline.search artifacts/compose/digits_search.yaml artifacts/search/digits_search \
        experiment=digits_search

The sweeper runs the same search: python -m pipeline.train -m experiment=digits_search
A declaration without a search is passed through unchanged.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pipeline.declaration.keys import write_declaration
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.runs.cache import publish
from pipeline.runs.command import exit_on_mistake
from pipeline.training.run import follow
from pipeline.trials.declared import load_search
from pipeline.trials.runner import run_search


def main() -> None:
    """Search for one experiment, or pass its declaration through."""
    root = Path.cwd()
    if follow(root):
        return
    if len(sys.argv) < 3:
        raise ConfigError(
            "python -m pipeline.search",
            f"expected at least 2 arguments, got {len(sys.argv) - 1}",
            hint="usage: python -m pipeline.search <declaration>.yaml <folder to write> experiment=<name> [overrides]",
        )
    path, out, overrides = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    declaration = load(path)
    if declaration.plan:
        raise ConfigError("plan", "searches nothing", got=True, hint="leave it out of what DVC reproduces")
    if declaration.search.space:
        search = load_search(overrides, root=root)
        publish(run_search(search, root=root, entry_point="dvc", renews=True), out, root=root)
        return
    with tempfile.TemporaryDirectory() as draft:
        write_declaration(declaration, Path(draft) / "best.yaml", root=root, stages=("train",))
        publish(Path(draft), out, root=root)


if __name__ == "__main__":
    exit_on_mistake(main)

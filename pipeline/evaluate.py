r"""Stage `evaluate`: score a trained model on the test split; the only stage that opens it.

    python -m pipeline.evaluate artifacts/train/digits_lenet5 artifacts/evaluate/digits_lenet5 \
        artifacts/search/digits_lenet5/best.yaml

A folder below runs/ holds its declaration, and test images can be seen otherwise than it says:
    python -m pipeline.evaluate runs/<fingerprint> <folder to write> views=flips
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.runs.cache import publish, refuse_foreign
from pipeline.runs.command import exit_on_mistake
from pipeline.runs.folder import RunFolder
from pipeline.training.evaluation import evaluate


def main() -> None:
    """Evaluate one trained experiment."""
    paths, more = sys.argv[1:3], sys.argv[3:]
    if len(paths) < 2 or len(more) > 1:
        raise ConfigError(
            "python -m pipeline.evaluate",
            f"expected 2 or 3 arguments, got {len(sys.argv) - 1}",
            hint="usage: python -m pipeline.evaluate <folder of train> <folder to write> [<declaration>.yaml | "
            "views=<name>]",
        )
    run = RunFolder(Path(paths[0]))
    declaration = _load_declaration(run, more[0]) if more else None
    refuse_foreign(Path(paths[1]), root=Path.cwd())
    with tempfile.TemporaryDirectory() as draft:
        evaluate(run, Path(draft), root=Path.cwd(), declaration=declaration)
        publish(Path(draft), Path(paths[1]), root=Path.cwd())


def _load_declaration(run: RunFolder, named: str) -> Declaration:
    """Return the declaration of a file, or that of a run with the views that an override `views=<name>` chooses."""
    if not named.startswith("views="):
        return load(Path(named))
    return load(run.declaration).replace(views=compose_sections([named])["views"])


if __name__ == "__main__":
    exit_on_mistake(main)

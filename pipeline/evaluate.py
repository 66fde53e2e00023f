r"""Stage `evaluate`: score a trained model on the test split; the only stage that opens it.

    python -m pipeline.evaluate artifacts/train/digits_lenet5 artifacts/evaluate/digits_lenet5 \
        artifacts/compose/digits_lenet5.yaml

Any run folder can be evaluated, also with other views of the test images than the run declares:
    python -m pipeline.evaluate runs/<fingerprint> <folder to write> views=flips
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import load
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.runs.cache import publish
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
    views = _load_views(more[0]) if more else None
    with tempfile.TemporaryDirectory() as draft:
        evaluate(RunFolder(Path(paths[0])), Path(draft), root=Path.cwd(), views=views)
        publish(Path(draft), Path(paths[1]))


def _load_views(named: str) -> Mapping[str, Any]:
    """Return the section `views` of a declaration, or of an override `views=<name>`."""
    sections = compose_sections([named]) if named.startswith("views=") else load(Path(named)).sections
    views: Mapping[str, Any] = sections["views"]
    return views


if __name__ == "__main__":
    exit_on_mistake(main)

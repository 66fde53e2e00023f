r"""Stage `evaluate`: score a trained model on the test split; the only stage that opens it.

    python -m pipeline.evaluate artifacts/train/digits_lenet5 artifacts/evaluate/digits_lenet5 \
        artifacts/search/digits_lenet5/best.yaml

Without a declaration, a run is named by its folder, its experiment, its MLflow run or its registered model. Its test
images can be seen otherwise than it declares, and it can be scored on other data with the same classes:
    python -m pipeline.evaluate digits_lenet5 <folder to write> views=flips
    python -m pipeline.evaluate digits_lenet5 <folder to write> data=digits data.root=photographed.zip split=all

A classifier can be applied to every window or to proposed regions of larger images, and its activation maps be scored
by boxes:
    python -m pipeline.evaluate digits_lenet5 <folder to write> views=windows data=digits_scenes
    python -m pipeline.evaluate digits_lenet5 <folder to write> views=proposals data=digits_scenes
    python -m pipeline.evaluate <run> <folder to write> explain=cam data=digits_located
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.pages.scores import print_scores
from pipeline.runs.cache import publish, refuse_foreign
from pipeline.runs.command import exit_on_mistake
from pipeline.runs.folder import RunFolder
from pipeline.training.evaluation_requests import score
from pipeline.training.trained import Trained, find_trained, open_trained

COMMAND = "python -m pipeline.evaluate"
USAGE = (
    f"usage: {COMMAND} <run> <folder to write> [<declaration>.yaml | views=<name> data=<name> "
    "data.<fact>=<value> split=all explain=cam]"
)


def main() -> None:
    """Evaluate one trained experiment."""
    paths, more = sys.argv[1:3], sys.argv[3:]
    if len(paths) < 2 or any("=" in each for each in paths):
        raise ConfigError(
            COMMAND,
            "expected a run and a folder to write",
            got=" ".join(sys.argv[1:]),
            hint=USAGE,
        )
    root, target = Path.cwd(), Path(paths[1])
    refuse_foreign(target, root=root)
    trained = _find(paths[0], more, root)
    overrides = [each for each in more if "=" in each]
    with tempfile.TemporaryDirectory() as draft:
        out = Path(draft)
        scores, titles = score(trained, overrides, out, root=root, compose=compose_sections, command=COMMAND)
        row, guessed = (
            json.loads((out / name).read_text(encoding="utf-8")) for name in ("metrics.json", "baseline.json")
        )
        remarks = (out / "remarks.txt").read_text(encoding="utf-8").splitlines()
        publish(out, target, root=root)
    if not scores:
        print(
            f"{trained.title(root)}: the data have no test split, the validation {row['score_of']} is "
            f"{row['val_score']:.4f}; `{COMMAND} {paths[0]} <folder to write> data=<other>` scores other data"
        )
        return
    print_scores(trained.title(root), scores, titles, row, guessed=guessed, remarks=remarks)
    print(f"{target}/: scores.json, cases.csv, groups.csv, remarks.txt, pictures/")


def _find(named: str, more: Sequence[str], root: Path) -> Trained:
    """Return the run that a user names, with the declaration that comes after it."""
    files = [each for each in more if "=" not in each]
    if files:
        if len(more) > 1:
            raise ConfigError(files[0], "is a declaration, beside which nothing else is taken", hint=USAGE)
        folder = RunFolder(Path(named)) if Path(named).is_dir() else find_trained(named, root=root).folder
        return open_trained(folder, root=root, declaration=load(Path(files[0])))
    return find_trained(named, root=root)


if __name__ == "__main__":
    exit_on_mistake(main)

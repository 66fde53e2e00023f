r"""Stage `evaluate`: score a trained model on the test split; the only stage that opens it.

    python -m pipeline.evaluate artifacts/train/digits_lenet5 artifacts/evaluate/digits_lenet5 \
        artifacts/search/digits_lenet5/best.yaml

Without a declaration, a run is named by its folder, its experiment, its MLflow run or its registered model. Its test
images can be seen otherwise than it declares, and it can be scored on other data with the same classes:
    python -m pipeline.evaluate digits_lenet5 <folder to write> views=flips
    python -m pipeline.evaluate digits_lenet5 <folder to write> data=digits data.root=photographed.zip split=all
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
from pipeline.tasks.demands import load_demands
from pipeline.tasks.intervals import Interval
from pipeline.training.evaluation import evaluate, evaluate_elsewhere, replace_data
from pipeline.training.trained import Trained, find_trained, open_trained

COMMAND = "python -m pipeline.evaluate"
USAGE = (
    f"usage: {COMMAND} <run> <folder to write> [<declaration>.yaml | views=<name> data=<name> "
    "data.<fact>=<value> split=all]"
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
    other = [each for each in more if each.startswith(("data=", "data.", "split="))]
    with tempfile.TemporaryDirectory() as draft:
        out = Path(draft)
        if other:
            scores = _evaluate_elsewhere(trained, other, out, root)
        else:
            scores = evaluate(trained.folder, out, root=root, declaration=trained.declaration)
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
    titles = load_demands(trained.declaration.task).scores(trained.declaration.data)
    print_scores(trained.title(root), scores, titles, row, guessed=guessed, remarks=remarks)
    print(f"{target}/: scores.json, cases.csv, groups.csv, remarks.txt, pictures/")


def _find(named: str, more: Sequence[str], root: Path) -> Trained:
    """Return the run that a user names, with the declaration or the views that come after it."""
    files = [each for each in more if "=" not in each]
    if files:
        if len(more) > 1:
            raise ConfigError(files[0], "is a declaration, beside which nothing else is taken", hint=USAGE)
        folder = RunFolder(Path(named)) if Path(named).is_dir() else find_trained(named, root=root).folder
        return open_trained(folder, root=root, declaration=load(Path(files[0])))
    trained = find_trained(named, root=root)
    for each in more:
        key = each.partition("=")[0]
        if key not in ("views", "data", "split") and not key.startswith("data."):
            raise ConfigError.unknown(COMMAND, key, ("views", "data", "split"), what="option")
        if key == "views":
            views = compose_sections([each])["views"]
            declaration = trained.declaration.replace(views=views)
            trained = open_trained(trained.folder, root=root, declaration=declaration)
    return trained


def _evaluate_elsewhere(
    trained: Trained, overrides: Sequence[str], out: Path, root: Path
) -> dict[str, Interval]:
    """Score a run on the data that overrides such as `data=<name>` declare."""
    splits = [each.partition("=")[2] for each in overrides if each.startswith("split=")]
    data = [each for each in overrides if not each.startswith("split=")]
    if not any(each.startswith("data=") for each in data):
        raise ConfigError(
            overrides[0].partition("=")[0],
            "belongs to other data",
            hint="add data=<name>, a file of conf/data",
        )
    other = replace_data(trained.declaration, compose_sections(data)["data"])
    return evaluate_elsewhere(trained, other, out, root=root, split=splits[-1] if splits else "test")


if __name__ == "__main__":
    exit_on_mistake(main)

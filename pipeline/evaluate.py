r"""Stage `evaluate`: score a trained model on the test split; the only stage that opens it.

    python -m pipeline.evaluate artifacts/train/digits_lenet5 artifacts/evaluate/digits_lenet5 \
        artifacts/compose/digits_lenet5.yaml

Any run folder will do, and test images can be seen otherwise than the run declared:
    python -m pipeline.evaluate runs/<fingerprint> <folder to write> views=flips
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.batches import PreparedSplit
from pipeline.data.prepared import Prepared
from pipeline.declaration.checks import check_test_views, load
from pipeline.declaration.composition import composed
from pipeline.declaration.keys import data_digest
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.files import write_text
from pipeline.layers.crops import centred
from pipeline.pictures.confusion import draw_confusion
from pipeline.pictures.sheets import draw_sheet
from pipeline.runs.folder import RunFolder
from pipeline.runs.found import publish
from pipeline.tasks.classification.task import Classification, confusion
from pipeline.tasks.intervals import with_intervals
from pipeline.tasks.segmentation.task import Segmentation
from pipeline.tasks.task import Evidence, Task
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store
from pipeline.training.assemble import model_of, task_of, views_of
from pipeline.training.inputs import prepare
from pipeline.transforms.statistics import Statistics

BATCH = 64  # images at a time; does not change a score
MOST_MISTAKES = 16
NO_CLASS = 255  # a mask value that pictures leave clear
CASES = 4  # of each kind: best, median, worst


def evaluate(
    run: RunFolder, out: Path, *, root: Path, views: Mapping[str, Any] | None = None
) -> dict[str, dict[str, float]]:
    """Score a finished run on the test split; write scores, cases and pictures.

    Args:
        views: how test images are seen; None for what the run's declaration says.

    Returns:
        Score -> {value, low, high}, with a 95 % bootstrap interval over test images.

    Raises:
        ConfigError: the folder holds no finished run, or the data have changed since.
    """
    if not run.is_finished():
        raise ConfigError(f"{run.path} holds no finished run; train it first")
    config = run.config()
    if views is not None:
        config = {**config, "views": dict(views)}
        check_test_views(config)
    found, trained_on = data_digest(config, root=root), run.state()["data"]
    if found != trained_on:
        raise ConfigError(
            f"data.root: {config['data']['root']} is not what {run.path} was trained on (digest {found}, "
            f"trained on {trained_on}); train again, or bring back the old data"
        )
    prepared = Prepared(prepare(config, root=root))
    task = task_of(config)
    evidence, guesses = _predict(config, run, prepared, task)
    scores = with_intervals(task.scores, evidence, seed=config["seed"])
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "metrics.json", json.dumps(scores, indent=2) + "\n")
    if isinstance(task, Classification):
        _show_classification(task, evidence, prepared, out)
    else:
        assert isinstance(task, Segmentation)
        _show_segmentation(task, evidence, guesses, prepared, out)
    _track(run, config, scores, out, root=root)
    return scores


def _predict(
    config: Mapping[str, Any], run: RunFolder, prepared: Prepared, task: Task
) -> tuple[Evidence, NDArray[np.uint8]]:
    """Return evidence (N, E), and the class with the largest output: (N,) or (N, H, W)."""
    model = model_of(config, Statistics.load(run.path / "statistics"))
    model.load_state_dict(torch.load(run.path / "weights.pt", map_location="cpu", weights_only=True))
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    model = model.eval().to(device)
    views, sides = views_of(config), tuple(config["input_shape"][1:])
    split = PreparedSplit(prepared.images("test"), prepared.targets("test"))
    evidence, guesses = [], []
    with torch.inference_mode():
        for start in range(0, len(split), BATCH):
            batch = split[0, list(range(start, min(start + BATCH, len(split))))]
            outputs = views.predict(model, batch["image"].to(device), sides)
            evidence.append(task.evidence(outputs, batch["target"].to(device)).cpu())
            guess = outputs.argmax(dim=1).to(torch.uint8).cpu()
            guesses.append(_framed(guess, batch["target"]) if guess.ndim > 1 else guess)
    return torch.cat(evidence).numpy(), torch.cat(guesses).numpy()


def _framed(guess: Tensor, target: Tensor) -> Tensor:
    """Lay a guess for the centre of an image into the size of its mask; the frame belongs to no class."""
    framed = torch.full(target.shape, NO_CLASS, dtype=guess.dtype)
    centred(framed, guess).copy_(guess)
    return framed


def _show_classification(task: Classification, evidence: Evidence, prepared: Prepared, out: Path) -> None:
    probabilities, labels = evidence[:, :-1], evidence[:, -1].astype(int)
    guesses, trust = probabilities.argmax(axis=1), probabilities.max(axis=1)
    names = task.classes
    _write_rows(
        out / "cases.csv",
        ("file", "actual", "predicted", "confidence"),
        (
            (file, names[label], names[guess], f"{confidence:.6f}")
            for file, label, guess, confidence in zip(
                prepared.files("test"), labels, guesses, trust, strict=True
            )
        ),
    )
    draw_confusion(confusion(evidence), names, out / "pictures" / "confusion.png")
    wrong = np.flatnonzero(guesses != labels)
    worst = wrong[np.argsort(-trust[wrong], kind="stable")][:MOST_MISTAKES]
    if len(worst):
        captions = [f"{names[labels[i]]} as {names[guesses[i]]} {trust[i]:.0%}" for i in worst]
        images = np.asarray(prepared.images("test")[worst])
        draw_sheet(images, out / "pictures" / "mistakes.png", captions=captions)


def _show_segmentation(
    task: Segmentation,
    evidence: Evidence,
    guesses: NDArray[np.uint8],
    prepared: Prepared,
    out: Path,
) -> None:
    dice = task.image_scores(evidence)
    files = prepared.files("test")
    _write_rows(
        out / "cases.csv",
        ("file", "dice"),
        ((file, f"{value:.6f}") for file, value in zip(files, dice, strict=True)),
    )
    order = [int(i) for i in np.argsort(-dice, kind="stable") if not np.isnan(dice[i])]
    middle = max(len(order) // 2 - CASES // 2, 0)
    kinds = {"best": order[:CASES], "median": order[middle : middle + CASES], "worst": order[-CASES:]}
    images, truth = prepared.images("test"), prepared.targets("test")
    for kind, chosen in kinds.items():
        pairs = [(index, mask) for index in chosen for mask in (truth[index], guesses[index])]
        captions = [
            text
            for index in chosen
            for text in (f"{Path(files[index]).stem}: true", f"predicted, Dice {dice[index]:.3f}")
        ]
        draw_sheet(
            np.stack([images[index] for index, _ in pairs]),
            out / "pictures" / f"{kind}.png",
            masks=np.stack([mask for _, mask in pairs]),
            classes=task.classes,
            captions=captions,
        )


def _track(
    run: RunFolder,
    config: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
    out: Path,
    *,
    root: Path,
) -> None:
    """Add the test scores and pictures to the run that was trained, where the store still has it."""
    store = Store(root, config["tracking"]["experiment"])
    run_id = run.state()["mlflow_run_id"]
    if not store.has_run(run_id):
        return
    tracked = TrackedRun(store, run_id)
    tracked.log_scores(
        {
            f"test/{name}{'' if part == 'value' else f'_{part}'}": value
            for name, parts in scores.items()
            for part, value in parts.items()
        }
    )
    tracked.log_files(out / "pictures", "test")
    tracked.log_files(out / "cases.csv", "test")


def _write_rows(path: Path, header: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    """Evaluate one trained experiment."""
    paths, more = sys.argv[1:3], sys.argv[3:]
    if len(paths) < 2 or len(more) > 1:
        raise ConfigError(
            "usage: python -m pipeline.evaluate <folder of train> <folder to write> [<declaration>.yaml | "
            f"views=<name>]; got {len(sys.argv) - 1} arguments"
        )
    views = _views(more[0]) if more else None
    with tempfile.TemporaryDirectory() as draft:
        evaluate(RunFolder(Path(paths[0])), Path(draft), root=Path.cwd(), views=views)
        publish(Path(draft), Path(paths[1]))


def _views(named: str) -> dict[str, Any]:
    """Return the section `views` of a declaration, or of an override `views=<name>`."""
    config = composed([named]) if named.startswith("views=") else load(Path(named))
    views: dict[str, Any] = config["views"]
    return views


if __name__ == "__main__":
    exit_on_mistake(main)

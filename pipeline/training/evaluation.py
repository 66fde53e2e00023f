"""Evaluation of a trained model on the test split, which no other code opens, or on an external test set."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.external import prepare_external
from pipeline.data.prepared import Prepared
from pipeline.declaration.checks import check, check_test_views
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import data_digest
from pipeline.errors import ConfigError
from pipeline.runs.folder import RunFolder
from pipeline.tasks.cases import Evaluated, load_cases
from pipeline.tasks.demands import load_demands
from pipeline.tasks.intervals import FEWEST_UNITS, GroupScores, Interval, scores_of_groups, with_intervals
from pipeline.tasks.task import FittedGuess, Remarking, Resampled, Task
from pipeline.training.evaluated import evaluate_images, open_data
from pipeline.training.score_files import write_rows, write_scores
from pipeline.training.score_tracking import track_scores
from pipeline.training.selection import baseline, fitted_baseline
from pipeline.training.trained import Predictor, Trained, open_trained

MakePredictor = Callable[[Trained], Predictor]


def evaluate(
    run: RunFolder,
    out: Path,
    *,
    root: Path,
    declaration: Declaration | None = None,
    make_predictor: MakePredictor = Predictor,
) -> dict[str, Interval]:
    """Score a finished run on the test split; write scores, cases and pictures.

    Without a test split, they are empty, and `metrics.json` has the validation score alone.

    Args:
        run: the folder of a finished run, or one that its results were published to.
        declaration: of the run, such as one with other views; None for the one that `open_trained` finds.
        make_predictor: makes what computes the outputs for an image.

    Returns:
        Score -> {value, low, high}, with a 95 % interval over test images, or over the groups of `data.groups`; bounds
        are NaN where there is none that can be trusted. Empty without a test split.

    Raises:
        ConfigError: the folder does not contain a finished run, or the data have changed since.
        DamagedFileError: a result of the run is damaged.
    """
    trained = open_trained(run, root=root, declaration=declaration)
    declaration, prepared = trained.declaration, open_data(trained, root)
    if not prepared.about()["counts"]["test"]:
        selection = run.selection(load_demands(declaration.task).score)
        guessed = {"class": selection["majority"], "scores": selection["baseline"]}
        summary = _validation_summary(declaration, run)
        write_scores(out, {}, {}, summary, guessed=guessed if selection["baseline"] else {}, remarks=[])
        write_rows(out / "cases.csv", load_cases(declaration.task["_target_"]).COLUMNS, ())
        (out / "pictures").mkdir()
        return {}
    predictor = make_predictor(trained)
    return _score(trained, declaration, prepared, out, root=root, place="test", predictor=predictor)


def evaluate_elsewhere(
    trained: Trained,
    other: Declaration,
    out: Path,
    *,
    root: Path,
    split: str,
    make_predictor: MakePredictor = Predictor,
) -> dict[str, Interval]:
    """Score a finished run on an external test set, see `replace_data`; write scores, cases and pictures.

    MLflow gets the scores under `test_<name of the data>/`, as `test/` is the test split of the run's own data.

    Args:
        other: the declaration of the run with the other data.
        split: `test`, or `all` for the images of all splits.
        make_predictor: makes what computes the outputs for an image.

    Returns:
        Score -> {value, low, high}, as `evaluate`.

    Raises:
        ConfigError: the data cannot be read, or are not those that `data.digest` pins.
    """
    place = f"test_{other.data.name}"
    found = data_digest(other, root=root)
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_external(other.data, Path(folder), split=split)
        about = {
            "data": other.data.name,
            "split": split,
            "images": len(prepared.images("test")),
            "data_digest": found,
        }
        predictor = make_predictor(trained)
        return _score(trained, other, prepared, out, root=root, place=place, predictor=predictor, about=about)


def replace_data(
    declaration: Declaration, data: Mapping[str, Any], *, is_resized: bool = True
) -> Declaration:
    """Return the declaration of a run with other data; the range of values of its own is their default.

    Args:
        data: section of the other data.
        is_resized: whether they are resized as its own data, and not as `data` says.

    Raises:
        ConfigError: the data are none that the run can be scored on, as classes or points differ.
    """
    own, shape = declaration.data, data["shape"]
    channels = shape[0] if isinstance(shape, list) and shape else shape
    for name, got, needed in (
        ("classes", data["classes"], own.classes),
        ("background", data["background"], own.background),
        ("points", data["points"], own.points),
        ("shape", channels, own.shape[0]),
    ):
        if got != needed:
            what = f"{needed}{' channels' if name == 'shape' else ''}, as of the data that the run was trained on"
            hint = "the run cannot be scored on others"
            raise ConfigError(f"data.{name}", got=got, allowed=what, hint=hint)
    as_own: dict[str, Any] = {}
    if is_resized:
        as_own = {"shape": own.shape, "resize": own.resize, "padding_value": own.padding_value}
    if data["degrade"] is None:
        as_own["degrade"] = own.degrade
    as_own["value_range"] = own.value_range if data["value_range"] is None else data["value_range"]
    found = check({**declaration.sections, "data": {**data, **as_own}})
    check_test_views(found)
    return found


def _score(
    trained: Trained,
    declaration: Declaration,
    prepared: Prepared,
    out: Path,
    *,
    root: Path,
    place: str,
    predictor: Predictor,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Interval]:
    """Score the test split of prepared data, write all that is known of it, and log it under `place`.

    Args:
        declaration: of the run, with the data to score it on.
        about: of other data than those of the run, what to write beside the selecting score.
    """
    task, run, demands = trained.build_task(), trained.folder, load_demands(declaration.task)
    demands.check_targets(prepared.targets("test"), partial(prepared.files, "test"))
    evaluated = evaluate_images(predictor, task, declaration, prepared)
    groups = prepared.groups("test")
    scores = with_intervals(
        task.scores,
        evaluated.evidence,
        seed=declaration.seed,
        shares=demands.shares,
        biased=demands.biased,
        groups=groups,
        resampled=task.resampled if isinstance(task, Resampled) else None,
    )
    grouped = scores_of_groups(task.scores, evaluated.evidence, groups or [])
    summary = {**_summary(declaration, run, scores, grouped), **(about or {})}
    guessed = _guess(declaration, run, task, evaluated, prepared)
    remarks = task.remarks(evaluated.evidence) if isinstance(task, Remarking) else []
    remarks += predictor.remarks(evaluated.images)
    remarks += _repeated(prepared) if about is None else []  # other data have no training images
    write_scores(out, scores, grouped, summary, guessed=guessed, remarks=remarks)
    cases = load_cases(declaration.task["_target_"])
    write_rows(out / "cases.csv", cases.COLUMNS, cases.rows(task, evaluated))
    cases.draw(task, evaluated, out / "pictures")
    track_scores(run, declaration, scores, out, root=root, place=place)
    return scores


def _repeated(prepared: Prepared) -> list[str]:
    """Return a sentence on test images that are training images, too, as `data.allow_duplicates` allows."""
    count = prepared.count_trained_on("test")
    if not count:
        return []
    total = len(prepared.files("test"))
    return [
        f"test images that are training images, too: {count:,} of {total:,}; scores on them tell nothing of others"
    ]


def _summary(
    declaration: Declaration,
    run: RunFolder,
    scores: Mapping[str, Interval],
    grouped: Mapping[str, GroupScores],
) -> dict[str, Any]:
    """Return the row shown by `dvc metrics show`: the score that selected the epoch, and its interval.

    With too few groups for an interval, the lowest and the highest score of a group take its place. DVC sorts columns
    by name, so the score comes first.
    """
    score = run.selection(load_demands(declaration.task).score)["score"]
    first = scores[score]
    row: dict[str, Any] = {"score": first["value"]}
    if not np.isnan(first["low"]):
        row |= {"score_from": first["low"], "score_to": first["high"]}
    if grouped:
        row |= {"score_n": len(grouped)}
    defined = [values[score] for _, values in grouped.values() if not np.isnan(values[score])]
    if defined and len(grouped) < FEWEST_UNITS:
        row |= {"score_max": max(defined), "score_min": min(defined)}
    return row | _validation_summary(declaration, run)


def _validation_summary(declaration: Declaration, run: RunFolder) -> dict[str, Any]:
    demands = load_demands(declaration.task)
    title = demands.scores(declaration.data)[run.selection(demands.score)["score"]]
    return {"score_of": title, "val_score": run.metrics()["score"]}


def _guess(
    declaration: Declaration, run: RunFolder, task: Task, evaluated: Evaluated, prepared: Prepared
) -> dict[str, Any]:
    """Return what is always guessed, such as the most frequent class in training, and its scores; empty for nothing."""
    if isinstance(task, FittedGuess):
        if not prepared.has("train"):  # an external test set
            return {}
        found = fitted_baseline(task, prepared, "test")
        return {"class": found["majority"], "scores": found["baseline"]}
    if (majority := run.selection(load_demands(declaration.task).score)["majority"]) is None:
        return {}
    guessed = baseline(task, evaluated.targets, declaration.data.classes.index(majority))
    return {"class": majority, "scores": guessed}

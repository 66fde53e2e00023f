"""Chapters of the report: the results of one experiment, collected from its artifacts."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from pipeline.pages.declared import summarise
from pipeline.pages.figures import Picture, load_pictures
from pipeline.pages.findings import FindingRow, read_findings
from pipeline.pages.image_counts import ImageCounts
from pipeline.storage.names import unescape_cells

BEST = 5  # trials of a search that are listed


@dataclass(frozen=True)
class Score:
    """A score on the test split with its interval, NaN if there is none.

    Args:
        name: human-readable.
        baseline: of always guessing the majority class; None if there is no such guess, or if it is not defined.
    """

    name: str
    value: float
    low: float
    high: float
    is_better_when_lower: bool
    baseline: float | None

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval that can be trusted."""
        return not isnan(self.low)

    @property
    def has_bar(self) -> bool:
        """Whether the interval fits on a scale from 0 to 1."""
        return self.has_interval and self.low >= 0 and self.high <= 1


@dataclass(frozen=True)
class Groups:
    """The scores of groups of test images that are too few for an interval.

    Args:
        header: each group with its number of images.
        rows: (score, its values), one value per group.
        range: the lowest and the highest value of the first score that is defined, in words.
    """

    header: list[str]
    rows: list[tuple[str, list[str]]]
    range: str


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Args:
        summary: number of trials, and how many of them were pruned or failed.
        header: column names of the table of best trials.
        best: one row per trial, best first.
        page: path of its interactive page, relative to the report.
    """

    summary: str
    header: list[str]
    best: list[list[str]]
    remarks: list[str]
    pictures: list[Picture]
    page: str


@dataclass(frozen=True)
class Chapter:
    """One experiment.

    Args:
        declaration: (setting, value) pairs that summarise the experiment; after a search, with the best values.
        images: number of images by class and split.
        search: the outcome of the search; None without one.
        split: `test`, or `validation` where there is no test split: the split of the scores.
        scores: the one that selects the best epoch comes first; `remarks` say what is left out of them.
        majority: the most frequent class of the training split; None if the task has no guess to compare with.
        training_remarks: on what went wrong in training.
        groups: scores of groups where these are too few for an interval; None otherwise.
        checks: what `check` found in the declaration, if it was kept below `artifacts/check`.
        origin: (name, value) pairs: fingerprint, data, versions.
    """

    name: str
    summary: str
    declaration: list[tuple[str, str]]
    images: ImageCounts
    search: Found | None
    split: str
    scores: list[Score]
    remarks: list[str]
    majority: str | None
    groups: Groups | None
    checks: list[FindingRow]
    epochs: int
    kept_epoch: int
    origin: list[tuple[str, str]]
    training_remarks: list[str]
    train_pictures: list[Picture]
    test_pictures: list[Picture]


def load_chapter(
    name: str,
    artifacts: Path,
    config: Mapping[str, Any],
    titles: Mapping[str, str],
    *,
    minimized: Collection[str],
    fewest_groups: int,
) -> Chapter:
    """Collect the chapter of an experiment.

    Args:
        artifacts: the folder with prepare/, search/, train/ and evaluate/.
        config: the sections of its declaration, with the best values of its search.
        titles: score name -> human-readable title.
        minimized: the scores for which lower is better.
        fewest_groups: the least number of groups of test images that have an interval.
    """
    searched, trained, evaluated = (artifacts / stage / name for stage in ("search", "train", "evaluate"))
    result = json.loads((trained / "result.json").read_text(encoding="utf-8"))
    kept = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    split, scores = _split_and_scores(evaluated, kept, titles)
    guessed = json.loads((evaluated / "baseline.json").read_text(encoding="utf-8"))
    selecting = result.get("selection", {}).get("score", next(iter(scores)))
    names = {key: titles.get(key, key) for key in sorted(scores, key=lambda key: key != selecting)}
    beside = guessed.get("scores", {})
    rows = [
        Score(title, **scores[key], is_better_when_lower=key in minimized, baseline=beside.get(key))
        for key, title in names.items()
    ]
    groups = _groups(evaluated / "groups.csv", names, fewest_groups)
    return Chapter(
        name=name,
        summary=_summary(split, rows[0], groups),
        declaration=summarise(config),
        images=ImageCounts.load(artifacts / "prepare" / name, config["data"]["classes"]),
        search=_found(searched, config["search"], artifacts, selecting),
        split=split,
        scores=rows,
        remarks=(evaluated / "remarks.txt").read_text(encoding="utf-8").splitlines(),
        majority=guessed.get("class"),
        groups=groups,
        checks=read_findings(artifacts / "check" / name, declaration=result.get("declaration")),
        epochs=_count_rows(trained / "history.csv"),
        kept_epoch=int(kept["epoch"]) + 1,
        origin=_origin(result),
        training_remarks=result.get("remarks", []),
        train_pictures=load_pictures([trained / "statistics", trained / "pictures"], artifacts),
        test_pictures=load_pictures([evaluated / "pictures"], artifacts),
    )


def _count_rows(file: Path) -> int:
    with file.open(newline="", encoding="utf-8") as opened:
        return len(list(csv.DictReader(opened)))


def _split_and_scores(
    evaluated: Path, kept: Mapping[str, float], titles: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """Return the test scores, or without a test split the validation scores of the kept epoch, and which they are."""
    scores = json.loads((evaluated / "scores.json").read_text(encoding="utf-8"))
    if scores:
        return "test", scores
    none = {"low": float("nan"), "high": float("nan")}
    return "validation", {key: {"value": kept[f"val/{key}"], **none} for key in titles}


def _summary(split: str, score: Score, groups: Groups | None) -> str:
    """Return a score in one line, with its interval or what stands in for it, and that of the majority class."""
    span = "no interval" if groups is None else groups.range
    if split != "test":
        span = "there is no test split"
    if score.has_interval:
        span = f"{score.low:.3f} to {score.high:.3f}"
    value = "not defined" if isnan(score.value) else f"{score.value:.3f}"
    beside = "" if score.baseline is None else f"; majority class {score.baseline:.3f}"
    return f"{split} {score.name} {value} ({span}{beside})"


def _groups(file: Path, names: Mapping[str, str], fewest: int) -> Groups | None:
    """Return the scores of groups from a `groups.csv`; None if there are none, or enough for an interval.

    Args:
        names: score name -> title, in the order to show them in; the range of the first one is stated.
    """
    with file.open(newline="", encoding="utf-8") as opened:
        header, *found = list(csv.reader(opened))
    if not 0 < len(found) < fewest:
        return None
    columns = [[float(row[header.index(key)] or "nan") for row in found] for key in names]
    defined = [value for value in columns[0] if not isnan(value)] or [float("nan")]
    labels = unescape_cells(row[0] for row in found)
    return Groups(
        header=[f"{label} ({row[1]})" for label, row in zip(labels, found, strict=True)],
        rows=[
            (name, ["not defined" if isnan(value) else f"{value:.4f}" for value in column])
            for name, column in zip(names.values(), columns, strict=True)
        ],
        range=f"{min(defined):.3f} to {max(defined):.3f} in {len(found)} group{'s' * (len(found) > 1)}",
    )


def _found(folder: Path, search: Mapping[str, Any], artifacts: Path, selecting: str) -> Found | None:
    """Collect the outcome of a search from its folder; None if there was no search.

    Args:
        selecting: name of the score that selects the best epoch, which trials are judged by if no metric is declared.
    """
    if not (folder / "trials.csv").is_file():
        return None
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        trials = list(csv.DictReader(file))
    counts = {state: sum(trial["state"] == state for trial in trials) for state in ("pruned", "failed")}
    ends = "".join(f", {count} {state}" for state, count in counts.items() if count)
    sign = -1 if search["direction"] == "maximize" else 1
    finished = [trial for trial in trials if trial["state"] == "finished"]
    finished.sort(
        key=lambda trial: (
            sign * float(trial["value"]) + float(trial["error"]),
            float(trial.get("loss") or "inf"),
        )
    )
    header = [name for name in trials[0] if name not in ("state", "reason")]
    metric = f"val/{selecting}" if search["metric"] in (None, "score") else search["metric"]
    return Found(
        summary=f"{len(trials)} trials by {search['sampler']}, judged by {metric} on the validation split{ends}",
        header=unescape_cells(header),
        best=[unescape_cells(trial[name] for name in header) for trial in finished[:BEST]],
        remarks=(folder / "remarks.txt").read_text(encoding="utf-8").splitlines(),
        pictures=load_pictures([folder], artifacts),
        page=f"../{(folder / 'search.html').relative_to(artifacts).as_posix()}",
    )


def _origin(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the origin of a result, limited to values that are the same for equal runs."""
    fingerprint = result["fingerprint"]
    return [
        ("fingerprint", fingerprint),
        ("data digest", result["data"]),
        ("versions", ", ".join(f"{name} {number}" for name, number in result["versions"].items())),
        ("commit, hardware, times", f"runs/{fingerprint}/run.json, and the MLflow run tagged {fingerprint}"),
    ]

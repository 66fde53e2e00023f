"""Output of a search for the user: the plan before it starts; best trials, table, figures and remarks afterwards."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from statistics import fmean, median

import numpy as np

from pipeline.data.facts import Facts
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import write_declaration
from pipeline.declaration.loading import load
from pipeline.declaration.network import plan_network
from pipeline.errors import ConfigError, DamagedFileError, warn
from pipeline.files import write_text
from pipeline.pages.comparison import Comparison, Row
from pipeline.plans.network import Network
from pipeline.runs.folder import RunFolder
from pipeline.storage.names import escape_cells
from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.importance import importances, share_at
from pipeline.sweeps.ledger import Trial
from pipeline.sweeps.objective import finished, mean_and_error, mean_loss, ranked
from pipeline.sweeps.refine import is_at_edge, joined
from pipeline.sweeps.samplers import Point
from pipeline.tasks.demands import load_demands
from pipeline.training.run import find_folder
from pipeline.trials.names import name_trial
from pipeline.trials.search import Search, named
from pipeline.trials.space import written

TABLE = "trials.csv"
BEST = 5  # trials that are compared at the end


def format_plan(search: Search, *, root: Path) -> str:
    """Return a table of the planned trials with the cost of each network, after composing all of them.

    Durations are estimated from the multiply-adds and epochs of finished runs on the same data, if there are any.
    Trials whose points depend on the outcomes of others are counted, but not listed.

    Raises:
        ConfigError: a point is invalid; the message names the trial.
    """
    points = search.points()
    declarations = [_compose(search, index, point) for index, point in enumerate(points)]
    rate = _seconds_per_work(root, declarations[0].data)
    trainings = search.settings.seeds * search.settings.folds
    rows = [["trial", *_keys(search), "weights", "multiply-adds", "seconds"]]
    total = 0.0
    for index, (point, declaration) in enumerate(zip(points, declarations, strict=True)):
        network = plan_network(declaration)
        costs = [f"{network.weights:,}", f"{network.multiply_adds:,}", ""]
        if rate is not None:
            seconds = rate * _work(network, declaration) * trainings
            total += seconds
            costs[-1] = f"{seconds:.0f}"
        rows.append([str(index), *_shown(search, point), *costs])
    more = search.settings.trials - len(points)
    notes = f"and {more} more, drawn from the outcomes of these\n" if more else ""
    if rate is not None:
        whole = total * search.settings.trials / len(points)
        notes += f"about {whole:.0f} seconds in all, estimated from finished runs on these data\n"
    return _table(rows) + notes


def _compose(search: Search, index: int, point: Point) -> Declaration:
    """Return the declaration of a trial's first training; if it is invalid, raise an error that names the trial."""
    try:
        return compose(search.jobs(index, point)[0])
    except ConfigError as reason:
        raise ConfigError(
            reason.path, f"trial {index} ({named(point)}) cannot work: {reason}", hint="change search.space"
        ) from None


def _keys(search: Search) -> list[str]:
    return [entry.key for entry in search.entries]


def _shown(search: Search, point: Point) -> list[str]:
    """Return the value of each key at a point as text; empty for inactive keys."""
    return [written(point[key]) if key in point else "" for key in _keys(search)]


def _work(network: Network, declaration: Declaration) -> int:
    """Return multiply-adds per training image over all epochs."""
    epochs: int = declaration.trainer.max_epochs
    return network.multiply_adds * epochs


def _seconds_per_work(root: Path, data: Facts) -> float | None:
    """Return the median seconds per multiply-add and epoch of finished runs on the same data; None without any."""
    rates = []
    for path in (root / "runs").glob("*/result.json"):
        run = RunFolder(path.parent)
        try:
            seconds, declaration = run.seconds(), load(run.declaration)
        except DamagedFileError as damage:
            warn(f"{damage.file} {damage.problem}; the estimate leaves this run out")
            continue
        except ConfigError:  # a run of an earlier version, whose declaration had other keys
            continue
        if declaration.data == data:
            rates.append(seconds / _work(plan_network(declaration), declaration))
    return median(rates) if rates else None


@dataclass(frozen=True)
class Objective:
    """What the value of a trial is.

    Args:
        name: of the metric, such as `val/accuracy`.
        baseline: its value for always guessing the majority class, on the same validation images; None if unknown.
    """

    name: str
    baseline: float | None

    @classmethod
    def of(cls, search: Search, run: RunFolder) -> Objective:
        """Return the objective of a search, of which `run` is one training.

        The folds of a search have different validation images, so that no guess can be compared with their mean.
        """
        usual = load_demands(load(run.declaration).task).score
        selection, metric = run.selection(usual), search.settings.metric
        name = f"val/{selection['score']}" if metric in (None, "score") else str(metric)
        guessed = selection["baseline"].get(name.removeprefix("val/"))
        return cls(name, guessed if search.settings.folds == 1 else None)

    def notes(self) -> list[str]:
        """Return what always guessing the majority class scores, if that is known."""
        return [] if self.baseline is None else [f"always guessing the majority class: {self.baseline:.4f}"]

    def __str__(self) -> str:
        return ", ".join([self.name, *self.notes()])


def compare_trials(
    search: Search, trials: Sequence[Trial], *, objective: Objective, root: Path
) -> Comparison:
    """Return the comparison of the best trials, which says how many were pruned, and which failed."""
    best = ranked(trials, direction=search.settings.direction)[:BEST]
    rows = []
    for trial in best:
        declaration = compose(search.jobs(trial.index, trial.point)[0])
        place = relpath(find_folder(declaration, root=root).path, root)
        mean, error = mean_and_error(trial.values)
        spread = f"{error:.4f}" if len(trial.values) > 1 else ""
        rows.append(Row(_title(trial), mean, spread, place))
    failures = [(_title(trial), trial.reason) for trial in trials if trial.state == "failed"]
    pruned = sum(trial.state == "pruned" for trial in trials)
    notes = objective.notes()
    notes += [f"stopped early by {search.settings.pruner}: {pruned} of {len(trials)}"] if pruned else []
    return Comparison(objective.name, "standard error", rows, notes, failures)


def _title(trial: Trial) -> str:
    return f"trial {trial.index}: {name_trial(trial)}"


def write_results(
    search: Search, trials: Sequence[Trial], *, objective: Objective, improvement: str, root: Path
) -> Path:
    """Write the results of a search: table, best declaration, figures, page, remarks.

    Args:
        objective: what the values are.
        improvement: how the best trial compares with the declared values, in one sentence.

    Returns:
        The folder `results` of the search: trials.csv, best.yaml and its digests in best.json, remarks.txt, search.html
        and figures.
    """
    from pipeline.pages.search import write_search_page
    from pipeline.pictures.search import Key, draw_best_so_far, draw_parallel, draw_slices
    from pipeline.trials.study import build_study

    final = search.ledger.folder / "results"
    folder = final.with_name("results.unfinished")  # files of `final` may be shared with what was published
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_text(folder / TABLE, _csv(search, trials))
    best = ranked(trials, direction=search.settings.direction)[0]
    write_declaration(compose(search.at(best.point)), folder / "best.yaml", root=root, stages=("train",))
    spaces = list(search.spaces({trial.index: trial for trial in trials}))
    entries = joined([entries for entries, _ in spaces])
    done = finished(trials)
    values = [fmean(trial.values) for trial in done]
    shares = np.array([[share_at(entry, trial.point) for entry in entries] for trial in done])
    weights = importances(entries, [trial.point for trial in done], values)
    keys = [Key(entry.key, _ticks(entry)) for entry in entries]
    draw_best_so_far(values, folder / "best_so_far.png", maximizes=search.settings.direction == "maximize")
    draw_slices(keys, shares, values, folder / "slices.png", importances=weights)
    draw_parallel(keys, shares, values, folder / "parallel.png")
    notes = [note for _, notes in spaces for note in notes]
    remarks = [improvement, *notes, *at_edges(spaces[-1][0], best)]
    write_text(folder / "remarks.txt", "".join(f"{remark}\n" for remark in remarks))
    study = build_study(folder.parent.name, entries, trials, direction=search.settings.direction)
    page = folder / "search.html"
    write_search_page(page, study, objective=str(objective), importances=weights, remarks=remarks)
    shutil.rmtree(final, ignore_errors=True)
    return folder.rename(final)


def at_edges(entries: Sequence[Entry], best: Trial) -> list[str]:
    """Return a warning for each key whose best value is at the edge of its interval."""
    found = []
    for entry in entries:
        interval, value = entry.dimension, best.point.get(entry.key)
        if isinstance(interval, Interval) and value is not None and is_at_edge(interval, value):
            found.append(
                f"{entry.key}: the best value, {value:g}, lies at the edge of {interval.low:g} to "
                f"{interval.high:g}; better ones may lie beyond (a search from this one widens there)"
            )
    return found


def _csv(search: Search, trials: Sequence[Trial]) -> str:
    """Return the table of trials: number, state, mean, standard error, loss, the point, the reason of a failure."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(escape_cells(["trial", "state", "value", "error", "loss", *_keys(search), "reason"]))
    for trial in trials:
        worth = [f"{number:.6g}" for number in mean_and_error(trial.values)] if trial.values else ["", ""]
        loss = f"{mean_loss(trial):.6g}" if trial.losses else ""
        cells = [trial.index, trial.state, *worth, loss, *_shown(search, trial.point), trial.reason]
        rows.writerow(escape_cells(cells))
    return text.getvalue()


def _ticks(entry: Entry) -> list[tuple[float, str]]:
    """Return some shares of a key with the corresponding values."""
    dimension = entry.dimension
    if isinstance(dimension, Choice):
        return [(dimension.to_unit(value), written(value)) for value in dimension.values]
    return [(share, f"{dimension.from_unit(share):.2g}") for share in (0.0, 0.5, 1.0)]


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line}\n" for line in lines)

"""What a comparison leaves: tables, pictures, the score of each image, and a run of MLflow."""

from __future__ import annotations

from math import isnan
from pathlib import Path, PurePath

import numpy as np

from pipeline.comparisons.compared import Comparison
from pipeline.files import write_text
from pipeline.pages.differences import (
    COLUMNS,
    DifferenceRow,
    DifferenceTable,
    difference_rows,
    differences_markdown,
)
from pipeline.pictures.differences import ShownDifference, draw_differences
from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.paired import as_row
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import COMPARED_TAG, Store
from pipeline.training.score_files import write_rows

MOST_IMAGES = 16  # of a picture


def table_of(comparison: Comparison) -> DifferenceTable:
    """Return the table of a comparison."""
    names = [method.name for method in comparison.methods]
    rows = [DifferenceRow(names[0], comparison.values[0], sorted(comparison.methods[0].runs))]
    for place, difference in enumerate(comparison.differences, 1):
        value, seeds = comparison.values[place], comparison.seeds[place - 1]
        corrected = comparison.corrected[place - 1]
        rows.append(as_row(names[place], value, seeds, difference, corrected=corrected))
    return DifferenceTable(
        comparison.title,
        comparison.is_better_above,
        rows,
        len(comparison.files),
        comparison.num_groups,
    )


def write_comparison(comparison: Comparison, out: Path) -> DifferenceTable:
    """Write tables and pictures of a comparison into a folder; return its table."""
    table = table_of(comparison)
    write_text(out / "differences.md", differences_markdown(table))
    write_rows(out / "differences.csv", COLUMNS, difference_rows(table))
    names = [method.name for method in comparison.methods]
    rows = zip(comparison.files, comparison.image_scores.T, strict=True)
    write_rows(
        out / "images.csv",
        ("file", *names),
        ((file, *("" if isnan(each) else f"{each:.6f}" for each in scores)) for file, scores in rows),
    )
    shown = [
        ShownDifference(row.name, row.difference, row.total, row.images, row.is_shown) for row in table.others
    ]
    draw_differences(shown, out / "pictures" / "differences.png", first=names[0], score=comparison.title)
    for place in range(1, len(names)):
        _draw_images(comparison, place, out / "pictures")
    return table


def _draw_images(comparison: Comparison, place: int, folder: Path) -> None:
    """Draw the images at which one of two methods is best compared with the other one, if there are any."""
    first, other = comparison.image_scores[0], comparison.image_scores[place]
    gains = (other - first) * (1 if comparison.is_better_above else -1)
    for name, sign in ((f"better_{place}.png", 1), (f"worse_{place}.png", -1)):
        order = np.argsort(np.nan_to_num(-sign * gains, nan=np.inf), kind="stable")
        chosen = [index for index in order[:MOST_IMAGES] if sign * gains[index] > 0]
        if chosen:
            captions = [
                f"{first[index]:.2f}, then {other[index]:.2f}\n{PurePath(comparison.files[index]).name}"
                for index in chosen
            ]
            draw_sheet(
                [np.asarray(comparison.images[index]) for index in chosen], folder / name, captions=captions
            )


def log_comparison(
    comparison: Comparison, table: DifferenceTable, out: Path, *, root: Path, parent: str | None = None
) -> str:
    """Log a comparison to MLflow: to the run of a sweep, or to one of its own, which is found again; return its id.

    Args:
        out: the folder that `write_comparison` filled.
        parent: id of the run of a sweep.
    """
    experiment = comparison.methods[0].first.declaration.tracking.experiment
    store = Store(root, experiment)
    if parent is None:
        runs = [
            run.folder.result()["fingerprint"]
            for method in comparison.methods
            for run in method.runs.values()
        ]
        parts = " ".join([comparison.score, *runs])
        run_id = store.tagged_run(COMPARED_TAG, parts)
        names = " against ".join(
            [*(method.name for method in comparison.methods[1:]), comparison.methods[0].name]
        )
        tags = {COMPARED_TAG: parts}
        tracked = (
            TrackedRun.start(store, name=names, parent=None, tags=tags)
            if run_id is None
            else TrackedRun(store, run_id)
        )
    else:
        tracked = TrackedRun(store, parent)
    for row in table.others:
        numbers = {"": row.difference, "_low": row.total[0], "_high": row.total[1], "_p": row.corrected}
        place = f"difference/{comparison.score}/{row.name}"
        tracked.log_scores({f"{place}{end}": value for end, value in numbers.items() if not isnan(value)})
    tracked.log_files(out, "differences")
    if parent is None:
        tracked.log_note(differences_markdown(table))
        tracked.end("FINISHED")
    return tracked.run_id

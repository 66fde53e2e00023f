"""Descriptions of a model, which travels with it, and of a run, which MLflow's UI shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipeline.data.degrade_facts import degraded_shape
from pipeline.data.resizing import FILTER
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import find_multiple, sees_whole
from pipeline.tasks.demands import load_demands


def describe(
    declaration: Declaration, result: Mapping[str, Any], state: Mapping[str, Any], *, layout: str
) -> dict[str, Any]:
    """Return the description of a model.

    Args:
        result: `result.json` of the run.
        state: `run.json` of the run; empty where it is not known.
        layout: order of the axes of the input, such as NHWC.
    """
    channels, rows, columns = degraded_shape(declaration.data)
    demands = load_demands(declaration.task)
    return {
        "mode": "L" if channels == 1 else "RGB",  # of Pillow
        "rows": rows,
        "columns": columns,
        "resize": None if sees_whole(declaration) else declaration.data.resize,
        "multiple": find_multiple(declaration) if sees_whole(declaration) else 1,  # of rows and columns
        "filter": FILTER,  # of PIL.Image.Resampling
        "padding_value": declaration.data.padding_value,
        "value_range": declaration.data.value_range,
        "layout": layout,
        "max_pixels": declaration.data.max_pixels,
        "task": demands.name,
        "classes": list(declaration.data.classes),
        "places": demands.places,
        "points": declaration.data.points,
        "threshold": demands.threshold,
        "background": declaration.data.background,
        "ignore_label": declaration.data.ignore_label,
        "experiment": declaration.name,
        "data_name": declaration.data.name,
        "licence": declaration.data.licence,
        "data": result["data"],
        "fingerprint": result["fingerprint"],
        "commit": state.get("commit"),
        "dirty": state.get("dirty"),
        "scored_in": result["scored_in"],
        "versions": result["versions"],
        **demands.describe(result.get("task", declaration.task)),
    }


def describe_run(
    declaration: Declaration,
    scores: Mapping[str, float],
    *,
    score: str,
    folder: str,
    remarks: Sequence[str],
) -> str:
    """Return the description of a finished run in Markdown: what was trained, its score, where the results are.

    Args:
        scores: `metrics.json` of the run.
        score: which of them selects the epoch.
        folder: of the run, relative to the project's.
        remarks: on the training.
    """
    trainer = declaration.trainer
    name = escape(str(declaration.model.get("name", "network")))
    return (
        f"{name} on {escape(declaration.data.name)}: `val/{score}` **{scores['score']:.4f}** in epoch "
        f"{int(scores['epoch']) + 1} of {trainer.max_epochs}, seed {declaration.seed}, batches of "
        f"{trainer.batch_size}. Results: `{folder}`; report: `artifacts/report/report.html` after `dvc repro`."
        + "".join(f"\n\n{escape(remark)}" for remark in remarks)
    )

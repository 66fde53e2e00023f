"""The description that travels with a model: how to make its input, what its output means, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.data.resizing import FILTER
from pipeline.declaration.declaration import Declaration
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
    channels, rows, columns = declaration.data.shape
    return {
        "mode": "L" if channels == 1 else "RGB",  # of Pillow
        "rows": rows,
        "columns": columns,
        "resize": declaration.data.resize,
        "filter": FILTER,  # of PIL.Image.Resampling
        "padding_value": declaration.data.padding_value,
        "value_range": declaration.data.value_range,
        "layout": layout,
        "max_pixels": declaration.data.max_pixels,
        "task": load_demands(declaration.task).name,
        "classes": list(declaration.data.classes),
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
    }

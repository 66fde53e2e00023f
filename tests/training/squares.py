"""Images with bright squares and their boxes, and scores of a run on data as a command asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.declaration.composition import compose_sections
from pipeline.tasks.intervals import Interval
from pipeline.training.evaluation_requests import score
from pipeline.training.trained import Trained
from tests.makers import encode, write_files
from tests.tasks.kinds import CLASSES, KINDS

BOXES = {**KINDS["boxes"], "columns": {**KINDS["boxes"]["columns"], "split": "split"}}


def write_squares(path: Path) -> dict[str, Any]:
    """Write 12 images of 48 x 48 with two bright squares of 16 x 16 or none; return the section `data`, of 24 x 24."""
    rows, images = ["file,x_min,y_min,x_max,y_max,label,split"], {}
    for index in range(12):
        image, name = np.zeros((48, 48), np.uint8), f"{index}.png"
        places = [(4 * index % 16, 0), (28, 28)] if index else []
        for top, left in places:
            image[top : top + 16, left : left + 16] = 255
            rows.append(f"{name},{left},{top},{left + 16},{top + 16},{CLASSES[1]},test")
        images[name] = encode(image)
        rows += [] if places else [f"{name},,,,,,test"]
    write_files(path, {**images, "boxes.csv": "\n".join(rows).encode()})
    return {"root": str(path), "shape": [1, 24, 24], "name": "squares", "split": "random", **BOXES}


def ask(
    run: Trained, data: dict[str, Any], *overrides: str, out: Path
) -> tuple[dict[str, Interval], Mapping[str, str]]:
    """Score a run on a section `data`, as a command asks for it; return scores and titles."""

    def compose_here(asked: Sequence[str]) -> dict[str, Any]:
        return {"data": data} if asked == ["data=here"] else compose_sections(asked)

    given = ["data=here", *overrides]
    return score(run, given, out, root=out.parent, compose=compose_here, command="evaluate")

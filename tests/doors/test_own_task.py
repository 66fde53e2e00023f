"""The task that docs/tasks.md shows: its blocks are all it takes to train, search and report it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.doors.project import ROOT, Project
from tests.makers import encode, write_files

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "tasks.md").read_text()
FILES = ("demands.py", "task.py", "cases.py")
TINY = [
    "task=counting",
    "data=blobs",
    "optimizer=adamw",
    "optimizer.lr=0.003",
    "model=lenet5",
    "trainer.max_epochs=3",
    "trainer.batch_size=16",
    "trainer.threads=1",
    "tracking.log_model=false",
]
DATA = """\
# Dark blobs on a bright ground, a folder per count.
name: blobs
format: class_folders
root: data/blobs.zip
shape: [1, 32, 32]
classes: ["0", "1", "2", "3"]
split: {val: 0.25, test: 0.25, seed: 0}
allow_duplicates: true    # images without blobs are all the same
licence: made by this test
"""


def block(after: str) -> str:
    """Return the code block that follows a text on the page."""
    found = re.search(rf"{re.escape(after)}.*?```(?:python|yaml)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found, after
    return found[1]


def blobs() -> dict[str, bytes]:
    """Return images with 0 to 3 dark squares that do not touch."""
    random = np.random.default_rng(0)
    images = {}
    for index in range(120):
        count, pixels = index % 4, np.full((32, 32), 230, np.uint8)
        for place in random.permutation(16)[:count]:
            row, column = 8 * (place // 4) + 1, 8 * (place % 4) + 1
            pixels[row : row + 5, column : column + 5] = 20
        images[f"{count}/{index:03}.png"] = encode(pixels)
    return images


@pytest.fixture(scope="module")
def own(clone: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone to which the blocks of the page were added, and nothing else but data."""
    project = clone(tmp_path_factory.mktemp("own"))
    folder = project.root / "pipeline" / "tasks" / "counting"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(block(f"`pipeline/tasks/counting/{name}`"))
    (project.root / "conf" / "task" / "counting.yaml").write_text(block("`conf/task/counting.yaml`"))
    rows = project.root / "tests" / "tasks" / "rows.py"
    text = rows.read_text().rstrip()
    assert text.endswith("}")
    rows.write_text(f"{text[:-1]}{block('its row in `tests/tasks/rows.py`')}}}\n")
    (project.root / "conf" / "data" / "blobs.yaml").write_text(DATA)
    shutil.rmtree(project.root / "data", ignore_errors=True)
    write_files(project.root / "data" / "blobs.zip", blobs())
    return project


def test_worked_example_is_short() -> None:
    blocks = [*(block(f"`pipeline/tasks/counting/{name}`") for name in FILES)]
    blocks += [block("`conf/task/counting.yaml`"), block("its row in `tests/tasks/rows.py`")]
    assert sum(len(each.splitlines()) for each in blocks) < 150


def test_contract_holds_for_the_task_of_the_page(own: Project) -> None:
    contract = ["-q", "-p", "no:cacheprovider", "tests/tasks/test_contract.py"]
    contract += ["tests/tasks/test_contract_of_intervals.py", "tests/tasks/test_contract_of_predictions.py"]
    contract += ["-k", "counting or folder"]
    said = own.run(sys.executable, "-m", "pytest", *contract)
    assert re.search(r"\d+ passed", said)
    assert "failed" not in said


def test_task_of_the_page_learns_and_keeps_the_epoch_with_the_lowest_error(own: Project) -> None:
    own.python("pipeline.train", *TINY, "trainer.max_epochs=15")
    (folder,) = (path.parent for path in (own.root / "runs").glob("*/result.json"))
    metrics = json.loads((folder / "metrics.json").read_text())
    history = (folder / "history.csv").read_text().splitlines()
    column = history[0].split(",").index("val/mean_absolute_error")
    errors = [float(row.split(",")[column]) for row in history[1:]]
    assert metrics["score"] == min(errors)
    assert metrics["epoch"] == errors.index(min(errors))
    assert min(errors) < 0.5, "always saying 1.5 is off by 1 in the mean"
    own.python("pipeline.evaluate", str(folder), "scores")
    row = json.loads((own.root / "scores" / "metrics.json").read_text())
    assert row["score_of"] == "mean absolute error"
    assert row["score_from"] <= row["score"] <= row["score_to"]
    own.python("pipeline.predict", str(folder), "data/blobs.zip", "counts")
    rows = (own.root / "counts" / "predictions.csv").read_text().splitlines()
    assert rows[0] == "file,prediction,error"
    assert len(rows) == 1 + len(blobs())


def test_search_for_the_task_of_the_page_asks_for_the_right_direction(own: Project) -> None:
    search = [
        "-m",
        *TINY,
        "search=coarse",
        "search.trials=2",
        "search.space={optimizer.lr: 'interval(0.001, 0.02)'}",
    ]
    said = own.python("pipeline.train", *search, fails=True)
    assert (
        "search.direction: score is better when lower, got 'maximize'; set search.direction=minimize" in said
    )
    said = own.python("pipeline.train", *search, "search.direction=minimize")
    assert "best of 2 trials, " in said


def test_classes_that_are_no_counts_are_refused_by_the_task_of_the_page(own: Project) -> None:
    said = own.python("pipeline.train", "task=counting", "data=blobs", "data.classes=[few,many]", fails=True)
    assert "error: data.classes must be counts, such as '0' or '12', got 'few'" in said

"""Segmentation where classes are absent: what is left out is counted, and what can never be scored is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.facts import Facts
from pipeline.runs.context import RunContext
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.segmentation import cases
from pipeline.tasks.segmentation.demands import DEMANDS
from pipeline.training.run import RunRequest, train
from tests.makers import data_section, encode, write_files
from tests.refusals import refused
from tests.tasks.test_contract import declare
from tests.tasks.test_segmentation import GUESS, NAMES, TRUTH, as_outputs, make_task


def test_images_that_are_left_out_of_means_are_counted_by_class() -> None:
    task = make_task()
    evidence = task.evidence(as_outputs(GUESS), {"target": torch.tensor(TRUTH)}).numpy()
    assert task.remarks(evidence) == [
        "images left out of the means over images (not of pooled scores), as they neither have the class nor are "
        "predicted to: white 1; of 2"
    ]
    assert task.remarks(evidence[:1]) == []


def test_nothing_is_drawn_where_no_image_has_a_score(tmp_path: Path) -> None:
    nothing = np.zeros((2, 4, 4), np.uint8)
    task = make_task()
    outputs = as_outputs(nothing.tolist())
    evidence = task.evidence(outputs, {"target": torch.from_numpy(nothing)}).numpy()
    evaluated = Evaluated(evidence, nothing, np.zeros((2, 4, 4, 1), np.uint8), nothing, ["a.png", "b.png"])
    cases.draw(task, evaluated, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("background", "counts", "named"),
    [
        ("other", [5, 0, 0], None),
        (None, [5, 0, 0], "grey, white"),
        ("other", [5, 0, 2], "grey"),
        ("other", [0, 1, 1], ""),
    ],
)
def test_validation_without_foreground_is_refused_and_classes_without_a_pixel_are_named(
    background: str | None, counts: list[int], named: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"set_{background}_{counts[0]}_{counts[2]}"  # as a warning is said once
    facts = Facts(**data_section("mine", name=name, classes=list(NAMES), background=background))
    num_images = {"train": [9, 9, 9], "val": counts, "test": [0, 0, 0]}
    if named is None:
        with refused("data.split", got="folders", hint="move images that have some into it") as caught:
            DEMANDS.check_present(num_images, facts, select=None)
        assert caught.value.problem == (
            "no mask of the val split of mine has a pixel of a class other than the background, so Dice cannot select "
            "an epoch"
        )
    else:
        DEMANDS.check_present(num_images, facts, select=None)
        said = f"classes that no image of the val split has: {named}; their validation scores are not defined"
        assert (said in capsys.readouterr().err) == bool(named)


def test_training_on_what_can_never_be_scored_is_refused_before_its_first_epoch(tmp_path: Path) -> None:
    declaration = declare("multilabel", tmp_path)
    (tmp_path / "data.zip").unlink()
    sets = {"train": ["0", "1|2", ""], "val": ["", ""], "test": ["0", "1"]}
    random, files, lines = np.random.default_rng(0), dict[str, bytes](), ["file,tags"]
    for split, labels in sets.items():
        for index, text in enumerate(labels):
            files[f"{split}/{index}.png"] = encode(random.integers(0, 256, (8, 8), dtype=np.uint8))
            lines.append(f"{split}/{index}.png,{text}")
    write_files(tmp_path / "data.zip", {"labels.csv": "\n".join(lines).encode(), **files})
    with refused("data.split", got="folders"):
        train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    assert not list((tmp_path / "runs").rglob("*.ckpt"))

"""What `inspect` says to type next: a first run that ends in minutes on a processor."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.declaration.composition import compose
from pipeline.inspection import advice
from pipeline.tasks.demands import load_demands
from pipeline.training.inputs import prepare
from tests.data.test_voc import voc_object
from tests.makers import encode, write_class_folders, write_files
from tests.place_makers import write_points
from tests.test_inspect import run  # noqa: F401, a fixture


def write_noted(path: Path, boxes: dict[str, str]) -> None:
    """Write 40 images, and the objects of some in a file of VOC."""
    images = {f"JPEGImages/{n}.png": encode(np.full((64, 48), 5 * n, np.uint8)) for n in range(40)}
    notes = {
        f"Annotations/{name}.xml": f"<annotation>{text}</annotation>".encode() for name, text in boxes.items()
    }
    write_files(path, images | notes)


ONE, TWO = voc_object("cat", "1 1 20 20"), voc_object("dog", "9 9 40 40")
CROWD = voc_object("cat", "2 2 30 30", "<difficult>1</difficult>")
BOXES = [
    # objects of images          what is suggested
    ({str(n): ONE for n in range(39)}, "task=localization model=localizer optimizer=adamw"),
    ({**{str(n): ONE for n in range(39)}, "7": ONE + TWO}, "task=detection model=yolo_small optimizer=adamw"),
    ({**{str(n): ONE for n in range(39)}, "7": CROWD}, "task=detection model=yolo_small optimizer=adamw"),
]  # fmt: skip


@pytest.mark.parametrize(("boxes", "suggested"), BOXES, ids=["one", "several", "one to ignore"])
def test_boxes_get_a_task_that_takes_as_many_as_an_image_has(
    boxes: dict[str, str],
    suggested: str,
    run: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    write_noted(tmp_path / "pets", boxes)
    check_suggestion(run(tmp_path / "pets"), suggested)


def test_points_get_maps_of_a_network_that_keeps_where_things_are(run: Any, tmp_path: Path) -> None:  # noqa: F811
    write_points(tmp_path / "pets", splits=(), num_images=40)
    check_suggestion(
        run(tmp_path / "pets"), "task=landmarks task.outputs=heatmaps model=unet_small optimizer=adamw"
    )


def check_suggestion(said: str, suggested: str) -> None:
    """Assert that the command is what is to be suggested, and that its network takes a batch of the data."""
    assert f"Type next: python -m pipeline.train data=pets {suggested}" in said
    assert "Training would refuse it" not in said
    typed = shlex.split(said.partition("pipeline.train ")[2].partition("\n")[0])
    declaration = compose(typed)
    prepared = prepare(declaration, root=Path.cwd())
    demands = load_demands(declaration.task)
    for split in ("train", "val"):
        demands.check_targets(np.load(prepared / f"{split}_targets.npy"), lambda: ["an image"])


@pytest.mark.parametrize(
    ("minutes", "shorter", "told"),
    [
        (0.5, "", ""),
        (1.4, " trainer.max_epochs=7", "Without trainer.max_epochs=7, 20 epochs would take about 28 min on"),
        (
            12,
            " 'data.shape=[3,64,64]' trainer.max_epochs=3",
            "Without data.shape=[3,64,64] and trainer.max_epochs=3, 20 epochs would take about 4 h on",
        ),
        (10_000, " 'data.shape=[3,32,32]' trainer.max_epochs=1", "Without data.shape=[3,32,32] and"),
    ],
)
def test_first_run_is_shortened_to_minutes_on_a_processor(
    minutes: float,
    shorter: str,
    told: str,
    run: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An epoch of 56 images to train on and 12 to validate on is 3 * 56 + 12 passes of 0.592e9 multiply-adds."""
    monkeypatch.setattr(advice, "SPEED", 180 * 592_188_416 / (60 * minutes))
    write_class_folders(tmp_path / "pets", splits=(), num_images=40, sides=(300, 300), channels=3)
    said = run(tmp_path / "pets")
    assert f"Type next: python -m pipeline.train data=pets model=resnet18{shorter}\n{told}" in said
    assert ("two cores of a processor" in said) == bool(told)
    typed = shlex.split(said.partition("pipeline.train ")[2].partition("\n")[0])
    compose(typed)

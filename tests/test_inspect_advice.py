"""What `inspect` says to type next: a first run that ends in minutes on a processor."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.composition import compose
from pipeline.inspection import advice
from tests.makers import write_class_folders
from tests.test_inspect import run  # noqa: F401, a fixture


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

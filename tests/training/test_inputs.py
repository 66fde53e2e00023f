"""Inputs of training: a warning about crops that show nothing but enlarged pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import warn
from pipeline.training.inputs import load_inputs
from tests.makers import data_section, declaration, write_class_folders


@pytest.mark.parametrize(
    ("sides", "seen", "is_said"),
    [((10, 10), [1, 12, 12], True), ((16, 16), [1, 12, 12], False), ((10, 10), [1, 16, 16], False)],
)
def test_crops_of_images_that_were_all_enlarged_are_said_with_their_number_and_one_of_them(
    sides: tuple[int, int],
    seen: list[int],
    is_said: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_class_folders(tmp_path / "data.zip", sides=sides)
    data = data_section(tmp_path / "data.zip", shape=[1, 16, 16])
    warn.cache_clear()
    load_inputs(declaration(data, input_shape=seen), root=tmp_path, is_thorough=True)
    text = (
        "warning: input_shape: all 6 training images, such as train/cat/000.png, are smaller than "
        "data.shape=[1, 16, 16], so that crops of [1, 12, 12] are enlarged pixels; choose smaller shapes\n"
    )
    assert capsys.readouterr().err == (text if is_said else "")

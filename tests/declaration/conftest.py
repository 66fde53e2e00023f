"""A tiny classification and a tiny segmentation, whose archives lie beside."""

from pathlib import Path

import pytest

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from tests.makers import data_section, declaration, write_class_folders, write_image_masks

MIRROR = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
SEGMENTATION = {"_target_": "pipeline.tasks.segmentation.task.Segmentation", "dice_weight": 0.5}
MODEL = {**compose_sections([])["model"], "name": "tiny", "layers": [{"conv": 2}]}


@pytest.fixture
def tiny(tmp_path: Path) -> Declaration:
    """Return a classification whose archive lies in `tmp_path`."""
    write_class_folders(tmp_path / "data.zip")
    model = {**MODEL, "head": ["flatten", {"linear": "outputs"}]}
    augmentation = {"steps": [MIRROR], "mixing": None, "copies": 2}
    return declaration(data_section(tmp_path / "data.zip"), model=model, augmentation=augmentation)


@pytest.fixture
def masked(tmp_path: Path) -> Declaration:
    """Return a segmentation whose archive lies in `tmp_path`."""
    write_image_masks(tmp_path / "masks.zip")
    data = data_section(tmp_path / "masks.zip", format="image_masks")
    return declaration(data, model={**MODEL, "head": [{"conv": "outputs"}]}, task=SEGMENTATION)

"""A tiny classification and a tiny segmentation, whose archives lie beside."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import keys
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import Closure, import_closure
from tests.makers import data_section, declaration, write_class_folders, write_image_masks

MIRROR = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
SEGMENTATION = {
    "_target_": "pipeline.tasks.segmentation.task.Segmentation",
    "dice_weight": 0.5,
    "dice_background": True,
    "class_weights": "none",
}
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


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets modules say something else from now on."""

    def say(*modules: str) -> None:
        def closure(names: Any, **options: Any) -> Closure:
            found = import_closure(names, **options)
            changed = {name: f"changed {found.digests[name]}" for name in modules if name in found.digests}
            return Closure({**found.digests, **changed}, found.libraries)

        monkeypatch.setattr(keys, "import_closure", closure)

    return say

"""Previews: the draws of training, named by the steps that made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import preview
from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose_sections
from pipeline.training.assemble import make_train_split
from pipeline.training.construction import build_augmentation
from pipeline.training.previews import draw_previews
from pipeline.transforms.statistics import measure
from tests.doors.project import Project

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 1), dtype=np.uint8)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    np.save(tmp_path / "train_images.npy", IMAGES)
    np.save(tmp_path / "train_targets.npy", np.arange(6, dtype=np.uint8))
    return Prepared(tmp_path)


def drawn(
    overrides: list[str], prepared: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return what is drawn on each sheet."""
    sheets: dict[str, Any] = {}

    def keep(images: list[np.ndarray], path: Path, **more: Any) -> None:
        sheets[path.stem] = more | {"images": images}

    monkeypatch.setattr(preview, "draw_sheet", keep)
    config = compose_sections(overrides)
    augmentation = build_augmentation(config, measure([IMAGES], patch=None))
    split = make_train_split(config, prepared, augmentation, None)
    written = draw_previews(config, split, augmentation, folder)
    assert [path.stem for path in written] == list(sheets)
    return sheets


def test_row_holds_an_image_and_what_training_draws_of_it(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets = drawn(["augmentation=mirror"], prepared, tmp_path, monkeypatch)
    assert list(sheets) == ["training_images", "augmentation"], "one step needs no sheet of steps"
    rows = np.array(sheets["augmentation"]["images"]).reshape(4, 8, 32, 32, 1)
    captions = np.array(sheets["augmentation"]["captions"]).reshape(4, 8)
    config = compose_sections(["augmentation=mirror"])
    split = make_train_split(
        config, prepared, build_augmentation(config, measure([IMAGES], patch=None)), None
    )
    for row, names in zip(rows, captions, strict=True):
        (index,) = [i for i in range(6) if np.array_equal(IMAGES[i], row[0])]
        assert names[0] == "original"
        for epoch in range(7):
            batch = split[epoch, [index]]["image"].permute(0, 2, 3, 1).numpy()
            np.testing.assert_array_equal(row[1 + epoch], batch[0])
            was_mirrored = np.array_equal(row[1 + epoch], row[0][:, ::-1])
            assert names[1 + epoch] == ("HorizontalFlip" if was_mirrored else "as it was")
    assert set(captions[:, 1:].ravel()) == {"HorizontalFlip", "as it was"}


def test_each_step_has_its_row(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheets = drawn(["augmentation=heavy"], prepared, tmp_path, monkeypatch)
    captions = np.array(sheets["augmentation_steps"]["captions"]).reshape(-1, 8)
    names = ["HorizontalFlip", "Affine", "OneOf", "ColorJitter", "Erasing"]
    assert [caption.split(", ")[0] for caption in captions[:, 0]] == [
        f"{number}. {name}" for number, name in enumerate(names, start=1)
    ]
    for name, row in zip(names, captions[:, 1:], strict=True):
        inside = {"ElasticTransform", "GridDistortion"} if name == "OneOf" else {name}
        assert {*row} <= {*inside, "as it was"}


def test_mixed_images_are_captioned_by_weight(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets = drawn(["augmentation=cutmix"], prepared, tmp_path, monkeypatch)
    captions = sheets["training_images"]["captions"]
    assert len(captions) == 4 * 6
    weights = {caption.split()[0] for caption in captions}
    assert len(weights) > 1, "every batch has its own"
    for caption in captions:
        weight, _, plus, rest, _ = caption.split()
        assert plus == "+"
        assert float(weight) + float(rest) == pytest.approx(1, abs=0.011)


def test_command_writes_the_sheets_and_names_them(project: Project) -> None:
    said = project.python("pipeline.preview", "experiment=brain_unet", "augmentation=mirror_crop")
    names = ["training_images", "augmentation", "augmentation_steps"]
    assert said.splitlines()[-3:] == [f"artifacts/preview/brain_unet/{name}.png" for name in names]
    for name in names:
        assert (project.root / f"artifacts/preview/brain_unet/{name}.png").stat().st_size > 10_000

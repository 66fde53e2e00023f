"""Previews: the draws of training, named by the steps that made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.batches import PreparedSplit
from pipeline.data.prepared import Prepared
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.training import previews
from pipeline.training.assemble import make_train_split, resolve_task
from pipeline.training.construction import build_augmentation
from pipeline.training.previews import draw_previews
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.statistics import measure
from tests.doors.project import Project

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 1), dtype=np.uint8)
LABELS = np.arange(6, dtype=np.uint8)
MASKS = IMAGES[..., 0] // 64
BRAIN = ["experiment=brain_unet", "data.shape=[1,32,32]"]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return written(tmp_path, LABELS, "label")


def written(folder: Path, targets: np.ndarray, kind: str) -> Prepared:
    np.save(folder / "train_images.npy", IMAGES)
    np.save(folder / "train_targets.npy", targets)
    return Prepared(folder, load_kind(kind))


def read_split(declaration: Declaration, prepared: Prepared) -> tuple[PreparedSplit, Augmentation | None]:
    augmentation = build_augmentation(declaration, measure([IMAGES], patch=None))
    return make_train_split(declaration, prepared, augmentation, None), augmentation


def drawn(
    overrides: list[str], prepared: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return what is drawn on each sheet."""
    sheets: dict[str, Any] = {}

    def keep(images: list[np.ndarray], path: Path, **more: Any) -> None:
        sheets[path.stem] = more | {"images": images}

    monkeypatch.setattr(previews, "draw_sheet", keep)
    declaration = compose(overrides)
    split, augmentation = read_split(declaration, prepared)
    files = draw_previews(declaration, split, augmentation, resolve_task(declaration, prepared), folder)
    assert [path.stem for path in files] == list(sheets)
    return sheets


def test_row_holds_an_image_and_what_training_draws_of_it(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets = drawn(["augmentation=mirror"], prepared, tmp_path, monkeypatch)
    assert list(sheets) == ["training_images", "augmentation"], "one step needs no sheet of steps"
    rows = np.array(sheets["augmentation"]["images"]).reshape(4, 8, 32, 32, 1)
    captions = np.array(sheets["augmentation"]["captions"]).reshape(4, 8)
    split, _ = read_split(compose(["augmentation=mirror"]), prepared)
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


def test_labels_are_written_above_the_images_and_masks_drawn_over_them(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = drawn(["augmentation=mirror"], prepared, tmp_path, monkeypatch)["training_images"]
    assert sheet["captions"] == ["0", "1", "2", "3", "4", "5"]
    assert sheet["masks"] is sheet["classes"] is None
    for sheet in drawn(BRAIN, written(tmp_path, MASKS, "mask"), tmp_path, monkeypatch).values():
        assert sheet["classes"] == compose(BRAIN).data.classes
        for image, mask in zip(sheet["images"], sheet["masks"], strict=True):
            np.testing.assert_array_equal(mask, image[..., 0] // 64, "it was left behind by its image")


def test_command_writes_the_sheets_and_names_them(project: Project) -> None:
    said = project.python("pipeline.preview", "experiment=brain_unet", "augmentation=mirror_crop")
    names = ["training_images", "augmentation", "augmentation_steps"]
    assert said.splitlines()[-3:] == [f"artifacts/preview/brain_unet/{name}.png" for name in names]
    for name in names:
        assert (project.root / f"artifacts/preview/brain_unet/{name}.png").stat().st_size > 10_000

"""Stage `augment`: copies made ahead are found by all that decides them, and training takes them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import augment as stage
from pipeline.data import draws
from pipeline.data.draws import OnTheFly, Precomputed
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import copies_key
from pipeline.runs.cache import publish
from pipeline.training.assemble import make_train_split
from pipeline.training.construction import build_augmentation
from pipeline.training.inputs import augment, prepare, statistics
from pipeline.transforms.statistics import Statistics
from tests.makers import data_section, declaration, write_class_folders, write_declaration, write_image_masks

CODE = Path(__file__).parents[1]
PREFIX = "pipeline.transforms."
CROP = {"_target_": f"{PREFIX}steps.pad_crop.PadCrop", "rows": 8, "columns": 8, "padding": 0.25}
MIRROR = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}


def section(**changes: Any) -> dict[str, Any]:
    return {"steps": [CROP], "mixing": None, "copies": 2, **changes}


@pytest.fixture(autouse=True)
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the picture of the statistics, which takes most of the time."""
    monkeypatch.setattr("pipeline.pictures.statistics.draw_statistics", lambda *_, **__: None)


@pytest.fixture
def tiny(tmp_path: Path) -> Declaration:
    """Return a declaration with copies, of colour images."""
    write_class_folders(tmp_path / "data.zip", channels=3)
    return declaration(data_section(tmp_path / "data.zip", shape=[3, 8, 8]), augmentation=section())


def folder_of(declared: Declaration, root: Path) -> Path:
    folder = augment(declared, root=root)
    assert folder is not None
    return folder


def prepared_of(declared: Declaration, root: Path) -> Prepared:
    return Prepared.open(prepare(declared, root=root), declared.data)


def fresh_draws(declared: Declaration, root: Path) -> OnTheFly:
    made = build_augmentation(declared, Statistics.load(statistics(declared, root=root)))
    assert made is not None
    return OnTheFly(made, prepared_of(declared, root).kind.moves_as, seed=declared.seed)


def test_copies_are_what_the_first_epochs_would_draw(tiny: Declaration, tmp_path: Path) -> None:
    folder = folder_of(tiny, tmp_path)
    prepared, fresh = prepared_of(tiny, tmp_path), fresh_draws(tiny, tmp_path)
    made = np.load(folder / "images.npy")
    assert made.shape == (2, 6, 8, 8, 3)
    assert {path.name for path in folder.iterdir()} == {"images.npy", "key", "digests.json"}
    for epoch in (0, 1):
        wanted, _ = fresh.batch(prepared.images("train"), prepared.targets("train"), epoch, list(range(6)))
        np.testing.assert_array_equal(made[epoch], wanted)


def test_masks_are_drawn_with_their_images(tmp_path: Path) -> None:
    write_image_masks(tmp_path / "data.zip")
    data = data_section(
        tmp_path / "data.zip", format="image_masks", mirror_changes_label=False, ignore_label=9
    )
    folder = folder_of(declaration(data, augmentation=section()), tmp_path)
    assert {path.name for path in folder.iterdir()} == {"images.npy", "targets.npy", "key", "digests.json"}
    images, masks = (np.load(folder / f"{part}.npy") for part in ("images", "targets"))
    assert (images.shape, masks.shape) == ((2, 3, 8, 8, 1), (2, 3, 8, 8))
    assert set(np.unique(masks)) == {0, 1, 9}, "padded pixels are ignored"
    np.testing.assert_array_equal(masks[images[..., 0] >= 128], 1)  # the maker's images tell their masks


def test_without_copies_nothing_is_made(tiny: Declaration, tmp_path: Path) -> None:
    assert augment(tiny.replace(augmentation=section(copies=None)), root=tmp_path) is None
    assert not (tmp_path / "cache").exists()


def test_copies_are_found_and_not_made_again(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = folder_of(tiny, tmp_path)
    monkeypatch.setattr(draws, "write_draws", lambda *_, **__: pytest.fail("made again"))
    assert folder_of(tiny, tmp_path) == made
    mixed = section(mixing={"_target_": f"{PREFIX}mixing.Mixup", "alpha": 0.2})
    assert folder_of(tiny.replace(augmentation=mixed), tmp_path) == made, (
        "batches are mixed when they are loaded"
    )


def test_what_dvc_restores_is_adopted_and_not_made_again(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = folder_of(tiny, tmp_path)
    publish(made, tmp_path / "artifacts" / "augment" / "any_name", root=tmp_path)
    images = np.load(made / "images.npy")
    for file in made.iterdir():
        file.unlink()
    made.rmdir()
    monkeypatch.setattr(draws, "write_draws", lambda *_, **__: pytest.fail("made again"))
    np.testing.assert_array_equal(np.load(folder_of(tiny, tmp_path) / "images.npy"), images)


KEYS = [
    # what is changed                                        whether other copies come of it
    ({"seed": 1}, True),
    ({"augmentation": section(copies=3)}, True),
    ({"augmentation": section(steps=[CROP, MIRROR])}, True),
    ({"augmentation": section(steps=[{**CROP, "padding": 0.125}])}, True),
    ({"augmentation": section(mixing={"_target_": f"{PREFIX}mixing.CutMix", "alpha": 1.0})}, False),
    ({"optimizer": {"lr": 0.3}}, False),
]


@pytest.mark.parametrize(("changes", "is_other"), KEYS)
def test_key_depends_on_what_decides_the_copies(
    changes: dict[str, Any], is_other: bool, tiny: Declaration, tmp_path: Path
) -> None:
    changed = copies_key(tiny.replace(**changes), root=tmp_path)
    assert (changed != copies_key(tiny, root=tmp_path)) == is_other


def test_key_depends_on_the_order_of_steps_the_ignored_label_and_the_images(
    tiny: Declaration, tmp_path: Path
) -> None:
    changes = [
        {"augmentation": section(steps=[CROP, MIRROR])},
        {"augmentation": section(steps=[MIRROR, CROP])},
        {"data": {**tiny.sections["data"], "ignore_label": 9}},
        {},
    ]
    keys = {copies_key(tiny.replace(**each), root=tmp_path) for each in changes}
    write_class_folders(tmp_path / "data.zip", channels=3, num_images=4)
    assert len(keys | {copies_key(tiny, root=tmp_path)}) == 5


def test_other_copies_are_made_for_another_key(tiny: Declaration, tmp_path: Path) -> None:
    made = [folder_of(tiny.replace(**changes), tmp_path) for changes in ({}, {"seed": 1})]
    first, second = (np.load(folder / "images.npy") for folder in made)
    assert (first != second).any()


def test_training_split_takes_the_copies(tiny: Declaration, tmp_path: Path) -> None:
    folder, prepared = folder_of(tiny, tmp_path), prepared_of(tiny, tmp_path)
    augmentation = build_augmentation(tiny, Statistics.load(statistics(tiny, root=tmp_path)))
    ahead = make_train_split(tiny, prepared, augmentation, folder)
    fresh = make_train_split(tiny, prepared, augmentation, None)
    assert isinstance(ahead.draws, Precomputed)
    assert isinstance(fresh.draws, OnTheFly)
    for epoch, drawn in ((0, 0), (1, 1), (2, 0), (3, 1)):
        assert ahead[epoch, [4, 1]]["image"].equal(fresh[drawn, [4, 1]]["image"])
    np.save(folder / "images.npy", np.full((2, 6, 8, 8, 3), 77, np.uint8))
    assert set(ahead[0, [0]]["image"].flatten().tolist()) == {77}, "the copies themselves are read"


def write_tiny(root: Path, **changes: Any) -> list[str]:
    """Write a small project; return what follows `python -m pipeline.augment`."""
    write_class_folders(root / "data.zip")
    data = data_section("data.zip", mirror_changes_label=False)
    write_declaration(root / "tiny.yaml", data, augmentation=section(**changes))
    return ["tiny.yaml", "artifacts/augment/tiny"]


def test_command_publishes_the_copies_and_tells_what_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["augment", *write_tiny(tmp_path)])
    stage.main()
    told = "augment: 2 drawn copies of 6 training images take 768 bytes, the disk has "
    said = capsys.readouterr()
    assert said.out == ""
    assert [line[: len(told)] for line in said.err.splitlines()] == [told]
    out = tmp_path / "artifacts" / "augment" / "tiny"
    assert {path.name for path in out.iterdir()} == {"images.npy", "key", "digests.json"}
    assert np.load(out / "images.npy").shape == (2, 6, 8, 8, 1)


def test_command_refuses_an_experiment_without_copies(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.augment", *write_tiny(tmp_path, copies=None)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CODE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: augmentation.copies: is null in tiny.yaml, so there is nothing to draw; set it, or remove the "
        "experiment from `augmented` in params.yaml\n"
    )
    assert not (tmp_path / "artifacts").exists()

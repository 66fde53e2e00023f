"""Stage `statistics`: numbers of the training split, and of nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import CONF
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import statistics_key
from pipeline.training.inputs import prepare, statistics
from pipeline.transforms import statistics as formulas
from pipeline.transforms.statistics import Statistics
from tests.makers import SPLITS, data_section, declaration, write_class_folders, write_declaration

CODE = Path(__file__).parents[1]


@pytest.fixture
def tiny(tmp_path: Path) -> Declaration:
    write_class_folders(tmp_path / "data.zip", channels=3)
    return declaration(data_section(tmp_path / "data.zip", shape=[3, 8, 8]), **preprocess("standardize"))


def preprocess(name: str, **changes: Any) -> dict[str, Any]:
    return {"preprocess": yaml.safe_load((CONF / "preprocess" / f"{name}.yaml").read_text()) | changes}


def test_numbers_are_those_of_the_training_images(tiny: Declaration, tmp_path: Path) -> None:
    found = Statistics.load(statistics(tiny, root=tmp_path))
    train = Prepared.open(prepare(tiny, root=tmp_path), tiny.data).images("train") / 255
    np.testing.assert_allclose(found.mean, train.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, train.std(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.mean_image, train.mean(axis=0), rtol=1e-12)
    assert found.pixels == train[..., 0].size
    assert found.whitening is None


@pytest.mark.parametrize("name", ["pca_whiten", "zca_whiten"])
@pytest.mark.parametrize(("patch", "size"), [(None, 192), (4, 48), (2, 12)])
def test_whitening_is_measured_where_it_is_asked_for(
    name: str, patch: int | None, size: int, tiny: Declaration, tmp_path: Path
) -> None:
    found = Statistics.load(
        statistics(tiny.replace(**preprocess(name, patch=patch)), root=tmp_path)
    ).whitening
    assert found is not None
    assert (found.mean.shape, found.variances.shape, found.axes.shape) == ((size,), (size,), (size, size))


def spoil(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"not an array")


@pytest.mark.parametrize("damage", [Path.unlink, spoil], ids=["absent", "spoilt"])
def test_no_split_but_train_is_read(
    damage: Callable[[Path], None], tiny: Declaration, tmp_path: Path
) -> None:
    folder = prepare(tiny, root=tmp_path)
    for split in SPLITS[1:]:
        for kind in ("images", "targets"):
            damage(folder / f"{split}_{kind}.npy")
    assert Statistics.load(statistics(tiny, root=tmp_path)).pixels == 6 * 64


def test_test_images_do_not_change_the_numbers(tmp_path: Path) -> None:
    found = []
    for name, num_images in (("few", 2), ("many", 5)):
        root = tmp_path / name
        write_class_folders(root / "data", splits=["train"])
        write_class_folders(root / "data", splits=["val", "test"], num_images=num_images)
        section = data_section(root / "data", allow_duplicates=True)
        made = statistics(declaration(section, **preprocess("pca_whiten")), root=root)
        files = [
            path for path in made.glob("*.*") if path.name != "digests.json"
        ]  # with the digest of the key
        found.append({path.name: path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert {"statistics.json", "mean_image.npy", "whitening_axes.npy", "statistics.png"} <= found[0].keys()


def test_key_depends_on_the_data_and_not_on_the_model(tiny: Declaration, tmp_path: Path) -> None:
    key = statistics_key(tiny, root=tmp_path)
    steps = [{"_target_": "albumentations.HorizontalFlip"}]
    more = {
        "model": {"name": "other"},
        "input_shape": [3, 4, 4],
        "augmentation": {"steps": steps, "mixing": None, "copies": None},
        "seed": 3,
    }
    assert statistics_key(tiny.replace(**more), root=tmp_path) == key
    smaller = tiny.replace(data={**tiny.sections["data"], "shape": [3, 4, 4]})
    assert statistics_key(smaller, root=tmp_path) != key
    write_class_folders(tmp_path / "data.zip", channels=3, num_images=4)
    assert statistics_key(tiny, root=tmp_path) != key


def test_key_depends_on_what_is_whitened_and_on_nothing_else_of_preprocess(
    tiny: Declaration, tmp_path: Path
) -> None:
    def key(name: str, **changes: Any) -> str:
        return statistics_key(tiny.replace(**preprocess(name, **changes)), root=tmp_path)

    recipes = {path.stem for path in (CONF / "preprocess").glob("*.yaml")} - {"pca_whiten", "zca_whiten"}
    assert len({key(name) for name in recipes} | {key("mean_image", scale=1.0)}) == 1
    tiles = [
        {key("pca_whiten", patch=patch), key("zca_whiten", patch=patch, epsilon=1.0)}
        for patch in (None, 4, 2)
    ]
    assert [len(keys) for keys in tiles] == [1, 1, 1]
    assert len(set().union(*tiles, {key("unit")})) == 4


def test_statistics_are_found_and_not_computed_again(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = statistics(tiny, root=tmp_path)
    monkeypatch.setattr(formulas, "measure", lambda *_, **__: pytest.fail("computed again"))
    assert statistics(tiny.replace(model={"name": "vgg11"}), root=tmp_path) == made


def run(arguments: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.statistics", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CODE)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_publishes_the_numbers(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    write_declaration(tmp_path / "tiny.yaml", data_section("data.zip"))
    done = run(["tiny.yaml", "artifacts/statistics/tiny"], tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    out = tmp_path / "artifacts" / "statistics" / "tiny"
    assert {path.name for path in out.iterdir()} == {
        "statistics.json",
        "mean_image.npy",
        "statistics.png",
        "key",
        "digests.json",
    }
    numbers = json.loads((out / "statistics.json").read_text())
    assert numbers.keys() == {"mean", "deviation", "covariance", "pixels"}
    assert list(tmp_path.rglob("*unfinished*")) == []


def test_command_without_a_folder_to_write_shows_its_usage(tmp_path: Path) -> None:
    done = run(["tiny.yaml"], tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: python -m pipeline.statistics: expected 2 paths, got 1; "
        "usage: python -m pipeline.statistics <declaration>.yaml <folder to write>\n"
    )

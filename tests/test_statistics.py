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

from pipeline.data.prepared import Prepared
from pipeline.prepare import prepare
from pipeline.statistics import statistics, statistics_key
from pipeline.transforms import statistics as formulas
from pipeline.transforms.statistics import Statistics
from tests.makers import SPLITS, data_section, write_class_folders, write_declaration

CODE = Path(__file__).parents[1]


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    write_class_folders(tmp_path / "data.zip", channels=3)
    return {"data": data_section(tmp_path / "data.zip", shape=[3, 8, 8])}


def test_numbers_are_those_of_the_training_images(config: dict[str, Any], tmp_path: Path) -> None:
    found = Statistics.load(statistics(config, root=tmp_path) / "statistics.json")
    train = Prepared(prepare(config, root=tmp_path)).images("train") / 255
    np.testing.assert_allclose(found.mean, train.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, train.std(axis=(0, 1, 2)), rtol=1e-12)
    assert found.pixels == train[..., 0].size


def spoil(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"not an array")


@pytest.mark.parametrize("damage", [Path.unlink, spoil], ids=["absent", "spoilt"])
def test_no_split_but_train_is_read(
    damage: Callable[[Path], None], config: dict[str, Any], tmp_path: Path
) -> None:
    folder = prepare(config, root=tmp_path)
    for split in SPLITS[1:]:
        for kind in ("images", "targets"):
            damage(folder / f"{split}_{kind}.npy")
    assert Statistics.load(statistics(config, root=tmp_path) / "statistics.json").pixels == 6 * 64


def test_test_images_do_not_change_the_numbers(tmp_path: Path) -> None:
    found = []
    for name, num_images in (("few", 2), ("many", 5)):
        root = tmp_path / name
        write_class_folders(root / "data", splits=["train"])
        write_class_folders(root / "data", splits=["val", "test"], num_images=num_images)
        made = statistics({"data": data_section(root / "data")}, root=root)
        found.append((made / "statistics.json").read_text())
    assert found[0] == found[1]


def test_key_depends_on_the_data_and_not_on_the_model(config: dict[str, Any], tmp_path: Path) -> None:
    key = statistics_key(config, root=tmp_path)
    more = {"model": {"name": "lenet5"}, "preprocess": {}, "augmentation": {"steps": []}, "seed": 3}
    assert statistics_key(config | more, root=tmp_path) == key
    smaller = {"data": config["data"] | {"shape": [3, 4, 4]}}
    assert statistics_key(smaller, root=tmp_path) != key
    write_class_folders(tmp_path / "data.zip", channels=3, num_images=4)
    assert statistics_key(config, root=tmp_path) != key


def test_statistics_are_found_and_not_computed_again(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = statistics(config, root=tmp_path)
    monkeypatch.setattr(formulas, "channel_statistics", lambda *_, **__: pytest.fail("computed again"))
    assert statistics(config | {"model": {"name": "vgg11"}}, root=tmp_path) == made


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
    assert {path.name for path in out.iterdir()} == {"statistics.json", "key"}
    assert json.loads((out / "statistics.json").read_text()).keys() == {"mean", "deviation", "pixels"}
    assert list(tmp_path.rglob("*unfinished*")) == []


def test_command_without_a_folder_to_write_shows_its_usage(tmp_path: Path) -> None:
    done = run(["tiny.yaml"], tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: usage: python -m pipeline.statistics <declaration>.yaml <folder to write>; got 1 arguments\n"
    )

"""Groups of prepared images: found in names, and missed before anything is trained."""

from pathlib import Path

import numpy as np

from pipeline.data.facts import SPLITS, Facts
from pipeline.data.prepared import Prepared, write_prepared
from tests.makers import data_section, encode, write_class_folders, write_files
from tests.refusals import refused


def test_groups_of_a_split_are_found_in_the_names_of_its_images(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    facts = Facts(**data_section(tmp_path / "data.zip", groups=r"(\w+)/\d+\.png"))
    write_prepared(facts, tmp_path, data_digest="sha256:0123")
    found = Prepared.open(tmp_path, facts)
    assert found.groups("test") == ["cat"] * 3 + ["dog"] * 3


def test_groups_of_a_table_are_those_of_its_column(tmp_path: Path) -> None:
    shades = {f"{split}{index}.png": 20 * index + len(split) for split in SPLITS for index in range(4)}
    files = {name: encode(np.full((4, 4), shade, np.uint8)) for name, shade in shades.items()}
    rows = [
        f"{name},{'cat' if index % 2 else 'dog'},{name[:-5]},p{index // 2}"
        for index, name in enumerate(files)
    ]
    table = "\n".join(["file,label,split,patient", *rows]).encode()
    columns = {"file": "file", "label": "label", "split": "split", "group": "patient"}
    section = data_section(
        write_files(tmp_path / "data", {**files, "labels.csv": table}),
        format="csv_labels", table="labels.csv", columns=columns, shape=[1, 4, 4], split="folders",
    )  # fmt: skip
    facts = Facts(**section)
    write_prepared(facts, tmp_path, data_digest="sha256:0123")
    assert [Prepared.open(tmp_path, facts).groups(split) for split in SPLITS] == [
        ["p0", "p0", "p1", "p1"],
        ["p2", "p2", "p3", "p3"],
        ["p4", "p4", "p5", "p5"],
    ]


def test_images_without_declared_groups_have_none(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    facts = Facts(**data_section(tmp_path / "data.zip"))
    write_prepared(facts, tmp_path, data_digest="sha256:0123")
    assert Prepared.open(tmp_path, facts).groups("test") is None


def test_image_without_a_group_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    facts = Facts(**data_section(tmp_path / "data.zip", groups=r"train.*"))
    with refused("data.groups", got=r"train.*", hint="rename the file, or write an expression"):
        write_prepared(facts, tmp_path, data_digest="sha256:0123")

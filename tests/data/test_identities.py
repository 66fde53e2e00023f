"""Identities: found in folders or tables, in any number, and never divided by a split or a fold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.archive import opened
from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.shares import measure_shares
from pipeline.data.sources import Sample, check_source, load_source
from pipeline.data.splits import fold_samples, split_by_name
from pipeline.data.targets.kind import load_kind
from tests.makers import data_section, encode, write_files, write_identity_folders
from tests.refusals import refused

SHARES = {"val": 0.3, "test": 0.3, "seed": 0}
TABLE: dict[str, Any] = {
    "format": "csv_identities",
    "table": "labels.csv",
    "columns": {"file": "file", "identity": "who", "split": "split"},
    "classes": [],
}
FOLDERS: dict[str, Any] = {"format": "identity_folders", "classes": []}


def write_table(root: Path, rows: Sequence[str], *, head: str = "file,who,split") -> Path:
    files = {row.split(",")[0]: encode(np.full((8, 8), index, np.uint8)) for index, row in enumerate(rows)}
    return write_files(root, files | {"labels.csv": "\n".join([head, *rows]).encode()})


def list_samples(root: Path, **facts: Any) -> list[Sample]:
    section = Facts(**data_section(root, **facts))
    check_source(section)
    with opened(root) as archive:
        return load_source(section.format).samples(archive, section)


def test_folders_are_identities_below_their_splits(tmp_path: Path) -> None:
    write_identity_folders(tmp_path / "data", names=["b", "a"], splits=("train", "val"))
    found = list_samples(tmp_path / "data", **FOLDERS)
    assert [(each.file, each.split, each.target, each.group) for each in found[::2]] == [
        ("train/traina/000.png", "train", 0, "traina"),
        ("train/trainb/000.png", "train", 1, "trainb"),
        ("val/vala/000.png", "val", 2, "vala"),
        ("val/valb/000.png", "val", 3, "valb"),
    ]


def test_table_tells_identities_and_splits(tmp_path: Path) -> None:
    root = write_table(tmp_path / "data", ["2.png,cy,train", "1.png,ann,val", "3.png, cy ,train"])
    found = list_samples(root, **TABLE)
    assert found == [
        Sample("1.png", "val", target=0, group="ann"),
        Sample("2.png", "train", target=1, group="cy"),
        Sample("3.png", "train", target=1, group="cy"),
    ]


@pytest.mark.parametrize("source", ["folders", "table"])
def test_splits_are_drawn_by_identity(source: str, tmp_path: Path) -> None:
    names = [f"p{number:02}" for number in range(20)]
    if source == "folders":
        write_identity_folders(tmp_path / "data", names=names, splits=(), num_images=3)
        found = list_samples(tmp_path / "data", **FOLDERS, split=SHARES)
    else:
        rows = [f"{name}_{index}.png,{name}" for name in names for index in range(3)]
        root = write_table(tmp_path / "data", rows, head="file,who")
        found = list_samples(root, **{**TABLE, "columns": {"file": "file", "identity": "who"}}, split=SHARES)
    groups = {sample.file: str(sample.group) for sample in found}
    drawn = split_by_name(dict.fromkeys(groups, 0), SHARES, groups=groups)
    assert {sample.file: sample.split for sample in found} == drawn
    assert {sample.group: sample.split for sample in found}.keys() == set(names)
    assert len({(sample.group, sample.split) for sample in found}) == len(names)
    assert sorted(list(drawn.values()).count(split) for split in ("train", "val", "test")) == [18, 18, 24]


def test_folds_have_other_identities_each(tmp_path: Path) -> None:
    write_identity_folders(tmp_path / "data", names=[f"p{n}" for n in range(10)], splits=(), num_images=4)
    parts = []
    for index in range(5):
        facts = Facts(
            **data_section(
                tmp_path / "data", **FOLDERS, split={"val": 0.2, "seed": 0}, fold={"index": index, "of": 5}
            )
        )
        with opened(tmp_path / "data") as archive:
            found = load_source(facts.format).samples(archive, facts)
        kind = load_kind("identity")
        folded = fold_samples(found, facts, kind.stratum)
        kind.check(folded, facts)
        parts.append({sample.group for sample in folded if sample.split == "val"})
    assert [len(part) for part in parts] == [2] * 5
    assert len(set.union(*parts)) == 10


def test_prepared_identities_are_numbers_with_names_as_groups(tmp_path: Path) -> None:
    write_identity_folders(tmp_path / "data", names=["a", "b"])
    (tmp_path / "out").mkdir()
    facts = Facts(**data_section(tmp_path / "data", **FOLDERS))
    write_prepared(facts, tmp_path / "out", data_digest="")
    prepared = Prepared.open(tmp_path / "out", facts)
    assert prepared.targets("test").dtype == np.int32
    assert prepared.targets("test").tolist() == [0, 0, 1, 1]
    assert prepared.groups("val") == ["vala", "vala", "valb", "valb"]
    assert prepared.about()["images_of_classes"] == {"train": [], "val": [], "test": []}


def test_shares_far_from_the_declared_ones_are_said_to_be_of_whole_identities(tmp_path: Path) -> None:
    facts = Facts(**data_section(tmp_path, **FOLDERS, split={"val": 0.3, "seed": 0}))
    samples = [Sample(f"{n}.png", "val" if n < 5 else "train", target=0, group=str(n % 5)) for n in range(50)]
    (sentence,) = measure_shares(samples, facts, load_kind("identity").stratum).warnings
    assert "as groups are drawn as wholes" in sentence
    assert (
        "data.split={val: 0.3, seed: " not in sentence
    )  # a seed that only drawing single images would make better


def test_identity_in_several_splits_is_refused(tmp_path: Path) -> None:
    root = write_table(tmp_path / "data", ["1.png,ann,val", "2.png,ann,train", "3.png,cy,train"])
    (tmp_path / "out").mkdir()
    text = (
        f"data.split: identities of {root} that are in several splits: 1, such as ann (train and val), got 'folders'; "
        "put all images of an identity into one split, so that scores are of unseen ones"
    )
    with refused("data.split", hint="put all images of an identity into one split", text=text):
        write_prepared(Facts(**data_section(root, **TABLE)), tmp_path / "out", data_digest="")


@pytest.mark.parametrize(
    ("facts", "path", "hint", "text"),
    [
        (
            *({**FOLDERS, "classes": ["a", "b"]}, "data.classes", ""),
            "data.classes must be [] with data.format=identity_folders, whose identities are found in the data, got "
            "['a', 'b']",
        ),
        (
            *({**FOLDERS, "groups": "x"}, "data.groups", "set it to null"),
            "data.groups: is not used by data.format=identity_folders, as no split or fold divides an identity, "
            "got 'x'; set it to null",
        ),
        ({**TABLE, "columns": {"file": "file", "label": "who"}}, "data.columns.label", "", ""),
        ({**TABLE, "columns": {"file": "file"}}, "data.columns", "", ""),
    ],
)
def test_facts_of_other_data_are_refused(
    facts: dict[str, Any], path: str, hint: str, text: str, tmp_path: Path
) -> None:
    with refused(path, hint=hint, text=text):
        check_source(Facts(**data_section(tmp_path, **facts)))


def test_image_without_an_identity_is_refused(tmp_path: Path) -> None:
    root = write_table(tmp_path / "table", ["1.png,,val", "2.png,ann,train"])
    with refused("data.columns.identity") as caught:
        list_samples(root, **TABLE)
    assert "give no identity" in str(caught.value)
    root = write_files(tmp_path / "folders", {"train/1.png": b""})
    hint = "move it to <split>/<identity>/<image>"
    text = f"data.root: {root} has an image outside the folder of an identity, got 'train/1.png'; {hint}"
    with refused("data.root", got="train/1.png", hint=hint, text=text):
        list_samples(root, **FOLDERS)

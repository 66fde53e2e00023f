"""Classes of masks: counted while they are read, and each seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from tests.makers import SPLITS, data_section, encode, write_files
from tests.refusals import refused


def prepare(root: Path, **changes: Any) -> Prepared:
    facts = Facts(**data_section(root, format="image_masks", **changes))
    (root.parent / "prepared").mkdir()
    write_prepared(facts, root.parent / "prepared", data_digest="")
    return Prepared.open(root.parent / "prepared", facts)


def write_masks_of(root: Path, values: Sequence[int]) -> None:
    """Write images whose masks have the value of each split's place throughout, beside a pixel of 0 or 3."""
    files = {}
    for split in SPLITS:
        for index, value in enumerate(values):
            pixels = np.full((8, 8), value, np.uint8)
            files[f"{split}/masks/{index}.png"] = encode(pixels)
            files[f"{split}/images/{index}.png"] = encode(pixels + np.uint8(SPLITS.index(split) * 10))
    write_files(root, files)


@pytest.mark.parametrize(
    ("values", "changes", "absent", "hint"),
    [
        ([0, 0], {}, "dog", "remove the class, or say which values it has by data.mask_values"),
        ([1, 2], {"classes": ["other", "cat", "dog"]}, "other", "add some, remove the class"),
        ([0, 255], {"ignore_label": 255}, "dog", "; data.ignore_label may stand for its pixels"),
        (
            [0, 255],
            {"mask_values": {0: "cat", 9: "dog", 255: None}, "ignore_label": 255},
            "dog",
            "ignore_label",
        ),
    ],
)
def test_class_without_a_pixel_in_training_masks_is_refused_by_name(
    values: Sequence[int], changes: dict[str, Any], absent: str, hint: str, tmp_path: Path
) -> None:
    write_masks_of(tmp_path / "data", values)
    with refused("data.classes", hint=hint) as caught:
        prepare(tmp_path / "data", **changes)
    assert caught.value.problem == f"no training mask of {tmp_path / 'data'} has a pixel of class '{absent}'"


def test_class_that_its_own_masks_lack_is_refused_without_naming_a_setting_of_other_formats(
    tmp_path: Path,
) -> None:
    black = encode(np.zeros((8, 8), np.uint8))
    names = [f"{split}/{folder}/1.png" for split in SPLITS for folder in ("images", "masks/dog")]
    write_files(tmp_path / "data", dict.fromkeys(names, black))
    facts = Facts(**data_section(tmp_path / "data", format="class_masks", allow_duplicates=True))
    with refused("data.classes") as caught:
        write_prepared(facts, tmp_path, data_digest="")
    assert caught.value.hint == "add some, or remove the class"


def test_images_of_each_class_are_counted_for_masks_too(tmp_path: Path) -> None:
    write_masks_of(tmp_path / "data", [0, 1, 1, 255])
    assert prepare(tmp_path / "data", ignore_label=255).about()["images_of_classes"] == {
        split: [1, 2] for split in SPLITS
    }

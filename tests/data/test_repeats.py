"""Images of the same bytes in several splits: refused with their number, unless that is allowed."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from tests.makers import data_section, write_class_folders, write_image_masks
from tests.refusals import refused


def prepare(section: dict[str, Any], folder: Path) -> Prepared:
    folder.mkdir()
    facts = Facts(**section)
    write_prepared(facts, folder, data_digest="")
    return Prepared.open(folder, facts)


@pytest.mark.parametrize("source", ["class_folders", "image_masks"])
def test_images_in_several_splits_are_refused_unless_that_is_allowed(source: str, tmp_path: Path) -> None:
    write = write_class_folders if source == "class_folders" else write_image_masks
    write(tmp_path / "data")
    where = "cat" if source == "class_folders" else "images"
    for index, (before, after) in enumerate((("train", "val"), ("train", "test"), ("val", "test"))):
        name = f"{where}/00{index}.png"
        shutil.copy(tmp_path / "data" / before / name, tmp_path / "data" / after / name)
    shutil.copy(tmp_path / "data" / f"train/{where}/002.png", tmp_path / "data" / f"train/{where}/000.png")
    hint = "remove one of each, or set data.allow_duplicates=true if scores on them are what you want"
    text = (
        f"data.root: images of {tmp_path / 'data'} that are in another split, too: 2, such as train/{where}/001.png "
        f"(train) and test/{where}/001.png (test); {hint}"
    )
    section = data_section(tmp_path / "data", format=source)
    with refused("data.root", hint=hint, text=text):
        prepare(section, tmp_path / "refused")
    prepared = prepare({**section, "allow_duplicates": True}, tmp_path / "allowed")
    assert len(prepared.files("test")) == len(prepared.files("train"))

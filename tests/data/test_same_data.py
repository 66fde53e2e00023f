"""The same images as folder, as zip and as zip with a folder on top are the same data, in the same splits."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import data_digest, prepared_key
from pipeline.training.inputs import prepare
from tests.makers import data_section, declaration, write_class_folders, write_files, write_image_masks

SPLIT = {"val": 0.3, "test": 0.2, "seed": 3}
FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("class_folders", {}),
    ("class_folders", {"groups": r"(\d)\.png"}),
    ("class_folders", {"fold": {"index": 1, "of": 3}}),
    ("image_masks", {}),
    ("csv_labels", {"table": "labels.csv", "columns": {"file": "file", "label": "label"}}),
]


def read_files(root: Path) -> dict[str, bytes]:
    return {
        file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize(("form", "facts"), FORMATS)
def test_same_files_are_the_same_data_however_they_are_packed(
    form: str, facts: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    if form == "image_masks":
        write_image_masks(folder, splits=(), num_images=30)
    else:
        write_class_folders(folder, splits=(), num_images=30)
    if form == "csv_labels":
        names = sorted(read_files(folder))
        rows = "".join(f"{name},{name.split('/', maxsplit=1)[0]}\n" for name in names)
        (folder / "labels.csv").write_text(f"file,label\n{rows}")
    files = read_files(folder)
    write_files(tmp_path / "plain.zip", dict(reversed(files.items())))
    write_files(tmp_path / "topped.zip", {f"my pets/{name}": content for name, content in files.items()})

    def declare(root: str) -> Declaration:
        return declaration(data_section(tmp_path / root, format=form, split=SPLIT, **facts))

    made = {root: declare(root) for root in ("folder", "plain.zip", "topped.zip")}
    assert len({data_digest(each, root=tmp_path) for each in made.values()}) == 1
    assert len({prepared_key(each, root=tmp_path) for each in made.values()}) == 1
    prepared = []
    for name, each in made.items():
        project = tmp_path / f"project_{name}"  # each has a cache of its own
        project.mkdir()
        prepared.append(read_files(prepare(each, root=project)))
    assert prepared[0] == prepared[1] == prepared[2]

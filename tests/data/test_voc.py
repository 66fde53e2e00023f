"""Format voc: what it finds, and all that is wrong with its annotations in one error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.data.places import Box
from tests.data.test_box_formats import IMAGES, SHARES, targets
from tests.makers import data_section, list_samples, write_files
from tests.refusals import refused


def voc_object(name: str, corners: str, more: str = "") -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners.split(), strict=True)
    return f"<object><name>{name}</name><bndbox>{''.join(f'<{k}>{v}</{k}>' for k, v in sides)}</bndbox>{more}</object>"


def voc(
    root: Path, objects: dict[str, str], *, sets: dict[str, str] | None = None, **facts: Any
) -> dict[str, Any]:
    files = {f"JPEGImages/{name}": data for name, data in IMAGES.items()}
    for name, text in objects.items():
        files[f"Annotations/{name}.xml"] = f"<annotation>{text}</annotation>".encode()
    for split, text in (sets or {}).items():
        files[f"ImageSets/Main/{split}.txt"] = text.encode()
    write_files(root, files)
    return data_section(root, **{"format": "voc", "split": SHARES, **facts})


def test_voc_counts_pixels_from_one_and_ignores_difficult_objects(tmp_path: Path) -> None:
    objects = voc_object("dog", "1 3 10 20") + voc_object("cat", "2 2 5 5", "<difficult>1</difficult>")
    found = targets(voc(tmp_path, {"a": objects, "b": ""}))
    assert found["a.png"] == (
        Box(0, 2, 10, 20, 1, False, "Annotations/a.xml object 1"),
        Box(1, 1, 5, 5, 0, True, "Annotations/a.xml object 2"),
    )
    assert found["b.png"] == found["c.png"] == ()


def test_voc_takes_splits_from_its_lists(tmp_path: Path) -> None:
    sets = {"train": "a\nb 1\n", "val": "c\n"}
    section = voc(tmp_path, {}, sets=sets, split="folders")
    assert [(sample.file[-5], sample.split) for sample in list_samples(section)] == [
        ("a", "train"), ("b", "train"), ("c", "val"),
    ]  # fmt: skip
    with refused(str(tmp_path), hint="add it; keep each in one of them"):
        list_samples(voc(tmp_path, {}, sets={"train": "a\nz\n", "val": "a\n"}, split="folders"))


WRONG_VOC = [
    (voc_object("dog", "9 3 5 9"), "boxes that end before they begin: 1 (Annotations/a.xml object 1: 9 3 5 9)"),
    (voc_object("dog", "x 3 5 9"), "boxes whose corners are no numbers: 1 (Annotations/a.xml object 1)"),
    (voc_object("cow", "1 3 5 9"),
     "boxes of classes that data.classes does not have: 1 ('cow', Annotations/a.xml object 1)"),
    ("<object><name>dog</name><robndbox/></object>", "rotated boxes (robndbox): 1 (Annotations/a.xml object 1)"),
    ("<object><name>dog</name></object>", "objects without bndbox: 1 (Annotations/a.xml object 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "problem"), WRONG_VOC)
def test_wrong_object_of_voc_is_refused_with_its_number(objects: str, problem: str, tmp_path: Path) -> None:
    with refused(str(tmp_path)) as caught:
        targets(voc(tmp_path, {"a": objects}))
    assert caught.value.problem == f"has {problem}"


def test_xml_file_of_voc_without_an_image_is_refused(tmp_path: Path) -> None:
    with refused(str(tmp_path), hint="add the image, or remove the file") as caught:
        targets(voc(tmp_path, {"z": ""}))
    assert caught.value.problem == "has XML files without an image: 1 (Annotations/z.xml)"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_declares_entities_is_refused_before_they_are_read(encoding: str, tmp_path: Path) -> None:
    section = voc(tmp_path, {"a": ""})
    (tmp_path / "Annotations" / "a.xml").write_bytes(BOMB.encode(encoding))
    with refused("Annotations/a.xml", hint="remove <!DOCTYPE ...>"):
        targets(section)


@pytest.mark.parametrize("content", [b"", b"<annotation>", b"\xff\xfe\x00"])
def test_damaged_xml_is_refused(content: bytes, tmp_path: Path) -> None:
    section = voc(tmp_path, {"a": ""})
    (tmp_path / "Annotations" / "a.xml").write_bytes(content)
    with refused("Annotations/a.xml", hint="restore an intact copy"):
        targets(section)


def test_boxes_below_one_pixel_are_refused(tmp_path: Path) -> None:
    with refused(str(tmp_path), hint="as boxes are in pixels"):
        targets(voc(tmp_path, {"a": voc_object("dog", "0.1 0.2 0.8 0.9")}))

"""Formats coco and yolo: what they find, and all that is wrong with their annotations in one error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.places import Box
from pipeline.data.prepared import Prepared, write_prepared
from tests.makers import data_section, encode, list_samples, write_files
from tests.refusals import refused

IMAGES = {f"{name}.png": encode(np.full((20, 40), index, np.uint8)) for index, name in enumerate("abcd")}
SHARES = {"val": 0.3, "test": 0.3, "seed": 0}
CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def coco(
    root: Path, annotations: list[dict[str, Any]], *, categories: Any = None, images: Any = None, **facts: Any
) -> dict[str, Any]:
    """Write images and a JSON file, and return the section that declares them."""
    entries = (
        [{"id": index, "file_name": name} for index, name in enumerate(IMAGES)] if images is None else images
    )
    numbered = [{"id": number, **each} for number, each in enumerate(annotations)]
    content = {"images": entries, "annotations": numbered, "categories": categories or CATEGORIES}
    files = {f"pictures/{name}": data for name, data in IMAGES.items()}
    write_files(root, files | {"boxes.json": json.dumps(content).encode()})
    return data_section(root, **{"format": "coco", "table": "boxes.json", "split": SHARES, **facts})


def yolo(root: Path, texts: dict[str, str], **facts: Any) -> dict[str, Any]:
    files = {f"images/{name}": data for name, data in IMAGES.items()}
    labels = {f"labels/{name}.txt": text.encode() for name, text in texts.items()}
    write_files(root, files | labels)
    return data_section(root, **{"format": "yolo", "split": SHARES, **facts})


def targets(section: dict[str, Any]) -> dict[str, Any]:
    return {sample.file.split("/")[-1]: sample.target for sample in list_samples(section)}


def test_coco_finds_boxes_by_category_and_ignores_crowds(tmp_path: Path) -> None:
    found = targets(
        coco(
            tmp_path,
            [
                {"image_id": 1, "category_id": 7, "bbox": [2, 3, 10, 5], "iscrowd": 0},
                {"image_id": 0, "category_id": 3, "bbox": [0, 0, 4.5, 5]},
                {"image_id": 1, "category_id": 3, "bbox": [1, 1, 9, 9], "iscrowd": 1},
            ],
        )
    )
    assert found == {
        "a.png": (Box(0, 0, 4.5, 5, 0, False, "annotation 1"),),
        "b.png": (Box(2, 3, 12, 8, 1, False, "annotation 0"), Box(1, 1, 10, 10, 0, True, "annotation 2")),
        "c.png": (),
        "d.png": (),
    }


def test_images_without_a_box_are_kept_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets(coco(tmp_path, [{"image_id": 0, "category_id": 3, "bbox": [0, 0, 4, 5]}]))
    assert capsys.readouterr().err == (
        f"data: 3 of 4 images of {tmp_path}, such as pictures/b.png, have no box; they are kept as images without an "
        "object\n"
    )


def test_coco_takes_splits_from_the_names_of_its_files(tmp_path: Path) -> None:
    files = dict(IMAGES)
    for split, name in (("train", "a.png"), ("val", "b.png"), ("test", "c.png")):
        box = {"id": 0, "image_id": 5, "category_id": 3, "bbox": [0, 0, 4, 5]}
        content = {"images": [{"id": 5, "file_name": name}], "annotations": [box], "categories": CATEGORIES}
        files[f"boxes_{split}.json"] = json.dumps(content).encode()
    write_files(tmp_path, files)
    section = data_section(tmp_path, format="coco", table="boxes_{split}.json", split="random")
    assert [(sample.file, sample.split) for sample in list_samples(section)] == [
        ("a.png", "train"),
        ("b.png", "val"),
        ("c.png", "test"),
    ]
    (tmp_path / "boxes_test.json").unlink()
    assert len(list_samples(section)) == 2
    write_files(tmp_path, {"boxes_test.json": files["boxes_train.json"]})
    with refused("boxes_test.json", hint="keep each image in one of the files"):
        list_samples(section)
    with refused("data.table", got="../x_{split}.json"):
        list_samples({**section, "table": "../x_{split}.json"})


GOOD = {"image_id": 0, "category_id": 3, "bbox": [0, 0, 4, 5]}
WRONG_COCO = [
    ({"bbox": [4, 4, -2, 3]}, "boxes that end before they begin: 1 (annotation 0: [4, 4, -2, 3])"),
    ({"bbox": [4, 4, 0, 3]}, "boxes of no area: 1 (annotation 0: [4, 4, 0, 3])"),
    (
        {"bbox": [4, 4, float("nan"), 3]},
        "boxes whose corners are no finite numbers: 1 (annotation 0: [4, 4, nan, 3])",
    ),
    ({"bbox": [4, 4, 3, 3, 0.5]}, "rotated boxes (bbox with an angle): 1 (annotation 0)"),
    ({"bbox": None}, "annotations without a bbox: 1 (annotation 0)"),
    ({"category_id": 1}, "annotations of categories without a name: 1 (annotation 0: 1)"),
    ({"image_id": 99}, "annotations of images that it does not have: 1 (annotation 0 of 99)"),
    ({"id": "x", "image_id": 99}, "annotations of images that it does not have: 1 (annotation x of 99)"),
]


@pytest.mark.parametrize(("change", "problem"), WRONG_COCO)
def test_wrong_annotation_of_coco_is_refused_with_its_id(
    change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    with refused("boxes.json") as caught:
        targets(coco(tmp_path, [{**GOOD, **change}]))
    assert caught.value.problem == f"has {problem}"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}]}, "ids of more than one category: 1 (3)"),
        ({"categories": [{"id": 3}]}, "categories without a name: 1 (category 3)"),
        ({"categories": [{"id": 3, "name": "cow"}]},
         "boxes of classes that data.classes does not have: 1 ('cow', annotation 0)"),
        ({"images": [{"id": 0, "file_name": "a.png"}, {"id": 0, "file_name": "b.png"}]},
         "ids of more than one image: 1 (0)"),
        ({"images": [{"id": 0, "file_name": "a.png"}, {"id": 1, "file_name": "a.png"}]},
         "images that name the same file: 1 (pictures/a.png)"),
        ({"images": [{"id": 0, "file_name": "z.png"}]}, "images whose file ROOT does not have: 1 (z.png)"),
    ],
)  # fmt: skip
def test_wrong_image_or_category_of_coco_is_refused(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    with refused("boxes.json") as caught:
        targets(coco(tmp_path, [GOOD], **changes))
    assert caught.value.problem == f"has {problem.replace('ROOT', str(tmp_path))}"


def test_all_that_is_wrong_is_told_in_one_error(tmp_path: Path) -> None:
    wrong = [{**GOOD, "bbox": [4, 4, 0, 3]}, {**GOOD, "image_id": 9}, {**GOOD, "bbox": [4, 4, 0, 9]}]
    text = (
        "boxes.json: has boxes of no area: 2 (annotation 0: [4, 4, 0, 3], annotation 2: [4, 4, 0, 9]), and annotations "
        "of images that it does not have: 1 (annotation 1 of 9); correct or remove them; add the image, or remove them"
    )
    with refused("boxes.json", text=text):
        targets(coco(tmp_path, wrong))
    with refused("boxes.json", hint="give each an id of its own") as caught:
        targets(coco(tmp_path, [{**GOOD, "id": 1}, {**GOOD, "id": 1}]))
    assert caught.value.problem == "has ids of more than one annotation: 1 (1)"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"images": 3}', b"[" * 100_000])
def test_damaged_json_is_refused(content: bytes, tmp_path: Path) -> None:
    section = coco(tmp_path, [GOOD])
    (tmp_path / "boxes.json").write_bytes(content)
    with refused("boxes.json"):
        targets(section)


def test_yolo_finds_boxes_in_shares_and_images_without_a_file_have_none(tmp_path: Path) -> None:
    section = yolo(tmp_path, {"b": "1 0.5 0.5 0.25 0.5\n\n0 0.25 0.25 0.5 0.5\n", "c": ""})
    assert targets(section) == {
        "a.png": (),
        "b.png": (
            Box(0.375, 0.25, 0.625, 0.75, 1, False, "labels/b.txt line 1", is_share=True),
            Box(0, 0, 0.5, 0.5, 0, False, "labels/b.txt line 3", is_share=True),
        ),
        "c.png": (),
        "d.png": (),
    }


def test_shares_of_yolo_become_pixels_of_the_prepared_image(tmp_path: Path) -> None:
    places = zip("abcd", ("train", "train", "valid", "test"), strict=True)
    files, labels = {}, {}
    for index, (name, split) in enumerate(places):
        files[f"images/{split}/{name}.png"] = IMAGES[f"{name}.png"]
        labels[f"labels/{split}/{name}.txt"] = f"{index % 2} 0.5 0.5 0.25 0.5".encode()
    write_files(tmp_path / "data", files | labels)
    facts = Facts(**data_section(tmp_path / "data", format="yolo", shape=[1, 20, 20], resize="letterbox"))
    (tmp_path / "out").mkdir()
    write_prepared(facts, tmp_path / "out", data_digest="sha256:0")
    prepared = Prepared.open(tmp_path / "out", facts)
    corners = [7.5, 7.5, 12.5, 12.5]
    np.testing.assert_allclose(prepared.targets("train"), [[[*corners, 0, 0]], [[*corners, 1, 0]]])
    assert prepared.files("val") == ["images/valid/c.png"]


NO_SHARES = "boxes that are not in shares of the image's sides, perhaps in pixels"
WRONG_YOLO = [
    ("2 0.5 0.5 0.2 0.2", "class indices outside of 0 to 1: 1 (2, labels/a.txt line 1)", "counted from 0"),
    ("0 0.5 0.5 0.2", "lines of 4 numbers: 1 (labels/a.txt line 1)", "shares of the image's sides"),
    ("0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9", "rotated boxes (four corners): 1 (labels/a.txt line 1)", "upright"),
    (
        "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9 0.2 0.3",
        "outlines instead of boxes: 1 (labels/a.txt line 1)",
        "upright",
    ),
    ("dog 0.5 0.5 0.2 0.2", "lines that are no numbers: 1 (labels/a.txt line 1)", "a class index"),
    ("0 0.5 nan 0.2 0.2", "boxes with numbers that are not finite: 1 (labels/a.txt line 1)", ""),
    ("0 0.5 0.5 0 0.2", "boxes of no area: 1 (labels/a.txt line 1)", ""),
    (
        "0 20 10 8 4",
        "boxes that are not in shares of the image's sides, perhaps in pixels: 1 (labels/a.txt line 1)",
        "",
    ),
    ("0 0.1 0.5 0.5 0.2", "boxes that leave their image: 1 (labels/a.txt line 1)", "those of the middle"),
]


@pytest.mark.parametrize(("line", "problem", "hint"), WRONG_YOLO)
def test_wrong_line_of_yolo_is_refused_with_its_number(
    line: str, problem: str, hint: str, tmp_path: Path
) -> None:
    with refused(str(tmp_path), hint=hint) as caught:
        targets(yolo(tmp_path, {"a": line}))
    assert caught.value.problem == f"has {problem}"


def test_file_of_yolo_without_an_image_and_other_names_of_classes_are_refused(tmp_path: Path) -> None:
    with refused(str(tmp_path / "one"), hint="add the image, or remove the file") as caught:
        targets(yolo(tmp_path / "one", {"z": "0 0.5 0.5 0.2 0.2"}))
    assert caught.value.problem == "has files of boxes without an image: 1 (labels/z.txt)"
    section = yolo(tmp_path / "two", {"a": "0 0.5 0.5 0.2 0.2"})
    for names in ("[cat, dog]", "{1: dog, 0: cat}"):
        (tmp_path / "two" / "data.yaml").write_text(f"names: {names}")
        assert len(targets(section)) == 4
    (tmp_path / "two" / "data.yaml").write_text("names: [dog, cat]")
    with refused("data.classes", got=["cat", "dog"]):
        targets(section)


def test_boxes_below_one_pixel_are_refused(tmp_path: Path) -> None:
    with refused("boxes.json", hint="as boxes are in pixels"):
        targets(coco(tmp_path, [{**GOOD, "bbox": [0, 0, 0.5, 0.5]}]))

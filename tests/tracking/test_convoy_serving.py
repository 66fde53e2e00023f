"""What serves a logged model decodes files as training does, and refuses the same ones."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.data.pixel_facts import RULES
from pipeline.data.resizing import Resizing
from pipeline.errors import ConfigError
from pipeline.tracking.convoy_serving import BadInputError, Served
from tests.makers import decode, deep_png, encode

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (9, 14), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (9, 14, 3), dtype=np.uint8)
SIDES, SEEN = (6, 8), (4, 6)  # of the resized image, and of its centre, which the network sees


class Echo(nn.Module):
    """Returns the pixels that it is given, as if they were probabilities."""

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1).float()


class Dark(nn.Module):
    """Returns a mask of the pixels that are darker than the middle."""

    def forward(self, image: Tensor) -> Tensor:
        return (image[:, 0] < 128).to(torch.uint8)


class Pointed(nn.Module):
    """Returns two points in pixels of the image, with a confidence."""

    def forward(self, image: Tensor) -> Tensor:
        rows = torch.tensor([[1.0, 2.0, 1.0], [6.0, 5.0, 0.5]])
        return rows + 0 * image.flatten(1).float().sum(dim=1)[:, None, None]


class Boxed(nn.Module):
    """Returns a box in pixels of the image, of the second class, and a row without one."""

    def forward(self, image: Tensor) -> Tensor:
        rows = torch.tensor([[1.0, 2.0, 6.0, 5.0, 1.0, 0.75], [0.0, 0.0, 0.0, 0.0, -1.0, 0.0]])
        return rows + 0 * image.flatten(1).float().sum(dim=1)[:, None, None]


def served(
    folder: Path, *, mode: str, model: type[nn.Module] = Echo, example: tuple[int, int] = SEEN, **changes: Any
) -> Served:
    """Return a served model whose classes are the pixels of the image."""
    channels = {"L": 1, "RGB": 3}[mode]
    images = torch.zeros((2, channels, *example), dtype=torch.uint8)
    dims = [{0: torch.export.Dim.AUTO}]
    torch.export.save(torch.export.export(model(), (images,), dynamic_shapes=dims), folder / "model.pt2")
    about = {
        "mode": mode,
        "rows": SIDES[0],
        "columns": SIDES[1],
        "resize": "squash",
        "padding_value": 0,
        "value_range": None,
        "ignore_label": None,
        "max_pixels": 1000,
        "input": ["N", *SEEN, channels],
        "classes": [str(place) for place in range(images[0].numel())],
        "threshold": None,
        "places": None,
        "points": None,
    }
    (folder / "convoy.json").write_text(json.dumps(about | changes))
    return Served(folder)


def test_labels_are_all_classes_whose_probability_reaches_the_threshold(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 1, *SEEN)
    (answer,) = served(tmp_path, mode="L", threshold=22.0).predict(pixels)
    assert answer["labels"] == ["22", "23"]
    assert answer["probabilities"] == {str(place): float(place) for place in range(24)}
    (answer,) = served(tmp_path, mode="L", threshold=99.0).predict(pixels)
    assert answer["labels"] == []


@pytest.mark.parametrize(
    ("resize", "corners"), [("squash", [1.75, 3, 10.5, 7.5]), ("letterbox", [1.75, 3.6, 10.5, 9])]
)
def test_boxes_are_in_pixels_of_the_file_or_of_the_array(
    resize: str, corners: list[float], tmp_path: Path
) -> None:
    about = {"resize": resize, "input": ["N", *SIDES, 1], "classes": ["ant", "bee"], "places": "boxes"}
    model = served(tmp_path, mode="L", model=Boxed, example=SIDES, **about)
    keys = ["x_min", "y_min", "x_max", "y_max"]
    ((found,),) = (answer["boxes"] for answer in model.predict([encode(GREY)]))
    assert (found["class"], found["confidence"]) == ("bee", 0.75)
    assert [found[key] for key in keys] == pytest.approx(corners)
    ((found,),) = (answer["boxes"] for answer in model.predict(np.zeros((1, 1, *SIDES), np.uint8)))
    assert [found[key] for key in keys] == [1, 2, 6, 5]


@pytest.mark.parametrize(
    ("resize", "places"),
    [
        ("squash", [(1.75, 3.0), (10.5, 7.5)]),
        ("letterbox", [(1.75, 3.6), (10.5, 9.0)]),  # one of the 6 rows is padding, at the bottom
        ("crop", [(2.5, 3.0), (10.0, 7.5)]),  # one of the 14 columns is cut off on each side
    ],
)
def test_points_are_in_pixels_of_the_file_or_of_the_array(
    resize: str, places: list[tuple[float, float]], tmp_path: Path
) -> None:
    about = {"resize": resize, "input": ["N", *SIDES, 1], "places": "points", "points": ["eye", "ear"]}
    model = served(tmp_path, mode="L", model=Pointed, example=SIDES, **about)
    (found,) = (answer["points"] for answer in model.predict([encode(GREY)]))
    assert list(found) == ["eye", "ear"]
    assert [(found[name]["x"], found[name]["y"]) for name in found] == [
        pytest.approx(each) for each in places
    ]
    assert [found[name]["confidence"] for name in found] == [1, 0.5]
    (found,) = (answer["points"] for answer in model.predict(np.zeros((1, 1, *SIDES), np.uint8)))
    assert [(found[name]["x"], found[name]["y"]) for name in found] == [(1, 2), (6, 5)]


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(Image.fromarray(COLOUR), "JPEG", exif=exif)


LOSSLESS = {
    "grey": (encode(GREY), "L RGB"),
    "grey JPEG": (encode(GREY, "JPEG"), "L RGB"),
    "bilevel": (encode(Image.fromarray(GREY > 127)), "L RGB"),
    "grey saved as RGB": (encode(Image.fromarray(GREY).convert("RGB")), "L RGB"),
    "colour": (encode(COLOUR), "RGB"),
    "palette": (encode(Image.fromarray(COLOUR).quantize(8)), "RGB"),
    "opaque": (encode(Image.fromarray(COLOUR).convert("RGBA")), "RGB"),
    "turned by EXIF": (turned(), "RGB"),
}
LOSSY = {
    "transparent": encode(np.zeros((9, 14, 4), np.uint8)),
    "CMYK": encode(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "16 bits, grey": encode(Image.fromarray(RANDOM.integers(0, 2**16, (9, 14), dtype=np.uint16))),
    "16 bits, colour": deep_png(2, 3),
    "cut off": encode(COLOUR)[:100],
    "huge": encode(np.zeros((40, 40), np.uint8)),
    "not an image": b"text",
    "another format": encode(GREY, "TIFF"),
}


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_files_are_decoded_resized_and_cropped_as_for_training(mode: str, tmp_path: Path) -> None:
    model = served(tmp_path, mode=mode)
    channels = {"L": 1, "RGB": 3}[mode]
    for name, (content, modes) in LOSSLESS.items():
        if mode not in modes.split():
            with pytest.raises(BadInputError, match="image 0 is in colour, and the model takes grey images"):
                model.predict([content])
            continue
        whole = decode(content, name=name, shape=(channels, *SIDES)).transpose(2, 0, 1)
        centre = whole[:, 1:5, 1:7]
        for value in (content, base64.b64encode(content).decode()):
            (answer,) = model.predict([value])
            assert list(answer["probabilities"].values()) == centre.flatten().tolist(), name


@pytest.mark.parametrize("name", list(LOSSY))
def test_files_that_would_lose_something_are_refused_as_by_training(name: str, tmp_path: Path) -> None:
    content = LOSSY[name]
    with pytest.raises(BadInputError, match=r"^INVALID_PARAMETER_VALUE: image 1 |^image 1 ") as caught:
        served(tmp_path, mode="RGB").predict([encode(COLOUR), content])
    assert caught.value.get_http_status_code() == 400
    if name != "another format":
        with pytest.raises(ConfigError):
            decode(content, name=name, shape=(3, *SIDES), max_pixels=1000)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "the input must be a list of images as base64, or an array (N, C, H, W)"),
        ({"a": 1}, "the input must be a list of images as base64, or an array (N, C, H, W)"),
        ([[1, 2], [3]], "an array must be of shape (N, 1, 4, 6), got lists of several lengths"),
        (np.zeros((1, 4, 6, 1), np.uint8), "an array must be of shape (N, 1, 4, 6), got (1, 4, 6, 1)"),
        (np.full((1, 1, 4, 6), 0.5), "pixels must be whole numbers from 0 to 255"),
        (np.full((1, 1, 4, 6), -1), "pixels must be whole numbers from 0 to 255"),
    ],
)
def test_other_inputs_are_refused_in_a_sentence(data: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        served(tmp_path, mode="L").predict(data)
    assert caught.value.message == sentence
    caught.value.message = "Failed to predict data 'the whole input'"
    assert caught.value.message == sentence, "the server does not echo the input"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("ignore_label", "unseen"), [(None, 255), (7, 7)])
def test_mask_has_the_size_of_the_image_and_says_where_nothing_was_seen(
    rule: str, ignore_label: int | None, unseen: int, tmp_path: Path
) -> None:
    model = served(tmp_path, mode="L", model=Dark, resize=rule, padding_value=0, ignore_label=ignore_label)
    (answer,) = model.predict([encode(GREY)])
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["mask"]))))
    resizing = Resizing(rule, SIDES, padding_value=0)
    prepared = np.asarray(resizing.image(Image.fromarray(GREY)))
    seen = np.full(SIDES, unseen, np.uint8)
    seen[1:5, 1:7] = prepared[1:5, 1:7] < 128
    assert mask.shape == GREY.shape
    assert np.array_equal(mask, resizing.place(GREY.shape).restore(seen, unseen=unseen))
    assert unseen in mask
    (answer,) = model.predict(np.zeros((1, 1, *SEEN), np.uint8))
    assert Image.open(io.BytesIO(base64.b64decode(answer["mask"]))).size == SEEN[::-1]


def test_16_bits_are_served_by_the_range_of_the_model(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 5000, (9, 14), dtype=np.uint16)
    model = served(tmp_path, mode="L", value_range=[0, 4095])
    (answer,) = model.predict([encode(values)])
    whole = decode(encode(values), name="a.png", shape=(1, *SIDES), value_range=[0, 4095])
    assert list(answer["probabilities"].values()) == whole[1:5, 1:7, 0].flatten().tolist()
    with pytest.raises(BadInputError) as caught:
        model.predict([encode(GREY)])
    assert (
        caught.value.message == "image 0 has 8 bits per channel, and the model takes grey images of 16 bits"
    )

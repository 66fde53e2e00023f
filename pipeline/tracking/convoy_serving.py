"""What MLflow loads to serve a logged model; a copy travels with each model, so that it imports nothing of Convoy.

An input is a list of images, each a file (PNG or JPEG) as base64 text or bytes; or an array of pixels (N, C, H, W),
whole numbers from 0 to 255, of the network's sides; or a table with such texts in its column `image`. An output is a
list with an entry for each image: `{"class": ..., "probabilities": {name: ...}}`; `{"labels": [...], "probabilities":
{name: ...}}` where an image may have several; `{"boxes": [{"class": ..., "confidence": ..., "x_min": ..., ...}]}`;
`{"points": {name: {"x": ..., "y": ..., "confidence": ...}}}`; `{"mask": <PNG as base64>, "classes": [...]}`, where each
pixel is the index of a class, or the value to ignore where the network saw nothing; `{"image": <PNG as base64>}` of
models that restore images; or `{"embedding": [...]}` of length 1, whose distances `convoy.json` tells how to judge.
Boxes, points and the mask of a file are in its own pixels; boxes and points of an array are in its pixels, and its mask
has the sides of the output; so have images, or a multiple of these sides. Models that see images whole take any sides.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from numpy.typing import NDArray
from PIL import Image, ImageOps

if __package__:
    from pipeline.data.depth import are_whole, is_deep, to_8_bits
    from pipeline.data.resizing import Placement, Resizing
else:  # beside a logged model, see `logged_model.COPIES`
    from convoy_depth import are_whole, is_deep, to_8_bits  # type: ignore[import-not-found,no-redef]
    from convoy_resizing import Placement, Resizing  # type: ignore[import-not-found,no-redef]

FILES = ("PNG", "JPEG")
GREY, COLOUR = ("1", "L"), ("P", "RGB")  # modes of Pillow
BOX = ("class", "confidence", "x_min", "y_min", "x_max", "y_max")
POINT = ("x", "y", "confidence")
UNSEEN = 255  # in masks of models without a value to ignore; never the index of a class


class BadInputError(MlflowException):
    """An input is refused: status 400 and one sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    def __setattr__(self, name: str, value: object) -> None:
        """Keep the sentence: the server would put the whole input in front of it."""
        if name != "message" or "message" not in self.__dict__:
            super().__setattr__(name, value)


class Served:
    """A logged model that takes files or pixels, and answers in names.

    Args:
        folder: with `model.pt2`, which maps uint8 images (N, C, H, W) to predictions, and `convoy.json`, which
            describes it.
    """

    def __init__(self, folder: Path) -> None:
        self._program = torch.export.load(folder / "model.pt2").module()
        self._about = json.loads((folder / "convoy.json").read_text(encoding="utf-8"))

    def predict(self, data: Any, params: object = None) -> list[dict[str, Any]]:
        """Return an answer for each image of the input; MLflow calls it.

        Raises:
            BadInputError: the input is not one that this module describes.
        """
        del params
        images, places = self._images(data)
        if self._about["resize"] is None:
            return [self._restore(image) for image in images]
        with torch.inference_mode():
            predictions = self._program(torch.from_numpy(np.stack(images))).numpy()
        return [
            self._answer(prediction, place) for prediction, place in zip(predictions, places, strict=True)
        ]

    def _images(self, data: Any) -> tuple[Sequence[NDArray[np.uint8]], Sequence[Placement | None]]:
        """Return the pixels (C, H, W) of each image of an input, and where each file lies in them."""
        if hasattr(data, "columns"):
            if "image" not in data.columns:
                raise BadInputError(f"a table needs a column image, got {', '.join(map(str, data.columns))}")
            data = data["image"]
        values = data.tolist() if hasattr(data, "tolist") else data
        values = [values] if isinstance(values, str | bytes) else values
        if not isinstance(values, list) or not values:
            raise BadInputError("the input must be a list of images as base64, or an array (N, C, H, W)")
        if all(isinstance(value, str | bytes) for value in values):
            files = [self._decode(value, f"image {index}") for index, value in enumerate(values)]
            return [pixels for pixels, _ in files], [place for _, place in files]
        pixels = self._check_pixels(values)
        return [*pixels], [None] * len(pixels)

    def _restore(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """Return the answer for an image (C, H, W) that is seen whole."""
        multiple = self._about["multiple"]
        rows, columns = image.shape[1:]
        padded = np.pad(image, ((0, 0), (0, -rows % multiple), (0, -columns % multiple)), mode="edge")
        with torch.inference_mode():
            prediction = self._program(torch.from_numpy(padded[None]))[0].numpy()
        factor = prediction.shape[0] // padded.shape[1]
        return self._answer(prediction[: rows * factor, : columns * factor], None)

    def _check_pixels(self, values: list[Any]) -> NDArray[np.uint8]:
        _, rows, columns, channels = self._about["input"]
        expected = f"(N, {channels}, {rows or 'rows'}, {columns or 'columns'})"
        try:
            pixels = np.asarray(values)
        except ValueError:
            raise BadInputError(
                f"an array must be of shape {expected}, got lists of several lengths"
            ) from None
        wanted = (channels, *(pixels.shape[2:] if rows is None else (rows, columns)))
        if pixels.ndim != 4 or not pixels.size or pixels.shape[1:] != wanted:
            raise BadInputError(f"an array must be of shape {expected}, got {pixels.shape}")
        if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
            raise BadInputError("pixels must be whole numbers from 0 to 255")
        return pixels.astype(np.uint8)

    def _decode(self, value: str | bytes, name: str) -> tuple[NDArray[np.uint8], Placement | None]:
        """Return the pixels (C, H, W) of a file, resized and cropped as those of the test split, and where it lies.

        It keeps its sides, and has no place, if the model sees images whole.
        """
        about = self._about
        _, rows, columns, channels = about["input"]
        opened = _open(value, name, about["max_pixels"], is_deep_allowed=about["value_range"] is not None)
        image = _convert(_to_8_bits(opened, about["value_range"], name), about["mode"], name)
        if about["resize"] is None:
            whole = np.array(image, dtype=np.uint8).reshape(image.height, image.width, channels)
            return whole.transpose(2, 0, 1), None
        resizing = Resizing(about["resize"], (about["rows"], about["columns"]), about["padding_value"])
        top, left = (about["rows"] - rows) // 2, (about["columns"] - columns) // 2
        pixels = np.array(resizing.image(image), dtype=np.uint8).reshape(*resizing.sides, channels)
        seen = pixels[top : top + rows, left : left + columns].transpose(2, 0, 1)
        return seen, resizing.place((image.height, image.width))

    def _answer(self, prediction: NDArray[Any], place: Placement | None) -> dict[str, Any]:
        classes = self._about["classes"]
        if self._about["places"] is not None:
            return self._places(prediction, place)
        if "distance" in self._about:
            return {"embedding": prediction.tolist()}
        if np.issubdtype(prediction.dtype, np.floating):
            named = dict(zip(classes, prediction.tolist(), strict=True))
            threshold = self._about["threshold"]
            if threshold is not None:
                labels = [name for name, probability in named.items() if probability >= threshold]
                return {"labels": labels, "probabilities": named}
            return {"class": max(named, key=named.__getitem__), "probabilities": named}
        if prediction.ndim == 3:
            return {"image": _encode(prediction if place is None else place.restore_image(prediction))}
        if place is not None:
            ignored = self._about["ignore_label"]
            prediction = place.restore(prediction, unseen=UNSEEN if ignored is None else ignored)
        return {"mask": _encode(prediction), "classes": classes}

    def _places(self, prediction: NDArray[Any], place: Placement | None) -> dict[str, Any]:
        """Return boxes or points in pixels of the file, or of the array if none was sent."""
        places, classes = self._about["places"], self._about["classes"]
        found = (prediction if place is None else place.predictions(places, prediction)).tolist()
        if places == "points":
            each = [dict(zip(POINT, row, strict=True)) for row in found]
            return {places: dict(zip(self._about["points"], each, strict=True))}
        boxes = [(classes[int(label)], confidence, *box) for *box, label, confidence in found if label >= 0]
        return {places: [dict(zip(BOX, box, strict=True)) for box in boxes]}


def _encode(image: NDArray[np.uint8]) -> str:
    """Return an image (H, W) or (H, W, C) as a PNG file in base64."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _open(value: str | bytes, name: str, max_pixels: int, *, is_deep_allowed: bool) -> Image.Image:
    try:
        content = value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
        image = Image.open(io.BytesIO(content), formats=FILES)
        if image.width * image.height > max_pixels:
            raise BadInputError(f"{name} has more than {max_pixels} pixels")
        is_cut = not (is_deep_allowed and is_deep(image))  # Pillow would cut it to 8 bits
        if is_cut and any(";16" in str(tile.args) for tile in image.tile):
            raise BadInputError(f"{name} has 16 bits per channel; save it with 8")
        image.load()
    except binascii.Error:
        raise BadInputError(f"{name} is not base64") from None
    except (OSError, SyntaxError, ValueError) as reason:
        raise BadInputError(f"{name} is not a readable file of the formats {', '.join(FILES)}") from reason
    return ImageOps.exif_transpose(image)


def _to_8_bits(image: Image.Image, value_range: Sequence[int] | None, name: str) -> Image.Image:
    """Return an image of 8 bits, by the range of values that the data of training declare."""
    if value_range is None:
        return image
    if not is_deep(image):
        raise BadInputError(f"{name} has 8 bits per channel, and the model takes grey images of 16 bits")
    values = np.asarray(image)
    if not are_whole(values):
        raise BadInputError(f"{name} has values that are no whole numbers")
    return Image.fromarray(to_8_bits(values, value_range))


def _convert(image: Image.Image, mode: str, name: str) -> Image.Image:
    """Return an image in mode L or RGB, unless that loses something."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise BadInputError(f"{name} has transparent pixels")
        image = image.convert("RGB")
    if image.mode not in GREY + COLOUR:
        raise BadInputError(f"{name} has the mode {image.mode}; save it as grey or RGB with 8 bits")
    if mode == "RGB" or image.mode in GREY:
        return image.convert(mode)
    bands = image.convert("RGB").split()
    if not _are_equal(band.tobytes() for band in bands):
        raise BadInputError(f"{name} is in colour, and the model takes grey images")
    return bands[0]


def _are_equal(values: Iterable[bytes]) -> bool:
    return len(set(values)) == 1


def _load_pyfunc(path: str) -> Served:
    """Return a logged model; MLflow looks for this name."""
    return Served(Path(path))

"""What MLflow loads to serve a logged model; a copy travels with each model, so that it imports nothing of Convoy.

An input is a list of images, each a file (PNG or JPEG) as base64 text or bytes; or an array of pixels (N, C, H, W),
whole numbers from 0 to 255, of the network's sides; or a table with such texts in its column `image`. An output is a
list with an entry for each image: `{"class": ..., "probabilities": {name: ...}}`; `{"labels": [...], "probabilities":
{name: ...}}` where an image may have several; or `{"mask": <PNG as base64>, "classes": [...]}`, where each pixel is the
index of a class.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from numpy.typing import NDArray
from PIL import Image, ImageOps

FILES = ("PNG", "JPEG")
GREY, COLOUR = ("1", "L"), ("P", "RGB")  # modes of Pillow


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
        images = self._images(data)
        with torch.inference_mode():
            predictions = self._program(torch.from_numpy(images)).numpy()
        return [self._answer(prediction) for prediction in predictions]

    def _images(self, data: Any) -> NDArray[np.uint8]:
        if hasattr(data, "columns"):
            if "image" not in data.columns:
                raise BadInputError(f"a table needs a column image, got {', '.join(map(str, data.columns))}")
            data = data["image"]
        values = data.tolist() if hasattr(data, "tolist") else data
        values = [values] if isinstance(values, str | bytes) else values
        if not isinstance(values, list) or not values:
            raise BadInputError("the input must be a list of images as base64, or an array (N, C, H, W)")
        if all(isinstance(value, str | bytes) for value in values):
            return np.stack([self._decode(value, f"image {place}") for place, value in enumerate(values)])
        return self._check_pixels(values)

    def _check_pixels(self, values: list[Any]) -> NDArray[np.uint8]:
        _, rows, columns, channels = self._about["input"]
        expected = f"(N, {channels}, {rows}, {columns})"
        try:
            pixels = np.asarray(values)
        except ValueError:
            raise BadInputError(
                f"an array must be of shape {expected}, got lists of several lengths"
            ) from None
        if pixels.shape[1:] != (channels, rows, columns):
            raise BadInputError(f"an array must be of shape {expected}, got {pixels.shape}")
        if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
            raise BadInputError("pixels must be whole numbers from 0 to 255")
        return pixels.astype(np.uint8)

    def _decode(self, value: str | bytes, name: str) -> NDArray[np.uint8]:
        """Return the pixels (C, H, W) of a file, resized and cropped as the images of the test split are."""
        about = self._about
        _, rows, columns, channels = about["input"]
        image = _convert(_open(value, name, about["max_pixels"]), about["mode"], name)
        if image.size != (about["columns"], about["rows"]):
            image = image.resize((about["columns"], about["rows"]), Image.Resampling[about["resize"]])
        top, left = (about["rows"] - rows) // 2, (about["columns"] - columns) // 2
        pixels = np.array(image, dtype=np.uint8).reshape(about["rows"], about["columns"], channels)
        return pixels[top : top + rows, left : left + columns].transpose(2, 0, 1)

    def _answer(self, prediction: NDArray[Any]) -> dict[str, Any]:
        classes = self._about["classes"]
        if np.issubdtype(prediction.dtype, np.floating):
            named = dict(zip(classes, prediction.tolist(), strict=True))
            threshold = self._about["threshold"]
            if threshold is not None:
                labels = [name for name, probability in named.items() if probability >= threshold]
                return {"labels": labels, "probabilities": named}
            return {"class": max(named, key=named.__getitem__), "probabilities": named}
        file = io.BytesIO()
        Image.fromarray(prediction).save(file, "PNG")
        return {"mask": base64.b64encode(file.getvalue()).decode(), "classes": classes}


def _open(value: str | bytes, name: str, max_pixels: int) -> Image.Image:
    try:
        content = value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
        image = Image.open(io.BytesIO(content), formats=FILES)
        if image.width * image.height > max_pixels:
            raise BadInputError(f"{name} has more than {max_pixels} pixels")
        if any(";16" in str(tile.args) for tile in image.tile):  # Pillow would cut it to 8 bits
            raise BadInputError(f"{name} has 16 bits per channel; save it with 8")
        image.load()
    except binascii.Error:
        raise BadInputError(f"{name} is not base64") from None
    except (OSError, SyntaxError, ValueError) as reason:
        raise BadInputError(f"{name} is not a readable file of the formats {', '.join(FILES)}") from reason
    return ImageOps.exif_transpose(image)


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

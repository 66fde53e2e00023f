"""Whether an exported file predicts as the run that it was made of.

Shapes: N images, H rows, W columns, C channels, K classes; images (N, H, W, C), sides of their files (N, 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.images import find_resizing
from pipeline.data.prepared import Prepared
from pipeline.errors import ConfigError, warn
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Comparing, Task
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.deployment import Deployed, Predict
from pipeline.training.inputs import prepare
from pipeline.training.trained import Predictor, Trained

TOLERANCE = 1e-4  # of probabilities
IMAGES = 20


@dataclass(frozen=True)
class Examples:
    """Images to compare predictions on.

    Args:
        images: (N, H, W, C).
        sides: rows and columns of their files (N, 2), for predictions of places; None for others.
        name: such as `20 validation images`.
    """

    images: NDArray[np.uint8]
    sides: NDArray[np.int64] | None
    name: str

    def inputs(self, count: int) -> tuple[NDArray[Any], ...]:
        """Return what a file takes of the first images."""
        return (self.images[:count],) if self.sides is None else (self.images[:count], self.sides[:count])


def find_examples(trained: Trained, *, root: Path) -> Examples:
    """Return images of the validation split, since only the stage `evaluate` opens the test split.

    They are noise where the data of the run are not here.
    """
    declaration = trained.declaration
    has_places = load_demands(declaration.task).places is not None
    try:
        prepared = Prepared.open(prepare(declaration, root=root), declaration.data)
    except ConfigError as reason:
        warn(f"the file is compared with the run on noise, since its data are not here: {reason}")
        channels, rows, columns = declaration.data.shape
        random = np.random.default_rng(0)
        noise = random.integers(0, 256, (IMAGES, rows, columns, channels), dtype=np.uint8)
        sides = random.integers(1, 4 * max(rows, columns), (IMAGES, 2)) if has_places else None
        return Examples(noise, sides, f"{IMAGES} images of noise")
    images, kept = np.array(prepared.images("val")[:IMAGES]), prepared.sides("val")
    sides = np.array(kept[:IMAGES], np.int64) if has_places and kept is not None else None
    return Examples(images, sides, f"{len(images)} validation images")


def check_agreement(
    predict: Predict, trained: Trained, examples: Examples, *, model: Deployed, is_free: bool
) -> float:
    """Return the largest difference between the predictions of a file and what `predict` writes of the same images.

    Images are predicted as one batch, and the first of them alone; also of twice the sides, as the run itself predicts
    no such images, by comparison with the exported model. For predictions that are classes, the difference is
    the one between the two largest probabilities where the classes differ, so that ties may be decided either way. For
    places, it is in shares of the sides of the image's file.

    Args:
        model: that was exported.
        is_free: whether the file takes images of other sides.

    Raises:
        ConfigError: the difference exceeds `TOLERANCE`.
    """
    predictor, images = Predictor(trained), examples.images
    with declared_arithmetic(trained.declaration.trainer):
        outputs = predictor.outputs(torch.from_numpy(images).permute(0, 3, 1, 2))
    decoded = predictor.task.decode(outputs).cpu().numpy()
    expected = _in_files(decoded, trained, examples.sides)
    largest = max(
        _difference(
            predictor.task,
            predict(*examples.inputs(count)),
            expected[:count],
            outputs[:count],
            examples.sides,
        )
        for count in (1, len(images))
    )
    if is_free:
        larger = images[:1].repeat(2, axis=1).repeat(2, axis=2)
        inputs = (larger, *examples.inputs(1)[1:])
        with torch.inference_mode():
            tensors = [torch.from_numpy(each) for each in inputs]
            outputs, expected = model.outputs(tensors[0]), model(*tensors).numpy()
        difference = _difference(predictor.task, predict(*inputs), expected, outputs, examples.sides)
        largest = max(largest, difference)
    if not largest <= TOLERANCE:
        raise ConfigError(
            str(trained.folder.path),
            f"the exported file predicts otherwise than the run, by up to {largest:.2g}",
            hint=f"nothing was written, as more than {TOLERANCE:g} is no rounding; export the other format, and "
            "please report it",
        )
    return largest


def _in_files(decoded: NDArray[Any], trained: Trained, sides: NDArray[np.int64] | None) -> NDArray[Any]:
    """Return predictions as `predict` writes them: places in pixels of the images' files."""
    places = load_demands(trained.declaration.task).places
    if places is None or sides is None:
        return decoded
    resizing = find_resizing(trained.declaration.data)
    pairs = zip(decoded, sides.tolist(), strict=True)
    found = [resizing.place((rows, columns)).predictions(places, each) for each, (rows, columns) in pairs]
    return np.stack(found).astype(decoded.dtype)


def _difference(
    task: Task,
    predictions: NDArray[Any],
    expected: NDArray[Any],
    outputs: torch.Tensor,
    sides: NDArray[np.int64] | None,
) -> float:
    if sides is not None and predictions.shape == expected.shape:
        predictions, expected = (_in_shares(each, sides[: len(each)]) for each in (predictions, expected))
    if isinstance(task, Comparing):
        return task.difference(predictions, expected)
    return largest_difference(predictions, expected, find_margins(outputs.cpu()))


def _in_shares(predictions: NDArray[Any], sides: NDArray[np.int64]) -> NDArray[Any]:
    """Return places (N, n, 3 or 6) in shares of the sides of the images' files."""
    count = 2 if predictions.shape[-1] == 3 else 4
    pixels = np.tile(sides[:, None, ::-1], (1, 1, count // 2))
    shares = predictions[..., :count] / pixels
    return np.concatenate((shares, predictions[..., count:]), axis=-1).astype(predictions.dtype)


def find_margins(outputs: torch.Tensor) -> NDArray[np.float32]:
    """Return the difference between the two largest probabilities along axis 1: (N, ...) of outputs (N, K, ...)."""
    first, second = outputs.float().softmax(dim=1).topk(2, dim=1).values.unbind(dim=1)
    margins: NDArray[np.float32] = (first - second).numpy()
    return margins


def largest_difference(
    predictions: NDArray[Any], expected: NDArray[Any], margins: NDArray[np.float32]
) -> float:
    """Return the largest difference of probabilities, or the largest margin at which classes differ.

    Args:
        margins: of the expected predictions, see `find_margins`; used for classes only.
    """
    if predictions.shape != expected.shape or predictions.dtype != expected.dtype:
        return math.inf
    if np.issubdtype(expected.dtype, np.floating):
        return float(np.abs(predictions - expected).max())
    return float(margins[predictions != expected].max(initial=0.0))

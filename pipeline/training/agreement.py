"""Whether an exported file predicts as the run that it was made of.

Shapes: N images, H rows, W columns, C channels, K classes; images (N, H, W, C).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.degrade_facts import degraded_shape
from pipeline.data.prepared import Prepared
from pipeline.errors import ConfigError, warn
from pipeline.tasks.task import Comparing, Task
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.assemble import make_fixed_split
from pipeline.training.deployment import Deployed, Predict
from pipeline.training.inputs import prepare
from pipeline.training.trained import Predictor, Trained

TOLERANCE = 1e-4  # of probabilities
IMAGES = 20

Images = NDArray[np.uint8]


def find_images(trained: Trained, *, root: Path) -> tuple[Images, str]:
    """Return images to compare predictions on, and what they are, such as `20 validation images`.

    They are of the validation split, since only the stage `evaluate` opens the test split; noise where the data of the
    run are not here.
    """
    declaration = trained.declaration
    try:
        prepared = Prepared.open(prepare(declaration, root=root), declaration.data)
    except ConfigError as reason:
        warn(f"the file is compared with the run on noise, since its data are not here: {reason}")
        channels, rows, columns = degraded_shape(declaration.data)
        noise = np.random.default_rng(0).integers(0, 256, (IMAGES, rows, columns, channels), dtype=np.uint8)
        return noise, f"{IMAGES} images of noise"
    split = make_fixed_split(declaration, prepared, "val")
    batch = split[0, list(range(min(IMAGES, len(split))))]
    images = batch["image"].permute(0, 2, 3, 1).contiguous().numpy()
    return images, f"{len(images)} validation images"


def check_agreement(
    predict: Predict, trained: Trained, images: Images, *, model: Deployed, is_free: bool
) -> float:
    """Return the largest difference between the predictions of a file and those of its run.

    Images are predicted as one batch, and the first of them alone; also of twice the sides, as the run itself predicts
    no such images, by comparison with the exported model. For predictions that are classes, the difference is
    the one between the two largest probabilities where the classes differ, so that ties may be decided either way.

    Args:
        model: that was exported.
        is_free: whether the file takes images of other sides.

    Raises:
        ConfigError: the difference exceeds `TOLERANCE`.
    """
    predictor = Predictor(trained)
    with declared_arithmetic(trained.declaration.trainer):
        outputs = predictor.outputs(torch.from_numpy(images).permute(0, 3, 1, 2))
    expected = predictor.task.decode(outputs).cpu().numpy()
    largest = max(
        _difference(predictor.task, predict(images[:count]), expected[:count], outputs[:count])
        for count in (1, len(images))
    )
    if is_free:
        larger = images[:1].repeat(2, axis=1).repeat(2, axis=2)
        with torch.inference_mode():
            outputs = model.outputs(torch.from_numpy(larger))
            expected = predictor.task.decode(outputs).numpy()
        largest = max(largest, _difference(predictor.task, predict(larger), expected, outputs))
    if not largest <= TOLERANCE:
        raise ConfigError(
            str(trained.folder.path),
            f"the exported file predicts otherwise than the run, by up to {largest:.2g}",
            hint=f"nothing was written, as more than {TOLERANCE:g} is no rounding; export the other format, and "
            "please report it",
        )
    return largest


def _difference(
    task: Task, predictions: NDArray[Any], expected: NDArray[Any], outputs: torch.Tensor
) -> float:
    if isinstance(task, Comparing):
        return task.difference(predictions, expected)
    return largest_difference(predictions, expected, find_margins(outputs.cpu()))


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

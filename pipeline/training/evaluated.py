"""The test or validation images of a trained run with its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.batches import PreparedSplit
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import data_digest
from pipeline.declaration.network import sees_whole
from pipeline.errors import ConfigError
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.task import Task
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.assemble import make_fixed_split
from pipeline.training.inputs import prepare
from pipeline.training.trained import Predictor, Trained
from pipeline.training.whole_evaluation import evaluate_whole

BATCH = 64  # images per forward pass; does not affect scores
AS_TRAINED = {"crops": "centre", "mirror": False}  # views of validation images


def evaluated_test(trained: Trained, *, root: Path) -> Evaluated:
    """Return the test images of a finished run with its predictions.

    Raises:
        ConfigError: the data have changed since the training, or have no test split.
    """
    prepared = open_data(trained, root)
    if not prepared.about()["counts"]["test"]:
        raise ConfigError(
            "data.split", f"{trained.declaration.data.name} has no test split", hint="let data.split draw one"
        )
    return evaluate_images(Predictor(trained), trained.build_task(), trained.declaration, prepared)


def evaluated_validation(trained: Trained, *, root: Path) -> Evaluated:
    """Return the validation images of a finished run with its predictions.

    They are seen as in training: their centre where the network sees less, and no other views.

    Raises:
        ConfigError: the data have changed since the training.
    """
    declaration, prepared = trained.declaration.replace(views=AS_TRAINED), open_data(trained, root)
    predictor, task = Predictor(Trained(trained.folder, declaration)), trained.build_task()
    with declared_arithmetic(declaration.trainer):
        split = make_fixed_split(declaration, prepared, "val", is_centred=True)
        return _evaluate_split(predictor, task, split, prepared, "val")


def open_data(trained: Trained, root: Path) -> Prepared:
    """Return the prepared data of a run, which must be what it was trained on."""
    declaration = trained.declaration
    found, trained_on = data_digest(declaration, root=root), trained.folder.result()["data"]
    if found != trained_on:
        raise ConfigError(
            "data.root",
            f"{declaration.data.root} is not what {trained.folder.path} was trained on (digest {found}, trained on "
            f"{trained_on})",
            hint="train again, or bring back the old data",
        )
    return Prepared.open(prepare(declaration, root=root, is_thorough=True), declaration.data)


def evaluate_images(
    predictor: Predictor, task: Task, declaration: Declaration, prepared: Prepared
) -> Evaluated:
    """Return the test images with the model's evidence and predictions, in single precision.

    Args:
        declaration: of the run, with the data that were prepared.
    """
    with declared_arithmetic(declaration.trainer):
        if sees_whole(declaration):
            return evaluate_whole(predictor, task, prepared, declaration.data)
        split = make_fixed_split(declaration, prepared, "test")
        return _evaluate_split(predictor, task, split, prepared, "test")


def _evaluate_split(
    predictor: Predictor, task: Task, split: PreparedSplit, prepared: Prepared, name: str
) -> Evaluated:
    """Return the images of a fixed split with the model's evidence and predictions."""
    evidence, decoded, made = [], [], []
    for start in range(0, len(split), BATCH):
        batch = split[0, list(range(start, min(start + BATCH, len(split))))]
        outputs = predictor.outputs(batch["image"])
        on_device = {
            key: value.to(predictor.device) for key, value in batch.items() if isinstance(value, torch.Tensor)
        }
        evidence.append(task.evidence(outputs, on_device).cpu())
        decoded.append(task.decode(outputs).cpu())
        if split.maker is not None:
            made.append((batch["image"].permute(0, 2, 3, 1).numpy(), batch["target"].numpy()))

    def explain(indices: Sequence[int], classes: Sequence[int]) -> NDArray[Any]:
        images = torch.from_numpy(np.asarray(split.images)[list(indices)]).permute(0, 3, 1, 2)
        maps: NDArray[Any] = predictor.activation_maps(images, torch.tensor(classes)).numpy()
        return maps

    images, targets = map(np.concatenate, zip(*made, strict=True)) if made else (split.images, split.targets)
    return Evaluated(
        torch.cat(evidence).numpy(),
        torch.cat(decoded).numpy(),
        images,
        targets,
        prepared.files(name),
        sides=prepared.sides(name),
        groups=prepared.groups(name),
        explain=explain if predictor.explains else None,
    )

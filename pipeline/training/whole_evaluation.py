"""Evaluation on whole test images, which are read again from their archive, as prepared ones are parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.degrade_facts import find_factor
from pipeline.data.degrading import cut_to_multiple
from pipeline.data.facts import Facts
from pipeline.data.images import decode_original, load_formats
from pipeline.data.prepared import Prepared
from pipeline.data.sources import open_source
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.task import Task
from pipeline.training.trained import Predictor


def evaluate_whole(predictor: Predictor, task: Task, prepared: Prepared, facts: Facts) -> Evaluated:
    """Return the test images, whole, with the model's evidence and predictions.

    As their sides differ, predictions, images and targets are arrays of arrays.

    Args:
        predictor: of a run that sees images whole.
        facts: of the archive that the images were prepared from.
    """
    making = prepared.kind.making(facts)
    assert making is not None, "targets of whole images are made of them"
    files = prepared.files("test")
    evidence, decoded, images, true = [], [], [], []
    load_formats()
    with open_source(facts) as archive:
        for file in files:
            original = decode_original(archive.read(file), name=file, facts=facts)
            whole = np.array(cut_to_multiple(original, find_factor(facts)))
            inputs, targets = making.make(whole[None], None)
            image, target = torch.from_numpy(inputs).permute(0, 3, 1, 2), torch.from_numpy(targets)
            outputs = predictor.outputs(image).cpu()
            evidence.append(task.evidence(outputs, {"image": image, "target": target}))
            decoded.append(task.decode(outputs)[0].numpy())
            images.append(inputs[0])
            true.append(targets[0])
    evidenced = torch.cat(evidence).numpy()
    return Evaluated(
        evidenced,
        _as_array(decoded),
        _as_array(images),
        _as_array(true),
        files,
        groups=prepared.groups("test"),
    )


def _as_array(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return an array (N,) of arrays."""
    made = np.empty(len(arrays), object)
    made[:] = arrays
    return made

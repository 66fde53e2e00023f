"""Export: tried on the untrained network, and refused before anything is trained or recorded."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.declaration.composition import compose
from pipeline.runs.context import RunContext
from pipeline.tasks.classification.task import Classification
from pipeline.training.export import check_export
from pipeline.training.run import RunRequest, train
from tests.makers import data_section, declaration, write_class_folders
from tests.refusals import refused


def decode_by_value(self: Any, outputs: Tensor) -> Tensor:
    """Decode in a way that depends on values, which no graph can hold."""
    return outputs.softmax(dim=1) if outputs.sum() > 0 else outputs


def test_network_that_cannot_be_exported_is_refused_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Classification, "decode", decode_by_value)
    write_class_folders(tmp_path / "data.zip")
    tiny = declaration(data_section(tmp_path / "data.zip"), model=compose(["model=linear"]).model)
    hint = "set tracking.log_model=false to train it without logging its model"
    with refused("tracking.log_model", got=True, hint=hint) as caught:
        train(tiny, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    assert caught.value.problem.startswith("the network cannot be exported (")
    assert "\n" not in str(caught.value)
    assert not {"runs", "mlflow.db"} & {path.name for path in tmp_path.iterdir()}, "nothing was recorded"
    check_export(compose(["experiment=digits_lenet5", "tracking.log_model=false"]))


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=digits_lenet5"],
        ["experiment=brain_unet", "model=unet_small"],
        ["data=digits", "model=resnet20", "preprocess=zca_whiten"],
        [
            "data=digits",
            "preprocess=mean_image",
            "data.shape=[1,40,40]",
            "input_shape=[1,32,32]",
            "augmentation=crop",
        ],
    ],
    ids=["digits", "masks", "whitened", "cropped"],
)
def test_trial_leaves_random_generators_as_they_are(overrides: list[str]) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    check_export(compose(overrides))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]

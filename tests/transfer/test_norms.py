"""The momentum of batch norms: running statistics follow the images of a fine-tuning within its few steps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.training.assemble import build_model, set_norms
from pipeline.transfer.norms import Raised, raise_momentum
from pipeline.transforms.statistics import Statistics
from tests.refusals import refused

GREY = Statistics([0.4], [0.2], [[0.04]], 1, np.full((32, 32, 1), 0.4))
SLOW = "model.norm={batch: null, momentum: 0.01}"


@pytest.fixture
def weights(tmp_path: Path) -> str:
    path = tmp_path / "weights.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    return f"model.pretrained={path}"


def declared(*overrides: str) -> Declaration:
    return compose(["model=resnet20", "model.width=0.5", "data.shape=[1,32,32]", *overrides])


def momenta(declaration: Declaration) -> tuple[Raised | None, set[float | None]]:
    """Return what was raised in a network, and the momenta of its norms after that."""
    model = build_model(declaration, GREY)
    raised = set_norms(declaration, model)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 19
    return raised, {norm.momentum for norm in norms}


def test_networks_own_momentum_is_kept_from_scratch() -> None:
    assert momenta(declared(SLOW)) == (None, {0.01})


def test_low_momentum_is_raised_for_fine_tuning(weights: str) -> None:
    raised, found = momenta(declared(SLOW, weights))
    assert (raised, found) == (Raised(19, 0.01), {0.1})
    assert str(raised) == (
        "momentum of 19 batch norms raised from 0.01 to 0.1, so that they adapt to these images"
    )


def test_momentum_that_is_high_enough_is_kept_for_fine_tuning(weights: str) -> None:
    assert momenta(declared("model.norm={batch: null, momentum: 0.3}", weights)) == (None, {0.3})


@pytest.mark.parametrize("momentum", [0.01, 0.5])
def test_declared_momentum_decides_with_and_without_a_checkpoint(momentum: float, weights: str) -> None:
    for start in ([], [weights]):
        declaration = declared(SLOW, *start, f"trainer.norm_momentum={momentum}")
        assert momenta(declaration) == (None, {momentum})


def test_norms_that_average_over_all_batches_are_left_alone() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2, momentum=None), nn.InstanceNorm2d(2))
    assert raise_momentum(network) is None
    assert network[0].momentum is None


def test_momentum_without_batch_norms_is_refused() -> None:
    allowed = "null for model lenet5, which has no batch norms"
    text = f"trainer.norm_momentum must be {allowed}, got 0.1"
    with refused("trainer.norm_momentum", got=0.1, allowed=allowed, text=text):
        compose(["model=lenet5", "trainer.norm_momentum=0.1"])


def test_raised_norms_have_left_their_start_after_few_steps() -> None:
    """The figures of the module's docstring, measured on a norm that starts far away from its images."""
    left = {}
    for momentum in (0.01, 0.1):
        norm = nn.BatchNorm2d(1, momentum=momentum)
        torch.nn.init.constant_(norm.running_mean, 100.0)  # type: ignore[arg-type]
        for _ in range(60):
            norm(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
        left[momentum] = float(norm.running_mean) / 100  # type: ignore[arg-type]
    assert left[0.01] == pytest.approx(0.55, abs=0.01)
    assert left[0.1] == pytest.approx(0.002, abs=0.001)

"""Segmentation with outputs smaller than the image: they stand for its centre, and nothing else counts."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.data.facts import Facts
from pipeline.layers.crops import centred
from pipeline.networks.build import build
from pipeline.plans.network import Network
from pipeline.tasks.demands import Demands, load_demands
from pipeline.tasks.segmentation.task import Segmentation
from tests.makers import data_section
from tests.plans.models import plan_lists

IGNORED = 255
TASK = Segmentation(
    classes=["a", "b", "c"],
    background="a",
    ignore_label=IGNORED,
    dice_weight=1.0,
    dice_background=True,
    class_weights="none",
)
DENSE = load_demands({"_target_": "pipeline.tasks.segmentation.task.Segmentation"})
FLAT = load_demands({"_target_": "pipeline.tasks.classification.task.Classification"})
FACTS = Facts(**data_section("data.zip", classes=["a", "b", "c"]))

# What is the centre.


def test_centre_by_hand() -> None:
    whole = torch.arange(5 * 6).reshape(1, 5, 6)
    assert centred(whole, torch.zeros(1, 3, 1, 2)).tolist() == [[[14, 15]]]
    assert centred(whole, torch.zeros(1, 3, 3, 4)).tolist() == [
        [[7, 8, 9, 10], [13, 14, 15, 16], [19, 20, 21, 22]]
    ]
    assert (
        centred(whole, torch.zeros(1, 3, 2, 3))[0, 0, 0] == 7
    )  # of an odd rest, the smaller part lies before
    assert torch.equal(centred(whole, torch.zeros(1, 3, 5, 6)), whole)


sides = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(sides, sides)
def test_margins_around_the_centre_differ_by_one_at_most(
    small: tuple[int, int], more: tuple[int, int]
) -> None:
    rows, columns = small[0] + more[0] - 1, small[1] + more[1] - 1
    places = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"))
    cut = centred(places, torch.zeros(small))
    assert cut.shape == (2, *small)
    for axis, length in enumerate((rows, columns)):
        before, behind = int(cut[axis].min()), length - 1 - int(cut[axis].max())
        assert behind - before in (0, 1)


def identity(network: nn.Module) -> nn.Module:
    """Let every convolution pass the middle pixel of its window on."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
            nn.init.zeros_(module.bias)
    return network.eval()


VALID: list[list[Any]] = [
    [{"conv": 1, "kernel": 5}],
    [{"conv": 1, "kernel": [3, 7]}, {"conv": 1}],
    [{"conv": 1}, {"skip": [{"conv": 1}, {"conv": 1}]}],
]


@pytest.mark.parametrize("layers", VALID, ids=str)
def test_centre_is_what_valid_filters_look_at(layers: list[Any]) -> None:
    network = plan_lists(layers, shape=(1, 16, 17), padding="valid", activation="none")
    images = torch.rand(2, 1, 16, 17, generator=torch.manual_seed(0))
    with torch.inference_mode():
        outputs = identity(build(network, seed=0))(images)
    assert outputs.shape[2] < 16
    for channel in range(outputs.shape[1]):
        torch.testing.assert_close(outputs[:, channel], centred(images, outputs)[:, 0])


# Loss, evidence and scores.


def batch_of(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    generator = torch.manual_seed(4)
    outputs = torch.randn(3, 3, rows, columns, generator=generator)
    targets = torch.randint(0, 3, (3, 9, 8), generator=generator)
    targets[torch.rand(targets.shape, generator=generator) < 0.2] = IGNORED
    return outputs, targets.to(torch.uint8)


SMALLER = pytest.mark.parametrize(("rows", "columns"), [(5, 4), (9, 4), (6, 8), (1, 1)])


@SMALLER
def test_loss_and_evidence_are_those_of_the_centre_cut_out_beforehand(rows: int, columns: int) -> None:
    outputs, targets = batch_of(rows, columns)
    top, left = (9 - rows) // 2, (8 - columns) // 2
    cut = targets[:, top : top + rows, left : left + columns]
    torch.testing.assert_close(
        TASK.loss(outputs, {"target": targets}), TASK.loss(outputs, {"target": cut}), rtol=0, atol=0
    )
    evidence = TASK.evidence(outputs, {"target": targets})
    torch.testing.assert_close(evidence, TASK.evidence(outputs, {"target": cut}), rtol=0, atol=0)
    assert evidence[:, 2::3].sum() == (cut != IGNORED).sum()  # each pixel of the centre is counted once


@SMALLER
def test_mask_outside_the_centre_does_not_matter(rows: int, columns: int) -> None:
    outputs, targets = batch_of(rows, columns)
    changed = torch.randint(0, 3, targets.shape, dtype=torch.uint8, generator=torch.manual_seed(5))
    centred(changed, outputs).copy_(centred(targets, outputs))
    assert not torch.equal(changed, targets)
    assert TASK.loss(outputs, {"target": changed}) == TASK.loss(outputs, {"target": targets})
    assert torch.equal(
        TASK.evidence(outputs, {"target": changed}), TASK.evidence(outputs, {"target": targets})
    )


def test_perfect_centre_scores_one() -> None:
    targets = torch.randint(0, 3, (4, 9, 8), generator=torch.manual_seed(6))
    outputs = nn.functional.one_hot(targets[:, 2:7, 2:6], 3).permute(0, 3, 1, 2).float()
    scores = TASK.scores(TASK.evidence(outputs, {"target": targets}).numpy())
    assert (scores["dice"], scores["iou"]) == (1.0, 1.0)
    assert TASK.loss(20 * outputs, {"target": targets}) < 1e-3


# Which shapes are accepted.


@pytest.mark.parametrize(
    ("demands", "made", "accepted"),
    [
        (DENSE, (3, 9, 8), True),
        (DENSE, (3, 5, 8), True),
        (DENSE, (3, 5, 4), True),
        (DENSE, (3, 1, 1), True),
        (DENSE, (3, 10, 8), False),
        (DENSE, (3, 5, 9), False),
        (DENSE, (2, 9, 8), False),
        (DENSE, (4, 5, 4), False),
        (DENSE, (3,), False),
        (DENSE, (3 * 9 * 8,), False),
        (FLAT, (3,), True),
        (FLAT, (2,), False),
        (FLAT, (3, 1, 1), False),
    ],
)
def test_dense_outputs_that_are_no_larger_are_accepted(demands: Demands, made: Any, accepted: bool) -> None:
    assert demands.accepts(made, demands.output_shape({}, FACTS, (1, 9, 8))) is accepted


def unet(padding: Any) -> Network:
    body = ["pool", {"conv": 4, "repeat": 2}, {"up": 2}]
    layers = [{"conv": 2, "repeat": 2}, {"skip": body}, {"conv": 2, "repeat": 2}]
    return plan_lists(
        layers, [{"conv": "outputs", "kernel": 1}], shape=(1, 24, 28), outputs=3, padding=padding
    )


def test_unet_with_valid_filters_learns_the_centre() -> None:
    network = unet("valid")
    rows, columns = (((24 - 4) // 2 - 4) * 2 - 4, ((28 - 4) // 2 - 4) * 2 - 4)
    assert network.output_shape == (3, rows, columns) == (3, 8, 12)
    assert network.weights == unet("same").weights
    module = build(network, seed=0)
    images = torch.rand(2, 1, 24, 28, generator=torch.manual_seed(0))
    targets = torch.randint(0, 3, (2, 24, 28), generator=torch.manual_seed(1))
    losses = []
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        loss = TASK.loss(module(images), {"target": targets})
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert TASK.evidence(module(images), {"target": targets})[:, 2::3].sum() == 2 * rows * columns

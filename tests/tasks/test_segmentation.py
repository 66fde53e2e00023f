"""Segmentation: Dice and IoU worked by hand on tiny masks; the loss against plain numpy."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

from pipeline.data.facts import Facts
from pipeline.tasks.segmentation.demands import DEMANDS
from pipeline.tasks.segmentation.task import Segmentation, per_image_scores
from tests.makers import data_section
from tests.refusals import refused

NAMES = ("other", "grey", "white")
IGNORED = 9


def make_task(**changed: Any) -> Segmentation:
    settings: dict[str, Any] = {"classes": NAMES, "background": "other", "ignore_label": None}
    settings |= {"dice_weight": 1.0, "dice_background": True, "class_weights": "none"}
    return Segmentation(**settings | changed)


def as_outputs(guesses: list[list[list[int]]], *, num_classes: int = 3, sure: float = 20.0) -> Tensor:
    """Outputs (N, K, H, W) whose largest class is the guess (N, H, W)."""
    return sure * functional.one_hot(torch.tensor(guesses), num_classes).permute(0, 3, 1, 2).float()


def random_batch(*, seed: int, count: int = 5, ignored: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.manual_seed(seed)
    outputs = torch.randn(count, 3, 6, 5, generator=generator)
    targets = torch.randint(0, 3, (count, 6, 5), generator=generator)
    if ignored:
        targets[torch.rand(targets.shape, generator=generator) < 0.3] = IGNORED
    return outputs, targets


# Two images of 2 x 3 pixels. In the first, grey: 1 in common, 2 guessed, 3 true; white: 1 guessed, none true.
# In the second nobody is white; grey: 2 in common, 2 guessed, 2 true.
TRUTH = [[[1, 1, 1], [0, 0, 0]], [[1, 1, 0], [0, 0, 0]]]
GUESS = [[[1, 0, 2], [1, 0, 0]], [[1, 1, 0], [0, 0, 0]]]


def test_dice_and_iou_per_image_and_class_are_those_worked_by_hand() -> None:
    evidence = make_task().evidence(as_outputs(GUESS), {"target": torch.tensor(TRUTH)}).numpy()
    # per class (common, guessed, true): other, grey, white
    assert evidence.tolist() == [[2, 3, 3, 1, 2, 3, 0, 1, 0], [4, 4, 4, 2, 2, 2, 0, 0, 0]]
    dice, iou = per_image_scores(evidence)
    nan = math.nan
    np.testing.assert_allclose(dice, [[4 / 6, 2 / 5, 0], [1, 1, nan]])
    np.testing.assert_allclose(iou, [[2 / 4, 1 / 4, 0], [1, 1, nan]])


def test_means_leave_out_the_background_and_images_that_say_nothing() -> None:
    task = make_task()
    evidence = task.evidence(as_outputs(GUESS), {"target": torch.tensor(TRUTH)}).numpy()
    scores = task.scores(evidence)
    grey, white = (2 / 5 + 1) / 2, 0.0  # white is scored in the first image alone: guessed, not there
    assert scores == pytest.approx(
        {
            "dice": (grey + white) / 2,
            "dice_grey": grey,
            "dice_white": white,
            "iou": ((1 / 4 + 1) / 2 + 0) / 2,
            "iou_grey": (1 / 4 + 1) / 2,
            "iou_white": 0.0,
            # All pixels of both images; grey: 3 in common, 4 guessed, 5 true; white: 1 guessed.
            "pooled_dice": (6 / 9 + 0) / 2,
            "pooled_dice_grey": 6 / 9,
            "pooled_dice_white": 0.0,
            "pooled_iou": (3 / 6 + 0) / 2,
            "pooled_iou_grey": 3 / 6,
            "pooled_iou_white": 0.0,
        }
    )
    np.testing.assert_allclose(task.image_scores(evidence), [(2 / 5 + 0) / 2, 1])


def test_without_a_background_every_class_counts() -> None:
    task = make_task(background=None)
    scores = task.scores(task.evidence(as_outputs(GUESS), {"target": torch.tensor(TRUTH)}).numpy())
    assert scores["dice_other"] == pytest.approx((4 / 6 + 1) / 2)
    assert scores["dice"] == pytest.approx(((4 / 6 + 1) / 2 + (2 / 5 + 1) / 2 + 0) / 3)


def test_class_in_no_image_is_left_out_of_the_mean() -> None:
    task = make_task()
    scores = task.scores(task.evidence(as_outputs(GUESS[1:]), {"target": torch.tensor(TRUTH[1:])}).numpy())
    assert math.isnan(scores["dice_white"])
    assert scores["dice"] == scores["dice_grey"] == 1.0


def test_images_with_nothing_but_background_score_nan_and_do_not_warn() -> None:
    task = make_task()
    nothing = [[[0, 0], [0, 0]]]
    evidence = task.evidence(as_outputs(nothing), {"target": torch.tensor(nothing)}).numpy()
    assert all(math.isnan(value) for value in task.scores(evidence).values())
    assert math.isnan(task.image_scores(evidence)[0])


@pytest.mark.parametrize("ignored", [False, True])
def test_pooled_scores_are_torchmetrics_over_all_pixels(ignored: bool) -> None:
    outputs, targets = random_batch(seed=9, ignored=ignored)
    task = make_task(background=None, ignore_label=IGNORED if ignored else None)
    scores = task.scores(task.evidence(outputs, {"target": targets}).numpy())
    guesses, settings = (
        outputs.argmax(dim=1),
        {"num_classes": 3, "ignore_index": IGNORED if ignored else None},
    )
    iou = multiclass_jaccard_index(guesses, targets, average=None, **settings)
    dice = multiclass_f1_score(guesses, targets, average=None, **settings)  # Dice of pixels is their F1
    for index, name in enumerate(NAMES):
        assert scores[f"pooled_iou_{name}"] == pytest.approx(float(iou[index]))
        assert scores[f"pooled_dice_{name}"] == pytest.approx(float(dice[index]))
    assert scores["pooled_iou"] == pytest.approx(float(iou.mean()))


def test_small_and_large_objects_count_alike_per_image_and_by_their_pixels_pooled() -> None:
    evidence = np.array(
        [[0, 0, 0, 90, 100, 100], [0, 0, 0, 0, 1, 1]], float
    )  # a large one found, a small one missed
    scores = make_task(classes=("other", "object")).scores(evidence)
    assert scores["dice"] == pytest.approx((0.9 + 0) / 2)
    assert scores["pooled_dice"] == pytest.approx(180 / 202)
    assert scores["pooled_iou"] == pytest.approx(90 / 112)


@pytest.mark.parametrize("classes", [("other", "object"), ("object", "other")])
def test_binary_task_says_each_number_once(classes: tuple[str, str]) -> None:
    task = make_task(classes=classes, background="other")
    evidence = np.array([[2.0, 3, 3, 1, 2, 3]])
    scores = task.scores(evidence)
    assert list(scores) == ["dice", "iou", "pooled_dice", "pooled_iou"]
    first = 3 * classes.index("object")
    assert scores["dice"] == 2 * evidence[0, first] / evidence[0, first + 1 :][:2].sum()
    facts = Facts(**data_section("data.zip", classes=list(classes), background="other"))
    assert list(DEMANDS.scores(facts)) == list(scores)


def test_iou_follows_from_dice() -> None:
    outputs, targets = random_batch(seed=0)
    dice, iou = per_image_scores(make_task().evidence(outputs, {"target": targets}).numpy())
    np.testing.assert_allclose(iou, dice / (2 - dice))


@pytest.mark.parametrize("ignored", [False, True])
def test_evidence_of_batches_scores_as_that_of_the_whole(ignored: bool) -> None:
    task = make_task(ignore_label=IGNORED if ignored else None)
    outputs, targets = random_batch(seed=1, ignored=ignored)
    whole = task.evidence(outputs, {"target": targets})
    parts = [
        task.evidence(each[0], {"target": each[1]})
        for each in zip(outputs.split(2), targets.split(2), strict=True)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)


def test_ignored_pixels_are_not_scored() -> None:
    task = make_task(ignore_label=IGNORED)
    outputs, targets = random_batch(seed=2, ignored=True)
    changed = torch.where((targets == IGNORED)[:, None], -outputs, outputs)
    torch.testing.assert_close(
        task.evidence(changed, {"target": targets}), task.evidence(outputs, {"target": targets})
    )
    assert task.evidence(outputs, {"target": targets})[:, 2::3].sum() == (targets != IGNORED).sum()


@pytest.mark.parametrize("dice_weight", [0.0, 1.0])
def test_ignored_pixels_are_not_learnt(dice_weight: float) -> None:
    outputs, targets = random_batch(seed=3, ignored=True)
    outputs.requires_grad_()
    make_task(ignore_label=IGNORED, dice_weight=dice_weight).loss(outputs, {"target": targets}).backward()
    assert outputs.grad is not None
    slopes = outputs.grad.abs().sum(dim=1)
    assert (slopes[targets == IGNORED] == 0).all()
    assert (slopes[targets != IGNORED] > 0).all()


def test_image_of_ignored_pixels_alone_has_no_loss_and_no_score() -> None:
    task = make_task(ignore_label=IGNORED, dice_weight=0.0)
    outputs, targets = torch.randn(1, 3, 2, 2), torch.full((1, 2, 2), IGNORED)
    assert float(task.loss(outputs, {"target": targets})) == 0
    assert task.evidence(outputs, {"target": targets}).sum() == 0


def loss_in_numpy(
    outputs: np.ndarray, targets: np.ndarray, *, dice_weight: float, background: bool = True
) -> float:
    """Go over pixels one by one: mean of -log p, and 1 - mean over classes of smoothed Dice."""
    num_classes = outputs.shape[1]
    entropies = []
    common, guessed, true = np.zeros(num_classes), np.zeros(num_classes), np.zeros(num_classes)
    for image, row, column in np.ndindex(targets.shape):
        label = targets[image, row, column]
        if label == IGNORED:
            continue
        powers = np.exp(outputs[image, :, row, column])
        shares = powers / powers.sum()
        entropies.append(-np.log(shares[label]))
        common[label] += shares[label]
        true[label] += 1
        guessed += shares
    soft_dice = ((2 * common + 1) / (guessed + true + 1))[0 if background else 1 :]
    return float(np.mean(entropies) + dice_weight * (1 - soft_dice.mean()))


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("dice_weight", [0.0, 0.5, 1.0])
def test_loss_is_entropy_plus_soft_dice(dice_weight: float, ignored: bool) -> None:
    outputs, targets = random_batch(seed=4, ignored=ignored)
    task = make_task(dice_weight=dice_weight, ignore_label=IGNORED if ignored else None)
    wanted = loss_in_numpy(outputs.double().numpy(), targets.numpy(), dice_weight=dice_weight)
    assert float(task.loss(outputs, {"target": targets.to(torch.uint8)})) == pytest.approx(wanted, rel=1e-5)


def test_background_is_left_out_of_the_soft_dice_loss_on_demand() -> None:
    outputs, targets = random_batch(seed=4)
    task = make_task(dice_background=False)
    wanted = loss_in_numpy(outputs.double().numpy(), targets.numpy(), dice_weight=1.0, background=False)
    assert float(task.loss(outputs, {"target": targets})) == pytest.approx(wanted, rel=1e-5)
    assert wanted != loss_in_numpy(outputs.double().numpy(), targets.numpy(), dice_weight=1.0)


def test_background_that_cannot_be_left_out_is_refused() -> None:
    text = (
        "task.dice_background must be true for data without a background, got False; set data.background to the class "
        "to leave out"
    )
    with refused("task.dice_background", got=False, text=text):
        make_task(background=None, dice_background=False)
    text = (
        "task.dice_background must be true with task.dice_weight=0, got False; without the soft Dice loss, there is "
        "nothing to leave the background out of"
    )
    with refused("task.dice_background", got=False, text=text):
        make_task(dice_weight=0.0, dice_background=False)


def test_loss_without_dice_is_torchs_cross_entropy() -> None:
    outputs, targets = random_batch(seed=5, ignored=True)
    loss = make_task(dice_weight=0.0, ignore_label=IGNORED).loss(outputs, {"target": targets})
    torch.testing.assert_close(loss, functional.cross_entropy(outputs, targets, ignore_index=IGNORED))


def test_perfect_prediction_has_almost_no_loss_and_the_opposite_much() -> None:
    _, targets = random_batch(seed=6)
    right, wrong = as_outputs(targets.tolist()), as_outputs(((targets + 1) % 3).tolist())
    assert float(make_task().loss(right, {"target": targets})) < 1e-6
    assert float(make_task(dice_weight=1.0).loss(wrong, {"target": targets})) > 20


@pytest.mark.parametrize("dice_weight", [0.0, 1.0, 100.0])
def test_a_step_down_the_gradient_lifts_the_true_class(dice_weight: float) -> None:
    _, targets = random_batch(seed=7)
    outputs = torch.zeros(5, 3, 6, 5, requires_grad=True)
    make_task(dice_weight=dice_weight).loss(outputs, {"target": targets}).backward()
    assert outputs.grad is not None
    truth = functional.one_hot(targets, 3).permute(0, 3, 1, 2).bool()
    assert (outputs.grad[truth] < 0).all()
    torch.testing.assert_close(outputs.grad.sum(dim=1), torch.zeros(5, 6, 5))  # softmax is blind to a shift


def test_negative_weight_is_refused() -> None:
    with refused("task.dice_weight", got=-0.5, text="task.dice_weight must be at least 0, got -0.5"):
        make_task(dice_weight=-0.5)


def test_mirrored_views_are_turned_back_before_their_mean() -> None:
    outputs, _ = random_batch(seed=8)
    task = make_task()
    merged = task.merge([outputs, outputs.flip(-1)], [False, True])
    torch.testing.assert_close(merged.softmax(dim=1), outputs.softmax(dim=1))
    assert torch.equal(task.decode(merged), outputs.argmax(dim=1).to(torch.uint8))

"""Verification: settings, what is measured and decided, alarms, and what is left out of scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.declaration.composition import compose
from pipeline.tasks.demands import load_demands
from pipeline.tasks.intervals import with_intervals
from pipeline.tasks.metric_losses import MININGS as KNOWN_MININGS
from pipeline.tasks.pairs import Pairs
from pipeline.tasks.verification.cases import _first_of_each
from pipeline.tasks.verification.demands import DEMANDS, LOSSES, MININGS
from pipeline.tasks.verification.task import Verification
from tests.refusals import refused

SETTINGS: dict[str, Any] = {
    "loss": "triplet",
    "mining": "batch_hard",
    "margin": 0.3,
    "dimensions": 4,
    "threshold": None,
    "pair_weights": None,
}
ON_FACES = ["task=verification", "data=faces_people", "model=face_lite0"]


def make(**changes: Any) -> Verification:
    return Verification(**{**SETTINGS, **changes})


def batch(num_identities: int, num_images: int) -> dict[str, Tensor]:
    return {"target": torch.arange(num_identities, dtype=torch.int32).repeat_interleave(num_images)}


def evidence_of(task: Verification, num_identities: int, num_images: int, *, spread: float) -> NDArray[Any]:
    random = torch.Generator().manual_seed(0)
    target = batch(num_identities, num_images)["target"]
    centres = torch.randn(num_identities, 4, generator=random)
    outputs = centres[target] + spread * torch.randn(len(target), 4, generator=random)
    return task.evidence(outputs, {"target": target}).numpy()


def test_embeddings_have_length_1_whatever_the_network_puts_out() -> None:
    outputs = 100 * torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    for loss in LOSSES:
        decoded = make(loss=loss).decode(outputs)
        torch.testing.assert_close(decoded.norm(dim=1), torch.ones(7))
        torch.testing.assert_close(decoded, make(loss=loss).decode(3 * outputs))


def test_merged_views_are_the_mean_of_unit_embeddings() -> None:
    task = make()
    one, other = torch.tensor([[3.0, 0, 0, 0]]), torch.tensor([[0.0, 0.5, 0, 0]])
    merged = task.decode(task.merge([one, other], [False, True]))
    torch.testing.assert_close(merged, torch.tensor([[0.5**0.5, 0.5**0.5, 0, 0]]))


def test_minings_of_settings_are_those_of_the_loss() -> None:
    assert MININGS == KNOWN_MININGS


@pytest.mark.parametrize(
    ("change", "path", "got"),
    [
        ({"loss": "hinge"}, "task.loss", "hinge"),
        ({"mining": "hardest"}, "task.mining", "hardest"),
        ({"margin": 0.0}, "task.margin", 0.0),
        ({"margin": 2.5}, "task.margin", 2.5),
        ({"dimensions": 0}, "task.dimensions", 0),
        ({"threshold": -1.0}, "task.threshold", -1.0),
        ({"pair_weights": [1.0] * 5}, "task.pair_weights", [1.0] * 5),
        ({"loss": "pair", "pair_weights": [1.0]}, "task.pair_weights", [1.0]),
        ({"loss": "pair", "pair_weights": [1.0, 1, 1, -1, 3]}, "task.pair_weights[3]", -1),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], path: str, got: object) -> None:
    with refused(path, got=got):
        make(**change)


def test_unknown_mining_is_refused_on_composition() -> None:
    text = "task.mining: unknown choice 'hard'; did you mean 'semi_hard'? allowed: all, batch_hard, random, semi_hard"
    with refused("task.mining", got="hard", allowed=MININGS, text=text):
        compose([*ON_FACES, "task.mining=hard"])


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        ([3, 3, 3], "has images of one identity only, so that there is nothing to tell apart"),
        ([1, 2, 3], "has no two images of any identity, so that there is nothing to recognise"),
    ],
)
def test_split_without_pairs_is_refused(targets: list[int], problem: str) -> None:
    text = f"data.root: a split with 3 images {problem}; add images, or change data.split"
    with refused("data.root", hint="add images, or change data.split", text=text):
        DEMANDS.check_targets(np.array(targets, np.int32), list)


def test_two_identities_are_enough() -> None:
    DEMANDS.check_targets(np.array([1, 1, 2], np.int32), list)
    scores = make().scores(evidence_of(make(), 2, 2, spread=0.0))
    assert scores["auroc"] == 1
    assert scores["rank_1"] == 1
    assert np.isnan(scores["one_shot"])


def test_scores_where_images_are_too_few_are_left_out_and_said_so() -> None:
    task = make(threshold=0.5)
    few = evidence_of(task, 4, 3, spread=0.5)
    few = np.concatenate((few, [[1, 0, 0, 0, 9.0]]))
    scores = task.scores(few)
    assert np.isnan(scores["tar"])
    assert np.isnan(scores["one_shot"])
    assert task.remarks(few) == [
        "images whose distance is at most 0.5000 count as one identity",
        "identities with a single image, which has no genuine pair: 1 of 5",
        "TAR at FAR 1% is not defined: there are 66 pairs of two identities, and it takes 1,000",
        "8-way one-shot recognition is not defined: there are 5 identities",
    ]
    many = evidence_of(task, 12, 5, spread=0.5)
    assert not any(np.isnan(value) for value in task.scores(many).values())
    assert len(task.remarks(many)) == 1


def test_threshold_is_that_of_equal_errors_on_validation_images() -> None:
    task = make()
    validation = evidence_of(task, 12, 5, spread=0.5)
    settled = task.settled(validation)
    assert settled.alarms == []
    again = make(**settled.settings)
    scores = again.scores(validation)
    assert scores["far"] == pytest.approx(scores["frr"], abs=0.01)
    assert scores["far"] == pytest.approx(scores["eer"], abs=0.01)
    assert (
        task.scores(validation) == scores
    )  # validation images are judged by their own threshold while training
    assert again.settled(validation).settings == {}  # a threshold that is declared stays


def test_threshold_of_few_impostors_raises_an_alarm() -> None:
    (sentence,) = make().settled(evidence_of(make(), 3, 3, spread=0.5)).alarms
    assert "was chosen by 27 validation pairs of two identities, fewer than 1,000" in sentence


def test_trained_weights_of_pairs_are_settings_that_give_the_same_distances() -> None:
    task = make(loss="pair")
    with torch.no_grad():
        task.regression += torch.tensor([0.5, -1.0, 2.0, 0.0, 1.0])
    settled = task.settled(evidence_of(task, 12, 5, spread=0.5)).settings
    assert len(settled["pair_weights"]) == 5
    assert settled["pair_weights"][-1] == pytest.approx(4.0)
    again = make(loss="pair", **settled)
    np.testing.assert_allclose(
        evidence_of(again, 12, 5, spread=0.5), evidence_of(task, 12, 5, spread=0.5), rtol=1e-5, atol=1e-7
    )


def test_regression_of_pairs_is_trained_with_the_network() -> None:
    task, outputs = make(loss="pair"), torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    task.loss(outputs, batch(3, 2)).backward()
    assert task.regression.grad is not None
    assert (task.regression.grad != 0).all()
    assert not list(make().parameters())


def test_measures_are_distances_and_the_share_of_active_triplets() -> None:
    task, target = make(margin=0.5), batch(2, 2)["target"]
    outputs = torch.tensor([[1.0, 0, 0, 0], [0.0, 1, 0, 0], [0.0, 0, 1, 0], [0.0, 0, 1, 0]])
    found = {
        name: (float(value), float(weight))
        for name, (value, weight) in task.measures(outputs, {"target": target}).items()
    }
    assert found["genuine_distance"] == pytest.approx((2**0.5 / 2, 4), abs=1e-5)
    assert found["impostor_distance"] == pytest.approx((2**0.5, 8), abs=1e-5)
    assert found["active"] == pytest.approx((0.5, 4))  # of each anchor: 2**0.5 + margin, twice, and 0


ROW = {"train/loss": 0.3, "train/impostor_distance": 0.9, "train/genuine_distance": 0.5, "train/active": 0.7}


def test_collapse_and_idle_triplets_raise_alarms() -> None:
    task = make()
    assert task.alarms(ROW) == []
    (collapsed,) = task.alarms({**ROW, "train/impostor_distance": 1e-4})
    assert "collapsed" in collapsed
    assert "the loss 0.3000 is the margin" in collapsed
    (idle,) = task.alarms({**ROW, "train/loss": 0.0, "train/active": 0.0})
    assert "no triplet has a loss above 0" in idle
    assert make(loss="contrastive").alarms({key: ROW[key] for key in ROW if key != "train/active"}) == []


def test_intervals_are_over_identities() -> None:
    task = make(threshold=0.8)
    evidence = evidence_of(task, 12, 5, spread=0.6)
    groups = [str(int(identity)) for identity in evidence[:, -1]]
    found = with_intervals(
        task.scores, evidence, seed=0, biased=DEMANDS.biased, groups=groups, resampled=task.resampled
    )
    for name in ("auroc", "eer", "tar", "far", "frr", "one_shot"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"], name
        assert found[name]["low"] < found[name]["high"]
    assert np.isnan(found["rank_1"]["low"])


def test_error_rates_are_better_when_lower() -> None:
    directions = {name: DEMANDS.mode_of(name) for name in DEMANDS.scores(compose(ON_FACES).data)}
    assert {name for name, mode in directions.items() if mode == "min"} == {"eer", "far", "frr"}


def test_description_says_how_to_compare_embeddings() -> None:
    demands = load_demands(compose(ON_FACES).task)
    settings = {**SETTINGS, "threshold": 0.7}
    assert demands.describe(settings) == {
        "distance": "euclidean",
        "distance_weights": None,
        "distance_threshold": 0.7,
    }
    pairs = demands.describe({**settings, "loss": "pair", "pair_weights": [1.0, 2.0, 3.0]})
    assert (pairs["distance"], pairs["distance_weights"]) == ("cityblock", [1.0, 2.0])


def test_hardest_pairs_are_of_different_identities() -> None:
    points = np.array([[0.0], [0.1], [0.2], [0.4], [5.0], [5.7]])
    pairs = Pairs(points, np.array([0.0, 1, 1, 0, 2, 2]), "euclidean")
    shown = _first_of_each(pairs, np.flatnonzero(~pairs.is_genuine))
    ends = [(int(pairs.first[place]), int(pairs.second[place])) for place in shown]
    assert ends[0] == (0, 1)
    assert ends[1:] == [(3, 4), (2, 4)]
    genuine = _first_of_each(pairs, np.flatnonzero(pairs.is_genuine)[::-1])
    assert [(int(pairs.first[place]), int(pairs.second[place])) for place in genuine] == [
        (4, 5),
        (0, 3),
        (1, 2),
    ]

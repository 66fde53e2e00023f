"""Losses of embeddings: their formulas written out, and those of pytorch-metric-learning where it is installed.

python -m venv --system-site-packages oracle && oracle/bin/pip install --no-deps pytorch-metric-learning
oracle/bin/python -m pytest tests/tasks/test_metric_losses.py
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.tasks.metric_losses import (
    contrastive_loss,
    euclidean,
    pair_loss,
    triplet_loss,
    weighted_manhattan,
)

IDENTITIES = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])


def draw(seed: int = 0, *, spread: float = 1.0) -> Tensor:
    """Return unit vectors (10, 4), of which those of an identity lie nearer to each other if the spread is small."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(4, 4, generator=random)
    return functional.normalize(centres[IDENTITIES] + spread * torch.randn(10, 4, generator=random), dim=1)


def triplets(embeddings: Tensor) -> list[tuple[float, float, int]]:
    """Return d(a, p), d(a, n) and a of all triplets."""
    points, names = embeddings.double().numpy(), IDENTITIES.tolist()
    found = []
    for a, p, n in product(range(len(names)), repeat=3):
        if a != p and names[a] == names[p] != names[n]:
            far, near = (float(np.linalg.norm(points[a] - points[other])) for other in (p, n))
            found.append((far, near, a))
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_triplets_with_a_loss_count(seed: int) -> None:
    embeddings = draw(seed)
    losses = [far - near + 0.4 for far, near, _ in triplets(embeddings)]
    active = [loss for loss in losses if loss > 0]
    found = triplet_loss(euclidean(embeddings), IDENTITIES, margin=0.4, mining="all")
    assert float(found.value) == pytest.approx(np.mean(active), abs=1e-5)
    assert int(found.weight) == len(active)
    assert found.active is not None
    assert float(found.active) == pytest.approx(len(active) / len(losses))


def test_semi_hard_negatives_are_farther_than_the_positive_by_less_than_the_margin() -> None:
    embeddings = draw()
    chosen = [far - near + 0.4 for far, near, _ in triplets(embeddings) if 0 < near - far < 0.4]
    found = triplet_loss(euclidean(embeddings), IDENTITIES, margin=0.4, mining="semi_hard")
    assert float(found.value) == pytest.approx(np.mean(chosen), abs=1e-5)
    assert int(found.weight) == len(chosen)


def test_hardest_triplet_of_each_anchor_counts() -> None:
    embeddings = draw()
    each = triplets(embeddings)
    hardest = [
        max(far for far, _, a in each if a == anchor) - min(near for _, near, a in each if a == anchor)
        for anchor in {a for _, _, a in each}
    ]
    found = triplet_loss(euclidean(embeddings), IDENTITIES, margin=0.4, mining="batch_hard")
    assert float(found.value) == pytest.approx(np.mean(np.maximum(np.array(hardest) + 0.4, 0)), abs=1e-5)
    assert int(found.weight) == 9  # the tenth image has no positive


def test_random_negatives_have_all_triplets_as_their_mean() -> None:
    """Over many draws, each pair of anchor and positive counts the same, as does each of its negatives."""
    embeddings = draw()
    torch.manual_seed(0)
    distances = euclidean(embeddings)
    found = [
        float(triplet_loss(distances, IDENTITIES, margin=0.4, mining="random").value) for _ in range(2000)
    ]
    points, names = embeddings.double(), IDENTITIES.tolist()
    of_pairs = []
    for a, p in product(range(len(names)), repeat=2):
        if a != p and names[a] == names[p]:
            far = (points[a] - points[p]).norm()
            others = [n for n in range(len(names)) if names[n] != names[a]]
            of_pairs.append(
                np.mean([max(0.0, float(far - (points[a] - points[n]).norm()) + 0.4) for n in others])
            )
    assert np.mean(found) == pytest.approx(np.mean(of_pairs), rel=0.01)


def test_contrastive_loss_pulls_and_pushes_by_squares() -> None:
    embeddings = draw()
    points, names = embeddings.double().numpy(), IDENTITIES.tolist()
    genuine, impostors = [], []
    for a, b in product(range(len(names)), repeat=2):
        distance = np.linalg.norm(points[a] - points[b])
        if names[a] != names[b]:
            impostors.append(max(0.0, 1.2 - distance) ** 2 / 2)
        elif a != b:
            genuine.append(distance**2 / 2)
    found = contrastive_loss(euclidean(embeddings), IDENTITIES, margin=1.2)
    assert float(found.value) == pytest.approx(np.mean(genuine) + np.mean(impostors), abs=1e-5)


def test_pair_loss_is_the_cross_entropy_of_a_logistic_regression() -> None:
    embeddings, weights, bias = draw(), torch.tensor([0.5, 1.0, 2.0, 0.0]), torch.tensor(1.5)
    terms: dict[bool, list[float]] = {True: [], False: []}
    for a, b in product(range(10), repeat=2):
        if a != b:
            logit = float(bias - (weights * (embeddings[a] - embeddings[b]).abs()).sum())
            chance, is_same = 1 / (1 + np.exp(-logit)), bool(IDENTITIES[a] == IDENTITIES[b])
            terms[is_same].append(-np.log(chance if is_same else 1 - chance))
    found = pair_loss(weighted_manhattan(embeddings, weights), IDENTITIES, bias=bias)
    assert float(found.value) == pytest.approx(np.mean(terms[True]) + np.mean(terms[False]), abs=1e-5)


@pytest.mark.parametrize("mining", ["all", "semi_hard", "batch_hard", "random"])
def test_batch_without_triplets_has_no_loss_and_no_weight(mining: str) -> None:
    for identities in (torch.arange(4), torch.zeros(4, dtype=torch.int32)):
        embeddings = draw()[:4].requires_grad_()
        found = triplet_loss(euclidean(embeddings), identities, margin=0.4, mining=mining)
        found.value.backward()
        assert float(found.value.detach()) == 0
        assert int(found.weight) == 0
        assert embeddings.grad is not None
        assert not embeddings.grad.any()


@pytest.mark.parametrize("mining", ["all", "batch_hard", "random"])
def test_equal_embeddings_have_the_margin_as_their_loss(mining: str) -> None:
    """The sign of a collapse: all distances are the same."""
    embeddings = torch.ones(10, 4) / 2
    found = triplet_loss(euclidean(embeddings), IDENTITIES, margin=0.3, mining=mining)
    assert float(found.value) == pytest.approx(0.3, abs=1e-5)


def test_gradient_of_equal_embeddings_is_finite() -> None:
    embeddings = (torch.ones(10, 4) / 2).requires_grad_()
    triplet_loss(euclidean(embeddings), IDENTITIES, margin=0.3, mining="batch_hard").value.backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


@pytest.mark.parametrize("mining", ["all", "semi_hard", "batch_hard"])
@pytest.mark.parametrize("spread", [1.0, 0.3])
def test_losses_and_gradients_agree_with_pytorch_metric_learning(mining: str, spread: float) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    miners = pytest.importorskip("pytorch_metric_learning.miners")
    reducers = pytest.importorskip("pytorch_metric_learning.reducers")
    own, theirs = (draw(spread=spread).requires_grad_() for _ in range(2))
    reducer = reducers.MeanReducer() if mining == "batch_hard" else reducers.AvgNonZeroReducer()
    oracle = losses.TripletMarginLoss(margin=0.4, reducer=reducer)
    chosen = None
    if mining == "batch_hard":
        chosen = miners.BatchHardMiner()(theirs, IDENTITIES)
    elif mining == "semi_hard":
        chosen = miners.TripletMarginMiner(margin=0.4, type_of_triplets="semihard")(theirs, IDENTITIES)
    wanted = oracle(theirs, IDENTITIES, chosen)
    found = triplet_loss(euclidean(own), IDENTITIES, margin=0.4, mining=mining).value
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    found.backward()
    wanted.backward()
    assert own.grad is not None
    assert theirs.grad is not None
    for each in (
        own,
        theirs,
    ):  # theirs normalises what is normalised already: only the part along the sphere counts
        along = (each.grad * each.detach()).sum(dim=1, keepdim=True) * each.detach()
        each.grad -= along
    torch.testing.assert_close(own.grad, theirs.grad, atol=1e-4, rtol=1e-3)


def test_pairs_of_the_contrastive_loss_agree_with_pytorch_metric_learning() -> None:
    """Theirs has distances where Hadsell et al. have squares; with pairs at the margin or without one, both are 0."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    reducers = pytest.importorskip("pytorch_metric_learning.reducers")
    squared = losses.ContrastiveLoss(
        pos_margin=0, neg_margin=0, distance=distances.LpDistance(power=2), reducer=reducers.MeanReducer()
    )
    embeddings = draw()
    genuine_alone = contrastive_loss(euclidean(embeddings), IDENTITIES, margin=1e-9)
    assert float(genuine_alone.value) == pytest.approx(float(squared(embeddings, IDENTITIES)) / 2, abs=1e-5)

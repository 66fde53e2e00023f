"""Losses of embeddings: what lies near is to be the same identity, what lies far another.

Sources: triplets, Schroff et al. 2015, arXiv:1503.03832, section 3; hardest of a batch, Hermans et al. 2017,
arXiv:1703.07737, equation 5; contrastive, Hadsell et al. 2006, "Dimensionality Reduction by Learning an Invariant
Mapping", equation 4; logistic regression on |f1 - f2|, Taigman et al. 2014, "DeepFace", section 4.2, and Koch et al.
2015, "Siamese Neural Networks for One-shot Image Recognition", section 3.1.
Shapes: N embeddings of D numbers, (N, D), of unit length; identities (N,); distances (N, N).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 1e-12  # of squared distances, whose root has no finite gradient at 0
MININGS = ("all", "semi_hard", "batch_hard", "random")


@dataclass(frozen=True)
class Loss:
    """The loss of a batch.

    Args:
        value: a scalar; 0 if there is nothing to compare.
        weight: number of terms that it is the mean of.
        active: share of the triplets that it looked at whose loss is above 0; None for other losses.
    """

    value: Tensor
    weight: Tensor
    active: Tensor | None = None


def euclidean(embeddings: Tensor) -> Tensor:
    """Return the distances (N, N) of unit vectors."""
    return (2 - 2 * embeddings @ embeddings.T).clamp(min=SMALLEST).sqrt()


def pair_masks(identities: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pairs (N, N) are of one identity and two images, and which of two identities."""
    is_same = identities[:, None] == identities[None]
    is_self = torch.eye(len(identities), dtype=torch.bool, device=identities.device)
    return is_same & ~is_self, ~is_same


def triplet_loss(distances: Tensor, identities: Tensor, *, margin: float, mining: str) -> Loss:
    """Return the mean of max(0, d(a, p) - d(a, n) + margin) over triplets of anchor, positive and negative.

    `batch_hard` has one triplet for each anchor: its farthest positive and its nearest negative. `semi_hard` has those
    whose negative is farther than the positive by less than the margin, `all` has all with a loss above 0, since the
    mean over the others would hide it, and `random` a random negative for each pair of anchor and positive.

    Unlike Schroff et al., distances are not squared, as Hermans et al. propose.
    """
    is_genuine, is_impostor = pair_masks(identities)
    if mining == "batch_hard":
        has_both = is_genuine.any(dim=1) & is_impostor.any(dim=1)
        farthest = distances.where(is_genuine, -torch.inf).amax(dim=1)[has_both]
        nearest = distances.where(is_impostor, torch.inf).amin(dim=1)[has_both]
        losses = functional.relu(farthest - nearest + margin)
        return _mean_loss(losses, losses)
    if mining == "random":
        anchor, positive = (is_genuine & is_impostor.any(dim=1, keepdim=True)).nonzero(as_tuple=True)
        chances = torch.rand((len(anchor), len(distances)), device=distances.device)
        negative = chances.where(is_impostor[anchor], -1.0).argmax(dim=1)
        losses = functional.relu(distances[anchor, positive] - distances[anchor, negative] + margin)
        return _mean_loss(losses, losses)
    differences = distances[:, :, None] - distances[:, None, :] + margin
    is_triplet = is_genuine[:, :, None] & is_impostor[:, None, :]
    is_chosen = is_triplet & (differences > 0)
    if mining == "semi_hard":
        is_chosen = is_chosen & (differences < margin)
    return _mean_loss(differences[is_chosen], functional.relu(differences[is_triplet]))


def contrastive_loss(distances: Tensor, identities: Tensor, *, margin: float) -> Loss:
    """Return the mean of d^2 / 2 over pairs of one identity, and of max(0, margin - d)^2 / 2 over those of two.

    The result is the sum of both means. Unlike Hadsell et al., who sum over all pairs, since a batch has many times
    more pairs of two identities.
    """
    is_genuine, is_impostor = pair_masks(identities)
    return _both_means(
        distances[is_genuine].square() / 2, functional.relu(margin - distances[is_impostor]).square() / 2
    )


def pair_loss(distances: Tensor, identities: Tensor, *, bias: Tensor) -> Loss:
    """Return the cross-entropy of pairs being of one identity, with the logit bias - distance.

    The result is the sum of the means over pairs of one identity and of two.

    Args:
        distances: sums of weighted |f1 - f2|.
    """
    is_genuine, is_impostor = pair_masks(identities)
    logits = bias - distances
    return _both_means(functional.softplus(-logits[is_genuine]), functional.softplus(logits[is_impostor]))


def weighted_manhattan(embeddings: Tensor, weights: Tensor) -> Tensor:
    """Return the sums of weighted |f1 - f2|, (N, N)."""
    return ((embeddings[:, None] - embeddings[None]).abs() * weights).sum(dim=2)


def _mean_loss(losses: Tensor, of_triplets: Tensor) -> Loss:
    weight = losses.new_tensor(len(losses))
    is_active = (of_triplets > 0).float()
    return Loss(losses.sum() / weight.clamp(min=1), weight, is_active.sum() / max(len(is_active), 1))


def _both_means(of_genuine: Tensor, of_impostors: Tensor) -> Loss:
    parts = [part.sum() / max(len(part), 1) for part in (of_genuine, of_impostors)]
    return Loss(torch.stack(parts).sum(), of_genuine.new_tensor(len(of_genuine) + len(of_impostors)))

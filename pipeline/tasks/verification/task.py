"""Verification: embeddings of unit length, near each other for one identity and far for two.

Losses and their sources are in `pipeline.tasks.metric_losses`, scores in `pipeline.tasks.pairs`. Distances are
Euclidean; with the logistic regression of pairs, they are the sum of weighted |f1 - f2| that it regresses on, whose
weights are trained with the network and then kept as a setting.
Shapes: N images, D numbers of an embedding; outputs (N, D), or maps (N, M, h, w) of D = M h w numbers, each place of
which is compared with the same place; identities (N,).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor, nn
from torch.nn import functional

from pipeline.tasks import metric_losses
from pipeline.tasks.metric_losses import Loss
from pipeline.tasks.pairs import FAR, FEWEST_IMPOSTORS, MOST_IMAGES, WAYS, Pairs
from pipeline.tasks.task import Batch, Evidence, Settled
from pipeline.tasks.verification.demands import CITY_BLOCK, CONTRASTIVE, DEMANDS, EUCLIDEAN, PAIR, TRIPLET

START_WEIGHT, START_BIAS = 1.0, 3.0  # of the logistic regression
COLLAPSED = (
    0.02  # mean distance of two identities, as a share of the margin, below which all embeddings are one
)


class Verification(nn.Module):
    """Triplet, contrastive or pair loss of embeddings, scored by the distances of pairs.

    Evidence is (N, D + 1): the points between which distances are taken, and the identity.

    Args:
        loss: `triplet`, `contrastive`, or `pair` for the logistic regression on |f1 - f2|.
        mining: of triplets, see `metric_losses.triplet_loss`.
        margin: of triplets, between the distance to another identity and to the same one; of the contrastive loss, the
            distance beyond which two identities are far enough.
        dimensions: D, or of maps M.
        threshold: largest distance of images that count as one identity; None until validation images decide it.
        pair_weights: of the logistic regression, for each dimension or map, and its bias; None until they are trained.
    """

    def __init__(
        self,
        *,
        loss: str,
        mining: str,
        margin: float,
        dimensions: int,
        threshold: float | None,
        pair_weights: list[float] | None,
    ) -> None:
        super().__init__()
        settings = {"loss": loss, "mining": mining, "margin": margin, "dimensions": dimensions}
        DEMANDS.check_settings({**settings, "threshold": threshold, "pair_weights": pair_weights})
        self.kind, self.mining, self.margin, self.threshold = loss, mining, margin, threshold
        self.metric = CITY_BLOCK if loss == PAIR else EUCLIDEAN
        if loss == PAIR:
            start = pair_weights or [START_WEIGHT] * dimensions + [START_BIAS]
            raw = torch.tensor(start, dtype=torch.float64)
            raw[:-1] = raw[:-1].expm1().clamp(min=1e-9).log()  # what softplus maps to the weights
            self.regression = nn.Parameter(raw.float())

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of triplets or pairs; 0 if the batch has none."""
        return self._loss(outputs, batch).value

    def loss_weight(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the number of triplets or pairs that the loss is the mean of."""
        return self._loss(outputs.detach(), batch).weight

    def measures(self, outputs: Tensor, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the mean distances of genuine pairs and of impostors, and the share of active triplets."""
        distances = self._distances(outputs)
        masks = metric_losses.pair_masks(batch["target"])
        found = {
            name: (distances[mask].sum() / mask.sum().clamp(min=1), mask.sum())
            for name, mask in zip(("genuine_distance", "impostor_distance"), masks, strict=True)
        }
        active = self._loss(outputs, batch).active
        if active is not None:
            found["active"] = active, active.new_tensor(len(batch["target"]))
        return found

    def alarms(self, row: Mapping[str, float]) -> list[str]:
        """Return what is wrong with a training, by the numbers of an epoch."""
        found = []
        if row["train/impostor_distance"] < COLLAPSED * self.margin:
            equals = f", and the loss {row['train/loss']:.4f} is the margin" if self.kind == TRIPLET else ""
            found.append(
                f"the embeddings have collapsed: two identities are {row['train/impostor_distance']:.1e} apart on "
                f"average{equals}; lower optimizer.lr, or train with task.mining=all first"
            )
        if row.get("train/active") == 0:
            found.append(
                f"no triplet has a loss above 0, so that nothing is learned: raise task.margin={self.margin:g}, or "
                "choose a harder task.mining"
            )
        return found

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, D + 1): the points between which distances are taken, and the identity."""
        embeddings = functional.normalize(outputs.detach().double().flatten(1), dim=1)
        points = torch.from_numpy(self.points(embeddings.cpu().numpy()))
        return torch.cat((points, batch["target"].double()[:, None].cpu()), dim=1)

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return the scores of all pairs, and of recognition among galleries; NaN where there are too few of them."""
        return self._scores(self.pairs(evidence))

    def resampled(self, evidence: Evidence) -> Any:
        """Return what scores drawn images: those drawn twice count twice, but are not paired with themselves."""
        evidence = _thinned(evidence)
        pairs = self.pairs(evidence)

        def draw(chosen: NDArray[np.intp]) -> dict[str, float]:
            weights = np.bincount(chosen, minlength=len(evidence)).astype(np.float64)
            return self._scores(pairs, weights[: len(evidence)])

        return draw

    def remarks(self, evidence: Evidence) -> list[str]:
        """Return what is left out of scores for want of images."""
        thinned = _thinned(evidence)
        pairs = self.pairs(thinned)
        _, counts = np.unique(evidence[:, -1], return_counts=True)
        found = []
        if self.threshold is not None:
            found.append(f"images whose distance is at most {self.threshold:.4f} count as one identity")
        if single := int((counts == 1).sum()):
            found.append(
                f"identities with a single image, which has no genuine pair: {single:,} of {len(counts):,}"
            )
        if pairs.num_impostors < FEWEST_IMPOSTORS:
            found.append(
                f"TAR at FAR {FAR:.0%} is not defined: there are {pairs.num_impostors:,} pairs of two identities, and "
                f"it takes {FEWEST_IMPOSTORS:,}"
            )
        if len(counts) < WAYS:
            found.append(
                f"{WAYS}-way one-shot recognition is not defined: there are {len(counts)} identities"
            )
        if len(thinned) < len(evidence):
            found.append(f"pairs of the first {len(thinned):,} of {len(evidence):,} images were compared")
        return found

    def settled(self, evidence: Evidence) -> Settled:
        """Return the threshold of equal error rates on validation images, and trained weights."""
        settings: dict[str, Any] = {}
        if self.kind == PAIR:
            settings["pair_weights"] = [*self._weights().tolist(), float(self.regression[-1].detach())]
        if self.threshold is not None:
            return Settled(settings)
        pairs = self.pairs(evidence)
        roc, alarms = pairs.roc(), []
        assert roc is not None, "see check_targets"
        settings["threshold"] = roc.equal_threshold()
        if pairs.num_impostors < FEWEST_IMPOSTORS:
            alarms = [
                f"the threshold {settings['threshold']:.4f} was chosen by {pairs.num_impostors:,} validation pairs of "
                f"two identities, fewer than {FEWEST_IMPOSTORS:,}: add validation images, or set task.threshold"
            ]
        return Settled(settings, alarms)

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Return the mean of the embeddings over the views; mirrored images have embeddings of their own."""
        del mirrored
        if len(outputs) == 1:
            return outputs[0]
        return torch.stack([self.decode(each) for each in outputs]).mean(dim=0)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return embeddings of unit length: (N, D)."""
        return functional.normalize(outputs.float().flatten(1), dim=1)

    def points(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return the points between which the distances of embeddings (N, D) are taken."""
        points = np.asarray(embeddings, np.float64)
        if self.kind != PAIR:
            return points
        weights = self._weights().detach().cpu().double().numpy()
        weighted: NDArray[np.float64] = points * weights.repeat(points.shape[1] // len(weights))
        return weighted

    def pairs(self, evidence: Evidence) -> Pairs:
        """Return the distances between images, of many between the first ones."""
        evidence = _thinned(evidence)
        return Pairs(evidence[:, :-1], evidence[:, -1], self.metric)

    def distances_of(self, evidence: Evidence) -> Iterator[NDArray[np.float64]]:
        """Yield the distances (N,) of each image to all."""
        points = evidence[:, :-1]
        for point in points:
            yield cdist(point[None], points, self.metric)[0]

    def _scores(self, pairs: Pairs, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        found = dict.fromkeys(("auroc", "eer", "tar", "far", "frr"), float("nan"))
        roc = pairs.roc(weights)
        if roc is not None:
            found |= {"auroc": roc.area(), "eer": roc.equal_error()}
            if pairs.num_impostors >= FEWEST_IMPOSTORS:
                found["tar"] = roc.accepted_at(FAR)
            threshold = roc.equal_threshold() if self.threshold is None else self.threshold
            found["far"], found["frr"] = roc.rates(threshold)
        found["one_shot"] = pairs.recognised(WAYS, weights)
        found["rank_1"] = pairs.recognised(max(pairs.num_identities, 2)) if weights is None else float("nan")
        return found

    def _weights(self) -> Tensor:
        """Return the weights of the logistic regression (D,), or (M,)."""
        return functional.softplus(self.regression[:-1])

    def _distances(self, outputs: Tensor) -> Tensor:
        """Return the distances (N, N) of the embeddings of a batch."""
        embeddings = self.decode(outputs)
        if self.kind != PAIR:
            return metric_losses.euclidean(embeddings)
        weights = self._weights()
        return metric_losses.weighted_manhattan(
            embeddings, weights.repeat_interleave(embeddings.shape[1] // len(weights))
        )

    def _loss(self, outputs: Tensor, batch: Batch) -> Loss:
        distances, identities = self._distances(outputs), batch["target"]
        if self.kind == TRIPLET:
            return metric_losses.triplet_loss(distances, identities, margin=self.margin, mining=self.mining)
        if self.kind == CONTRASTIVE:
            return metric_losses.contrastive_loss(distances, identities, margin=self.margin)
        return metric_losses.pair_loss(distances, identities, bias=self.regression[-1])


def _thinned(evidence: Evidence) -> Evidence:
    """Return the evidence of the first images, of which so many can be compared with each other."""
    return evidence[:MOST_IMAGES]

"""Requirements of verification: identities, and an embedding for each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError, Range
from pipeline.tasks.demands import Demands
from pipeline.tasks.mask_facts import refuse_mask_facts

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIPLET, CONTRASTIVE, PAIR = LOSSES = ("triplet", "contrastive", "pair")
MININGS = ("all", "semi_hard", "batch_hard", "random")
EUCLIDEAN, CITY_BLOCK = "euclidean", "cityblock"  # distances, as SciPy calls them


class VerificationDemands(Demands):
    """Requirements of `pipeline.tasks.verification.task.Verification`."""

    name = "verification"
    target = "identity"
    score = "auroc"
    bounds = (0.0, 1.0)
    biased = ("rank_1",)
    is_labelled = True
    averages = False
    suggested = ("model=face_small", "optimizer=adamw", "trainer.sampler={per_class: 4}")

    def check(self, facts: Facts) -> None:
        """Check that no facts about masks are set.

        Raises:
            ConfigError: `data.background` or `data.ignore_label` is set.
        """
        refuse_mask_facts(facts, self.name)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check the loss and its settings.

        Raises:
            ConfigError: a setting is none of those allowed, or out of range.
        """
        for key, allowed in (("loss", LOSSES), ("mining", MININGS)):
            if settings[key] not in allowed:
                raise ConfigError.unknown(f"task.{key}", settings[key], allowed, what="choice")
        Range(above=0, most=2).check("task.margin", settings["margin"])
        Range(least=1).check("task.dimensions", settings["dimensions"])
        if settings["threshold"] is not None:
            Range(least=0).check("task.threshold", settings["threshold"], besides="null")
        weights = settings["pair_weights"]
        if weights is None:
            return
        if settings["loss"] != PAIR or len(weights) != settings["dimensions"] + 1:
            raise ConfigError(
                "task.pair_weights",
                got=weights,
                allowed=f"null, or with task.loss={PAIR} one for each of task.dimensions={settings['dimensions']}, "
                "then the bias",
            )
        for place, weight in enumerate(weights[:-1]):
            Range(least=0).check(f"task.pair_weights[{place}]", weight)

    def check_targets(self, targets: NDArray[Any], files: Callable[[], Sequence[str]]) -> None:
        """Check that a split has pairs of one identity, and of two.

        Raises:
            ConfigError: it has not.
        """
        import numpy as np

        del files
        counts = np.unique(np.asarray(targets), return_counts=True)[1]
        for is_missing, problem in (
            (len(counts) < 2, "has images of one identity only, so that there is nothing to tell apart"),
            (counts.max() < 2, "has no two images of any identity, so that there is nothing to recognise"),
        ):
            if is_missing:
                raise ConfigError(
                    "data.root",
                    f"a split with {len(targets):,} images {problem}",
                    hint="add images, or change data.split",
                )

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return (D,) for D numbers, or maps."""
        del facts, shape
        return (int(settings["dimensions"]),)

    def accepts(self, made: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
        """Return whether an output is a vector of that length, or so many maps of any sides."""
        return len(made) in (1, 3) and made[0] == wanted[0]

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        del facts
        return {
            "auroc": "AUROC of pairs",
            "eer": "EER",
            "tar": "TAR at FAR 1 %",
            "far": "FAR at the threshold",
            "frr": "FRR at the threshold",
            "one_shot": "8-way one-shot",
            "rank_1": "rank-1 among all",
        }

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, which bound all scores."""
        del score
        return self.bounds

    def direction(self, metric: str) -> str:
        """Return `minimize` for error rates, too."""
        return "minimize" if metric in ("val/eer", "val/far", "val/frr") else super().direction(metric)

    def describe(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return how distances of embeddings are computed, and the largest of one identity."""
        weights = settings["pair_weights"]
        return {
            "distance": CITY_BLOCK if settings["loss"] == PAIR else EUCLIDEAN,
            "distance_weights": None if weights is None else weights[:-1],
            "distance_threshold": settings["threshold"],
        }


DEMANDS = VerificationDemands()

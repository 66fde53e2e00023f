"""Requirements of multilabel classification: any number of labels for each image, an output for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.data.facts import Facts
from pipeline.tasks.demands import Demands
from pipeline.tasks.mask_facts import refuse_mask_facts
from pipeline.tasks.present import check_any_present


class MultilabelDemands(Demands):
    """Requirements of `pipeline.tasks.multilabel.task.Multilabel`."""

    name = "multilabel"
    target = "labels"
    score = "mean_ap"
    bounds = (0.0, 1.0)
    shares = ("exact_match",)
    facts = ("classes", "separator")
    crops = ("centre", "corners")
    mixes = True
    threshold: float = 0.5

    def check(self, facts: Facts) -> None:
        """Check that no facts about masks are set.

        Raises:
            ConfigError: `data.background` or `data.ignore_label` is set.
        """
        refuse_mask_facts(facts, self.name)

    def check_present(
        self, num_images: Mapping[str, Sequence[int]], facts: Facts, *, select: str | None
    ) -> None:
        """Check that a validation image has a label; warn about classes without one.

        Raises:
            ConfigError: none has, so that no score is defined but the share of exact matches.
        """
        check_any_present(
            num_images,
            facts,
            what="a label",
            score=select or self.score,
            is_defined=select in self.shares,
        )

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return (K,) for K classes."""
        del settings, shape
        return (len(facts.classes),)

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, which bound all scores."""
        del score
        return self.bounds

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        del facts
        return {
            "mean_ap": "mean AP",
            "macro_f1": "macro F1",
            "micro_f1": "micro F1",
            "auroc": "AUROC",
            "exact_match": "exact match",
        }


DEMANDS = MultilabelDemands()

"""What the tasks whose targets are boxes require alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.data.facts import Facts
from pipeline.data.places import Box
from pipeline.tasks.demands import Demands
from pipeline.tasks.mask_facts import refuse_mask_facts
from pipeline.tasks.present import check_any_present


class BoxDemands(Demands):
    """Requirements of a task of boxes whose scores are all from 0 to 1.

    Scores in `shares` are defined without any object, too.
    """

    target = "boxes"
    places = "boxes"
    bounds = (0.0, 1.0)

    def check(self, facts: Facts) -> None:
        """Check that no facts about masks are set.

        Raises:
            ConfigError: `data.background` or `data.ignore_label` is set.
        """
        refuse_mask_facts(facts, self.name)

    def check_present(
        self, num_images: Mapping[str, Sequence[int]], facts: Facts, *, select: str | None
    ) -> None:
        """Check that a validation image has an object; warn about classes without one.

        Raises:
            ConfigError: none has, so that the selecting score is not defined.
        """
        check_any_present(
            num_images,
            facts,
            what="an object",
            score=select or self.score,
            is_defined=select in self.shares,
        )

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, which bound all scores."""
        del score
        return self.bounds


def are_single(targets: Iterable[Sequence[Box]]) -> bool:
    """Return whether each image has at most one object, and none that is to be ignored."""
    return all(len(each) <= 1 and not any(box.is_ignored for box in each) for each in targets)

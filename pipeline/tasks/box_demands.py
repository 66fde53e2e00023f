"""What the tasks whose targets are boxes require alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.data.facts import Facts
from pipeline.data.places import Box
from pipeline.errors import ConfigError
from pipeline.tasks.demands import Demands, warn_of_absent
from pipeline.tasks.mask_facts import refuse_mask_facts


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
        if not any(num_images["val"]) and select not in self.shares:
            raise ConfigError(
                "data.split",
                f"no image of the val split of {facts.root} has an object, so {select or self.score} cannot select an "
                "epoch",
                got=facts.split,
                hint="move images that have some into it, or draw the splits with another seed",
            )
        warn_of_absent(num_images["val"], range(len(facts.classes)), facts)

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, which bound all scores."""
        del score
        return self.bounds


def are_single(targets: Iterable[Sequence[Box]]) -> bool:
    """Return whether each image has at most one object, and none that is to be ignored."""
    return all(len(each) <= 1 and not any(box.is_ignored for box in each) for each in targets)

"""Checks of what validation images have, for tasks whose images may have nothing, or not all classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError, warn


def check_any_present(
    num_images: Mapping[str, Sequence[int]], facts: Facts, *, what: str, score: str, is_defined: bool
) -> None:
    """Check that the selecting score is defined; warn about classes that no validation image has.

    Args:
        num_images: split -> for each class, the number of images that have it.
        what: an image has, such as `an object`.
        score: that selects the epoch.
        is_defined: whether it is defined even if no image has any.

    Raises:
        ConfigError: no validation image has any, and the score is not defined then.
    """
    if not any(num_images["val"]) and not is_defined:
        raise ConfigError(
            "data.split",
            f"no image of the val split of {facts.root} has {what}, so {score} cannot select an epoch",
            got=facts.split,
            hint="move images that have some into it, or draw the splits with another seed",
        )
    warn_of_absent(num_images["val"], range(len(facts.classes)), facts)


def warn_of_absent(num_images: Sequence[int], classes: Iterable[int], facts: Facts) -> None:
    """Warn about classes that no validation image has, whose scores are not defined.

    Args:
        num_images: for each class, the number of validation images that have it.
        classes: the indices of those that have scores.
    """
    absent = [facts.classes[index] for index in classes if not num_images[index]]
    if absent:
        warn(
            f"data {facts.name}: classes that no image of the val split has: {', '.join(absent)}; their validation "
            "scores are not defined, and are left out of the means"
        )

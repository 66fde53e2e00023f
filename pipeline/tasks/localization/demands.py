"""Requirements of localization: at most one box for each image, and outputs for presence, box and classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError, Range
from pipeline.tasks.demands import Demands, warn_of_absent

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LocalizationDemands(Demands):
    """Requirements of `pipeline.tasks.localization.task.Localization`."""

    name = "localization"
    target = "boxes"
    score = "localized"
    bounds = (0.0, 1.0)
    shares = ("accuracy",)
    facts = ("classes", "shape", "resize")

    def check(self, facts: Facts) -> None:
        """Check that no facts about masks are set.

        Raises:
            ConfigError: `data.background` or `data.ignore_label` is set.
        """
        for name in ("background", "ignore_label"):
            value = getattr(facts, name)
            if value is not None:
                raise ConfigError(
                    f"data.{name}", got=value, allowed="null for localization", hint="it belongs to masks"
                )

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check the weight of boxes in the loss.

        Raises:
            ConfigError: it is not above 0.
        """
        Range(above=0).check("task.box_weight", settings["box_weight"])

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

    def check_targets(self, targets: NDArray[Any], files: Callable[[], Sequence[str]]) -> None:
        """Check that each image has at most one object, and none that is to be ignored.

        Raises:
            ConfigError: an image has more; the error names its file.
        """
        is_object, is_ignored = targets[..., 4] >= 0, targets[..., 5] > 0
        for is_wrong, what in (
            (is_object.sum(axis=1) > 1, "several objects"),
            (is_ignored.any(axis=1), "an object that is to be ignored"),
        ):
            if is_wrong.any():
                raise ConfigError(
                    files()[int(is_wrong.argmax())],
                    f"has {what}, as {int(is_wrong.sum()):,} of {len(targets):,} images of its split; localization "
                    "takes one object or none",
                    hint="choose task=detection, or leave these images out",
                )

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return (5 + K,) for K classes: presence, box, classes."""
        del settings, shape
        return (5 + len(facts.classes),)

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, which bound all scores."""
        del score
        return self.bounds

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        del facts
        return {"localized": "right class, IoU >= 0.5", "mean_iou": "mean IoU", "accuracy": "accuracy"}


DEMANDS = LocalizationDemands()

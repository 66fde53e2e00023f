"""Requirements of localization: at most one box for each image, and outputs for presence, box and classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError, Range
from pipeline.tasks.box_demands import BoxDemands, are_single

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LocalizationDemands(BoxDemands):
    """Requirements of `pipeline.tasks.localization.task.Localization`."""

    name = "localization"
    score = "localized"
    shares = ("accuracy",)
    facts = ("classes", "shape", "resize")
    suggested = ("model=localizer", "optimizer=adamw")

    def suits(self, targets: Iterable[Any]) -> bool:
        """Return whether each image has at most one object, and none that is to be ignored."""
        return are_single(targets)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check the weight of boxes in the loss.

        Raises:
            ConfigError: it is not above 0.
        """
        Range(above=0).check("task.box_weight", settings["box_weight"])

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

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        del facts
        return {"localized": "right class, IoU >= 0.5", "mean_iou": "mean IoU", "accuracy": "accuracy"}


DEMANDS = LocalizationDemands()

"""Requirements of segmentation: a mask for each image, an output for each class and pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.data.facts import Facts
from pipeline.data.pixel_facts import mask_padding
from pipeline.errors import ConfigError, Range
from pipeline.tasks.demands import Demands, TrainingTargets
from pipeline.tasks.present import warn_of_absent
from pipeline.tasks.weights import BALANCED, balance, check_names, check_weights

MOST_NAMED = 20  # classes that have scores of their own
TITLES = {"dice": "Dice", "iou": "IoU", "pooled_dice": "pooled Dice", "pooled_iou": "pooled IoU"}


def named_classes(classes: Sequence[str], background: str | None) -> list[str]:
    """Return the classes that have scores of their own; none if there is one beside the background, or too many."""
    kept = [name for name in classes if name != background]
    return kept if 1 < len(kept) <= MOST_NAMED else []


class SegmentationDemands(Demands):
    """Requirements of `pipeline.tasks.segmentation.task.Segmentation`."""

    name = "segmentation"
    target = "mask"
    score = "dice"
    bounds = (0.0, 1.0)
    facts = ("classes", "background", "ignore_label")
    is_dense = True
    suggested = ("model=unet_small",)
    mixes = True

    def check_present(
        self, num_images: Mapping[str, Sequence[int]], facts: Facts, *, select: str | None
    ) -> None:
        """Check that a validation mask has a pixel of a class that is scored; warn about classes without one.

        Raises:
            ConfigError: none has, so that Dice is 0 or not defined whatever is predicted.
        """
        del select  # whatever it is, without foreground there is none to learn
        kept = [index for index, name in enumerate(facts.classes) if name != facts.background]
        if not any(num_images["val"][index] for index in kept):
            raise ConfigError(
                "data.split",
                f"no mask of the val split of {facts.root} has a pixel of a class other than the background, so Dice "
                "cannot select an epoch",
                got=facts.split,
                hint="move images that have some into it, or draw the splits with another seed",
            )
        warn_of_absent(num_images["val"], kept, facts)

    def check(self, facts: Facts) -> None:
        """Check that padding can be left out of scores.

        Raises:
            ConfigError: images are padded, and there is no label to ignore.
        """
        mask_padding(facts)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check the weights of the losses and classes, and that a loss without weight is not to leave something out.

        Raises:
            ConfigError: a weight is out of range, or 0 where the background is to be left out.
        """
        check_weights(settings["class_weights"])
        Range(least=0).check("task.dice_weight", settings["dice_weight"])
        if not settings["dice_weight"] and not settings["dice_background"]:
            raise ConfigError(
                "task.dice_background",
                got=settings["dice_background"],
                allowed="true with task.dice_weight=0",
                hint="without the soft Dice loss, there is nothing to leave the background out of",
            )

    def check_classes(self, settings: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Check the names of `class_weights`."""
        check_names(settings["class_weights"], classes)

    def resolve(
        self, settings: Mapping[str, Any], facts: Facts, training: TrainingTargets
    ) -> Mapping[str, Any]:
        """Return settings with balanced `class_weights` as numbers."""
        if settings["class_weights"] != BALANCED:
            return settings
        return {**settings, "class_weights": balance(training.count(), facts.classes, what="pixels")}

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return (K, H, W) for K classes."""
        del settings
        return (len(facts.classes), *shape[1:])

    def accepts(self, made: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
        """Return whether the shape is acceptable: a smaller map, as from `valid` filters, covers the image's centre."""
        if len(made) != len(wanted):
            return False
        return made[0] == wanted[0] and all(a <= b for a, b in zip(made[1:], wanted[1:], strict=True))

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title: means over classes, and the scores of each class except the background.

        If only one class is left, its scores are the means, and are named as these. More than `MOST_NAMED` have no
        scores of their own, as a thousand metrics in every epoch help nobody.
        """
        named = named_classes(facts.classes, facts.background)
        titles = {}
        for score, title in TITLES.items():
            titles[score] = title
            titles |= {f"{score}_{name}": f"{title}, {name}" for name in named}
        return titles

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, which bound all scores."""
        del score
        return self.bounds

    def direction(self, metric: str) -> str:
        """Return `minimize` for the loss and `maximize` for each score, regardless of class names."""
        return "minimize" if metric == "val/loss" else "maximize"


DEMANDS = SegmentationDemands()

"""Requirements of classification: a label for each image, an output for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.data.facts import Facts
from pipeline.errors import Range
from pipeline.tasks.demands import Demands, TrainingTargets
from pipeline.tasks.mask_facts import refuse_mask_facts
from pipeline.tasks.weights import BALANCED, balance, check_names, check_weights

UNEQUAL = 1.5  # ratio above which a data set counts as imbalanced, as in the KEEL repository (Alcala-Fdez et al. 2011)


class ClassificationDemands(Demands):
    """Requirements of `pipeline.tasks.classification.task.Classification`."""

    name = "classification"
    target = "label"
    score = "accuracy"
    bounds = (0.0, 1.0)
    shares = ("accuracy",)
    biased = ("calibration_error",)
    facts = ("classes",)
    crops = ("centre", "corners")
    mixes = True
    is_labelled = True

    def check(self, facts: Facts) -> None:
        """Check that no facts about masks are set.

        Raises:
            ConfigError: `data.background` or `data.ignore_label` is set.
        """
        refuse_mask_facts(facts, self.name)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check the share of the target that label smoothing spreads over all classes, and the weights of classes.

        Raises:
            ConfigError: it is outside [0, 1), or a weight is not above 0.
        """
        Range(least=0, below=1).check("task.label_smoothing", settings["label_smoothing"])
        check_weights(settings["class_weights"])

    def check_classes(self, settings: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Check the names of `class_weights`."""
        check_names(settings["class_weights"], classes)

    def resolve(
        self, settings: Mapping[str, Any], facts: Facts, training: TrainingTargets
    ) -> Mapping[str, Any]:
        """Return settings with balanced `class_weights` as numbers."""
        if settings["class_weights"] != BALANCED:
            return settings
        return {**settings, "class_weights": balance(training.count(), facts.classes, what="images")}

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return (K,) for K classes."""
        del settings, shape
        return (len(facts.classes),)

    def default_score(self, counts: Sequence[int]) -> str:
        """Return balanced accuracy where classes are unequal, as accuracy then says little about the rare ones.

        They are if the largest class has more than `UNEQUAL` times as many images as the smallest that has any.
        """
        present = [count for count in counts if count]
        return "balanced_accuracy" if max(present) > UNEQUAL * min(present) else self.score

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, which bound all scores."""
        del score
        return self.bounds

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        del facts
        return {
            "accuracy": "accuracy",
            "balanced_accuracy": "balanced accuracy",
            "macro_f1": "macro F1",
            "auroc": "AUROC",
            "calibration_error": "calibration error",
        }


DEMANDS = ClassificationDemands()

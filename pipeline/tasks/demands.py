"""What each task asks of the data and of the network, known without importing a training library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ConfigError, closest


@dataclass(frozen=True)
class Contract:
    """A task's demands.

    Args:
        target: what a sample must carry: `label` or `mask`.
        is_dense: one output vector per pixel rather than per image.
        score: name of the score that picks the best epoch; up is better.
        scores: names of all its scores.
        per_class: those of them that there also are for each class but the background.
    """

    target: str
    is_dense: bool
    score: str
    scores: tuple[str, ...]
    per_class: tuple[str, ...] = ()

    def logged(self, classes: Sequence[str], background: int | None) -> list[str]:
        """Return the names of what `metrics.json` holds of a training."""
        kept = [name for index, name in enumerate(classes) if index != background]
        parts = [f"{score}_{name}" for score in self.per_class for name in kept]
        return ["score", "val/loss", *(f"val/{name}" for name in (*self.scores, *parts))]

    def output_shape(self, num_classes: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return what the network must put out for an image of shape (C, H, W)."""
        return (num_classes, *shape[1:]) if self.is_dense else (num_classes,)

    def accepts(self, made: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
        """Tell whether a network's output will do: a dense one may be smaller, as behind `valid` filters.

        It then stands for the centre of the image.
        """
        if not self.is_dense or len(made) != len(wanted):
            return made == wanted
        return made[0] == wanted[0] and all(a <= b for a, b in zip(made[1:], wanted[1:], strict=True))


CONTRACTS = {
    "pipeline.tasks.classification.task.Classification": Contract(
        target="label",
        is_dense=False,
        score="accuracy",
        scores=("accuracy", "balanced_accuracy", "macro_f1", "auroc", "calibration_error"),
    ),
    "pipeline.tasks.segmentation.task.Segmentation": Contract(
        target="mask", is_dense=True, score="dice", scores=("dice", "iou"), per_class=("dice", "iou")
    ),
}


def contract_of(target: str) -> Contract:
    """Return the contract of a task by its `_target_`.

    Raises:
        ConfigError: there is no such task.
    """
    if target not in CONTRACTS:
        raise ConfigError(f"task._target_: unknown task {target}; {closest(target, CONTRACTS)}")
    return CONTRACTS[target]

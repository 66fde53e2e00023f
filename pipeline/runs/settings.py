"""The settings of a training, as the `trainer` section of the config states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError, closest

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
# What speeds a run up or shows it, and never changes its result: not part of a fingerprint.
NOT_DECIDING = ("num_workers", "progress")


@dataclass(frozen=True)
class TrainerSettings:
    """How long, on what and in which precision to train.

    Args:
        max_epochs: passes over the training split.
        batch_size: images per step and device.
        keep: which epoch's weights are the result: `best` (by the task's score on the validation split) or
            `last`.
        early_stopping: {patience: epochs without a better score, min_delta: what counts as better}, or null.
        gradient_clip: largest norm of the gradient, or null.
        accelerator: as Lightning names it: auto, cpu, gpu, ...
        devices: how many devices, or auto.
        strategy: as Lightning names it: auto, ddp, ...
        precision: one of `PRECISIONS`, as Lightning names them; auto is bf16-mixed where the hardware
            multiplies bf16 matrices, else 32-true.
        channels_last: whether images lie in memory with channels last.
        deterministic: whether only deterministic algorithms may be used; `warn` takes others with a warning.
        num_workers: loader processes; 0 loads in the training process; `auto` is 0 on a CPU, and on a GPU all but one
            of its share of the cores. Does not change the result.
        progress: whether to show a progress bar (on a terminal) or a line per epoch. Does not change the
            result.
    """

    max_epochs: int
    batch_size: int
    keep: str
    early_stopping: dict[str, float] | None
    gradient_clip: float | None
    accelerator: str
    devices: int | str
    strategy: str
    precision: str
    channels_last: bool
    deterministic: bool | str
    num_workers: int | str
    progress: bool

    def __post_init__(self) -> None:
        """Refuse settings out of their range, by name."""
        for name, least in (("max_epochs", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"trainer.{name} must be at least {least}, got {getattr(self, name)}")
        workers = self.num_workers
        if workers != "auto" and (isinstance(workers, str) or workers < 0):
            raise ConfigError(f"trainer.num_workers must be auto or at least 0, got {workers}")
        if self.precision not in PRECISIONS:
            names = closest(self.precision, PRECISIONS)
            raise ConfigError(f"trainer.precision: unknown precision '{self.precision}'; {names}")
        if self.keep not in ("best", "last"):
            raise ConfigError(f"trainer.keep must be best or last, got {self.keep!r}")
        if self.gradient_clip is not None and self.gradient_clip <= 0:
            raise ConfigError(f"trainer.gradient_clip must be above 0 or null, got {self.gradient_clip}")
        if self.early_stopping is not None and set(self.early_stopping) != {"patience", "min_delta"}:
            raise ConfigError(
                "trainer.early_stopping must be null or {patience: 10, min_delta: 0.0}, got "
                f"{self.early_stopping}"
            )
        if self.deterministic not in (True, False, "warn"):
            raise ConfigError(
                f"trainer.deterministic must be true, false or warn, got {self.deterministic!r}"
            )

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> TrainerSettings:
        """Return the settings of a checked config section."""
        return cls(**section)

"""Settings of training and tracking, as the sections `trainer` and `tracking` state them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.files import check_name

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
# Settings that affect only speed and display, and are therefore not part of the fingerprint.
NOT_DECIDING = ("num_workers", "progress")


@dataclass(frozen=True)
class TrainerSettings:
    """Duration, hardware and precision of training.

    Args:
        max_epochs: passes over the training split.
        batch_size: images per step and device.
        keep: which epoch's weights are the result: `best` (by the task's score on the validation split) or
            `last`.
        early_stopping: {patience: epochs without a better score, min_delta: what counts as better}, or null.
        gradient_clip: largest norm of the gradient, or null.
        accelerator: one of Lightning's accelerators: auto, cpu, gpu, ...
        devices: number of devices, or auto.
        strategy: one of Lightning's strategies: auto, ddp, ...
        precision: one of `PRECISIONS`, as Lightning names them; auto is bf16-mixed on hardware with bf16 matrix
            multiplication, else 32-true.
        channels_last: whether to use the channels-last memory format.
        deterministic: whether to use deterministic algorithms only; `warn` allows others with a warning.
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
        """Raise if settings are out of range."""
        for name, least in (("max_epochs", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"trainer.{name}", got=getattr(self, name), allowed=f"at least {least}")
        workers = self.num_workers
        if workers != "auto" and (isinstance(workers, str) or workers < 0):
            raise ConfigError("trainer.num_workers", got=workers, allowed="auto or at least 0")
        if self.precision not in PRECISIONS:
            raise ConfigError.unknown("trainer.precision", self.precision, PRECISIONS, what="precision")
        if self.keep not in ("best", "last"):
            raise ConfigError("trainer.keep", got=self.keep, allowed="best or last")
        if self.gradient_clip is not None and self.gradient_clip <= 0:
            raise ConfigError("trainer.gradient_clip", got=self.gradient_clip, allowed="above 0 or null")
        if self.early_stopping is not None and set(self.early_stopping) != {"patience", "min_delta"}:
            raise ConfigError(
                "trainer.early_stopping",
                got=self.early_stopping,
                allowed="null or {patience: 10, min_delta: 0.0}",
            )
        if self.deterministic not in (True, False, "warn"):
            raise ConfigError("trainer.deterministic", got=self.deterministic, allowed="true, false or warn")


@dataclass(frozen=True)
class TrackingSettings:
    """What to log, and under which name.

    Args:
        experiment: name of the MLflow experiment; runs are compared within one.
        log_model: whether to log the model of the best epoch (some MB and seconds per run).
    """

    experiment: str
    log_model: bool

    def __post_init__(self) -> None:
        """Raise if the name cannot be that of a folder; servers may have folders in it, such as /Shared/digits."""
        for part in self.experiment.removeprefix("/").split("/"):
            check_name("tracking.experiment", part)

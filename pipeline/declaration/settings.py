"""Settings of training and tracking, as the sections `trainer` and `tracking` state them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import ConfigError, Range
from pipeline.storage.names import check_name

SAMPLERS = ("shuffle", "balanced")
PER_CLASS = "per_class"  # key of the sampler whose batches have some images of each of some classes
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
# Lightning's names, without TPUs, for which the pipeline lacks the library.
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
STRATEGIES = (
    "auto",
    "single_device",
    *(
        f"{name}{parameters}"
        for name in ("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook")
        for parameters in ("", "_find_unused_parameters_false", "_find_unused_parameters_true")
    ),
    "deepspeed",
    *(f"deepspeed_stage_{stage}" for stage in ("1", "2", "2_offload", "3", "3_offload", "3_offload_nvme")),
    "fsdp",
    "fsdp_cpu_offload",
)
SHARDED = ("deepspeed", "fsdp")  # how strategies begin that divide the weights among processes
AVERAGES = "null, {ema: 0.999} or {swa: 5}"
# Most processes that one run may start here; a declaration may be meant for a larger machine.
MOST_PROCESSES = max(64, 4 * (os.cpu_count() or 1))
MOST_THREADS = 1024
SCORED_IN = (
    "32-true"  # precision of all scores and of the exported model, whatever training steps are computed in
)
# Settings that affect only speed and display, and are therefore not part of the fingerprint.
NOT_DECIDING = ("num_workers", "progress")


@dataclass(frozen=True)
class TrainerSettings:
    """Duration, hardware and precision of training.

    Args:
        max_epochs: passes over the training split.
        batch_size: images per step and device.
        sampler: which images an epoch trains on: `shuffle` for each once, `balanced` for equally many of each class, as
            many as there are in all, or {per_class: K} for batches of K images of each of `batch_size` / K classes or
            identities, see `pipeline.data.sampling`.
        select: name of the score on the validation split that selects the best epoch, ends training early, and ranks
            sweeps and searches; null for the usual one of the task, see `Demands.default_score`.
        keep: which epoch's weights are the result: `best` (by the selecting score; of equal ones, that of the lower
            loss) or `last`.
        early_stopping: {patience: epochs without a better score, min_delta: what counts as better}, or null.
        gradient_clip: largest norm of the gradient, or null.
        average: {ema: decay per step, which warms up} or {swa: number of last epochs}: averages of the weights are
            validated, selected, kept and exported in their place, see `pipeline.training.averaging`; null for the
            weights themselves.
        on_divergence: what is done if a loss becomes infinite or NaN: `stop`, or `halve` the learning rate and go back
            to the last good epoch, at most three times.
        norm_momentum: weight of the newest batch in the running statistics of all batch norms, above 0 and at most 1
            (torch's convention); null for what the network says, but at least 0.1 with `model.pretrained`.
        accelerator: one of `ACCELERATORS`, as Lightning names them.
        devices: number of devices, at most `MOST_PROCESSES`; or auto.
        strategy: one of `STRATEGIES`, as Lightning names them.
        precision: of training, one of `PRECISIONS`, as Lightning names them; auto is bf16-mixed on hardware with
            bf16 matrix multiplication, else 32-true. Scores are always computed in `SCORED_IN`.
        threads: threads of each process on the CPU, at most `MOST_THREADS`; null for OMP_NUM_THREADS or, without it,
            all cores of the process. Decides the result, since sums are split among them.
        channels_last: whether to use the channels-last memory format.
        deterministic: whether to use deterministic algorithms only; `warn` allows others with a warning.
        num_workers: loader processes; 0 loads in the training process; `auto` is 0 on a CPU, and on a GPU all but one
            of its share of the cores; at most `MOST_PROCESSES`. Does not change the result.
        progress: whether to show a line per epoch and, on a terminal, a progress bar. Does not change the result.
    """

    max_epochs: int
    batch_size: int
    sampler: str | dict[str, int]
    select: str | None
    keep: str
    early_stopping: dict[str, float] | None
    gradient_clip: float | None
    average: dict[str, float] | None
    on_divergence: str
    norm_momentum: float | None
    accelerator: str
    devices: int | str
    strategy: str
    precision: str
    threads: int | None
    channels_last: bool
    deterministic: bool | str
    num_workers: int | str
    progress: bool

    def __post_init__(self) -> None:
        """Raise if settings are out of range."""
        self._check_numbers()
        if isinstance(self.sampler, Mapping):
            self._check_per_class(self.sampler)
        elif self.sampler not in SAMPLERS:
            raise ConfigError.unknown("trainer.sampler", self.sampler, SAMPLERS, what="sampler")
        named = {
            "precision": PRECISIONS,
            "accelerator": ACCELERATORS,
            "strategy": STRATEGIES,
        }
        for name, names in named.items():
            if getattr(self, name) not in names:
                raise ConfigError.unknown(f"trainer.{name}", getattr(self, name), names, what=name)
        if self.keep not in ("best", "last"):
            raise ConfigError("trainer.keep", got=self.keep, allowed="best or last")
        if self.on_divergence not in ("stop", "halve"):
            raise ConfigError("trainer.on_divergence", got=self.on_divergence, allowed="stop or halve")
        if self.early_stopping is not None:
            _check_early_stopping(self.early_stopping)
        if self.average is not None:
            self._check_average(self.average)
        if self.deterministic not in (True, False, "warn"):
            raise ConfigError("trainer.deterministic", got=self.deterministic, allowed="true, false or warn")

    def _check_per_class(self, sampler: Mapping[str, int]) -> None:
        if set(sampler) != {PER_CLASS}:
            allowed = f"{', '.join(SAMPLERS)} or {{{PER_CLASS}: 4}}"
            raise ConfigError("trainer.sampler", got=dict(sampler), allowed=allowed)
        Range(least=2, is_whole=True).check(f"trainer.sampler.{PER_CLASS}", sampler[PER_CLASS])
        if self.batch_size % sampler[PER_CLASS] or self.batch_size < 2 * sampler[PER_CLASS]:
            raise ConfigError(
                "trainer.batch_size",
                got=self.batch_size,
                allowed=f"a multiple of trainer.sampler.{PER_CLASS}={sampler[PER_CLASS]}, at least twice as large, for "
                "two classes or more",
            )

    def _check_average(self, average: dict[str, float]) -> None:
        if set(average) == {"ema"}:
            Range(above=0, below=1).check("trainer.average.ema", average["ema"])
        elif set(average) == {"swa"}:
            epochs = Range(least=2, most=self.max_epochs, is_whole=True)
            epochs.check("trainer.average.swa", average["swa"], hint="at most trainer.max_epochs")
        else:
            raise ConfigError("trainer.average", got=average, allowed=AVERAGES)
        if "swa" in average and self.early_stopping is not None:
            raise ConfigError(
                "trainer.average",
                "early stopping ends a training before its last epochs, which swa averages",
                got=average,
                hint="use {ema: 0.999}, or set trainer.early_stopping=null",
            )
        if self.strategy.startswith(SHARDED):
            raise ConfigError(
                "trainer.average",
                f"trainer.strategy={self.strategy} leaves no process all weights, which it averages",
                got=average,
                hint="use trainer.strategy=ddp, or set trainer.average=null",
            )

    def _check_numbers(self) -> None:
        for name in ("max_epochs", "batch_size"):
            Range(least=1).check(f"trainer.{name}", getattr(self, name))
        for name, span, other in (
            ("num_workers", Range(least=0, most=MOST_PROCESSES), "auto"),
            ("devices", Range(least=1, most=MOST_PROCESSES), "auto"),
            ("threads", Range(least=1, most=MOST_THREADS), None),
            ("gradient_clip", Range(above=0), None),
            ("norm_momentum", Range(above=0, most=1), None),
        ):
            if getattr(self, name) != other:
                span.check(f"trainer.{name}", getattr(self, name), besides=other or "null")


def _check_early_stopping(settings: dict[str, float]) -> None:
    if set(settings) != {"patience", "min_delta"}:
        raise ConfigError(
            "trainer.early_stopping", got=settings, allowed="null or {patience: 10, min_delta: 0.0}"
        )
    Range(least=1, is_whole=True).check("trainer.early_stopping.patience", settings["patience"])
    Range(least=0).check("trainer.early_stopping.min_delta", settings["min_delta"])


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

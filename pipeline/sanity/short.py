"""Short trainings: some steps as a training takes them, with what checks want to know of each.

Unlike a training, without validation, checkpoints and schedule: the learning rate stays as it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from pipeline.layers.containers import Auxiliary
from pipeline.layers.drops import DropPath
from pipeline.tasks.task import Batch, Evidence
from pipeline.training.assemble import group_parameters, make_optimizer, modules_by_level

if TYPE_CHECKING:
    from pipeline.sanity.subject import Subject

DROPS = (nn.modules.dropout._DropoutNd, DropPath)
WATCHED = 10  # the last steps, over which updates of weights are measured
SETTLING = 5  # batches that the statistics of batch norms are computed from
PARTS = ("data", "forward", "backward", "step")


@dataclass
class ShortTraining:
    """A short training.

    Args:
        model: as it is after the last step.
        losses: of each step; it ends with the first one that is not finite.
        updates: place of a layer -> length of an update of its weights, relative to that of the weights.
        seconds: of each of `PARTS`, without the first step, which is slower.
        num_images: that these seconds are of.
    """

    model: nn.Sequential
    losses: list[float] = field(default_factory=list)
    updates: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    num_images: int = 0

    @property
    def has_diverged(self) -> bool:
        """Whether the last loss is not finite."""
        return not isfinite(self.losses[-1])

    def typical_updates(self) -> dict[str, float]:
        """Return the median update of each layer whose weights are not 0."""
        typical = {where: float(np.median(each)) for where, each in self.updates.items()}
        return {where: each for where, each in typical.items() if isfinite(each)}


@dataclass(frozen=True)
class Outcome:
    """What a model puts out for some images.

    Args:
        outputs: (N, ...), on the CPU.
        batch: the images with their targets, on the CPU.
        score: the selecting score; NaN where outputs are not finite.
        loss: the mean loss.
    """

    outputs: Tensor
    batch: Batch
    score: float
    loss: float


def train_briefly(
    subject: Subject,
    model: nn.Sequential,
    batches: Iterable[Batch],
    *,
    rate: float | Callable[[int], float] | None = None,
    is_regularised: bool = True,
    stops: Callable[[ShortTraining], bool] = lambda _: False,
) -> ShortTraining:
    """Train a model on some batches.

    Args:
        rate: the learning rate, or a function of the step; None for the declared one.
        is_regularised: whether weights decay and units are dropped.
        stops: asked after each step whether to stop.
    """
    declaration = subject.declaration
    groups = group_parameters(declaration, model.parameters(), modules_by_level(declaration, model))
    optimizer = make_optimizer(declaration)(groups)
    factors = [
        1.0 if rate is None else group["lr"] / declaration.optimizer["lr"] for group in optimizer.param_groups
    ]
    for group in optimizer.param_groups if not is_regularised else ():
        if "weight_decay" in group:
            group["weight_decay"] = 0.0
    found, timed = ShortTraining(model), _timed(batches)
    weights = {layer.where: layer.weights for layer in subject.layers(model)}
    set_training(model, is_regularised=is_regularised)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(declaration.seed)
        for step, (batch, seconds) in enumerate(timed):
            if rate is not None:
                now = rate(step) if callable(rate) else rate
                for group, factor in zip(optimizer.param_groups, factors, strict=True):
                    group["lr"] = factor * now
            is_watched = step >= subject.num_steps - WATCHED and rate is None
            before = {
                where: [each.detach().clone() for each in weights[where]] for where in weights if is_watched
            }
            parts = {"data": seconds, **_step(subject, model, optimizer, batch, found)}
            if step:
                found.num_images += len(batch["image"])
                found.seconds = {part: found.seconds[part] + parts[part] for part in PARTS}
            for where, kept in before.items():
                found.updates.setdefault(where, []).append(_relative_update(kept, weights[where]))
            if found.has_diverged or stops(found):
                break
    return found


def set_training(model: nn.Module, *, is_regularised: bool = True) -> None:
    """Set the mode of training; frozen layers do not update their statistics, as in a training."""
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        is_frozen = bool(own) and not any(each.requires_grad for each in own)
        if is_frozen or (isinstance(module, DROPS) and not is_regularised):
            module.eval()


def total_loss(subject: Subject, model: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of a batch as a training minimises it, with those of auxiliary heads."""
    enabled = subject.precision is not None
    with torch.autocast(subject.device.type, subject.precision, enabled=enabled):
        loss = subject.task.loss(model(batch["image"]), batch)
        for head in (each for each in model.modules() if isinstance(each, Auxiliary)):
            loss = loss + head.weight * subject.task.loss(head.take(), batch)
    return loss


@torch.no_grad()
def score(subject: Subject, model: nn.Module, batch: Batch) -> Outcome:
    """Score a model on some images, in evaluation and in single precision."""
    model.eval()
    parts = torch.split(batch["image"], subject.batch_size)
    outputs = torch.cat([model(part).float().cpu() for part in parts])
    batch = {key: value.cpu() for key, value in batch.items()}
    return judge(subject, outputs, batch)


@torch.no_grad()
def judge(subject: Subject, outputs: Tensor, batch: Batch) -> Outcome:
    """Score outputs for the images of a batch."""
    if not outputs.isfinite().all():
        return Outcome(outputs, batch, nan, nan)
    evidence: Evidence = subject.task.evidence(outputs, batch).numpy()
    loss = float(subject.task.loss(outputs, batch))
    return Outcome(outputs, batch, subject.task.scores(evidence)[subject.selection.score], loss)


def settle_norms(subject: Subject, model: nn.Sequential) -> nn.Sequential:
    """Compute the statistics of batch norms anew, since they lag behind weights that change fast; return the model."""
    batches = subject.batches(subject.training, SETTLING)
    update_bn((batch["image"] for batch in batches), model)
    return model


def per_image(subject: Subject, outputs: Tensor, batch: Batch) -> NDArray[np.float64]:
    """Return the loss of each image of a batch alone."""
    losses = []
    for index in range(len(outputs)):
        one = {key: value[[index]] for key, value in batch.items() if value.ndim}
        losses.append(float(subject.task.loss(outputs[[index]], one)))
    return np.array(losses)


def _step(
    subject: Subject,
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    found: ShortTraining,
) -> dict[str, float]:
    """Take a step; return the seconds of its parts."""
    seconds = dict.fromkeys(PARTS[1:], 0.0)
    losses: list[float] = []
    clip = subject.declaration.trainer.gradient_clip

    def closure() -> Tensor:
        optimizer.zero_grad()
        start = time.perf_counter()
        loss = total_loss(subject, model, batch)
        losses.append(float(loss.detach()))  # waits for the device
        middle = time.perf_counter()
        loss.backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        seconds["forward"] += middle - start
        seconds["backward"] += time.perf_counter() - middle
        return loss

    start = time.perf_counter()
    optimizer.step(closure)  # type: ignore[arg-type]
    seconds["step"] = time.perf_counter() - start - seconds["forward"] - seconds["backward"]
    found.losses.append(losses[0])
    return seconds


def _timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Yield batches with the seconds that each took to make."""
    start = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - start
        start = time.perf_counter()


def _relative_update(before: list[Tensor], after: list[nn.Parameter]) -> float:
    change = sum(float((new.detach() - old).square().sum()) for old, new in zip(before, after, strict=True))
    size = sum(float(old.square().sum()) for old in before)
    return float((change / size) ** 0.5) if size else nan

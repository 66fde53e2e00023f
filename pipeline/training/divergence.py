"""Training that diverged: noticed in the step in which it happens, with the layer and the images that it began at.

The learning rate can then be halved, as `trainer.on_divergence=halve` has it: training goes back to the checkpoint of
the last good epoch. That checkpoint holds the halvings before it, so a run that is killed in between repeats the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.errors import ConfigError
from pipeline.tasks.task import Batch
from pipeline.training.layer_names import Places, name_layer
from pipeline.training.processes import is_any, is_distributed

MOST_HALVINGS = 3  # an eighth of the rate: if that diverges, too, the rate is not what is wrong
MOST_FILES = 3  # that a message names
HALVINGS = "halvings"  # their key in a checkpoint
IMAGES = {"train": "training images", "val": "validation images"}
Halving = dict[str, Any]  # epoch that diverged, learning rate that it diverged with, and how


@dataclass(frozen=True)
class Origin:
    """Where numbers that are not finite came from.

    Args:
        layer: the first one whose output is not finite; or, if its weights are not, the last one of these, as
            gradients come to that one first. Empty if the loss alone is not finite.
        has_broken_weights: whether the weights of the layer are not finite.
        split: that the images are of.
        images: indices of the images that the layer saw, or of the step that broke its weights; those whose output is
            not finite, if others of the batch have one.
    """

    layer: str = ""
    has_broken_weights: bool = False
    split: str = "train"
    images: tuple[int, ...] = ()

    def sentence(self, files: Sequence[str]) -> str:
        """Return the part of a sentence that says so; `files` are those of the images, if these are known."""
        names = ", ".join(files[:MOST_FILES])
        more = f" and {len(files) - MOST_FILES} more" if len(files) > MOST_FILES else ""
        images = f"{IMAGES[self.split]} {names}{more}" if files else ""
        if self.has_broken_weights:
            step = f", which the step before broke on {images}" if images else ""
            return f", as the weights of {self.layer} are not finite{step}"
        first = f", where the output of {self.layer} is the first that is not finite" if self.layer else ""
        return first + (f", for {images}" if images else "")


class Diverged(ConfigError):
    """A loss that is not finite.

    Args:
        loss: which one, in words.
        value: of the loss.
        epoch: that it occurs in, from 0.
        step: of the epoch, from 0; None for the loss of validation images.
        rate: the learning rate.
        origin: where it came from.
        halvings: of the learning rate before.
        files: of the images of the origin.
    """

    def __init__(
        self,
        loss: str,
        value: float,
        *,
        epoch: int,
        step: int | None,
        rate: float,
        origin: Origin,
        halvings: Sequence[Halving] = (),
        files: Sequence[str] = (),
    ) -> None:
        self.loss, self.value, self.epoch, self.step, self.rate = loss, value, epoch, step, rate
        self.origin, self.halvings = origin, list(halvings)
        when = f"epoch {epoch + 1}" if step is None else f"step {step + 1} of epoch {epoch + 1}"
        way_out = "lower it, or set trainer.gradient_clip or trainer.on_divergence=halve"
        if halvings:
            way_out = f"it was halved {len(halvings)} times; lower it further, or set trainer.gradient_clip"
        problem = f"training diverged: {loss} is {value} in {when}{origin.sentence(files)}"
        super().__init__("optimizer.lr", problem, got=rate, hint=way_out)

    def with_files(self, files_of: Callable[[str], Sequence[str]]) -> Diverged:
        """Return this error with the files of its images.

        Args:
            files_of: maps a split to the files of all its images.
        """
        named = files_of(self.origin.split) if self.origin.images else []
        files = [named[index] for index in self.origin.images]
        return Diverged(
            self.loss,
            self.value,
            epoch=self.epoch,
            step=self.step,
            rate=self.rate,
            origin=self.origin,
            halvings=self.halvings,
            files=files,
        )

    def next_halvings(self) -> list[Halving]:
        """Return the halvings with one for this divergence.

        Raises:
            Diverged: there were as many as are allowed.
        """
        if len(self.halvings) >= MOST_HALVINGS:
            raise self
        return [*self.halvings, {"epoch": self.epoch, "rate": self.got, "reason": self.problem}]


def say_halving(halving: Halving) -> str:
    """Say that training goes back to the epoch before one that diverged, with half the learning rate."""
    before = f"the end of epoch {halving['epoch']}" if halving["epoch"] else "the start"
    how = f"{halving['reason']} (learning rate {halving['rate']:g})"
    return f"{how}; going back to {before} with half the learning rate"


class LossCheck:
    """Looks at the loss of each step before the optimizer uses its gradient, without delaying a GPU.

    The loss is copied to the CPU right behind the forward pass, and read when the backward pass has been queued. So the
    CPU waits for a forward pass that has mostly ended, and the GPU has the backward pass to work on meanwhile.
    """

    def __init__(self) -> None:
        self._loss = torch.zeros(())
        self._copied: torch.cuda.Event | None = None

    def note(self, loss: Tensor) -> None:
        """Note the loss of a step; it counts as NaN if that of another process is not finite."""
        loss = loss.detach().float()
        if is_distributed():
            loss = loss.where(~is_any(~loss.isfinite()), float("nan"))
        if loss.is_cuda:
            self._loss = torch.empty((), pin_memory=True).copy_(loss, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()
        else:
            self._loss = loss

    def value(self) -> float:
        """Return the loss of the step."""
        if self._copied is not None:
            self._copied.synchronize()
        return float(self._loss)


@torch.no_grad()
def find_origin(
    model: nn.Module, batches: Iterable[Batch], *, split: str, places: Places, last_step: Tensor | None
) -> Origin:
    """Find where numbers that are not finite come from, by running a model on batches again.

    Args:
        batches: the first one whose outputs are not finite is looked for.
        split: of the batches.
        last_step: indices of the images of the step before, if there was one.
    """
    broken = [
        (path, module)
        for path, module in model.named_modules()
        if not all(bool(each.isfinite().all()) for each in module.parameters(recurse=False))
    ]
    if broken:
        images = () if last_step is None else tuple(last_step.tolist())
        return Origin(name_layer(*broken[-1], places), has_broken_weights=True, images=images)
    indices: tuple[int, ...] = ()
    for batch in batches:
        indices = tuple(batch["index"].tolist()) if "index" in batch else ()
        found = _first_broken_output(model, batch["image"])
        if found is not None:
            path, module, is_broken = found
            if len(is_broken) == len(indices):
                indices = tuple(index for index, broken in zip(indices, is_broken, strict=True) if broken)
            return Origin(name_layer(path, module, places), split=split, images=indices)
    return Origin(split=split, images=indices if split == "train" else ())


def scale_rates(optimizer: Optimizer, factor: float) -> None:
    """Let an optimizer step with its learning rates times a power of two; schedulers see the declared ones."""

    def scale(*_: Any) -> None:
        for group in optimizer.param_groups:
            group["lr"] *= factor

    def restore(*_: Any) -> None:
        for group in optimizer.param_groups:
            group["lr"] /= factor

    optimizer.register_step_pre_hook(scale)
    optimizer.register_step_post_hook(restore)


def _first_broken_output(model: nn.Module, images: Tensor) -> tuple[str, nn.Module, list[bool]] | None:
    """Return path and module of the first layer whose output is not finite, and for which of the images."""
    found: list[tuple[str, nn.Module, list[bool]]] = []

    def look(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and output.ndim and not output.isfinite().all():
                broken = ~output.isfinite().reshape(len(output), -1).all(dim=1)
                found.append((path, module, broken.tolist()))

        return hook

    handles = [
        module.register_forward_hook(look(path))
        for path, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None

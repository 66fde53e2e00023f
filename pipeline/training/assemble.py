"""Build the objects that a declaration describes: model, task, training split, optimizer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.data.batches import Draws, PreparedSplit
from pipeline.data.draws import OnTheFly, Precomputed
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration, class_and_arguments
from pipeline.declaration.network import plan_network
from pipeline.declaration.settings import TrainerSettings
from pipeline.networks.build import build, pair_modules
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Task
from pipeline.training.construction import build_mixing, construct, constructor, wrap_errors
from pipeline.transfer.checkpoint import find_checkpoint, read_tensors
from pipeline.transfer.levels import parameter_groups
from pipeline.transfer.matching import Account, load_matching
from pipeline.transfer.norms import Raised, raise_momentum, set_momentum
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.statistics import Statistics


def build_model(declaration: Declaration, statistics: Statistics) -> nn.Sequential:
    """Build the model: `preprocess`, then `network`; it maps uint8 images (N, C, H, W) to outputs."""
    seen = statistics.centred(*declaration.input_shape[1:])
    return nn.Sequential(
        OrderedDict(
            preprocess=construct(declaration.preprocess, "preprocess", nn.Module, statistics=seen),
            network=build(plan_network(declaration), seed=declaration.seed),
        )
    )


def arrange(model: nn.Sequential, settings: TrainerSettings) -> nn.Sequential:
    """Put the weights of a model into the declared memory format, and return it; other formats round differently."""
    if settings.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def get_network(model: nn.Sequential) -> nn.Sequential:
    """Return the network inside a model."""
    network = model.get_submodule("network")
    assert isinstance(network, nn.Sequential)
    return network


def modules_by_level(declaration: Declaration, model: nn.Sequential) -> list[list[nn.Module]]:
    """Return the model's layers by level, the head last; layers of auxiliary heads are not included."""
    network = plan_network(declaration)
    built = {id(leaf): module for leaf, module in pair_modules(network, get_network(model))}
    return [[built[id(leaf)] for leaf in level] for level in network.levels()]


def load_pretrained(declaration: Declaration, model: nn.Sequential) -> Account | None:
    """Load `model.pretrained` into a new model; return None if it is not set."""
    pretrained = declaration.model["pretrained"]
    if pretrained is None:
        return None
    tensors = read_tensors(find_checkpoint(pretrained))
    is_grey = declaration.input_shape[0] == 1
    return load_matching(get_network(model), tensors, source=pretrained, is_grey=is_grey)


def set_norms(declaration: Declaration, model: nn.Sequential) -> Raised | None:
    """Set the momentum of the model's batch norms as `trainer.norm_momentum` says; return what fine-tuning raised."""
    network, momentum = get_network(model), declaration.trainer.norm_momentum
    if momentum is not None:
        set_momentum(network, momentum)
    elif declaration.model["pretrained"] is not None:
        return raise_momentum(network)
    return None


class _TrainingTargets:
    """The targets of the training split, counted only where a task asks."""

    def __init__(self, declaration: Declaration, prepared: Prepared) -> None:
        self._num_classes = len(declaration.data.classes)
        self._prepared = prepared

    def count(self) -> list[int]:
        return self._prepared.count_classes("train", self._num_classes)

    def targets(self) -> NDArray[Any]:
        return self._prepared.targets("train")


@dataclass(frozen=True)
class ResolvedTask:
    """What the training split decided.

    Args:
        settings: the section `task`, with numbers for what was left to the training split.
        remarks: sentences on how the settings fit the training split.
        draw: draws the same to a folder, and returns the files.
    """

    settings: Mapping[str, Any]
    remarks: Sequence[str]
    draw: Callable[[Path], list[Path]]


def resolve_task(declaration: Declaration, prepared: Prepared) -> ResolvedTask:
    """Return the section `task` with what the training split decides, such as balanced weights, as numbers."""
    demands, training = load_demands(declaration.task), _TrainingTargets(declaration, prepared)
    settings = demands.resolve(declaration.task, declaration.data, training)
    remarks = demands.explain(settings, declaration.data, training)
    return ResolvedTask(settings, remarks, partial(demands.draw, settings, training))


def build_task(declaration: Declaration, settings: Mapping[str, Any] | None = None) -> Task:
    """Build the task, passing it the data facts that it requires.

    Args:
        settings: as `resolve_task` returns them; None for the declared one, in which what the training
            split decides may be missing.
    """
    names = load_demands(declaration.task).facts
    facts = {name: getattr(declaration.data, name) for name in names}
    task: Task = construct(settings or declaration.task, "task", Task, **facts)
    return task


def make_train_split(
    declaration: Declaration, prepared: Prepared, augmentation: Augmentation | None, copies: Path | None
) -> PreparedSplit:
    """Return the training split with mixing and augmentation, either on the fly or from precomputed copies."""
    draws: Draws | None = None
    if copies is not None:
        draws = Precomputed(copies)
    elif augmentation is not None:
        draws = OnTheFly(
            augmentation,
            prepared.kind.moves_as,
            seed=declaration.seed,
            moving=prepared.kind.moving(declaration.data),
        )
    return PreparedSplit(
        prepared.images("train"),
        prepared.targets("train"),
        prepared.kind,
        draws=draws,
        mix=build_mixing(declaration),
        sides=declaration.input_shape[1:],
        seed=declaration.seed,
    )


def make_optimizer(declaration: Declaration) -> Callable[[Any], Any]:
    """Return a factory that maps parameters to the optimizer."""
    return _waiting(
        class_and_arguments(declaration.optimizer, "optimizer"), "optimizer", torch.optim.Optimizer
    )


def make_scheduler(declaration: Declaration) -> Callable[[Any], Any]:
    """Return a factory that maps an optimizer to the learning-rate scheduler."""
    return _waiting(declaration.scheduler, "scheduler", torch.optim.lr_scheduler.LRScheduler)


def group_parameters(
    declaration: Declaration, parameters: Iterable[nn.Parameter], levels: list[list[nn.Module]]
) -> list[dict[str, Any]]:
    """Return optimizer parameter groups, by `model.lr_factors` and `optimizer.decay_norms_and_biases`."""
    return parameter_groups(
        parameters,
        levels,
        factors=declaration.model["lr_factors"],
        lr=declaration.optimizer.get("lr", 0.0),
        decays_vectors=declaration.optimizer["decay_norms_and_biases"],
    )


def _waiting(section: Mapping[str, Any], path: str, kind: type) -> Callable[[Any], Any]:
    """Return the constructor of a section with all arguments bound but the first."""
    target = section["_target_"]
    made = wrap_errors(lambda: constructor(section, path, kind), path, target)
    return lambda first: wrap_errors(lambda: made(first), path, target)

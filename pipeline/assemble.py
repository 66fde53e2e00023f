"""Assemble a declaration into objects: the model, the task, the augmentation, the optimizer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from pipeline.compose import planned
from pipeline.errors import ConfigError
from pipeline.networks.build import build
from pipeline.tasks.task import Task
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.statistics import Statistics


def model_of(config: Mapping[str, Any], statistics: Statistics) -> nn.Sequential:
    """Build the model: `preprocess`, then `network`; it maps uint8 images (N, C, H, W) to outputs."""
    return nn.Sequential(
        OrderedDict(
            preprocess=_made(config, "preprocess", statistics=statistics),
            network=build(planned(config), seed=config["seed"]),
        )
    )


def task_of(config: Mapping[str, Any]) -> Task:
    """Build the task for the classes of the data."""
    data = config["data"]
    facts = {key: data[key] for key in ("classes", "background", "ignore_label")}
    task: Task = _made(config, "task", **facts)
    return task


def augmentation_of(config: Mapping[str, Any]) -> Augmentation | None:
    """Build the augmentation; None where it has no steps."""
    steps = config["augmentation"]["steps"]
    if not steps:
        return None
    return Augmentation([_instantiated(step, f"augmentation.steps[{i}]") for i, step in enumerate(steps)])


def optimizer_of(config: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return the optimizer's constructor, waiting for the parameters."""
    return _waiting(config, "optimizer")


def scheduler_of(config: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return the schedule's constructor, waiting for the optimizer."""
    return _waiting(config, "scheduler")


def check_optimizer(config: Mapping[str, Any]) -> None:
    """Make optimizer and schedule for one weight.

    Raises:
        ConfigError: they refuse their settings.
    """
    scheduler_of(config)(optimizer_of(config)([nn.Parameter(torch.zeros(1))]))


def _waiting(config: Mapping[str, Any], section: str) -> Callable[[Any], Any]:
    """Return the constructor of a section, waiting for its first argument."""
    made = _instantiated({**config[section], "_partial_": True}, section)
    return lambda first: _told(lambda: made(first), section, config[section]["_target_"])


def _made(config: Mapping[str, Any], section: str, **given: Any) -> Any:
    return _instantiated(config[section], section, **given)


def _instantiated(node: Mapping[str, Any], path: str, **given: Any) -> Any:
    """Build what a node names; given objects pass by untouched."""

    def make() -> Any:
        made = instantiate({**node, "_partial_": True}, _convert_="all")
        return made if node.get("_partial_") else made(**given)

    return _told(make, path, node["_target_"])


def _told(make: Callable[[], Any], path: str, target: str) -> Any:
    """Make something; tell in one sentence what it refuses."""
    try:
        return make()
    except ConfigError:
        raise
    except (InstantiationException, TypeError, ValueError) as reason:
        why = reason.__cause__ or reason
        text = " ".join(str(why).split())
        raise ConfigError(f"{path}: {target} refuses its settings: {text}") from None

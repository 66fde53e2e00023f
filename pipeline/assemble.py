"""Assemble a declaration into objects: the model, the task, the augmentation, the optimizer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

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


def optimizer_of(config: Mapping[str, Any]) -> partial[Any]:
    """Return the optimizer's constructor, waiting for the parameters."""
    return _partial(config, "optimizer")


def scheduler_of(config: Mapping[str, Any]) -> partial[Any]:
    """Return the schedule's constructor, waiting for the optimizer."""
    return _partial(config, "scheduler")


def _partial(config: Mapping[str, Any], section: str) -> partial[Any]:
    made: partial[Any] = _instantiated({**config[section], "_partial_": True}, section)
    return made


def _made(config: Mapping[str, Any], section: str, **given: Any) -> Any:
    return _instantiated(config[section], section, **given)


def _instantiated(node: Mapping[str, Any], path: str, **given: Any) -> Any:
    """Build what a node names; given objects pass by untouched."""
    try:
        made = instantiate({**node, "_partial_": True}, _convert_="all")
        return made if node.get("_partial_") else made(**given)
    except ConfigError:
        raise
    except (InstantiationException, TypeError, ValueError) as reason:
        why = reason.__cause__ or reason
        text = " ".join(str(why).split())
        raise ConfigError(f"{path}: {node['_target_']} refuses its settings: {text}") from None

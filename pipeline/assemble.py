"""Assemble a declaration into objects: the model, the task, the augmentation, the optimizer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from pipeline.compose import planned
from pipeline.errors import ConfigError
from pipeline.networks.build import build, modules_of
from pipeline.tasks.task import Task
from pipeline.transfer.checkpoint import file_of, read_tensors
from pipeline.transfer.levels import parameter_groups
from pipeline.transfer.matching import Account, load_matching
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


def network_of(model: nn.Sequential) -> nn.Sequential:
    """Return the network inside a model."""
    network = model.get_submodule("network")
    assert isinstance(network, nn.Sequential)
    return network


def levels_of(config: Mapping[str, Any], model: nn.Sequential) -> list[list[nn.Module]]:
    """Return the model's layers by level, the head last; those of auxiliary heads belong to none."""
    network = planned(config)
    built = {id(leaf): module for leaf, module in modules_of(network, network_of(model))}
    return [[built[id(leaf)] for leaf in level] for level in network.levels()]


def start_from(config: Mapping[str, Any], model: nn.Sequential) -> Account | None:
    """Load `model.pretrained` into a fresh model; None where the network starts from its initialiser."""
    pretrained = config["model"]["pretrained"]
    if pretrained is None:
        return None
    tensors = read_tensors(file_of(pretrained))
    return load_matching(network_of(model), tensors, source=pretrained)


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


def groups_of(
    config: Mapping[str, Any], parameters: Iterable[nn.Parameter], levels: list[list[nn.Module]]
) -> list[dict[str, Any]]:
    """Return what is trained in groups of one learning rate each, by `model.lr_factors`."""
    factors = config["model"]["lr_factors"]
    return parameter_groups(parameters, levels, factors=factors, lr=config["optimizer"].get("lr", 0.0))


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

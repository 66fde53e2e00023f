"""Assemble a declaration into objects: the model, the task, the augmentation, the optimizer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn

from pipeline.data.batches import Draws, PreparedSplit
from pipeline.data.draws import Ahead, OnTheFly
from pipeline.data.prepared import Prepared
from pipeline.declaration.checks import planned
from pipeline.declaration.signatures import signature
from pipeline.errors import ConfigError
from pipeline.networks.build import build, modules_of
from pipeline.tasks.task import Task
from pipeline.transfer.checkpoint import file_of, read_tensors
from pipeline.transfer.levels import parameter_groups
from pipeline.transfer.matching import Account, load_matching
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.mixing import Mixing
from pipeline.transforms.statistics import Statistics
from pipeline.transforms.views import Views


def model_of(config: Mapping[str, Any], statistics: Statistics) -> nn.Sequential:
    """Build the model: `preprocess`, then `network`; it maps uint8 images (N, C, H, W) to outputs."""
    seen = statistics.centred(*config["input_shape"][1:])
    return nn.Sequential(
        OrderedDict(
            preprocess=_made(config, "preprocess", statistics=seen),
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


def augmentation_of(config: Mapping[str, Any], statistics: Statistics) -> Augmentation | None:
    """Build the augmentation of single images; None where it has no steps."""
    section = config["augmentation"]
    if not section["steps"]:
        return None
    given = {"covariance": statistics.covariance, "fill_mask": config["data"]["ignore_label"]}
    steps = [
        _step(step, f"augmentation.steps[{index}]", given) for index, step in enumerate(section["steps"])
    ]
    return Augmentation(steps)


def mixing_of(config: Mapping[str, Any]) -> Mixing | None:
    """Build what mixes the images of a batch; None where nothing does."""
    node = config["augmentation"]["mixing"]
    mixing: Mixing | None = None if node is None else _instantiated(node, "augmentation.mixing")
    return mixing


def train_split_of(
    config: Mapping[str, Any], prepared: Prepared, augmentation: Augmentation | None, copies: Path | None
) -> PreparedSplit:
    """Return the training split with its augmentation, on the fly or from copies made ahead, and its mixing."""
    draws: Draws | None = None
    if copies is not None:
        draws = Ahead(copies)
    elif augmentation is not None:
        draws = OnTheFly(augmentation, seed=config["seed"])
    return PreparedSplit(
        prepared.images("train"),
        prepared.targets("train"),
        draws=draws,
        mix=mixing_of(config),
        sides=tuple(config["input_shape"][1:]),
        seed=config["seed"],
    )


def views_of(config: Mapping[str, Any]) -> Views:
    """Build the views of test images."""
    return Views(**config["views"])


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
    target = config[section]["_target_"]
    made = _told(lambda: _constructor(config[section]), section, target)
    return lambda first: _told(lambda: made(first), section, target)


def _made(config: Mapping[str, Any], section: str, **given: Any) -> Any:
    return _instantiated(config[section], section, **given)


def _step(node: Mapping[str, Any], path: str, given: Mapping[str, Any]) -> Any:
    """Build a step of augmentation, the steps inside it first.

    It is given the covariance of colours where it asks for it, and the value of mask pixels that come from outside
    the image where the data have a label for those and the step does not set its own.
    """
    known = signature(node["_target_"])
    wanted = () if known is None else known.names()
    more = {
        key: value for key, value in given.items() if key in wanted and key not in node and value is not None
    }
    inner = node.get("transforms")
    if inner is not None:
        node = {key: value for key, value in node.items() if key != "transforms"}
        more["transforms"] = [
            _step(each, f"{path}.transforms[{index}]", given) for index, each in enumerate(inner)
        ]
    return _instantiated(node, path, **more)


def _instantiated(node: Mapping[str, Any], path: str, **given: Any) -> Any:
    """Build what a node names; given objects pass by untouched."""
    return _told(lambda: _constructor(node)(**given), path, node["_target_"])


def _constructor(node: Mapping[str, Any]) -> Callable[..., Any]:
    """Return what a node names, with the node's settings.

    As Hydra's `instantiate` for values that are plain and names that have been checked, without its milliseconds.
    """
    try:
        made = resolve_name(node["_target_"])
    except (AttributeError, ImportError) as reason:
        raise ValueError(f"there is no {node['_target_']}: {reason}") from None
    return partial(made, **{key: _built(value) for key, value in node.items() if key != "_target_"})


def _built(value: Any) -> Any:
    """Return a setting of its own, what it names built."""
    if isinstance(value, Mapping) and "_target_" in value:
        return _constructor(value)()
    if isinstance(value, Mapping):
        return {key: _built(each) for key, each in value.items()}
    return [_built(each) for each in value] if isinstance(value, list) else value


def _told(make: Callable[[], Any], path: str, target: str) -> Any:
    """Make something; tell in one sentence what it refuses."""
    try:
        return make()
    except ConfigError:
        raise
    except (TypeError, ValueError) as reason:
        text = " ".join(str(reason).split())
        raise ConfigError(f"{path}: {target} refuses its settings: {text}") from None

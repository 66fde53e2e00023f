"""A resolved declaration: its sections, and whether they fit each other.

A bad one is refused in well under two seconds and before any data are read: nothing heavy is imported, the network is
planned, not built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import gt, le
from pathlib import Path
from typing import Any

from pipeline.data.facts import Facts
from pipeline.data.sources import source_of
from pipeline.declaration.digests import digest
from pipeline.declaration.targets import check_modules, check_section, check_targets
from pipeline.errors import ConfigError, closest, warn
from pipeline.files import read_yaml
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.runs.settings import TrainerSettings
from pipeline.tasks.demands import Contract, contract_of
from pipeline.transfer.settings import check_transfer
from pipeline.transforms.settings import (
    AugmentationSettings,
    check_augmentation,
    check_preprocess,
    check_views,
)

SECTIONS = (
    "name",
    "seed",
    "allowed_targets",
    "data",
    "input_shape",
    "preprocess",
    "augmentation",
    "model",
    "task",
    "optimizer",
    "scheduler",
    "trainer",
    "views",
    "search",
    "from",
    "plan",
    "tracking",
)
LISTS_AND_VALUES = ("name", "seed", "allowed_targets", "input_shape", "from", "plan")

# What the pipeline itself gives to the constructor a section names.
GIVEN = {
    "preprocess": frozenset({"statistics"}),
    "augmentation": frozenset({"covariance"}),
    "task": frozenset({"classes", "background", "ignore_label"}),
    "optimizer": frozenset({"params"}),
    "scheduler": frozenset({"optimizer"}),
}


def load(path: Path) -> dict[str, Any]:
    """Read a resolved declaration that this stage wrote."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; `dvc repro compose` writes it")
    config: Any = read_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict) or "digest" not in config:
        raise ConfigError(f"{path} is no resolved declaration; `python -m pipeline.compose` writes one")
    return config


def with_digests(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Add the digest of each section.

    DVC's run cache ignores nested keys named `size` or `nfiles` (DVC issue 10296), so stages declare
    params on the digests of sections.
    """
    return {**sections, "digest": {key: digest(value) for key, value in sections.items()}}


def check(config: Mapping[str, Any]) -> None:
    """Check a resolved declaration: keys, types, targets, the network against the image, task and data.

    Raises:
        ConfigError: the first thing that cannot work.
    """
    for key in config:
        if key not in SECTIONS:
            raise ConfigError(f"{key}: unknown section; {closest(key, SECTIONS)}")
    for key in SECTIONS:
        if key not in config:
            raise ConfigError(f"{key}: the section is missing; conf/config.yaml composes it")
    _check_values(config)
    check_section(config["data"], "pipeline.data.facts.Facts", path="data")
    check_section(config["trainer"], "pipeline.runs.settings.TrainerSettings", path="trainer")
    check_section(config["search"], "pipeline.sweeps.settings.SearchSettings", path="search")
    check_section(config["tracking"], "pipeline.tracking.settings.TrackingSettings", path="tracking")
    for section, schema in (("augmentation", "settings.AugmentationSettings"), ("views", "views.Views")):
        check_section(config[section], f"pipeline.transforms.{schema}", path=section)
    _check_search(config)
    _check_steps(config["augmentation"]["steps"], "augmentation.steps")
    if config["augmentation"]["mixing"] is not None:
        _check_step(config["augmentation"]["mixing"], "augmentation.mixing")
    for section in ("preprocess", "augmentation", "task", "optimizer", "scheduler"):
        given = GIVEN[section]
        if section != "augmentation" and "_target_" not in config[section]:
            raise ConfigError(f"{section}._target_ is missing; name the class to build")
        allowed = config["allowed_targets"]
        check_targets(config[section], path=section, allowed=allowed, given=given)
    settings = TrainerSettings.of(config["trainer"])
    check_modules(config["model"], allowed=config["allowed_targets"])
    network = planned(config)
    _check_transforms(config)
    _check_norms(network, settings.batch_size)
    level_weights = [sum(leaf.weights for leaf in level) for level in network.levels()]
    check_transfer(config["model"], level_weights=level_weights, lr=config["optimizer"].get("lr"))


def planned(config: Mapping[str, Any]) -> Network:
    """Plan the network of a declaration and check that data, network and task fit each other."""
    facts = Facts.of(config["data"])
    contract = contract_of(config["task"]["_target_"])
    target = source_of(facts.format).TARGET
    if target != contract.target:
        name = config["task"]["_target_"].rsplit(".", 1)[-1].lower()
        raise ConfigError(
            f"task: {name} needs a {contract.target} for each image, data {facts.name} (format "
            f"{facts.format}) has a {target}; choose another task= or data="
        )
    shape = _input_shape(config["input_shape"], facts, contract)
    wanted = contract.output_shape(len(facts.classes), shape)
    network = plan(config["model"], shape=shape, outputs=wanted[0])
    if not contract.accepts(network.output_shape, wanted):
        raise ConfigError(
            f"model {network.name} puts out {network.output_shape} for an image of {shape}, the task "
            f"needs {wanted}; choose a network for this task, or end its head accordingly"
        )
    return network


def _input_shape(shape: Any, facts: Facts, contract: Contract) -> tuple[int, ...]:
    """Return the shape of what the network sees of an image."""
    is_shape = isinstance(shape, list) and all(type(n) is int for n in shape) and len(shape) == 3
    if not is_shape or shape[0] != facts.shape[0] or not all(map(le, [1, 1], shape[1:])):
        raise ConfigError(
            f"input_shape must be [{facts.shape[0]}, rows, columns] of what the network sees, got {shape!r}"
        )
    if any(map(gt, shape, facts.shape)):
        raise ConfigError(
            f"input_shape {shape} is larger than data.shape {facts.shape}; crops are taken from images, so make "
            "data.shape larger or input_shape smaller"
        )
    if contract.is_dense and shape != facts.shape:
        raise ConfigError(
            f"input_shape {shape}: this task labels every pixel of data.shape {facts.shape}; leave input_shape as it "
            "is, and crop training images by augmentation alone"
        )
    return tuple(shape)


def _check_values(config: Mapping[str, Any]) -> None:
    """Check what stands outside the sections, and that the sections are mappings."""
    name, seed, allowed = config["name"], config["seed"], config["allowed_targets"]
    if not isinstance(name, str) or not name:
        raise ConfigError(f"name must be text, got {name!r}; it names runs, such as name=digits_lenet5")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be a whole number from 0 to {2**32 - 1}, got {seed!r}")
    if not isinstance(allowed, list) or not all(isinstance(each, str) and each for each in allowed):
        raise ConfigError(f"allowed_targets must be a list of prefixes such as [mylab.], got {allowed!r}")
    if not isinstance(config["from"], str | None) or not isinstance(config["plan"], bool):
        raise ConfigError(
            f"from must name an earlier search or be null, plan must be true or false; got {config['from']!r} and "
            f"{config['plan']!r}"
        )
    for key in SECTIONS:
        if key not in LISTS_AND_VALUES and not isinstance(config[key], Mapping):
            raise ConfigError(f"{key} must be a mapping of keys, got {config[key]!r}")


def _check_search(config: Mapping[str, Any]) -> None:
    """Refuse what only a search would look at where nothing is searched."""
    if config["search"]["space"]:
        return
    trial = config["search"]["trial"]
    asked = {"plan=true": config["plan"], f"from={config['from']}": config["from"] is not None}
    for text, is_asked in (asked | {f"search.trial={trial}": trial is not None}).items():
        if is_asked:
            raise ConfigError(f"{text} belongs to a search; add search=coarse, or leave it out")


def _check_steps(steps: Sequence[Any], path: str) -> None:
    """Check that steps say what is to be built, steps inside of steps too."""
    for index, step in enumerate(steps):
        where = f"{path}[{index}]"
        _check_step(step, where)
        inner = step.get("transforms", [])
        if not isinstance(inner, list):
            raise ConfigError(f"{where}.transforms must be a list of steps, got {inner!r}")
        _check_steps(inner, f"{where}.transforms")


def _check_step(step: Any, where: str) -> None:
    if not isinstance(step, Mapping) or not isinstance(step.get("_target_"), str):
        raise ConfigError(
            f"{where} needs a _target_, got {step!r}; name a transform, such as _target_: albumentations.HorizontalFlip"
        )


def _check_transforms(config: Mapping[str, Any]) -> None:
    """Check preprocessing, augmentation and views against the images."""
    facts = Facts.of(config["data"])
    shape, input_shape = tuple(facts.shape), tuple(config["input_shape"])
    check_preprocess(config["preprocess"], shape=shape, input_shape=input_shape)
    settings = AugmentationSettings(**config["augmentation"])
    for text in check_augmentation(settings, shape=shape, mirror_changes_label=_mirror_changes_label(config)):
        warn(text)
    check_test_views(config)


def check_test_views(config: Mapping[str, Any]) -> None:
    """Check how test images are seen; warn of views that make labels wrong."""
    for text in check_views(
        config["views"],
        shape=tuple(config["data"]["shape"]),
        input_shape=tuple(config["input_shape"]),
        is_dense=contract_of(config["task"]["_target_"]).is_dense,
        mirror_changes_label=_mirror_changes_label(config),
    ):
        warn(text)


def _mirror_changes_label(config: Mapping[str, Any]) -> bool:
    """Tell whether a mirrored image may have another label; a mask is mirrored with its image."""
    is_dense = contract_of(config["task"]["_target_"]).is_dense
    return bool(config["data"]["mirror_changes_label"]) and not is_dense


def _check_norms(network: Network, batch_size: int) -> None:
    """Refuse a batch norm that would see one image at a time in training."""
    leaves = (*network.leaves(), *network.side_leaves())
    has_batch = any("BatchNorm" in spec.target for leaf in leaves for spec in leaf.specs)
    if batch_size == 1 and has_batch:
        raise ConfigError(
            f"trainer.batch_size: 1 image has no batch to normalise over, and model {network.name} has batch norms; "
            "use at least 2, or model.norm=instance or {group: 8}"
        )

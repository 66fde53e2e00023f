"""Stage `compose`: conf/ and overrides to one resolved, checked declaration per experiment.

    python -m pipeline.compose artifacts/compose/digits_lenet5.yaml experiment=digits_lenet5

A bad declaration is refused here, in well under two seconds and before any data are read: nothing heavy
is imported, the network is planned, not built.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pipeline.config.digests import digest
from pipeline.config.targets import check_modules, check_section, check_targets
from pipeline.data.facts import Facts
from pipeline.data.sources import source_of
from pipeline.errors import ConfigError, closest, exit_on_mistake
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.runs.folder import write_text
from pipeline.runs.settings import TrainerSettings
from pipeline.tasks.contracts import contract_of
from pipeline.transfer.settings import check_transfer

CONF = Path(__file__).resolve().parents[1] / "conf"

SECTIONS = (
    "name",
    "seed",
    "allowed_targets",
    "data",
    "preprocess",
    "augmentation",
    "model",
    "task",
    "optimizer",
    "scheduler",
    "trainer",
    "tracking",
)

# What the pipeline itself gives to the constructor a section names.
GIVEN = {
    "preprocess": frozenset({"statistics"}),
    "task": frozenset({"classes", "background", "ignore_label"}),
    "optimizer": frozenset({"params"}),
    "scheduler": frozenset({"optimizer"}),
}


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose, resolve and check a declaration.

    Args:
        overrides: as on a Hydra command line, e.g. `experiment=digits_lenet5`, `optimizer.lr=0.02`.

    Returns:
        Plain values per section, and their digests.

    Raises:
        ConfigError: whatever is wrong with it.
    """
    sections = composed(overrides)
    check(sections)
    return with_digests(sections)


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose and resolve a declaration without checking that its parts fit each other.

    Raises:
        ConfigError: an override names what is not there.
    """
    GlobalHydra.instance().clear()
    with explained(), hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return resolved(hydra.compose("config", overrides=list(overrides)))


def declared(config: DictConfig) -> dict[str, Any]:
    """Resolve and check what Hydra composed, and add the digest of each section."""
    sections = resolved(config)
    check(sections)
    return with_digests(sections)


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return plain values, all interpolations looked up."""
    with explained():
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key != "hydra"}


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
    check_section(config["tracking"], "pipeline.tracking.settings.TrackingSettings", path="tracking")
    check_section(
        config["augmentation"], "pipeline.transforms.augmentation.Augmentation", path="augmentation"
    )
    _check_steps(config["augmentation"]["steps"])
    for section in ("preprocess", "augmentation", "task", "optimizer", "scheduler"):
        given = GIVEN.get(section, frozenset())
        if section in GIVEN and "_target_" not in config[section]:
            raise ConfigError(f"{section}._target_ is missing; name the class to build")
        allowed = config["allowed_targets"]
        check_targets(config[section], path=section, allowed=allowed, given=given)
    settings = TrainerSettings.of(config["trainer"])
    check_modules(config["model"], allowed=config["allowed_targets"])
    network = planned(config)
    _check_norms(network, settings.batch_size)
    level_weights = [sum(leaf.weights for leaf in level) for level in network.levels()]
    check_transfer(config["model"], level_weights=level_weights, lr=config["optimizer"].get("lr"))


def _check_values(config: Mapping[str, Any]) -> None:
    """Check what stands outside the sections, and that the sections are mappings."""
    name, seed, allowed = config["name"], config["seed"], config["allowed_targets"]
    if not isinstance(name, str) or not name:
        raise ConfigError(f"name must be text, got {name!r}; it names runs, such as name=digits_lenet5")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be a whole number from 0 to {2**32 - 1}, got {seed!r}")
    if not isinstance(allowed, list) or not all(isinstance(each, str) and each for each in allowed):
        raise ConfigError(f"allowed_targets must be a list of prefixes such as [mylab.], got {allowed!r}")
    for key in SECTIONS:
        if key not in ("name", "seed", "allowed_targets") and not isinstance(config[key], Mapping):
            raise ConfigError(f"{key} must be a mapping of keys, got {config[key]!r}")


def _check_steps(steps: Sequence[Any]) -> None:
    for index, step in enumerate(steps):
        if not isinstance(step, Mapping) or "_target_" not in step:
            raise ConfigError(
                f"augmentation.steps[{index}] needs a _target_, got {step!r}; name a transform, such as "
                "_target_: albumentations.HorizontalFlip"
            )


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
    shape = tuple(facts.shape)
    wanted = contract.output_shape(len(facts.classes), shape)
    network = plan(config["model"], shape=shape, outputs=wanted[0])
    if not contract.accepts(network.output_shape, wanted):
        raise ConfigError(
            f"model {network.name} puts out {network.output_shape} for an image of {shape}, the task "
            f"needs {wanted}; choose a network for this task, or end its head accordingly"
        )
    return network


def _check_norms(network: Network, batch_size: int) -> None:
    """Refuse a batch norm that would see one image at a time in training."""
    leaves = (*network.leaves(), *network.side_leaves())
    has_batch = any("BatchNorm" in spec.target for leaf in leaves for spec in leaf.specs)
    if batch_size == 1 and has_batch:
        raise ConfigError(
            f"trainer.batch_size: 1 image has no batch to normalise over, and model {network.name} has batch norms; "
            "use at least 2, or model.norm=instance or {group: 8}"
        )


def load(path: Path) -> dict[str, Any]:
    """Read a resolved declaration that this stage wrote."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; `dvc repro compose` writes it")
    config: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict) or "digest" not in config:
        raise ConfigError(f"{path} is no resolved declaration; `python -m pipeline.compose` writes one")
    return config


@contextmanager
def explained() -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into one clear sentence."""
    try:
        yield
    except MissingConfigException as reason:
        wanted = str(reason.missing_cfg_file or "")
        group, _, option = wanted.rpartition("/")
        if not group or reason.options is None:
            raise ConfigError(f"{_first_line(reason)}") from None
        raise ConfigError(f"{group}={option}: no such option; {closest(option, reason.options)}") from None
    except MissingMandatoryValue as reason:
        raise ConfigError(f"{reason.full_key} has no value; give it one") from None
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as reason:
        raise ConfigError(_sentence(reason)) from None
    except RecursionError:
        raise ConfigError("a YAML anchor stands inside itself; write the list out") from None
    except ValueError as reason:
        if not str(reason).startswith("Config group override"):
            raise  # what a training raises passes through here too
        raise ConfigError(f"{reason}; choose an option by its file's name, such as model=lenet5") from None


def _sentence(reason: Exception) -> str:
    """Name the key that an override does not find, with the closest right one."""
    cause = reason.__cause__
    full_key = getattr(cause, "full_key", None)
    if isinstance(reason, ConfigCompositionException) and full_key:
        parent, _, name = str(full_key).rpartition(".")
        node = OmegaConf.to_container(getattr(cause, "parent_node", None) or {}, resolve=False)
        if isinstance(node, dict) and node:
            return f"{full_key}: unknown key '{name}'; {closest(name, map(str, node))}"
        return f"{full_key}: unknown key '{name}'" + (f" below {parent}" if parent else "")
    if isinstance(reason, OmegaConfBaseException) and reason.full_key:
        return f"{reason.full_key}: {_first_line(reason)}; correct its value"
    group = re.search(r"Could not override '([^']+)'", str(reason))
    if group and group[1].endswith("@model.encoder"):
        return f"{group[1]}: the model chosen has no such place; only model=unet_on has an encoder"
    if group:
        return f"{group[1]}: unknown key or group; {closest(group[1], _choices())}"
    return " ".join(str(reason).split())


def _choices() -> list[str]:
    return [*SECTIONS, *(path.name for path in CONF.iterdir() if path.is_dir())]


def _first_line(reason: Exception) -> str:
    return str(reason).splitlines()[0]


def main() -> None:
    """Write one resolved declaration."""
    if len(sys.argv) < 2 or not sys.argv[1].endswith(".yaml"):
        raise ConfigError(
            "usage: python -m pipeline.compose <file to write>.yaml experiment=<name> [overrides]"
        )
    config = compose(sys.argv[2:])
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "# Written by the stage compose from conf/; edit that, not this.\n"
    write_text(path, header + yaml.safe_dump(config, sort_keys=False, width=100))


if __name__ == "__main__":
    exit_on_mistake(main)

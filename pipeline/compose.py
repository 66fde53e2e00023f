"""Stage `compose`: conf/ and overrides to one resolved, checked declaration per experiment.

    python -m pipeline.compose artifacts/compose/digits_lenet5.yaml experiment=digits_lenet5

A bad declaration is refused here, in well under two seconds and before any data are read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pipeline.declaration import SECTIONS, check, with_digests
from pipeline.errors import ConfigError, closest, exit_on_mistake
from pipeline.runs.folder import write_text

CONF = Path(__file__).resolve().parents[1] / "conf"


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
        parent_node = getattr(cause, "parent_node", None)
        node = {} if parent_node is None else OmegaConf.to_container(parent_node, resolve=False)
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

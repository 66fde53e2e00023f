"""Compose conf/ and overrides into a resolved and validated declaration.

An invalid declaration is rejected here, in well under two seconds and before any data are read.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, cast

import hydra
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pipeline.data.facts import Facts
from pipeline.declaration.checks import check
from pipeline.declaration.conf_files import check_files, check_option
from pipeline.declaration.declaration import SECTIONS, Declaration
from pipeline.declaration.interpolations import check_interpolations
from pipeline.declaration.mistakes import explain_depth, explain_override
from pipeline.errors import ConfigError, first_line

RESOLVERS = ("oc.select", "oc.dict.keys", "oc.dict.values")  # look up nothing but the config itself
DEFAULTS_OF_DATA = (
    "facts"  # a folder of conf/ that conf/config.yaml reads into `data`, and nobody chooses from
)
INNER_NETWORKS = {
    "encoder": "only model=unet_on has an encoder",
    "classifier": "only model=fully_convolutional has a classifier",
}
INSPECT = "python -m pipeline.inspect"
CONF = Path(__file__).resolve().parents[2] / "conf"


def compose(overrides: Sequence[str]) -> Declaration:
    """Compose, resolve and check a declaration.

    Args:
        overrides: as on a Hydra command line, e.g. `experiment=digits_lenet5`, `optimizer.lr=0.02`.

    Raises:
        ConfigError: the declaration is invalid.
    """
    return check(compose_sections(overrides))


def compose_sections(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose and resolve a declaration to plain values, without checking that its sections fit each other.

    Raises:
        ConfigError: an override names a key or option that does not exist.
    """
    changed = _last_change(CONF)
    with explained():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        _check_overrides(parsed)
        values = [override for override in parsed if _sets_a_value(override)]
        others = [override.input_line or "" for override in parsed if not _sets_a_value(override)]
        config = deepcopy(_chosen(tuple(others), CONF, changed))
        ConfigLoaderImpl._apply_overrides_to_config(values, config)  # like Hydra, after the files
        return resolved(config)


def _check_overrides(overrides: Sequence[Override]) -> None:
    """Raise if an override changes Hydra's section, or chooses a file outside conf/; a search may have written it."""
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    for override in overrides:
        package = override.package or ""
        if override.is_hydra_override() or "hydra" in package.split("."):
            raise ConfigError(
                override.input_line or "hydra",
                "is a setting of Hydra, not of a declaration",
                hint="only `python -m pipeline.train` takes it, on its command line",
            )
        if override.key_or_group.split("/")[0] in groups and not override.is_sweep_override():
            check_option(override.value(), path=override.key_or_group)


def _sets_a_value(override: Override) -> bool:
    """Return whether an override sets a value below a section, and thus does not affect which files are read."""
    is_plain = override.package is None and not override.is_sweep_override()
    return "." in override.key_or_group and not override.is_hydra_override() and is_plain


@cache
def _chosen(choices: tuple[str, ...], conf: Path, changed: int) -> DictConfig:  # noqa: ARG001
    """Compose the chosen files, cached until conf/ changes, as a search composes them for every trial."""
    check_files(conf)
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(conf)):
        return hydra.compose("config", overrides=list(choices))


def _last_change(folder: Path) -> int:
    """Return the latest modification time below a folder, in nanoseconds."""
    return max(path.stat().st_mtime_ns for path in folder.rglob("*"))


def declare(config: DictConfig) -> Declaration:
    """Resolve and validate a config composed by Hydra."""
    return check(resolved(config))


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return plain values, with all interpolations resolved."""
    check_interpolations(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=False)))
    with explained(), _harmless_resolvers():
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key != "hydra"}


@contextmanager
def _harmless_resolvers() -> Iterator[None]:
    """Refuse interpolations that look up more than the config itself, such as `${oc.env:PASSWORD}`.

    OmegaConf has no public way to restrict its resolvers.
    """
    known = BaseContainer._resolvers
    BaseContainer._resolvers = {
        name: resolve if name in RESOLVERS else _refusing(name) for name, resolve in known.items()
    }
    try:
        yield
    finally:
        BaseContainer._resolvers = known


def _refusing(name: str) -> Any:
    def refuse(*of_node: Any) -> None:  # config, parent, node, arguments
        raise ConfigError(
            of_node[2]._get_full_key(None),
            f"looks up more than this declaration by ${{{name}: ...}}",
            hint=f"write the value; allowed are ${{<key>}} and {', '.join(RESOLVERS)}",
        )

    return refuse


@contextmanager
def explained() -> Iterator[None]:
    """Convert exceptions of Hydra and OmegaConf to a `ConfigError`; exceptions of training pass unchanged."""
    try:
        yield
    except Exception as reason:
        found = next((explain(reason) for kind, explain in EXPLAINED if isinstance(reason, kind)), None)
        if found is None:
            raise
        raise found from None


def _explain_missing_file(reason: MissingConfigException) -> ConfigError:
    """Return the error for a file of conf/ that does not exist, which suggests the closest one."""
    wanted = str(reason.missing_cfg_file or "")
    group, _, option = wanted.rpartition("/")
    if not group or reason.options is None:
        return ConfigError(wanted, first_line(reason), hint="name a file of conf/")
    return ConfigError.unknown(group, option, reason.options, what="option")


def _explain_value(reason: ValueError) -> ConfigError | None:
    """Return the error for an option that is not a name."""
    if not str(reason).startswith("Config group override"):
        return None
    hint = "choose an option by the name of its file, such as model=lenet5"
    return ConfigError("overrides", str(reason), hint=hint)


def _explain_file(reason: OSError) -> ConfigError | None:
    """Return the error for an option that cannot be the name of a file."""
    if reason.errno != errno.ENAMETOOLONG:
        return None
    return ConfigError("overrides", "a key or option is too long to be the name of a file", hint="shorten it")


def _explain_reading(reason: OmegaConfBaseException) -> ConfigError:
    """Return the error for a value that cannot be read, or that is a fact which the file of a data set lacks."""
    missing = re.search(r"Interpolation key 'data\.(\w+)' not found", str(reason))
    if missing is None or missing[1] not in Facts.__dataclass_fields__:
        return ConfigError(str(reason.full_key), first_line(reason), hint="correct its value")
    hint = (
        f"add `{missing[1]}: ...` to the file chosen from conf/data; `{INSPECT} <folder>` writes such a file"
    )
    return ConfigError(f"data.{missing[1]}", "is missing", hint=hint)


def _explain(reason: Exception) -> ConfigError:
    """Return the error for an override of an unknown key, which suggests the closest one."""
    cause = reason.__cause__
    earlier = reason.__context__
    while earlier is not None:
        if isinstance(earlier, ConfigError):  # of a resolver
            return earlier
        earlier = earlier.__context__
    full_key = getattr(cause, "full_key", None)
    if isinstance(reason, ConfigCompositionException) and full_key:
        name = str(full_key).rpartition(".")[2]
        parent_node = getattr(cause, "parent_node", None)
        node = {} if parent_node is None else OmegaConf.to_container(parent_node, resolve=False)
        return ConfigError.unknown(
            str(full_key), name, map(str, node) if isinstance(node, dict) else (), what="key"
        )
    if isinstance(reason, OmegaConfBaseException) and reason.full_key:
        return _explain_reading(reason)
    group = re.search(r"Could not override '([^']+)'", str(reason))
    place = group[1].rpartition("@model.")[2] if group else ""
    if group and place in INNER_NETWORKS:
        return ConfigError(group[1], "the chosen model has no such place", hint=INNER_NETWORKS[place])
    if group:
        return ConfigError.unknown(group[1], group[1], _choices(), what="key or group")
    return ConfigError("overrides", " ".join(str(reason).split()), hint="write key=value, as Hydra reads it")


def _explain_yaml(reason: yaml.YAMLError) -> ConfigError:
    """Return the error for invalid YAML, which names file and line."""
    mark = getattr(reason, "problem_mark", None)
    file = "conf" if mark is None else mark.name
    return ConfigError(file, f"is not valid YAML: {' '.join(str(reason).split())}", hint="correct the file")


def _choices() -> list[str]:
    groups = (path.name for path in CONF.iterdir() if path.is_dir())
    return [*SECTIONS, *(name for name in groups if name != DEFAULTS_OF_DATA)]


# The first kind that an exception is of counts.
EXPLAINED: tuple[tuple[type[Exception], Callable[[Any], ConfigError | None]], ...] = (
    (MissingConfigException, _explain_missing_file),
    (
        MissingMandatoryValue,
        lambda reason: ConfigError(str(reason.full_key), "has no value", hint="give it one"),
    ),
    (yaml.YAMLError, _explain_yaml),
    (OverrideParseException, explain_override),
    (HydraException, _explain),
    (OmegaConfBaseException, _explain),
    (RecursionError, lambda reason: explain_depth(reason, CONF)),
    (OSError, _explain_file),
    (ValueError, _explain_value),
)

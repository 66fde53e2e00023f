"""Checks of the files of conf/ before Hydra reads them: anybody may have written them.

Hydra acts on its own section before the pipeline sees any config: it creates logs, instantiates callbacks and sets
environment variables. That section therefore comes from conf/config.yaml, conf/hydra/ and the command line alone. All
other files may only choose from the options in conf/.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.errors import ConfigError
from pipeline.files import YAMLError, check_aliases, read_yaml

HYDRA = "hydra"
MOST_BYTES = 1_000_000  # of a file in conf/
HYDRA_CHOICES = ("override /hydra/sweeper", "override /hydra/launcher")
PACKAGE = re.compile(r"^[ \t]*#[ \t]*@package(.*)$", re.MULTILINE)
NAME = r"\w[\w-]*"
OPTION = re.compile(rf"/?{NAME}(/{NAME})*(\.yaml)?")
GROUP = re.compile(rf"((override|optional) +)*/?{NAME}(/{NAME})*(@{NAME}(\.{NAME})*)?")
EXACT = re.compile(r"hydra|\\")  # a file without these has no key `hydra`
SUSPECT = re.compile(
    rf"{EXACT.pattern}|defaults|@package"
)  # a file without these cannot do what is checked here


def check_files(conf: Path) -> None:
    """Check the files of conf/; conf/config.yaml and conf/hydra/, which are the project's own, only for their size.

    Raises:
        ConfigError: a file sets Hydra's section, names files outside conf/, or would take much memory or time to read;
            the error names the file.
    """
    own = (conf / HYDRA, conf / "config.yaml")
    # Like Hydra, and unlike Path.rglob, glob follows links to folders.
    for name in glob.glob(f"{glob.escape(str(conf))}/**/*.yaml", recursive=True, include_hidden=True):  # noqa: PTH207
        path = Path(name)
        if path.is_file():
            _check_size(path)
            if own[0] not in path.parents and path != own[1]:
                _check_file(path, str(path))


def _check_size(path: Path) -> None:
    """Raise if a file takes much memory or time to read: as it is, or by its aliases."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ConfigError(str(path), got=size, allowed=f"at most {MOST_BYTES} bytes of YAML")
    check_aliases(path.read_text(encoding="utf-8", errors="replace"), str(path))


def check_option(value: Any, *, path: str) -> None:
    """Raise if the choice of a config group is not the name of an option, or a list of such."""
    for option in value if isinstance(value, list) else [value]:
        if option is not None and not (isinstance(option, str) and OPTION.fullmatch(option)):
            raise ConfigError(path, got=option, allowed="the name of a file in conf/, such as model=lenet5")


def _check_file(path: Path, name: str) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(name, "is not UTF-8", hint="save it as UTF-8") from None
    if not SUSPECT.search(text):
        return
    loaded = _load(path, text)
    content = loaded if isinstance(loaded, dict) else {}
    for package in PACKAGE.findall(text):
        _check_package(package.strip(), name)
    if HYDRA in content:
        raise _sets_hydra(name, content[HYDRA])
    for entry in _entries(content.get("defaults", [])):
        _check_default(*entry, name)


def _load(path: Path, text: str) -> Any:
    """Parse a file: fast, or where it may set Hydra's section, exactly as Hydra does."""
    if not EXACT.search(text):
        try:
            return read_yaml(text)
        except YAMLError:
            pass  # Hydra's reader names the file
    return OmegaConf.to_container(OmegaConf.load(path), resolve=False)


def _entries(defaults: Any) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a defaults list as pairs of group and option; the group may be empty."""
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        if isinstance(entry, dict):
            yield from ((str(group), option) for group, option in entry.items())
        else:
            yield "", entry


def _check_default(group: str, option: Any, name: str) -> None:
    place = f"{name}: defaults"
    check_option(option, path=f"{place}.{group}" if group else place)
    if group in HYDRA_CHOICES or not group:
        names = option if isinstance(option, str) and not group else ""
    elif GROUP.fullmatch(group):
        names = group
    else:
        raise ConfigError(place, got=group, allowed="made of groups of conf/, such as override /model")
    if HYDRA in re.split(r"[ /@.]", names):
        raise _sets_hydra(name, {group: option})
    _check_package(names.partition("@")[2], name)


def _check_package(package: str, name: str) -> None:
    """Raise if a package is Hydra's, or may become so by the name of a file."""
    parts = package.split(".")
    if HYDRA in parts or any("_name_" in part for part in parts):
        raise _sets_hydra(name, f"@package {package}")


def _sets_hydra(name: str, got: Any) -> ConfigError:
    return ConfigError(
        name,
        "changes Hydra's own section, which loggers and callbacks run from; only the choice of a sweeper and a "
        "launcher may stand here",
        got=got,
        hint="set hydra.<key> on the command line or in conf/hydra/, or remove it",
    )

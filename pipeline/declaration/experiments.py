"""The experiments that a params file lists, and the files that their declarations may replace."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pipeline.declaration.declaration import HEADER, SEAL, SECTIONS
from pipeline.errors import ConfigError, DamagedFileError
from pipeline.files import YAMLError, check_name, read_json, read_yaml


def read_experiments(params: Path) -> dict[str, list[str]]:
    """Return the overrides of each experiment.

    Raises:
        ConfigError: the file has another form, or a name or an override is unsafe in the shell commands of dvc.yaml.
    """
    try:
        experiments = read_yaml(params.read_text(encoding="utf-8"), str(params))["experiments"]
        given = {
            name: (experiment["data"], experiment["overrides"] or "")
            for name, experiment in experiments.items()
        }
    except FileNotFoundError:
        raise ConfigError(str(params), "does not exist", hint="name the file of the experiments") from None
    except (YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        raise ConfigError(
            str(params),
            "does not list the experiments",
            hint='write experiments: {<name>: {data: <name of an archive>, overrides: ""}}',
        ) from None
    found = {}
    for name, (data, overrides) in given.items():
        for path, each in (("experiments", name), (f"experiments.{name}.data", data)):
            check_name(path, each)
            if " " in each:
                raise ConfigError(path, got=each, allowed="a name without spaces, as it is part of commands")
        found[name] = _split(f"experiments.{name}.overrides", overrides)
    return found


def _split(path: str, overrides: object) -> list[str]:
    """Split overrides as the shell does, and refuse those that it would not pass on as they are."""
    if not isinstance(overrides, str):
        raise ConfigError(path, got=overrides, allowed="text such as 'optimizer.lr=0.01 seed=1'")
    bare = re.sub(r"'[^']*'", "", overrides)  # what single quotes do not protect
    unquoted = re.sub(r'"[^"]*"', "", bare)
    found = re.search(r"[$`\\\n]", bare) or re.search(r"[;&|<>()]", unquoted)
    if found or "'" in bare or '"' in unquoted:
        raise ConfigError(
            path,
            "the shell would not pass it on as it is",
            got=overrides,
            hint="put each override into single quotes, such as 'optimizer.lr=${trainer.lr}'",
        )
    return shlex.split(overrides)


def refuse_foreign(path: Path) -> None:
    """Raise if a declaration would replace a file that is not one, or its digests the JSON file of something else."""
    beside = path.with_suffix(".json")
    foreign = path if path.exists() else beside
    if foreign.exists() and not (is_declaration(foreign) or is_digests(foreign)):
        raise ConfigError(
            str(foreign), "is not a composed declaration", hint="choose another name for the file to write"
        )


def is_declaration(file: Path) -> bool:
    """Return whether `write_declaration` wrote a file, which may have been damaged since; an empty one is nobody's."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        start = opened.read(len(HEADER) + len(SEAL))
    return not start or start.startswith(HEADER.encode()) or SEAL.encode() in start


def is_digests(file: Path) -> bool:
    """Return whether a file holds the digests that `write_declaration` writes beside a declaration."""
    try:
        return {*SECTIONS, "code"} <= read_json(file).keys()
    except (OSError, DamagedFileError):
        return False

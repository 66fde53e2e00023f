"""What makes a run this run: all that decides its result, and the fingerprint made of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.digests import code_digest, digest
from pipeline.config.signatures import source_of_target
from pipeline.config.targets import targets_of
from pipeline.errors import ConfigError
from pipeline.prepare import prepared_key
from pipeline.runs.fingerprint import deciding
from pipeline.statistics import statistics_key
from pipeline.transfer.checkpoint import file_digest, file_of

PACKAGE = Path(__file__).parent
# What decides a result besides the declaration; dvc.yaml lists the same as deps of the stages search and train.
CODE = [
    *(PACKAGE / room for room in ("data", "layers", "networks", "plans", "tasks", "transfer", "transforms")),
    *(PACKAGE / stage for stage in ("assemble.py", "fit.py", "trainer.py")),
]


def fingerprint(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides a run."""
    return digest(list(identity(config, root=root).values()))


def identity(config: Mapping[str, Any], *, root: Path) -> dict[str, Any]:
    """Return all that decides a run: declaration, data, statistics, weights it starts from, code, versions."""
    pretrained = config["model"]["pretrained"]
    return {
        "declaration": deciding(config),
        "data": [prepared_key(config, root=root), statistics_key(config, root=root)],
        "pretrained": None if pretrained is None else file_digest(file_of(pretrained)),
        "code": code_digest(CODE, root=root),
        "own_code": _own_code(config, root=root),
    }


def _own_code(config: Mapping[str, Any], *, root: Path) -> dict[str, str]:
    """Return the digests of the user's own modules that a declaration builds from."""
    own = tuple(config["allowed_targets"])
    files = {
        target: source_of_target(target) for target in targets_of(config) if own and target.startswith(own)
    }
    for target, file in files.items():
        if file is None:
            raise ConfigError(
                f"allowed_targets: the source of {target} cannot be found, so its changes could not be told; "
                "define it in a Python module on the path"
            )
    return {target: code_digest([file], root=root) for target, file in files.items() if file is not None}

"""Keys: digests of all that decides prepared data, statistics, drawn copies and runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.data.archive import archive_digest, restore
from pipeline.declaration.digests import code_digest, digest
from pipeline.declaration.signatures import source_of_target
from pipeline.declaration.targets import targets_of
from pipeline.errors import ConfigError
from pipeline.runs.settings import NOT_DECIDING as OF_TRAINER
from pipeline.transfer.checkpoint import file_digest, file_of
from pipeline.transforms.settings import tile_of

PACKAGE = Path(__file__).parents[1]
# What decides a result besides the declaration; dvc.yaml lists the same as deps of the stages search and train.
CODE = [
    *(PACKAGE / room for room in ("data", "layers", "networks", "plans", "tasks", "transfer", "transforms")),
    *(
        PACKAGE / stage
        for stage in ("training/assemble.py", "training/fit.py", "training/trainer.py", "training/learner.py")
    ),
]
SECTIONS = ("seed", "input_shape", "preprocess", "augmentation", "model", "task", "optimizer", "scheduler")
FACTS = ("classes", "background", "ignore_label", "shape")
PACKAGES = ("torch", "pytorch-lightning", "albumentations")
NOT_DECIDING = (
    "name",
    "root",
    "digest",
    "licence",
    "background",
    "mirror_changes_label",
)  # the archive's own digest is


def prepared_key(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides the prepared data: archive, facts, code."""
    facts = {name: value for name, value in config["data"].items() if name not in NOT_DECIDING}
    shuffled = None if facts["fold"] is None else version("scikit-learn")  # which cuts the folds
    return digest(
        [data_digest(config, root=root), facts, code_digest([PACKAGE / "data"], root=root), shuffled]
    )


def data_digest(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the archive's digest.

    Raises:
        ConfigError: it is not the one that `data.digest` pins.
    """
    data = config["data"]
    archive = Path(data["root"])
    found = archive_digest(archive, memory=root / "cache" / "digests.json")
    if data["digest"] is not None and found != data["digest"]:
        raise ConfigError(
            f"data.digest: {archive} is not the archive that data {data['name']} pins: expected "
            f"{data['digest']}, found {found}; {restore(archive)}, or set data.digest to the new one"
        )
    return found


def statistics_key(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides the statistics: prepared data, what is whitened, code."""
    return digest(
        [
            prepared_key(config, root=root),
            whitened_tile(config),
            code_digest([PACKAGE / "transforms" / "statistics.py"], root=root),
        ]
    )


def whitened_tile(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return rows and columns of the tiles that a declaration whitens; None where it whitens nothing."""
    return tile_of(config["preprocess"], tuple(config["data"]["shape"]))


def copies_key(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides the copies: images, steps, seed, code."""
    images = [prepared_key(config, root=root), statistics_key(config, root=root)]
    section = config["augmentation"]
    steps = [section["steps"], section["copies"], config["data"]["ignore_label"], config["seed"]]
    return digest(
        [
            images,
            steps,
            code_digest(
                [PACKAGE / "training" / "assemble.py", PACKAGE / "data", PACKAGE / "transforms"], root=root
            ),
            version("albumentations"),
        ]
    )


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


def deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a declaration that decides the result of its training, and library versions."""
    trainer = {key: value for key, value in config["trainer"].items() if key not in OF_TRAINER}
    return {
        **{section: config[section] for section in SECTIONS},
        "data": {fact: config["data"][fact] for fact in FACTS},
        "trainer": trainer,
        "versions": {package: version(package) for package in PACKAGES},
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

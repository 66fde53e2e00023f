"""Cache keys: digests of everything that determines prepared data, statistics, precomputed copies and runs.

A result depends on the code that its stage imports: the stage's entry modules, the modules that the declaration names,
and everything these import. Tasks, sources or steps that a declaration does not use do not affect its keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.data.archive import archive_digest, restore
from pipeline.data.sources import load_source
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest, file_digests, import_closure
from pipeline.declaration.network import plan_network
from pipeline.declaration.settings import NOT_DECIDING as NOT_DECIDING_SETTINGS
from pipeline.declaration.signatures import source_of_target
from pipeline.declaration.targets import find_targets
from pipeline.errors import ConfigError
from pipeline.files import write_text, yaml_text
from pipeline.tasks.demands import task_package
from pipeline.transfer.checkpoint import file_digest, find_checkpoint
from pipeline.transforms.settings import find_tile

# Modules for reporting, plotting, tracking and file handling, which cannot affect a numerical result.
RECORDING = (
    "pipeline.errors",
    "pipeline.files",
    "pipeline.pages",
    "pipeline.pictures",
    "pipeline.runs",
    "pipeline.tracking",
    "pipeline.training.previews",
)
SWEEPING = ("pipeline.sweeps",)  # determines which runs are trained, not their results
SECTIONS = ("seed", "input_shape", "preprocess", "augmentation", "model", "task", "optimizer", "scheduler")
FACTS = ("classes", "background", "ignore_label", "shape")
NOT_DECIDING_FACTS = ("name", "root", "digest", "licence", "background", "mirror_changes_label")
# Import name -> distribution name, where they differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "hydra": "hydra-core",
    "lightning_fabric": "pytorch-lightning",
    "pytorch_lightning": "pytorch-lightning",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Libraries that delegate computation to others, whose versions therefore matter too.
COMPUTES_WITH = {"albumentations": ("cv2", "numpy")}


def data_digest(declaration: Declaration, *, root: Path) -> str:
    """Return the digest of the data archive.

    Raises:
        ConfigError: the digest differs from `data.digest`.
    """
    facts = declaration.data
    archive = Path(facts.root)
    found = archive_digest(archive, memory=root / "cache" / "digests.json")
    if facts.digest is not None and found != facts.digest:
        raise ConfigError(
            "data.digest",
            f"{archive} is not the archive that data {facts.name} pins: expected {facts.digest}, found {found}",
            got=found,
            allowed=(facts.digest,),
            hint=f"{restore(archive)}, or set data.digest to the new one",
        )
    return found


def prepared_key(declaration: Declaration, *, root: Path) -> str:
    """Return the cache key of the prepared data: a digest of archive, facts and code."""
    facts = {name: value for name, value in vars(declaration.data).items() if name not in NOT_DECIDING_FACTS}
    return digest(
        [data_digest(declaration, root=root), facts, _code(_prepare_modules(declaration), root=root)]
    )


def statistics_key(declaration: Declaration, *, root: Path) -> str:
    """Return the cache key of the statistics: a digest of prepared data, whitened tiles and code."""
    code = _code(["pipeline.transforms.statistics"], root=root)
    return digest([prepared_key(declaration, root=root), whitened_tile(declaration), code])


def copies_key(declaration: Declaration, *, root: Path) -> str:
    """Return the cache key of precomputed copies: a digest of images, augmentation steps, seed and code."""
    images = [prepared_key(declaration, root=root), statistics_key(declaration, root=root)]
    section = declaration.augmentation
    steps = [section.steps, section.copies, declaration.data.ignore_label, declaration.seed]
    code = _code(_draw_modules(declaration), without=(*RECORDING, *SWEEPING), root=root)
    return digest([images, steps, code])


def fingerprint(declaration: Declaration, *, root: Path) -> str:
    """Return the digest of everything that determines the result of a run."""
    return name_identity(identity(declaration, root=root))


def name_identity(decides: Mapping[str, Any]) -> str:
    """Return the fingerprint of an identity as returned by `identity`."""
    return digest(list(decides.values()))


def identity(declaration: Declaration, *, root: Path) -> dict[str, Any]:
    """Return everything that determines a run: declaration, data, statistics, pretrained weights, code, versions."""
    pretrained = declaration.model["pretrained"]
    return {
        "declaration": deciding(declaration),
        "data": [prepared_key(declaration, root=root), statistics_key(declaration, root=root)],
        "pretrained": None if pretrained is None else file_digest(find_checkpoint(pretrained)),
        "own_code": _own_code(declaration, root=root),
        **_code(_train_modules(declaration), without=(*RECORDING, *SWEEPING), root=root),
    }


def deciding(declaration: Declaration) -> dict[str, Any]:
    """Return the settings that affect the result of training."""
    sections = declaration.sections
    trainer = {key: value for key, value in sections["trainer"].items() if key not in NOT_DECIDING_SETTINGS}
    return {
        **{section: sections[section] for section in SECTIONS},
        "data": {fact: sections["data"][fact] for fact in FACTS},
        "trainer": trainer,
    }


def stage_digests(declaration: Declaration, *, root: Path) -> dict[str, str]:
    """Return, for each stage of dvc.yaml, the digest of its code and of the versions of the libraries it imports."""
    train = _train_modules(declaration)
    package = task_package(declaration.task["_target_"])
    stages: dict[str, tuple[Iterable[str], tuple[str, ...]]] = {
        "prepare": (_prepare_modules(declaration), RECORDING),
        "statistics": (
            ["pipeline.transforms.statistics", "pipeline.pictures.statistics"],
            ("pipeline.errors", "pipeline.files"),
        ),
        "augment": (_draw_modules(declaration), (*RECORDING, *SWEEPING)),
        "search": (
            [*train, "pipeline.search"],
            tuple(each for each in RECORDING if each not in ("pipeline.pages", "pipeline.pictures")),
        ),
        "train": (train, (*RECORDING, *SWEEPING)),
        "evaluate": (
            [*train, "pipeline.training.evaluation", f"{package}.cases"],
            (*(each for each in RECORDING if each != "pipeline.pictures"), *SWEEPING),
        ),
    }
    own = _own_code(declaration, root=root)
    return {
        stage: digest([_code(modules, without=without, root=root), own])
        for stage, (modules, without) in stages.items()
    }


def write_declaration(declaration: Declaration, path: Path, *, root: Path, **more: str) -> None:
    """Write a declaration to `<name>.yaml`, and the digests that the stages of dvc.yaml depend on to `<name>.json`.

    The digests cover each section and the code of each stage. They are written as JSON, which DVC reads about ten
    times faster than YAML.

    Args:
        **more: additional digests by name.
    """
    digests = {**declaration.digests(), **more, "code": stage_digests(declaration, root=root)}
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "# Written by the pipeline from conf/; edit that, not this.\n"
    write_text(path, header + yaml_text(dict(declaration.sections), width=100))
    write_text(path.with_suffix(".json"), json.dumps(digests, indent=1) + "\n")


def whitened_tile(declaration: Declaration) -> tuple[int, int] | None:
    """Return the size (rows, columns) of the whitened tiles; None without whitening."""
    return find_tile(declaration.preprocess, tuple(declaration.data.shape))


def _prepare_modules(declaration: Declaration) -> list[str]:
    """Return the entry modules of data preparation."""
    source = declaration.data.format
    target = load_source(source).TARGET
    return ["pipeline.data.prepared", f"pipeline.data.sources.{source}", f"pipeline.data.targets.{target}"]


def _draw_modules(declaration: Declaration) -> list[str]:
    """Return the entry modules of augmentation."""
    named = find_targets({"augmentation": declaration.sections["augmentation"]})
    return ["pipeline.data.draws", "pipeline.training.construction", *_own_modules(named)]


def _train_modules(declaration: Declaration) -> list[str]:
    """Return the entry modules of training."""
    named = {*find_targets(declaration.sections), *plan_network(declaration).targets()}
    package = task_package(declaration.task["_target_"])
    return [
        "pipeline.training.fit",
        f"{package}.demands",
        *_prepare_modules(declaration)[1:],
        *_own_modules(sorted(named)),
    ]


def _own_modules(targets: Iterable[str]) -> list[str]:
    """Return the modules of this package in which the targets are defined."""
    return [target.rpartition(".")[0] for target in targets if target.startswith("pipeline.")]


def _code(modules: Iterable[str], *, without: tuple[str, ...] = RECORDING, root: Path) -> dict[str, Any]:
    """Return the digest of modules and their transitive imports, and the versions of the libraries they import."""
    closure = import_closure(modules, without=without, root=root)
    return {"code": digest(closure.digests), "versions": _versions(closure.libraries)}


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of the given libraries by distribution name."""
    used = {*libraries, *(each for library in libraries for each in COMPUTES_WITH.get(library, ()))}
    names = sorted(DISTRIBUTIONS.get(library, library) for library in used)
    return {name: found for name in names if (found := _version(name)) is not None}


@cache
def _version(name: str) -> str | None:
    """Return the version of a package; None if it is not installed, as an optional one may be."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _own_code(declaration: Declaration, *, root: Path) -> dict[str, str]:
    """Return target -> digest of its source file, for the user's own targets that a declaration names."""
    own = declaration.allowed_targets
    named = [target for target in find_targets(declaration.sections) if own and target.startswith(own)]
    files = {}
    for target in named:
        file = source_of_target(target)
        if file is None:
            raise ConfigError(
                "allowed_targets",
                f"the source of {target} cannot be found, so its changes could not be noticed",
                hint="define it in a Python module on the path",
            )
        files[target] = file
    return dict(zip(files, file_digests(files.values(), root=root), strict=True))

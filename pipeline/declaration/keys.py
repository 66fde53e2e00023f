"""Cache keys: digests of everything that determines prepared data, statistics, precomputed copies and runs.

A result depends on the code that its stage imports: the stage's entry modules, the modules that the declaration names,
and everything these import. Tasks, sources or steps that a declaration does not use do not affect its keys.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.data.archive import archive_digest
from pipeline.data.entries import restore
from pipeline.data.facts import without_neutral
from pipeline.data.sources import find_target
from pipeline.data.table_files import find_outside_table
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest, import_closure
from pipeline.declaration.files_read import digest_files, digest_files_of_stages, digest_pretrained
from pipeline.declaration.hardware import resolved
from pipeline.declaration.network import plan_network
from pipeline.declaration.settings import NOT_DECIDING as NOT_DECIDING_SETTINGS
from pipeline.declaration.signatures import find_module, module_file
from pipeline.declaration.targets import find_targets
from pipeline.errors import ConfigError
from pipeline.files import write_text
from pipeline.tasks.demands import load_demands, task_package
from pipeline.transforms.settings import find_tile

# Modules for reporting, plotting, tracking and file handling, which cannot affect a numerical result.
RECORDING = (
    "pipeline.errors",
    "pipeline.files",
    "pipeline.inspection",
    "pipeline.pages",
    "pipeline.pictures",
    "pipeline.runs",
    "pipeline.tracking",
    "pipeline.training.account",
    "pipeline.training.frames",
    "pipeline.training.overview",
    "pipeline.training.previews",
    "pipeline.training.progress",
)
SWEEPING = ("pipeline.sweeps",)  # determines which runs are trained, not their results
SECTIONS = ("seed", "input_shape", "preprocess", "augmentation", "model", "task", "optimizer", "scheduler")
FACTS = (
    "classes",
    "background",
    "ignore_label",
    "shape",
    "resize",
    "padding_value",
    "value_range",
    "degrade",
)
# Packages that go by another name than what is imported.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "hydra": "hydra-core",
    "lightning_fabric": "pytorch-lightning",
    "pytorch_lightning": "pytorch-lightning",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Libraries whose results are those of others.
COMPUTES_WITH = {"albumentations": ("cv2", "numpy")}


def data_digest(declaration: Declaration, *, root: Path) -> str:
    """Return the digest of the data archive, and of a table of labels outside of it.

    Raises:
        ConfigError: the digest differs from `data.digest`.
    """
    facts = declaration.data
    archive = Path(facts.root)
    memory = root / "cache" / "digests.json"
    found, table = archive_digest(archive, memory=memory), find_outside_table(facts)
    if table is not None:
        both = f"{found}\n{archive_digest(table, memory=memory)}"
        found = f"sha256:{sha256(both.encode()).hexdigest()}"
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
    """Return the digest of all that decides the prepared data: archive, facts, code."""
    facts = declaration.data.deciding()
    code = _code(declaration, _prepare_modules(declaration), root=root)
    return digest([data_digest(declaration, root=root), facts, code])


def overview_key(declaration: Declaration, *, root: Path) -> str:
    """Return the digest of all that decides the overview of the data: archive, facts, code."""
    modules = ["pipeline.inspection.inspected", *_prepare_modules(declaration)]
    code = _code(declaration, modules, counting=["pipeline.inspection", "pipeline.pictures"], root=root)
    facts = without_neutral({name: value for name, value in vars(declaration.data).items() if name != "root"})
    return digest([data_digest(declaration, root=root), facts, code])


def statistics_key(declaration: Declaration, *, root: Path) -> str:
    """Return the digest of all that decides the statistics: prepared data, what is whitened, code."""
    code = _code(declaration, ["pipeline.training.measurement"], root=root)
    return digest([prepared_key(declaration, root=root), whitened_tile(declaration), code])


def copies_key(declaration: Declaration, *, root: Path) -> str:
    """Return the cache key of precomputed copies: a digest of images, augmentation steps, seed and code."""
    images = [prepared_key(declaration, root=root), statistics_key(declaration, root=root)]
    section = declaration.augmentation
    steps = [section.steps, section.copies, declaration.data.ignore_label, declaration.seed]
    code = _code(declaration, _draw_modules(declaration), root=root)
    return digest([images, steps, code])


def fingerprint(declaration: Declaration, *, root: Path) -> str:
    """Return the digest of everything that determines the result of a run."""
    return name_identity(identity(declaration, root=root))


def name_identity(decides: Mapping[str, Any]) -> str:
    """Return the fingerprint of an identity as returned by `identity`."""
    return digest(list(decides.values()))


def identity(declaration: Declaration, *, root: Path) -> dict[str, Any]:
    """Return all that decides a run: declaration, data, statistics, weights it starts from, hardware, code, versions.

    Of the hardware, only what settings resolve to counts: the type of the processor or GPU changes rounding, and is
    recorded beside.
    """
    return {
        "declaration": deciding(declaration),
        "data": [prepared_key(declaration, root=root), statistics_key(declaration, root=root)],
        "pretrained": digest_pretrained(declaration),
        **digest_files(declaration),
        "resolved": resolved(declaration.trainer, root=root),
        **training_code(declaration, root=root),
    }


def training_code(declaration: Declaration, *, root: Path) -> dict[str, Any]:
    """Return the digest of the code that trains a declaration, and the versions of the libraries that it imports."""
    return _code(declaration, _train_modules(declaration), root=root)


def deciding(declaration: Declaration) -> dict[str, Any]:
    """Return the settings that affect the result of training."""
    sections = declaration.sections
    trainer = {key: value for key, value in sections["trainer"].items() if key not in NOT_DECIDING_SETTINGS}
    return {
        **{section: sections[section] for section in SECTIONS},
        "data": without_neutral({fact: sections["data"][fact] for fact in FACTS}),
        "trainer": trainer,
    }


def declaration_digest(declaration: Declaration) -> str:
    """Return the digest of the settings that affect the result of training."""
    return digest(deciding(declaration))


def stage_digests(declaration: Declaration, *, root: Path) -> dict[str, str]:
    """Return, for each stage of dvc.yaml, the digest of its code and of the versions of the libraries it imports."""
    train = _train_modules(declaration)
    package = task_package(declaration.task["_target_"])
    pages, pictures = ("pipeline.pages", "pipeline.pictures")
    stages: dict[str, tuple[Iterable[str], Collection[str]]] = {
        "prepare": (_prepare_modules(declaration), ()),
        "statistics": (["pipeline.training.measurement", "pipeline.pictures.statistics"], (pictures,)),
        "augment": (_draw_modules(declaration), ()),
        "search": ([*train, "pipeline.search"], (pages, pictures, *SWEEPING)),
        "train": (train, ()),
        "evaluate": ([*train, "pipeline.training.evaluation", f"{package}.cases"], (pictures,)),
    }
    codes: dict[str, Any] = {
        stage: _code(declaration, modules, counting=counting, root=root)
        for stage, (modules, counting) in stages.items()
    }
    files = digest_files_of_stages(declaration)
    for stage in ("search", "train"):
        codes[stage] |= {"pretrained": digest_pretrained(declaration), **files}
    return {stage: digest(code) for stage, code in codes.items()}


def write_declaration(
    declaration: Declaration, path: Path, *, root: Path, stages: Collection[str] | None = None, **more: str
) -> None:
    """Write a declaration, `<name>.yaml`, and the digests that the stages of dvc.yaml depend on, `<name>.json`.

    JSON, since DVC reads it in a tenth of the time.

    Args:
        stages: whose code is digested beside the sections; None for all.
        more: more digests.
    """
    codes = stage_digests(declaration, root=root)
    kept = {stage: code for stage, code in codes.items() if stages is None or stage in stages}
    digests = {**declaration.digests(), **more, "code": kept}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, declaration.text())
    write_text(path.with_suffix(".json"), json.dumps(digests, indent=1) + "\n")


def whitened_tile(declaration: Declaration) -> tuple[int, int] | None:
    """Return the size (rows, columns) of the whitened tiles; None without whitening."""
    return find_tile(declaration.preprocess, tuple(declaration.data.shape))


def _prepare_modules(declaration: Declaration) -> list[str]:
    """Return the entry modules of data preparation."""
    source, target = declaration.data.format, find_target(declaration.data)
    return ["pipeline.data.prepared", f"pipeline.data.sources.{source}", f"pipeline.data.targets.{target}"]


def _draw_modules(declaration: Declaration) -> list[str]:
    """Return the entry modules of augmentation."""
    named = find_targets({"augmentation": declaration.sections["augmentation"]})
    return ["pipeline.training.copies", *_modules(declaration, named)]


def _train_modules(declaration: Declaration) -> list[str]:
    """Return the entry modules of training."""
    named = {*find_targets(declaration.sections), *plan_network(declaration).targets()}
    named |= load_demands(declaration.task).targets(declaration.task)
    package = task_package(declaration.task["_target_"])
    return [
        "pipeline.training.fit",
        f"{package}.demands",
        *_prepare_modules(declaration)[1:],
        *_modules(declaration, sorted(named)),
    ]


def _modules(declaration: Declaration, targets: Iterable[str]) -> list[str]:
    """Return the modules of this package and of the user that define what some dotted names name.

    Raises:
        ConfigError: the source of a class of the user's own cannot be found.
    """
    own = declaration.allowed_targets
    found = [target.rpartition(".")[0] for target in targets if target.startswith("pipeline.")]
    for target in (each for each in targets if own and each.startswith(own)):
        module = find_module(target)
        if module is None or module_file(module) is None:
            raise ConfigError(
                "allowed_targets",
                f"the source of {target} cannot be found, so its changes could not be noticed",
                hint="define it in a Python module on the path",
            )
        found.append(module)
    return found


def _code(
    declaration: Declaration, modules: Iterable[str], *, counting: Collection[str] = (), root: Path
) -> dict[str, Any]:
    """Return the digest of some modules with all that they import, and the versions of the libraries among it.

    Args:
        counting: packages that count here although they record or sweep.
    """
    without = [each for each in (*RECORDING, *SWEEPING) if each not in counting]
    closure = import_closure(modules, own=declaration.allowed_targets, without=without, root=root)
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
        return version(name).partition("+")[0]  # torch's wheels carry their build: 2.13.0+cpu
    except PackageNotFoundError:
        return None

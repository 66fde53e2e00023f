"""A declaration: the complete, typed and immutable description of an experiment.

It is created by composition or read from a file. Sections with a `_target_` remain mappings, since the constructor's
signature is their schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.data.facts import Facts
from pipeline.declaration.digests import digest
from pipeline.declaration.settings import TrackingSettings, TrainerSettings
from pipeline.errors import ConfigError, DamagedFileError
from pipeline.files import CHANGED, YAMLError, read_json, read_yaml, yaml_text
from pipeline.sweeps.settings import SearchSettings
from pipeline.transforms.settings import AugmentationSettings, ViewSettings

Section = Mapping[str, Any]
Shape = tuple[int, int, int]  # channels, rows, columns

TYPED: dict[str, type] = {
    "data": Facts,
    "augmentation": AugmentationSettings,
    "trainer": TrainerSettings,
    "views": ViewSettings,
    "search": SearchSettings,
    "tracking": TrackingSettings,
}
HEADER = "# Written by the pipeline from conf/; edit that, not this.\n"
SEAL = "# sha256: "  # of the lines below
KEYWORDS = {"from": "around"}  # a section whose name is a Python keyword


@dataclass(frozen=True)
class Declaration:
    """The declaration of an experiment.

    Args:
        name: name of its runs.
        seed: determines initial weights, shuffling, augmentation and dropout.
        allowed_targets: prefixes of user-defined classes.
        data: facts of the data set.
        input_shape: (C, H, W) of the network's input.
        preprocess: target and arguments of the first module of the model.
        augmentation: augmentation of training images.
        model: the network, in the network language.
        task: target and arguments of the task.
        optimizer: target and arguments of the optimizer.
        scheduler: target and arguments of the learning-rate scheduler.
        trainer: duration, hardware and precision of training.
        views: views of each test image.
        search: settings and space of a search, if there is one.
        around: the section `from`: an earlier search, whose best trials this one refines.
        plan: whether a search only prints the trials that it would run.
        tracking: what to log, and under which name.
        sections: all of the above as plain values, by the names in conf/config.yaml; used for files and digests.
    """

    name: str
    seed: int
    allowed_targets: tuple[str, ...]
    data: Facts
    input_shape: Shape
    preprocess: Section
    augmentation: AugmentationSettings
    model: Section
    task: Section
    optimizer: Section
    scheduler: Section
    trainer: TrainerSettings
    views: ViewSettings
    search: SearchSettings
    around: str | None
    plan: bool
    tracking: TrackingSettings
    sections: Section

    @classmethod
    def parse(cls, sections: Section) -> Declaration:
        """Create a declaration from plain values.

        Raises:
            ConfigError: a typed section has a missing or unknown key, or a value out of range.
        """
        values = {KEYWORDS.get(key, key): _typed(key, value) for key, value in sections.items()}
        return cls(**values, sections=sections)

    def replace(self, **sections: Any) -> Declaration:
        """Return a copy of this declaration with some sections replaced."""
        return Declaration.parse({**self.sections, **sections})

    def text(self) -> str:
        """Return the contents of the file of this declaration, with a comment that holds the digest of the rest."""
        body = yaml_text(dict(self.sections), width=100)
        return f"{HEADER}{SEAL}{_seal(body.encode())}\n{body}"

    def digests(self) -> dict[str, str]:
        """Return the digest of each section.

        DVC's run cache ignores nested keys named `size` or `nfiles` (DVC issue 10296), so stages declare params on
        digests of sections, not on sections.
        """
        return {key: digest(value) for key, value in self.sections.items()}


SECTIONS = tuple(
    {own: key for key, own in KEYWORDS.items()}.get(field.name, field.name)
    for field in fields(Declaration)
    if field.name != "sections"
)


def load(path: Path) -> Declaration:
    """Read a resolved declaration from a file.

    Raises:
        ConfigError: the file does not exist, or does not contain a declaration.
        DamagedFileError: its content does not match the digest in it; a file without one is read as it is.
    """
    if not path.is_file():
        raise ConfigError(str(path), "does not exist", hint="`dvc repro compose` writes it")
    is_sealed = _check_seal(path)
    try:
        loaded: Any = read_yaml(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError):
        loaded = None
    sections = (
        {key: value for key, value in loaded.items() if key != "digest"} if isinstance(loaded, dict) else {}
    )
    if set(sections) != set(SECTIONS):
        raise ConfigError(
            str(path), "is not a resolved declaration", hint="`python -m pipeline.compose` writes one"
        )
    declaration = Declaration.parse(sections)
    if is_sealed:
        _check_partner(path, declaration)
    return declaration


def _check_seal(path: Path) -> bool:
    """Check the digest in a file; return whether it has one."""
    head, mark, rest = path.read_bytes().partition(SEAL.encode())
    seal, _, body = rest.partition(b"\n")
    is_sealed = bool(mark) and head == HEADER.encode()
    if is_sealed and seal != _seal(body).encode():
        raise DamagedFileError(
            path,
            CHANGED,
            hint="delete it, and the command that wrote it writes it again; or remove its second line if you edited it",
        )
    return is_sealed


def _check_partner(path: Path, declaration: Declaration) -> None:
    """Check that a declaration belongs to the digests of its sections in the JSON file beside it, if there is one."""
    partner = path.with_suffix(".json")
    if not partner.exists():
        return
    known = read_json(partner)
    if {key: known.get(key) for key in SECTIONS} != declaration.digests():
        raise DamagedFileError(
            path,
            f"does not belong to {partner.name} beside it",
            hint="delete both, and the command that wrote them writes them again",
        )


def _seal(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _typed(key: str, value: Any) -> Any:
    if key in ("allowed_targets", "input_shape"):
        return tuple(value)
    if key not in TYPED:
        return value
    try:
        return TYPED[key](**value)
    except TypeError as reason:  # the file was written by another version; composition checks keys itself
        text = str(reason).removeprefix(f"{TYPED[key].__name__}.__init__() ")
        raise ConfigError(key, text, hint="compose the declaration again") from None

"""A declaration: the complete, typed and immutable description of an experiment.

It is created by composition or read from a file; `checks` checks it either way. Sections with a `_target_` remain
mappings, since the constructor's signature is their schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pipeline.data.facts import Facts, without_neutral
from pipeline.declaration.digests import digest
from pipeline.declaration.settings import TrackingSettings, TrainerSettings
from pipeline.errors import ConfigError
from pipeline.files import yaml_text
from pipeline.storage.names import check_name
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
# Settings beside the arguments of a section's class.
BESIDE_ARGUMENTS = {"optimizer": ("decay_norms_and_biases",)}
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

    def __post_init__(self) -> None:
        """Raise if the name cannot be that of a folder; after the sections, as it may be made of their names."""
        check_name("name", self.name)

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
        return f"{HEADER}{SEAL}{seal(body.encode())}\n{body}"

    def digests(self) -> dict[str, str]:
        """Return the digest of each section.

        DVC's run cache ignores nested keys named `size` or `nfiles` (DVC issue 10296), so stages declare params on
        digests of sections, not on sections.
        """
        sections = {**self.sections, "data": without_neutral(self.sections["data"])}
        return {key: digest(value) for key, value in sections.items()}


SECTIONS = tuple(
    {own: key for key, own in KEYWORDS.items()}.get(field.name, field.name)
    for field in fields(Declaration)
    if field.name != "sections"
)


def seal(body: bytes) -> str:
    """Return the digest that the file of a declaration contains."""
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


def class_and_arguments(section: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the `_target_` of a section and its arguments, without the section's other settings.

    Args:
        key: name of the section.
    """
    return {name: value for name, value in section.items() if name not in BESIDE_ARGUMENTS.get(key, ())}

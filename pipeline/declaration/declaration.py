"""A declaration: all that is said of an experiment, typed and frozen; made once, by composition or from a file.

Sections that name a class by `_target_` stay mappings: the constructor's signature is their schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.data.facts import Facts
from pipeline.declaration.digests import digest
from pipeline.declaration.settings import TrackingSettings, TrainerSettings
from pipeline.errors import ConfigError
from pipeline.files import YAMLError, read_yaml
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
KEYWORDS = {"from": "around"}  # a section's name that Python keeps for itself


@dataclass(frozen=True)
class Declaration:
    """An experiment as it was declared.

    Args:
        name: names its runs.
        seed: decides weights, shuffling, augmentation and dropout.
        allowed_targets: prefixes of the user's own classes.
        data: facts of the data set.
        input_shape: what the network sees of an image.
        preprocess: names the first module of the model.
        augmentation: what is done to training images.
        model: the network, in the network language.
        task: names the task.
        optimizer: names the optimizer.
        scheduler: names the learning-rate schedule.
        trainer: how long, on what and in which precision to train.
        views: how test images are seen.
        search: what is searched, where there is a space.
        around: the section `from`: an earlier search, around whose best trials this one draws.
        plan: whether a search only shows what it would try.
        tracking: what is logged, and under which name.
        sections: all of the above as plain values by the names of conf/config.yaml, as they are written and digested.
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
        """Make a declaration of plain values.

        Raises:
            ConfigError: a typed section lacks a key, has one too many, or a value out of its range.
        """
        values = {KEYWORDS.get(key, key): _typed(key, value) for key, value in sections.items()}
        return cls(**values, sections=sections)

    def replace(self, **sections: Any) -> Declaration:
        """Return this declaration with other plain values for some sections."""
        return Declaration.parse({**self.sections, **sections})

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
        ConfigError: there is no such file, or it holds no declaration.
    """
    if not path.is_file():
        raise ConfigError(str(path), "does not exist", hint="`dvc repro compose` writes it")
    try:
        loaded: Any = read_yaml(path.read_text(encoding="utf-8"))
    except YAMLError:
        loaded = None
    sections = (
        {key: value for key, value in loaded.items() if key != "digest"} if isinstance(loaded, dict) else {}
    )
    if set(sections) != set(SECTIONS):
        raise ConfigError(
            str(path), "is not a resolved declaration", hint="`python -m pipeline.compose` writes one"
        )
    return Declaration.parse(sections)


def _typed(key: str, value: Any) -> Any:
    if key in ("allowed_targets", "input_shape"):
        return tuple(value)
    if key not in TYPED:
        return value
    try:
        return TYPED[key](**value)
    except TypeError as reason:  # of a file that another version wrote; composition has checked its own
        text = str(reason).removeprefix(f"{TYPED[key].__name__}.__init__() ")
        raise ConfigError(key, text, hint="compose the declaration again") from None

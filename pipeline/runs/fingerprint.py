"""The fingerprint of a run: a name made of all that decides its result."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pipeline.runs.settings import NOT_DECIDING

SECTIONS = ("seed", "input_shape", "preprocess", "augmentation", "model", "task", "optimizer", "scheduler")
FACTS = ("classes", "background", "ignore_label", "shape")
PACKAGES = ("torch", "pytorch-lightning", "albumentations")


def deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a declaration that decides the result of its training, and library versions."""
    trainer = {key: value for key, value in config["trainer"].items() if key not in NOT_DECIDING}
    return {
        **{section: config[section] for section in SECTIONS},
        "data": {fact: config["data"][fact] for fact in FACTS},
        "trainer": trainer,
        "versions": {package: version(package) for package in PACKAGES},
    }

"""What a task demands of data, network and settings, known without importing torch.

Each task is a package: `demands.py` exports `DEMANDS`, `task.py` holds the class that a declaration names, `cases.py`
shows single test images. A user's own task is a package of the same three modules below one of `allowed_targets`.
Shapes: C channels, H rows, W columns; shapes of images are (C, H, W).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError

CENTRE = ("centre",)


class Demands:
    """A task's demands.

    Args:
        name: what people call the task.
        target: the kind of target that every image must have, a module of `pipeline/data/targets`.
        score: name of the score that picks the best epoch.
        mode: `max` where a higher score is better, `min` where a lower one is.
        facts: names of the facts of the data that the task's constructor takes.
        crops: which crops of test images make sense, see `views.crops`.
        is_dense: whether there is an output for every pixel, so that cropping images would cut targets.
        mixes: whether the images of a batch may be mixed.
    """

    name: str
    target: str
    score: str
    mode: str = "max"
    facts: tuple[str, ...] = ()
    crops: tuple[str, ...] = CENTRE
    is_dense: bool = False
    mixes: bool = False

    def check(self, facts: Facts) -> None:
        """Refuse facts of the data that the task would ignore.

        Raises:
            ConfigError: the fact, by its config path.
        """
        del facts

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return what the network must put out for an image.

        Args:
            settings: the section `task`.
            facts: of the data.
            shape: (C, H, W) of the image.
        """
        raise NotImplementedError

    def accepts(self, made: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
        """Return whether a network's output shape will do where another was asked for."""
        return made == wanted

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return the names of all scores, the one that picks the best epoch first, with their titles for people."""
        raise NotImplementedError

    def logged(self, facts: Facts) -> list[str]:
        """Return the names of what `metrics.json` of a training holds."""
        return ["score", "val/loss", *(f"val/{name}" for name in self.scores(facts))]

    def direction(self, metric: str) -> str:
        """Return `maximize` or `minimize`, whichever makes a metric of `logged` better.

        A `*_score` is better when higher, a `*_loss` or `*_error` when lower.
        """
        if metric in ("score", f"val/{self.score}"):
            return {"max": "maximize", "min": "minimize"}[self.mode]
        return "minimize" if metric.endswith(("loss", "_error")) else "maximize"


def load_demands(section: Mapping[str, Any]) -> Demands:
    """Return the demands of the task that a section names.

    Args:
        section: `task` of a declaration, with its `_target_`.

    Raises:
        ConfigError: there is no such task.
    """
    target = section.get("_target_")
    package = task_package(str(target))
    try:
        is_there = package is not None and importlib.util.find_spec(f"{package}.demands") is not None
    except ImportError:
        is_there = False
    demands: Demands | None = (
        getattr(importlib.import_module(f"{package}.demands"), "DEMANDS", None) if is_there else None
    )
    if demands is None:
        raise ConfigError.unknown("task._target_", target, _targets(), what="task")
    return demands


def task_package(target: str) -> str | None:
    """Return the package of a task by its `_target_`, `<package>.task.<Class>`; None where it is named otherwise."""
    package, _, rest = target.rpartition(".task.")
    return package if package and rest.isidentifier() else None


def _targets() -> list[str]:
    """Return the `_target_` of each task of this project."""
    folders = (path.parent.name for path in Path(__file__).parent.glob("*/demands.py"))
    return [f"{__package__}.{name}.task.{name.title().replace('_', '')}" for name in folders]

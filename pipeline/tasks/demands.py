"""What a task requires of data, network and settings; importable without torch.

Each task is a package of three modules: `demands.py` exports `DEMANDS`, `task.py` defines the class that a declaration
names, and `cases.py` presents individual test images. A custom task is a package with the same three modules under one
of the prefixes in `allowed_targets` that the owner of the machine has granted, see `pipeline.declaration.grants`.
Shapes: C channels, H rows, W columns; shapes of images are (C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError
from pipeline.layers.classes import import_name
from pipeline.storage.names import LONGEST_KEY, escape_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

CENTRE = ("centre",)


class TrainingTargets(Protocol):
    """What the targets of the training split decide."""

    def count(self) -> Sequence[int]:
        """Return how often each class occurs: images, objects, or pixels of masks."""
        ...

    def targets(self) -> NDArray[Any]:
        """Return the targets (N, ...), as their kind stores them."""
        ...


class Demands:
    """The requirements of a task.

    Args:
        name: human-readable name of the task.
        target: the required kind of target, a module of `pipeline/data/targets`.
        score: name of the score that selects the best epoch, unless `trainer.select` or `default_score` names another.
        mode: `max` if a higher score is better, `min` if a lower one is.
        bounds: the least and the greatest value that this score can have, which intervals over seeds do not cross;
            None if there is no such pair. For other scores, see `bounds_of`.
        shares: names of the scores that are a mean of 0 or 1 for each image, such as accuracy: their intervals over
            test images are Wilson's, all others are bootstrapped.
        biased: names of the scores that are systematically higher or lower on few images than on many, and so have no
            interval that can be trusted.
        facts: names of the data facts to pass to the task's constructor.
        crops: the supported crops of test images, see `views.crops`.
        is_dense: whether there is an output for every pixel, so that a crop of the image loses part of its target.
        sees_whole: whether the network sees test images whole where those of training are cut out of larger ones
            (`data.resize=cut`), as does `predict`.
        mixes: whether the images of a batch may be mixed.
        places: what predictions tell in pixels of the image: `boxes`, each a row of corners, class and confidence, or
            `points`, each a row of x, y and confidence; None if they tell no places.
        threshold: probability from which on a class is predicted, where an image may have any number of them; None
            where the most probable class is.
        is_labelled: whether each image has one class or identity, so that these can be balanced, or fill batches.
        averages: whether the outputs of several trainings may be averaged.
        suggested: overrides of a first training, beside the data and the task, which `inspect` suggests.
    """

    name: str
    target: str
    score: str
    mode: str = "max"
    bounds: tuple[float, float] | None = None
    shares: tuple[str, ...] = ()
    biased: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    crops: tuple[str, ...] = CENTRE
    is_dense: bool = False
    sees_whole: bool = False
    mixes: bool = False
    places: str | None = None
    threshold: float | None = None
    is_labelled: bool = False
    averages: bool = True
    suggested: tuple[str, ...] = ("model=resnet18",)

    def check(self, facts: Facts) -> None:
        """Check that the data set states no facts that the task would ignore.

        Raises:
            ConfigError: a fact is set but not used; the error names its config path.
        """
        del facts

    def check_present(
        self, num_images: Mapping[str, Sequence[int]], facts: Facts, *, select: str | None
    ) -> None:
        """Check that the score that selects the best epoch is defined, before training.

        Args:
            num_images: split -> for each class, the number of images that have it.
            select: `trainer.select`; None for the task's own score.

        Raises:
            ConfigError: it is not, for example because no validation image has any of the classes.
        """
        del num_images, facts, select

    def check_targets(self, targets: NDArray[Any], files: Callable[[], Sequence[str]]) -> None:
        """Check that the task can use the targets of a split, before it is trained or scored on them.

        Args:
            targets: (N, ...), as their kind stores them.
            files: returns the names of the images, for errors.

        Raises:
            ConfigError: it cannot, for example because an image has several objects; the error names the file.
        """
        del targets, files

    def suits(self, targets: Iterable[Any]) -> bool:
        """Return whether `inspect` may suggest the task for data of its kind of target.

        Args:
            targets: of all images, as sources give them.
        """
        del targets
        return True

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check that the settings of the task are in range; keys and types have been checked.

        Args:
            settings: the section `task`.

        Raises:
            ConfigError: a setting is out of range; the error names its config path.
        """
        del settings

    def check_classes(self, settings: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Check that classes which the settings of the task name are classes of the data.

        Args:
            settings: the section `task`.

        Raises:
            ConfigError: one is not; the error names its config path.
        """
        del settings, classes

    def files(self, settings: Mapping[str, Any]) -> Mapping[str, Path]:
        """Return the files beside the data that the task reads: setting -> file; they decide a run as settings do.

        Args:
            settings: the section `task`.

        Raises:
            ConfigError: one is missing; the error names its config path.
        """
        del settings
        return {}

    def targets(self, settings: Mapping[str, Any]) -> set[str]:
        """Return the dotted names of the classes of a network that the task builds by its settings."""
        del settings
        return set()

    def resolve(
        self, settings: Mapping[str, Any], facts: Facts, training: TrainingTargets
    ) -> Mapping[str, Any]:
        """Return settings in which what is left to the training split, such as balanced weights, has its value.

        Args:
            settings: the section `task`.

        Raises:
            ConfigError: the training split has no such value.
        """
        del facts, training
        return settings

    def explain(self, settings: Mapping[str, Any], facts: Facts, training: TrainingTargets) -> list[str]:
        """Return sentences on how the settings fit the training split, which are printed before training.

        Args:
            settings: as `resolve` returns them.
        """
        del settings, facts, training
        return []

    def describe(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what users of an exported or logged model need to know beside what all tasks say.

        Args:
            settings: the section `task`, with what training decided.
        """
        del settings
        return {}

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the output shape that the network must have.

        Args:
            settings: the section `task`.
            facts: the facts of the data set.
            shape: (C, H, W) of the input image.
        """
        raise NotImplementedError

    def accepts(self, made: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
        """Return whether the output shape of a network is acceptable where `wanted` is required."""
        return made == wanted

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> human-readable title; `score` comes first."""
        raise NotImplementedError

    def default_score(self, counts: Sequence[int]) -> str:
        """Return the score that selects the best epoch where `trainer.select` is null; of the mode of `score`.

        Args:
            counts: images of each class in train and val together; only asked if the task is labelled.
        """
        del counts
        return self.score

    def mode_of(self, score: str) -> str:
        """Return `max` if a higher score is better, `min` if a lower one is."""
        return {"maximize": "max", "minimize": "min"}[self.direction(f"val/{score}")]

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return the least and the greatest value that a score can have; None if there is no such pair."""
        return self.bounds if score == self.score else None

    def logged(self, facts: Facts) -> list[str]:
        """Return the keys of a run's `metrics.json` that a search may optimize."""
        return ["score", "val/loss", *(f"val/{name}" for name in self.scores(facts))]

    def direction(self, metric: str) -> str:
        """Return `maximize` or `minimize` for a metric in `logged`.

        By default, names that end in `loss` or `_error` are minimized, all others maximized.
        """
        if metric in ("score", f"val/{self.score}"):
            return {"max": "maximize", "min": "minimize"}[self.mode]
        return "minimize" if metric.endswith(("loss", "_error")) else "maximize"


def check_score_names(demands: Demands, facts: Facts) -> None:
    """Check that MLflow can take the scores of a task, which may be named after classes.

    Raises:
        ConfigError: the name of one is too long.
    """
    for name in demands.scores(facts):
        key = escape_key(f"test_{facts.name}/{name}_high")  # the longest that is logged
        if len(key) > LONGEST_KEY:
            raise ConfigError(
                "data.classes",
                f"the score {name} of data {facts.name} has {len(key)} characters in MLflow, which takes {LONGEST_KEY}",
                hint="shorten data.name or the name of the class; other characters than letters, digits and '_.- ' "
                "count as four or more",
            )


def load_demands(section: Mapping[str, Any]) -> Demands:
    """Load the demands of a task.

    Args:
        section: the section `task` of a declaration, including `_target_`.

    Raises:
        ConfigError: there is no such task, or it cannot be imported.
    """
    target = section.get("_target_")
    demands = import_name(f"{task_package(str(target))}.demands.DEMANDS", "task._target_")
    if not isinstance(demands, Demands):
        raise ConfigError.unknown("task._target_", target, _targets(), what="task")
    return demands


def task_package(target: str) -> str | None:
    """Return the package of a task's `_target_`, given as `<package>.task.<Class>`; None if it has another form."""
    package, _, rest = target.rpartition(".task.")
    return package if package and rest.isidentifier() else None


def _targets() -> list[str]:
    """Return the `_target_` of each built-in task."""
    folders = (path.parent.name for path in Path(__file__).parent.glob("*/demands.py"))
    return [f"{__package__}.{name}.task.{name.title().replace('_', '')}" for name in folders]

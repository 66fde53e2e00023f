"""Weights of classes in a loss, as `task.class_weights` states them; importable without torch.

Balanced weights are N / (K n) for a class that occurs n of N times among K classes (King and Zeng 2001), as those of
scikit-learn's `compute_class_weight`: all classes weigh the same in sum, and the mean weight over the training split is
1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.errors import ConfigError, Range

PATH = "task.class_weights"
NONE, BALANCED = "none", "balanced"
Weights = str | Mapping[str, float]


def check_weights(setting: Weights) -> None:
    """Check that weights are none, balanced, or numbers above 0.

    Raises:
        ConfigError: they are not.
    """
    if setting in (NONE, BALANCED):
        return
    if isinstance(setting, str) or not setting:
        raise ConfigError(PATH, got=setting, allowed="none, balanced or weights such as {cat: 1, dog: 2.5}")
    for name, weight in setting.items():
        Range(above=0).check(f"{PATH}.{name}", weight)


def check_names(setting: Weights, classes: Sequence[str]) -> None:
    """Check that weights name classes of the data.

    Raises:
        ConfigError: a name is none of theirs.
    """
    for name in () if isinstance(setting, str) else setting:
        if str(name) not in classes:
            raise ConfigError.unknown(PATH, name, classes, what="class")


def balance(counts: Sequence[int], classes: Sequence[str], *, what: str) -> dict[str, float]:
    """Return the balanced weight of each class.

    Args:
        counts: how often each class occurs in the training split.
        what: what is counted, in the plural.

    Raises:
        ConfigError: a class does not occur.
    """
    for count, name in zip(counts, classes, strict=True):
        if not count:
            raise ConfigError(
                PATH,
                f"no {what} of the training split are of class '{name}', whose weight would be infinite",
                got=BALANCED,
                hint="state weights by name, or remove the class",
            )
    total = sum(counts)
    return {name: total / (len(counts) * count) for name, count in zip(classes, counts, strict=True)}


def list_weights(setting: Weights, classes: Sequence[str]) -> list[float] | None:
    """Return the weight of each class, 1 for those that are not named; None if all weigh the same.

    Args:
        setting: none, or weights by name.
    """
    if isinstance(setting, str):
        assert setting == NONE, "balanced weights are resolved first, see `Demands.resolve`"
        return None
    named = {str(name): float(weight) for name, weight in setting.items()}
    return [named.get(name, 1.0) for name in classes]

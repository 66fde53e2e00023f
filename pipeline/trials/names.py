"""Names of the runs of a sweep or search: short, by what differs between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.declaration.composition import CONF
from pipeline.runs.context import RunContext
from pipeline.sweeps.ledger import Trial
from pipeline.trials.search import SEED
from pipeline.trials.space import written

LONGEST_NAME = 100  # characters
UNTOLD = ("experiment", "tracking")  # sections whose overrides say nothing about a result
VAGUE = ("none", "default", "null")  # options that say nothing without their group


def run_name(experiment: str, overrides: Sequence[str], context: RunContext) -> str:
    """Return the name of a run: in a sweep, what differs from its other runs; otherwise experiment and overrides."""
    keys = [key_of(each) for each in overrides]
    if context.parent is not None:
        return name_point(overrides, context.swept) or experiment
    changed = [key for key in keys if key.split(".")[0] not in UNTOLD]
    return shorten(": ".join(filter(None, (experiment, name_point(overrides, changed)))))


def name_point(overrides: Sequence[str], keys: Iterable[str], *, without: str = "") -> str:
    """Return what some keys are set to, such as `mirror, lr=0.1, seed 2`.

    An option of a config group is named alone, and another key by its last part, unless another key ends alike.

    Args:
        overrides: of one job; values are those of Hydra.
        keys: the keys to name, in the order of the overrides.
        without: a key to leave out.
    """
    chosen = [each for each in overrides if key_of(each) in set(keys) and key_of(each) != without]
    ends = [key_of(each).rpartition(".")[2] for each in chosen]
    return shorten(
        ", ".join(_part(each, ends.count(end) == 1) for each, end in zip(chosen, ends, strict=True))
    )


def name_trial(trial: Trial) -> str:
    """Return the name of a trial of a search: its point."""
    overrides = [f"{key}={written(value)}" for key, value in trial.point.items()]
    return name_point(overrides, trial.point)


def _part(override: str, is_unique: bool) -> str:
    key, _, value = override.partition("=")
    key = key.lstrip("+")
    group = key.split("@")[0]
    if key == SEED:
        return f"{SEED} {value}"
    if (CONF / group).is_dir():
        return f"{group} {value}" if value in VAGUE else value
    return f"{key.rpartition('.')[2] if is_unique else key}={value}"


def key_of(override: str) -> str:
    """Return the key that an override sets."""
    return override.partition("=")[0].lstrip("+")


def shorten(name: str) -> str:
    """Return a name of one line, of printable characters and of limited length."""
    line = "".join(each if each.isprintable() else " " for each in name)
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"

"""Hundreds of bad settings: each is refused by its path, in one sentence, before any data are read.

The cases are all settings of four declarations x wrong values. A case that is accepted is listed with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from fnmatch import fnmatchcase
from functools import cache
from math import inf, nan
from typing import Any

import pytest

from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose_sections
from pipeline.errors import ConfigError
from pipeline.training.checks import check_trainable
from pipeline.trials.space import parse_space

Path = tuple[str | int, ...]
NOWHERE = ("data.root=nowhere.zip", "trainer.accelerator=cpu")
STOPPING = "trainer.early_stopping={patience:3,min_delta:0.0}"
DECLARATIONS = {
    "digits": (),
    "brain": ("experiment=brain_unet", "augmentation=jitter", "optimizer=adamw"),
    "search": (
        "augmentation=mixup",
        "search=coarse",
        "preprocess=zca_whiten",
        "preprocess.patch=8",
        STOPPING,
    ),
    "folds": ("augmentation=mirror_crop", "data.split={val:0.2,test:0.2,seed:0}", "data.fold={index:0,of:5}"),
}
WRONG: list[Any] = [
    "banana", "", -1, -0.5, 0, 2.5, nan, inf, -inf, 1e300, True, None, [], [1, 2], ["a"], {}, {"a": 1},
]  # fmt: skip
SECONDS = 2.0
ANY_TEXT = ["banana", ""]
LARGE = [2.5, 1e300]

# Path -> the values among `WRONG` that are valid, with the reason in a comment.
VALID: dict[str, list[Any]] = {
    # Names, paths and notes may be any text, or any that is not empty.
    "name": ["banana"], "data.name": ["banana"], "data.root": ["banana"], "model.name": ["banana"],
    "search.name": ["banana"], "tracking.experiment": ["banana"], "data.licence": ANY_TEXT,
    # An expression, or a metric, which a search looks up when it starts.
    "data.groups": ["banana", None], "search.metric": [*ANY_TEXT, None],
    # Lists of names; an empty list of steps is no augmentation.
    "allowed_targets": [[], ["a"]], "augmentation.steps": [[]], "model.lr_factors": [[]],
    # Null, 0 and 1 where they mean that something is off.
    "from": [None], "data.fold": [None], "data.digest": [None], "data.background": [None],
    "data.ignore_label": [None], "augmentation.mixing": [None], "augmentation.copies": [None],
    "model.pretrained": [None], "search.trial": [None], "trainer.early_stopping": [None],
    "preprocess.patch": [None], "model.layers[[]*[]].repeat": [None], "model.freeze": [0],
    "search.retries": [0], "task.label_smoothing": [0], "trainer.num_workers": [0],
    # Numbers that count from 0.
    "seed": [0], "search.seed": [0], "data.split.seed": [0], "data.fold.index": [0],
    "data.table": [None], "data.columns": [None], "data.mask_values": [None], "data.separator": [None],
    "trainer.threads": [None], "trainer.norm_momentum": [None], "trainer.average": [None], "trainer.select": [None],
    # Flags.
    "data.allow_duplicates": [True], "optimizer.decay_norms_and_biases": [True], "task.dice_background": [True],
    "data.mirror_changes_label": [True], "optimizer.nesterov": [True], "trainer.channels_last": [True],
    "trainer.deterministic": [True], "trainer.progress": [True], "views.mirror": [True],
    "tracking.log_model": [True],
    # A learning rate of 0 is what OneCycleLR and CyclicLR overwrite; a large one diverges, and is then named.
    "optimizer.lr": [0, 2.5], "optimizer.weight_decay": [0, 2.5],
    # Without an upper bound, large values are useless rather than wrong.
    "task.dice_weight": [0, *LARGE], "trainer.gradient_clip": [*LARGE, None], "preprocess.epsilon": LARGE,
    "trainer.early_stopping.min_delta": [0, *LARGE], "augmentation.mixing.alpha": LARGE,
    # Factors, filters of a rectangle, and pixels around the image.
    "model.width": [2.5], "model.depth": [2.5], "model.padding": [0, [1, 2]],
    "model.layers[[]*[]].kernel": [[1, 2]], "model.layers[[]*[]].padding": [0, None, [1, 2]],
    # albumentations takes a number x as [-x, x] or [1 - x, 1 + x], and a step with p=0 is never applied.
    "augmentation.steps[[]*[]].p": [0], "augmentation.steps[[]1].padding": [0],
    "augmentation.steps[[]*[]].translate_percent": [-1, -0.5, 0, 2.5, 1e300, None, [1, 2]],
    "augmentation.steps[[]*[]].rotate": [-1, -0.5, 0, 2.5, 1e300, [1, 2]],
    "augmentation.steps[[]*[]].scale": [-1, -0.5, 0, 2.5, 1e300, [1, 2]],
    "augmentation.steps[[]*[]].shear": [-1, -0.5, 0, 2.5, 1e300, [1, 2]],
    # A declaration without a search; one with another key is refused for that key.
    "search.space": [{}],
}  # fmt: skip


@cache
def declared(name: str) -> dict[str, Any]:
    return compose_sections([*DECLARATIONS[name], *NOWHERE])


def leaves(node: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all settings, and of lists of values as a whole."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list) and node and isinstance(node[0], Mapping):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path


def written(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def changed(name: str, path: Path, change: Callable[[Any, Any], None]) -> dict[str, Any]:
    """Return a declaration in which `change` has been applied to the parent of a setting, and its key."""
    sections = deepcopy(declared(name))
    node: Any = sections
    for part in path[:-1]:
        node = node[part]
    change(node, path[-1])
    return sections


def settings() -> Iterator[tuple[str, Path]]:
    """Yield each setting once, with a declaration that has it."""
    seen = set()
    for name in DECLARATIONS:
        for path in leaves(declared(name)):
            if path not in seen:
                seen.add(path)
                yield name, path


def is_valid(path: Path, value: Any) -> bool:
    allowed = [values for pattern, values in VALID.items() if fnmatchcase(written(path), pattern)]
    return any(type(each) is type(value) and each == value for values in allowed for each in values)


def campaign(cases: list[tuple[Any, ...]], *, every: int) -> list[Any]:
    """Return the cases as parameters, of which all but some run in the campaign only."""
    return [
        pytest.param(*case, marks=[pytest.mark.campaign] if index % every else [])
        for index, case in enumerate(cases)
    ]


def refusal_of(sections: dict[str, Any]) -> ConfigError | None:
    """Return how a declaration is refused before its data are read; None if it is accepted."""
    start = time.process_time()
    try:
        declaration = check(sections)
        if declaration.search.space:
            parse_space(declaration.search.space)
        check_trainable(declaration)
    except ConfigError as error:
        return error
    finally:
        assert time.process_time() - start < SECONDS
    return None


def assert_names(error: ConfigError | None, path: str) -> None:
    """Check that a refusal is one sentence that names a setting, the section it stands in, or a part of it."""
    assert error is not None, "accepted"
    assert error.path.startswith(path) or path.startswith(error.path), str(error)
    assert "\n" not in str(error)
    assert error.problem or error.allowed


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Import what the first check would, so that no case is charged with it."""
    check_trainable(check(declared("brain")))


CASES = [(name, path, value) for name, path in settings() for value in WRONG]


@pytest.mark.parametrize(("name", "path", "value"), campaign(CASES, every=50))
def test_wrong_value_is_refused_by_its_path(name: str, path: Path, value: Any) -> None:
    def change(node: Any, key: Any) -> None:
        node[key] = value

    error = refusal_of(changed(name, path, change))
    if is_valid(path, value):
        assert error is None, str(error)
    else:
        assert_names(error, written(path))


# Keys of a space are those of other sections; a search looks them up when it starts.
KEYS = [
    (name, path) for name, path in settings() if isinstance(path[-1], str) and path[:2] != ("search", "space")
]


@pytest.mark.parametrize(("name", "path"), campaign(KEYS, every=20))
def test_misspelt_key_is_refused_by_its_path(name: str, path: Path) -> None:
    def change(node: Any, key: Any) -> None:
        node[f"{key}x"] = node.pop(key)

    error = refusal_of(changed(name, path, change))
    parent = written(path[:-1]) or str(error and error.path)
    assert_names(error, parent)
    assert str(path[-1]) in str(error)


# Settings that another class gives a default.
OPTIONAL = ("optimizer.*", "augmentation.steps[[]*", "model.layers*", "model.head*", "scheduler.*", "task.*")


@pytest.mark.parametrize(("name", "path"), campaign(KEYS, every=20))
def test_missing_key_is_refused_by_its_path_or_has_a_default(name: str, path: Path) -> None:
    def change(node: Any, key: Any) -> None:
        del node[key]

    error = refusal_of(changed(name, path, change))
    if error is None:
        assert any(fnmatchcase(written(path), pattern) for pattern in OPTIONAL)
    else:
        assert_names(error, written(path[:-1]) or error.path)

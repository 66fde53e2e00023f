"""Construction of what a declaration names by `_target_`, and of its augmentation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pkgutil import resolve_name
from typing import Any

from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.mixing import Mixing
from pipeline.transforms.statistics import Statistics


def construct(node: Mapping[str, Any], path: str, **given: Any) -> Any:
    """Build what a node names; given objects pass by untouched.

    Args:
        node: `_target_` and its settings.
        path: of the node in the declaration.
        given: more arguments.

    Raises:
        ConfigError: the target refuses its settings.
    """
    return wrap_errors(lambda: constructor(node)(**given), path, node["_target_"])


def constructor(node: Mapping[str, Any]) -> Callable[..., Any]:
    """Return what a node names, with the node's settings bound.

    As Hydra's `instantiate` for values that are plain and names that have been checked, without its milliseconds.
    """
    try:
        named = resolve_name(node["_target_"])
    except (AttributeError, ImportError) as reason:
        raise ValueError(f"there is no {node['_target_']}: {reason}") from None
    return partial(named, **{key: _value(value) for key, value in node.items() if key != "_target_"})


def wrap_errors(make: Callable[[], Any], path: str, target: str) -> Any:
    """Make something; raise what a library refuses as one sentence that names the setting."""
    try:
        return make()
    except ConfigError:
        raise
    except (TypeError, ValueError) as reason:
        text = " ".join(str(reason).split())
        raise ConfigError(path, f"{target} refuses its settings: {text}", hint="correct them") from None


def build_augmentation(declaration: Declaration, statistics: Statistics) -> Augmentation | None:
    """Build the augmentation of single images; None where it has no steps."""
    steps = declaration.augmentation.steps
    if not steps:
        return None
    given = {"covariance": statistics.covariance, "fill_mask": declaration.data.ignore_label}
    return Augmentation(
        [_step(step, f"augmentation.steps[{index}]", given) for index, step in enumerate(steps)]
    )


def build_mixing(declaration: Declaration) -> Mixing | None:
    """Build what mixes the images of a batch; None where nothing does."""
    node = declaration.augmentation.mixing
    mixing: Mixing | None = None if node is None else construct(node, "augmentation.mixing")
    return mixing


def _value(value: Any) -> Any:
    """Return a setting of its own, what it names built."""
    if isinstance(value, Mapping) and "_target_" in value:
        return constructor(value)()
    if isinstance(value, Mapping):
        return {key: _value(each) for key, each in value.items()}
    return [_value(each) for each in value] if isinstance(value, list) else value


def _step(node: Mapping[str, Any], path: str, given: Mapping[str, Any]) -> Any:
    """Build a step of augmentation, the steps inside it first.

    It is given the covariance of colours where it asks for it, and the value of mask pixels that come from outside the
    image where the data have a label for those and the step does not set its own.
    """
    wanted = inspect.signature(resolve_name(node["_target_"])).parameters
    more = {
        key: value for key, value in given.items() if key in wanted and key not in node and value is not None
    }
    inner = node.get("transforms")
    if inner is not None:
        node = {key: value for key, value in node.items() if key != "transforms"}
        more["transforms"] = [
            _step(each, f"{path}.transforms[{index}]", given) for index, each in enumerate(inner)
        ]
    return construct(node, path, **more)

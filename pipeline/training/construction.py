"""Instantiate the `_target_` nodes of a declaration, and its augmentation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.layers.classes import load_class
from pipeline.transforms.augmentation import Augmentation, step_classes
from pipeline.transforms.mixing import Mixing
from pipeline.transforms.statistics import Statistics

Kind = type | tuple[type, ...]
# What constructors raise, and optimizers and schedulers at their first step.
REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def construct(node: Mapping[str, Any], path: str, kind: Kind, **given: Any) -> Any:
    """Instantiate a node, with additional arguments passed through unchanged.

    Args:
        node: `_target_` and its arguments.
        path: config path of the node, for error messages.
        kind: what the target must be, see `load_class`.
        given: additional arguments.

    Raises:
        ConfigError: the target is of another kind, or rejects its arguments.
    """
    return wrap_errors(lambda: constructor(node, path, kind)(**given), path, node["_target_"])


def constructor(node: Mapping[str, Any], path: str, kind: Kind) -> Callable[..., Any]:
    """Return the target of a node, with the node's arguments bound; targets among these are torch modules.

    Equivalent to Hydra's `instantiate` with `_partial_`, but faster, since values are plain and names already checked.

    Raises:
        ConfigError: the target does not exist, or cannot be imported.
    """

    def build(inner: Mapping[str, Any], where: str) -> Any:
        return construct(inner, where, nn.Module)

    arguments = {
        key: _value(value, build, f"{path}.{key}") for key, value in node.items() if key != "_target_"
    }
    return partial(load_class(node["_target_"], kind, f"{path}._target_"), **arguments)


def wrap_errors(make: Callable[[], Any], path: str, target: str) -> Any:
    """Call `make`; re-raise the exceptions of libraries as a `ConfigError` that names the setting."""
    try:
        return make()
    except ConfigError:
        raise
    except REFUSALS as reason:
        schema: Any = reason.__cause__  # pydantic's error, where albumentations checks arguments
        if hasattr(schema, "errors"):
            first = schema.errors()[0]
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
            raise ConfigError(
                f"{path}{where}",
                f"{target} refuses its settings: {first['msg']}",
                got=first["input"],
                hint="correct them",
            ) from None
        text = " ".join(str(reason).split()) or type(reason).__name__
        raise ConfigError(path, f"{target} refuses its settings: {text}", hint="correct them") from None


def build_augmentation(declaration: Declaration, statistics: Statistics) -> Augmentation | None:
    """Build the augmentation of single images; None if there are no steps."""
    steps = declaration.augmentation.steps
    if not steps:
        return None
    given = {"covariance": statistics.covariance, "fill_mask": declaration.data.ignore_label}
    return Augmentation(
        [_step(step, f"augmentation.steps[{index}]", given) for index, step in enumerate(steps)]
    )


def build_mixing(declaration: Declaration) -> Mixing | None:
    """Build the mixing of images within a batch; None if there is none."""
    node = declaration.augmentation.mixing
    mixing: Mixing | None = None if node is None else construct(node, "augmentation.mixing", Mixing)
    return mixing


def _value(value: Any, build: Callable[[Mapping[str, Any], str], Any], path: str) -> Any:
    """Return a copy of a value, with nested nodes built."""
    if isinstance(value, Mapping) and "_target_" in value:
        return build(value, path)
    if isinstance(value, Mapping):
        return {key: _value(each, build, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, list):
        return [_value(each, build, f"{path}[{index}]") for index, each in enumerate(value)]
    return value


def _step(node: Mapping[str, Any], path: str, given: Mapping[str, Any]) -> Any:
    """Build an augmentation step, after the steps nested inside it.

    Steps that have a `covariance` parameter get that of the training colours. If the data set has an ignore label, it
    becomes the mask value of pixels outside the image, unless the step sets its own.
    """
    target = node["_target_"]
    found = load_class(target, step_classes(), f"{path}._target_")
    wanted = inspect.signature(found).parameters
    more = {
        key: value for key, value in given.items() if key in wanted and key not in node and value is not None
    }
    arguments = {
        key: _value(value, partial(_step, given=given), f"{path}.{key}")
        for key, value in node.items()
        if key != "_target_"
    }
    return wrap_errors(lambda: found(**arguments, **more), path, target)

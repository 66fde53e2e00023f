"""The swappable parts of a layer: norms, activations and initialisers, by name.

Sources: batch norm, Ioffe and Szegedy 2015, arXiv:1502.03167; group norm, Wu and He 2018,
arXiv:1803.08494; Xavier, Glorot and Bengio 2010; He, He et al. 2015, arXiv:1502.01852, eq. 10;
LeCun, LeCun et al. 1998, "Efficient BackProp", section 4.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.errors import closest
from pipeline.networks.grammar import MISSING, Part, Scope, whole_number
from pipeline.networks.plan import Shape, Spec

# name -> (torch.nn class, name of its main argument or None)
ACTIVATIONS: dict[str, tuple[str, str | None]] = {
    "sigmoid": ("Sigmoid", None),
    "tanh": ("Tanh", None),
    "relu": ("ReLU", None),
    "relu6": ("ReLU6", None),
    "leaky_relu": ("LeakyReLU", "negative_slope"),
    "elu": ("ELU", "alpha"),
    "selu": ("SELU", None),
    "gelu": ("GELU", None),
    "silu": ("SiLU", None),
    "hard_swish": ("Hardswish", None),
    "softplus": ("Softplus", "beta"),
}


def activation_specs(part: Part, scope: Scope) -> tuple[Spec, ...]:
    """Return the module of an activation, or nothing for `none`."""
    if part.name == "none":
        return ()
    if part.name not in ACTIVATIONS:
        names = closest(part.name, [*ACTIVATIONS, "none"])
        raise scope.error(part, f"unknown activation '{part.name}'; {names}")
    _refuse_options(part, scope)
    name, argument = ACTIVATIONS[part.name]
    if part.argument is MISSING:
        return (Spec(f"torch.nn.{name}"),)
    if argument is None:
        raise scope.error(part, f"{part.name} takes no value; write {part.name}")
    return (Spec(f"torch.nn.{name}", {argument: _number(scope, part, argument, part.argument)}),)


def norm_specs(part: Part, scope: Scope, shape: Shape) -> tuple[tuple[Spec, ...], int]:
    """Return the modules of a norm for a shape, and how many weights they have."""
    if part.name == "none":
        return (), 0
    if part.name not in NORMS:
        raise scope.error(part, f"unknown norm '{part.name}'; {closest(part.name, [*NORMS, 'none'])}")
    _refuse_options(part, scope)
    return (NORMS[part.name](part, scope, shape),), 2 * shape[0]


def _batch(part: Part, scope: Scope, shape: Shape) -> Spec:
    if part.argument is not MISSING:
        raise scope.error(part, "batch takes no value; write norm: batch")
    dimensions = "2d" if len(shape) == 3 else "1d"
    return Spec(f"torch.nn.BatchNorm{dimensions}", {"num_features": shape[0]})


def _group(part: Part, scope: Scope, shape: Shape) -> Spec:
    if part.argument is MISSING:
        raise scope.error(part, "group needs the number of groups; write norm: {group: 32}")
    groups = whole_number(scope, part, "the number of groups", part.argument)
    if shape[0] % groups:
        raise scope.error(
            part, f"{groups} groups do not divide {shape[0]} channels; use a divisor of {shape[0]}"
        )
    return Spec("torch.nn.GroupNorm", {"num_groups": groups, "num_channels": shape[0]})


NORMS: dict[str, Callable[[Part, Scope, Shape], Spec]] = {"batch": _batch, "group": _group}

# name -> what its value means, or None where it takes no value
INITIALISERS: dict[str, str | None] = {
    "default": None,
    "zero": None,
    "constant": "value",
    "normal": "standard deviation",
    "uniform": "bound",
    "truncated_normal": "standard deviation",
    "xavier_normal": None,
    "xavier_uniform": None,
    "he_normal": None,
    "he_uniform": None,
    "lecun_normal": None,
    "orthogonal": None,
}


def init_of(part: Part, scope: Scope) -> tuple[str, Any]:
    """Return (name, value) of an initialiser; `default` is what torch itself does."""
    if part.name not in INITIALISERS:
        raise scope.error(part, f"unknown init '{part.name}'; {closest(part.name, INITIALISERS)}")
    _refuse_options(part, scope)
    meaning = INITIALISERS[part.name]
    if meaning is None:
        if part.argument is not MISSING:
            raise scope.error(part, f"init {part.name} takes no value; write init: {part.name}")
        return part.name, None
    if part.argument is MISSING:
        raise scope.error(part, f"init {part.name} needs its {meaning}: {{{part.name}: 0.01}}")
    number = _number(scope, part, meaning, part.argument)
    if number < 0 and part.name != "constant":
        raise scope.error(part, f"{meaning} must be at least 0, got {number}")
    return part.name, number


def _number(scope: Scope, part: Part, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise scope.error(part, f"{name} must be a number, got {value!r}")
    return float(value)


def _refuse_options(part: Part, scope: Scope) -> None:
    if part.options:
        raise scope.error(part, f"{part.name} has no option '{next(iter(part.options))}'; remove it")

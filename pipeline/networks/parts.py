"""The swappable parts of a layer: norms, activations and initialisers, by name.

Sources: batch norm, Ioffe and Szegedy 2015, arXiv:1502.03167; layer norm, Ba et al. 2016, arXiv:1607.06450;
instance norm, Ulyanov et al. 2016, arXiv:1607.08022; group norm, Wu and He 2018, arXiv:1803.08494; maxout,
Goodfellow et al. 2013, arXiv:1302.4389; Xavier, Glorot and Bengio 2010, eq. 16; He, He et al. 2015,
arXiv:1502.01852, eq. 10; LeCun, LeCun et al. 1998, "Efficient BackProp", section 4.6; orthogonal, Saxe et al. 2013,
arXiv:1312.6120.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

from pipeline.networks.grammar import INFINITY, MISSING, NONE, Part, PlanContext, call
from pipeline.plans.network import Init, Spec, Terms
from pipeline.plans.view import Shape


@dataclass(frozen=True)
class Tail:
    """What follows the filters or features of a layer.

    Args:
        specs: norm, then activation.
        out_channels: output channels of the layer's weight: those declared, times the pieces of a maxout.
    """

    specs: tuple[Spec, ...]
    out_channels: int
    init: Init
    has_bias: bool

    @property
    def bias_weights(self) -> Terms:
        """The bias as a term of the count of weights."""
        return ((self.out_channels,),) if self.has_bias else ()


def norm_and_activation(
    context: PlanContext, shape: Shape, norm: Any, activation: Any, bias: Any, init: Any, is_last: bool
) -> Tail:
    """Return norm, activation, initialiser and bias of a layer with output `shape`.

    By default, the last layer has neither norm nor activation, and a layer has a bias only if it has no norm.
    """
    norm_part = context.parse("norm", norm, NONE if is_last else context.norm)
    activation_part = context.parse("activation", activation, NONE if is_last else context.activation)
    out_channels = shape[0] * pieces_of(context, activation_part)
    norms = norm_specs(context, norm_part, (out_channels, *shape[1:]))
    specs = (*norms, *activation_specs(context, activation_part, out_channels))
    initial = init_of(context, context.parse("init", init, context.init), activation_part)
    return Tail(specs, out_channels, initial, not norms if bias is None else context.flag("bias", bias))


# name -> (class, name of its main argument or None)
ACTIVATIONS: dict[str, tuple[str, str | None]] = {
    "sigmoid": ("torch.nn.Sigmoid", None),
    "tanh": ("torch.nn.Tanh", None),
    "relu": ("torch.nn.ReLU", None),
    "relu6": ("torch.nn.ReLU6", None),
    "leaky_relu": ("torch.nn.LeakyReLU", "negative_slope"),
    "prelu": ("torch.nn.PReLU", "init"),
    "elu": ("torch.nn.ELU", "alpha"),
    "selu": ("torch.nn.SELU", None),
    "gelu": ("torch.nn.GELU", None),
    "silu": ("torch.nn.SiLU", None),
    "hard_sigmoid": ("torch.nn.Hardsigmoid", None),
    "hard_swish": ("torch.nn.Hardswish", None),
    "softplus": ("torch.nn.Softplus", "beta"),
    "maxout": ("pipeline.layers.activations.Maxout", "pieces"),
}
# Gains of torch.nn.init.calculate_gain; activations that it does not support get the gain of ReLU.
GAINS = {"none": 1.0, "sigmoid": 1.0, "hard_sigmoid": 1.0, "tanh": 5 / 3, "selu": 3 / 4}
SLOPES = {"leaky_relu": 0.01, "prelu": 0.25}


def activation_specs(context: PlanContext, part: Part, channels: int) -> tuple[Spec, ...]:
    """Return the module of an activation for a number of channels, or nothing for `none`."""
    if part.name == "none":
        return ()
    context = context.at(context.where, part)
    target, argument = ACTIVATIONS[context.choice("activation", part.name, [*ACTIVATIONS, "none"])]
    _refuse_options(context)
    arguments: dict[str, Any] = {}
    if part.name == "maxout":
        arguments = {"pieces": pieces_of(context, part)}
    elif part.argument is not MISSING:
        if argument is None:
            raise context.error(f"{part.name} takes no value", part.argument, f"write {part.name}")
        is_open = part.name == "softplus"
        low = 0 if is_open else -INFINITY
        arguments = {argument: context.number(argument, part.argument, low=low, is_open=is_open)}
    if part.name == "prelu":  # one slope per channel (He et al. 2015, section 2.1)
        return (Spec(target, {"num_parameters": channels, **arguments}, weights=((channels,),)),)
    return (Spec(target, arguments),)


def pieces_of(context: PlanContext, part: Part) -> int:
    """Return the number of linear pieces of an activation: 1 for all but maxout."""
    if part.name != "maxout":
        return 1
    if part.argument is MISSING:
        raise context.error("maxout is missing its number of pieces", hint="write {maxout: 2}")
    return context.whole("the pieces of maxout", part.argument, least=2)


def norm_specs(context: PlanContext, part: Part, shape: Shape) -> tuple[Spec, ...]:
    """Return the module of a norm for a shape, or nothing for `none`."""
    if part.name == "none":
        return ()
    context = context.at(context.where, part)
    spec = call(NORMS[context.choice("norm", part.name, [*NORMS, "none"])], context, shape)
    assert isinstance(spec, Spec)
    return (spec,)


def batch(context: PlanContext, shape: Shape, *, eps: Any = 1e-5, momentum: Any = 0.1) -> Spec:
    """Normalise each channel over the images of a batch; evaluation uses running statistics.

    Args:
        momentum: weight of the newest batch in the running statistics, in (0, 1).
    """
    settings = {
        "eps": context.number("eps", eps, low=0, is_open=True),
        "momentum": context.number("momentum", momentum, low=0, high=1, is_open=True),
    }
    dimensions = "2d" if len(shape) == 3 else "1d"
    return _norm(f"torch.nn.BatchNorm{dimensions}", shape, num_features=shape[0], **settings)


def layer(context: PlanContext, shape: Shape, over: Any = "all", *, eps: Any = 1e-5) -> Spec:
    """Normalise each image over channels, rows and columns, or each position over its `channels`."""
    eps = context.number("eps", eps, low=0, is_open=True)
    over_all = context.choice("extent", over, ("all", "channels")) == "all"
    _refuse_single(context, shape, prod(shape) if over_all else shape[0])
    if over_all:
        return _norm("torch.nn.GroupNorm", shape, num_groups=1, num_channels=shape[0], eps=eps)
    return _norm("pipeline.layers.norms.ChannelNorm", shape, channels=shape[0], eps=eps)


def instance(context: PlanContext, shape: Shape) -> Spec:
    """Normalise each channel of each image over its rows and columns."""
    _refuse_single(context, shape, prod(shape[1:]))
    return _norm("torch.nn.InstanceNorm2d", shape, num_features=shape[0], affine=True)


def group(context: PlanContext, shape: Shape, groups: Any) -> Spec:
    """Normalise each image over groups of channels, rows and columns."""
    groups = context.whole("groups", groups)
    if shape[0] % groups:
        raise context.invalid("groups", f"a divisor of {shape[0]} channels", groups)
    _refuse_single(context, shape, prod(shape) // groups)
    return _norm("torch.nn.GroupNorm", shape, num_groups=groups, num_channels=shape[0])


NORMS: dict[str, Callable[..., Spec]] = {each.__name__: each for each in (batch, layer, instance, group)}

# name -> what its value means; None if it takes no value
INITIALISERS: dict[str, str | None] = {
    **dict.fromkeys(("default", "zero", "lecun_normal", "orthogonal")),
    **dict.fromkeys(("xavier_normal", "xavier_uniform", "he_normal", "he_uniform"), "gain"),
    **{"constant": "value", "uniform": "bound"},
    **dict.fromkeys(("normal", "truncated_normal"), "standard deviation"),
}
# An author's name alone means the form in the paper.
AS_PUBLISHED = {"xavier": "xavier_uniform", "he": "he_normal", "lecun": "lecun_normal"}


def init_of(context: PlanContext, part: Part, activation: Part) -> Init:
    """Return name, value and gain of an initialiser; `default` is torch's own.

    Args:
        activation: of the layer; for `none`, the gain is that of the network's activation.
    """
    context = context.at(context.where, part)
    name = AS_PUBLISHED.get(part.name, part.name)
    meaning = INITIALISERS[context.choice("init", name, [*INITIALISERS, *AS_PUBLISHED])]
    _refuse_options(context)
    gain = gain_of(context, context.activation if activation.name == "none" else activation)
    if part.argument is MISSING:
        if meaning not in (None, "gain"):
            raise context.error(f"{part.name} is missing its {meaning}", hint=f"write {{{part.name}: 0.01}}")
        return name, None, gain
    if meaning is None:
        raise context.error(f"{part.name} takes no value", part.argument, f"write {part.name}")
    low = -INFINITY if name == "constant" else 0
    value = context.number(meaning, part.argument, low=low)
    return (name, None, value) if meaning == "gain" else (name, value, gain)


def gain_of(context: PlanContext, activation: Part) -> float:
    """Return the gain that compensates for the activation after a layer, as in `torch.nn.init.calculate_gain`."""
    slope = SLOPES.get(activation.name, 0.0)
    if activation.argument is not MISSING and activation.name in SLOPES:
        slope = context.at(context.where, activation).number("slope", activation.argument)
    return GAINS.get(activation.name, sqrt(2 / (1 + slope**2)))


def _norm(target: str, shape: Shape, **arguments: Any) -> Spec:
    return Spec(target, arguments, weights=((2, shape[0]),))


def _refuse_single(context: PlanContext, shape: Shape, numbers: int) -> None:
    if numbers == 1:
        problem = f"{context.part.name} norm needs more than one value for each mean and variance"
        raise context.error(problem, shape, "use another norm here, or none")


def _refuse_options(context: PlanContext) -> None:
    if context.part.options:
        option = next(iter(context.part.options))
        raise context.error(f"{context.part.name} takes no options", option, "remove it")

"""The leaves of the network language: one function per kind of layer.

A leaf function takes its context, then its main argument; its keyword-only parameters are its options.
It returns a `Leaf` with shape, cost and the modules to build.
Shapes: (C, H, W) for maps, (F,) for vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from pipeline.errors import ConfigError
from pipeline.layers.classes import load_class
from pipeline.networks.filters import conv, depthwise, filtered, pool, up
from pipeline.networks.grammar import PlanContext
from pipeline.networks.parts import activation_specs, norm_and_activation, norm_specs, pieces_of
from pipeline.plans.network import PIXELS, Leaf, Spec, side_or_sides, times

EDGES = {
    "edge": ("sobel", "scharr", "prewitt"),
    "scale": ("unit", "integer"),
    "direction": ("both", "right", "left", "down", "up"),
    "padding": ("same", "valid"),
}


def linear(
    context: PlanContext, features: Any, *, norm: Any = "none", activation: Any = None, bias: Any = None,
    init: Any = None, width: Any = None,
) -> Leaf:  # fmt: skip
    """Connect every input to every output, then activation; no norm by default.

    Args:
        features: output features, or `outputs`, which has no activation by default.
    """
    count = context.width_of(features, width)
    if len(context.flow.shape) != 1:
        raise context.invalid("the input of linear", "a vector", context.flow.shape, "put flatten before it")
    (num_inputs,) = context.flow.shape
    tail = norm_and_activation(context, (count,), norm, activation, bias, init, features == "outputs")
    arguments = {"in_features": num_inputs, "out_features": tail.out_channels, "bias": tail.has_bias}
    taps = (num_inputs, tail.out_channels)
    spec = Spec("torch.nn.Linear", arguments, tail.init, (taps, *tail.bias_weights))
    view = context.flow.view.whole((count,))
    return context.leaf(f"linear {count}", (count,), spec, *tail.specs, view=view, products=(taps,))


def flatten(context: PlanContext) -> Leaf:
    """Flatten a map to a vector of C * H * W numbers."""
    return context.leaf("flatten", (prod(context.map()),), Spec("torch.nn.Flatten"))


def dropout(context: PlanContext, probability: Any = 0.5) -> Leaf:
    """Zero each value with a probability in [0, 1) in training (Srivastava et al. 2014)."""
    number = context.number("probability", probability, low=0, high=1)
    return context.leaf(f"dropout {probability}", context.flow.shape, Spec("torch.nn.Dropout", {"p": number}))


def drop_path(context: PlanContext, probability: Any) -> Leaf:
    """Zero all maps of an image with a probability in [0, 1) in training; must be the last layer of a `residual`.

    Source: stochastic depth, Huang et al. 2016, arXiv:1603.09382.
    """
    number = context.number("probability", probability, low=0, high=1)
    spec = Spec("pipeline.layers.drops.DropPath", {"probability": number})
    return context.leaf(f"drop path {probability}", context.flow.shape, spec)


def lrn(context: PlanContext, channels: Any = 5, *, alpha: Any = 1e-4, beta: Any = 0.75, k: Any = 2) -> Leaf:
    """Divide by (k + alpha * sum of squares over neighbouring channels)^beta (Krizhevsky et al. 2012, 3.3)."""
    context.map()
    count = context.whole("channels", channels)
    # torch divides its alpha by the number of channels; the paper does not.
    alpha = context.number("alpha", alpha, low=0) * count
    arguments = {"size": count, "alpha": alpha, "beta": context.number("beta", beta, low=0)}
    arguments["k"] = context.number("k", k, low=0, is_open=True)
    return context.leaf(f"lrn {count}", context.flow.shape, Spec("torch.nn.LocalResponseNorm", arguments))


def scale(context: PlanContext, start: Any = 1.0) -> Leaf:
    """Multiply each channel by a learnt number, initially `start` (Touvron et al. 2021, arXiv:2103.17239)."""
    arguments = {"channels": context.map()[0], "start": context.number("start", start)}
    spec = Spec("pipeline.layers.scales.Scale", arguments, weights=((context.flow.shape[0],),))
    return context.leaf("scale", context.flow.shape, spec)


def pixels(context: PlanContext, deviation: Any = 0.0, *, mean: Any = 0.0) -> Leaf:
    """Put out a learnt image, whatever the input; its values are drawn with this deviation around a mean."""
    first = {"mean": context.number("mean", mean), "deviation": context.number("deviation", deviation, low=0)}
    spec = Spec(PIXELS, {"shape": context.map(), **first}, weights=(context.map(),))
    return context.leaf("pixels", context.map(), spec)


def resize(context: PlanContext, factor: Any = 2, *, mode: Any = "nearest") -> Leaf:
    """Enlarge rows and columns by a whole factor, by `nearest` or `bilinear` interpolation."""
    rise = context.pair("factor", factor)
    context.choice("mode", mode, ("nearest", "bilinear"))
    channels, rows, columns = context.map()
    shape = (channels, rows * rise[0], columns * rise[1])
    view = context.flow.view.resized(rise, is_bilinear=mode == "bilinear")
    spec = Spec("torch.nn.Upsample", {"scale_factor": tuple(map(float, rise)), "mode": mode})
    return context.leaf(f"resize x {side_or_sides(rise)}, {mode}", shape, spec, view=view)


def pixel_shuffle(context: PlanContext, factor: Any = 2) -> Leaf:
    """Enlarge rows and columns by a whole factor f, putting f^2 channels side by side (Shi et al. 2016, eq. 4)."""
    rise = context.whole("factor", factor, least=2)
    channels, rows, columns = context.map()
    if channels % rise**2:
        raise context.invalid("the channels before pixel_shuffle", f"a multiple of {rise**2}", channels)
    shape = (channels // rise**2, rows * rise, columns * rise)
    view = context.flow.view.resized((rise, rise), is_bilinear=False)
    spec = Spec("torch.nn.PixelShuffle", {"upscale_factor": rise})
    return context.leaf(f"pixel shuffle x {rise}", shape, spec, view=view)


def edge(
    context: PlanContext, kind: Any = "sobel", *, scale: Any = "unit", direction: Any = "both", padding: Any = "same"
) -> Leaf:  # fmt: skip
    """Filter each channel by fixed 3x3 derivatives; nothing is learnt.

    Args:
        kind: `sobel`, `scharr` or `prewitt`.
        scale: `unit`, by which a ramp of slope 1 gives 1, or `integer`, the weights as printed in textbooks.
        direction: in which brightness rises where the output is positive: `right`, `left`, `down`, `up`, or `both`,
            that is right and down, which doubles the channels.
        padding: `same` replicates the border, `valid` leaves the first and last row and column out.
    """
    options = {"scale": scale, "direction": direction, "padding": padding}
    for name, value in {"edge": kind, **options}.items():
        context.choice(name, value, EDGES[name])
    window = ((3, 3), (1, 1), (int(padding == "same"),) * 2)
    shape = (context.map()[0] * (1 + (direction == "both")), *filtered(context, *window))
    spec = Spec("pipeline.layers.edges.Edges", {"channels": context.map()[0], "kind": kind, **options})
    view = context.flow.view.through(shape[1:], *window)
    return context.leaf(f"edge {kind}", shape, spec, view=view, window=window, products=((*shape, 3, 3),))


def norm(context: PlanContext, kind: Any = None) -> Leaf:
    """Normalise, without a convolution before it; by the network's norm by default."""
    chosen = context.parse("norm", kind, context.norm)
    specs = norm_specs(context, chosen, context.flow.shape)
    return context.leaf(f"norm {chosen.name}", context.flow.shape, *specs)


def activation(context: PlanContext, kind: Any = None) -> Leaf:
    """Apply an activation, without a layer before it; the network's by default."""
    chosen = context.parse("activation", kind, context.activation)
    channels, *sides = context.flow.shape
    pieces = pieces_of(context, chosen)
    if channels % pieces:
        raise context.invalid("the channels before maxout", f"a multiple of its {pieces} pieces", channels)
    specs = activation_specs(context, chosen, channels)
    return context.leaf(f"activation {chosen.name}", (channels // pieces, *sides), *specs)


def module(context: PlanContext, target: str, **arguments: Any) -> Leaf:
    """Use any torch module, e.g. `{module: torch.nn.ChannelShuffle, groups: 2}`; the escape hatch.

    Its shape and weights come from a forward pass on the meta device; its multiply-adds are not counted, and its
    receptive field is assumed to be the whole image.
    """
    import torch

    try:
        with torch.device("meta"), torch.no_grad():
            made = load_class(target, torch.nn.Module, context.where)(**arguments).eval()
            shape = tuple(made(torch.empty(1, *context.flow.shape)).shape[1:])
    except ConfigError as reason:  # of the class
        raise context.error(reason.problem, hint=reason.hint) from None
    except Exception as reason:  # a third-party class can raise anything
        problem = f"{target} fails on its {times(context.flow.shape)} input ({' '.join(str(reason).split())})"
        raise context.error(problem, hint="check its arguments and the layer before it") from None
    if len(shape) not in (1, 3):
        raise context.invalid(f"the output of {target}", "a map (C, H, W) or a vector", shape)
    weights = sum(each.numel() for each in made.parameters() if each.requires_grad)
    spec = Spec(target, arguments, weights=((weights,),) if weights else ())
    return context.leaf(
        f"module {target.rpartition('.')[2]}", shape, spec, view=context.flow.view.whole(shape)
    )


_FILTERS = (conv, depthwise, up, pool)
_OTHERS = (linear, flatten, dropout, drop_path, lrn, scale, pixels, edge, norm, activation, module)
_ENLARGING = (resize, pixel_shuffle)
LEAVES: dict[str, Callable[..., Leaf]] = {each.__name__: each for each in (*_FILTERS, *_OTHERS, *_ENLARGING)}

"""The filters of the network language: layers whose windows slide over rows and columns.

Shapes: (C, H, W). Output rows of a filter: floor((H + 2p - k) / s) + 1 (Dumoulin and Visin 2016,
arXiv:1603.07285, section 2.4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.networks.grammar import NONE, PlanContext
from pipeline.networks.parts import norm_and_activation
from pipeline.plans.network import Leaf, Spec, side_or_sides, times
from pipeline.plans.view import Pair


def conv(
    context: PlanContext, filters: Any, *, kernel: Any = 3, stride: Any = 1, padding: Any = None, dilation: Any = 1,
    groups: Any = 1, wiring: Any = None, norm: Any = None, activation: Any = None, bias: Any = None, init: Any = None,
    width: Any = None,
) -> Leaf:  # fmt: skip
    """Convolve, then norm, then activation.

    Args:
        filters: output channels, or `outputs`; a layer of `outputs` has neither norm nor activation by default.
        padding: `same` (half the kernel, so that stride 1 keeps rows and columns), `valid` (none), or pixels; the
            network's by default.
        dilation: distance between the inputs of neighbouring weights (Yu and Koltun 2016, arXiv:1511.07122).
        wiring: the input channels of each filter (LeCun et al. 1998, table 1); by default all those of its group.
        bias: by default only without a norm.
        width: factor on filters instead of the network's; `at_least_1` for the network's, but no less than 1.
    """
    count = context.width_of(filters, width)
    side, step, gap = map(context.pair, ("kernel", "stride", "dilation"), (kernel, stride, dilation))
    reach = ((side[0] - 1) * gap[0] + 1, (side[1] - 1) * gap[1] + 1)
    border = _padding(context, context.padding if padding is None else padding, reach)
    channels, num_groups = context.map()[0], context.whole("groups", groups)
    if channels % num_groups or count % num_groups:
        allowed = f"a divisor of {channels} input and {count} output channels"
        raise context.invalid("groups", allowed, num_groups)
    shape = (count, *filtered(context, reach, step, border))
    tail = norm_and_activation(context, shape, norm, activation, bias, init, filters == "outputs")
    arguments = {"in_channels": channels, "out_channels": tail.out_channels, "kernel_size": side}
    arguments |= {"stride": step, "padding": border, "groups": num_groups, "bias": tail.has_bias}
    arguments |= {} if gap == (1, 1) else {"dilation": gap}
    target = "torch.nn.Conv2d"
    taps: tuple[int, ...] = (*side, channels // num_groups, tail.out_channels)
    if wiring is not None:
        if tail.init[0] == "orthogonal":
            raise context.error("orthogonal is not defined for wired filters", hint="use another init")
        wires = _wires(context, wiring, channels, tail.out_channels, num_groups)
        target, arguments["wiring"] = "pipeline.layers.wired.WiredConv2d", wires
        del arguments["groups"]
        taps = (*side, sum(map(len, wires)))
    return context.leaf(
        f"{'conv' if num_groups == 1 else f'conv in {num_groups} groups'} {count}, {_named(side, step, gap)}",
        shape,
        Spec(target, arguments, tail.init, (taps, *tail.bias_weights)),
        *tail.specs,
        view=context.flow.view.through(shape[1:], reach, step, border),
        window=(reach, step, border),
        products=((*shape[1:], *taps),),
    )


def depthwise(
    context: PlanContext, kernel: Any = 3, *, multiplier: Any = 1, stride: Any = 1, padding: Any = None,
    dilation: Any = 1, norm: Any = None, activation: Any = None, bias: Any = None, init: Any = None,
) -> Leaf:  # fmt: skip
    """Convolve each channel by itself (Howard et al. 2017, arXiv:1704.04861, section 3.1).

    Args:
        multiplier: filters per channel.
    """
    channels = context.map()[0]
    count = channels * context.whole("multiplier", multiplier)
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    following = {"norm": norm, "activation": activation, "bias": bias, "init": init}
    made = conv(context, count, groups=channels, width=1, **window, **following)
    _, _, window_text = made.name.partition(f" {count}, ")
    return replace(made, name=f"depthwise {count}, {window_text}")


def up(
    context: PlanContext, filters: Any, *, kernel: Any = 2, stride: Any = 2, norm: Any = "none",
    activation: Any = "none", bias: Any = None, init: Any = None, width: Any = None,
) -> Leaf:  # fmt: skip
    """Transposed convolution, which multiplies rows and columns by the stride (U-Net's up-convolution).

    Unlike `conv`, it has neither norm nor activation by default (Ronneberger et al. 2015, figure 1).
    """
    count = context.width_of(filters, width)
    side, step = context.pair("kernel", kernel), context.pair("stride", stride)
    channels, rows, columns = context.map()
    if side[0] < step[0] or side[1] < step[1]:
        allowed = f"at least as large as the stride {times(step)}"
        raise context.invalid("kernel", allowed, side, "a smaller one leaves gaps in the output")
    shape = (count, (rows - 1) * step[0] + side[0], (columns - 1) * step[1] + side[1])
    # Its gain is that of its own activation: what follows it is a concatenation, not the network's activation.
    alone = replace(context, activation=NONE)
    tail = norm_and_activation(alone, shape, norm, activation, bias, init, False)
    arguments = {"in_channels": channels, "out_channels": tail.out_channels, "kernel_size": side}
    arguments |= {"stride": step, "bias": tail.has_bias}
    taps = (*side, channels, tail.out_channels)
    weights = (taps, *tail.bias_weights)
    return context.leaf(
        f"up {count}, {times(side)} x {side_or_sides(step)}",
        shape,
        Spec("torch.nn.ConvTranspose2d", arguments, tail.init, weights),
        *tail.specs,
        view=context.flow.view.through_up(shape[1:], side, step),
        window=(side, step, (0, 0)),
        products=((rows, columns, *taps),),
    )


def pool(
    context: PlanContext, kind: Any = "max", *, kernel: Any = None, stride: Any = None, padding: Any = None,
    bins: Any = None,
) -> Leaf:  # fmt: skip
    """Pool: `max` or `avg` over windows (2x2 by default), `adaptive` to a number of `bins`, or `global`.

    `global` averages each channel; `adaptive` averages over bins x bins windows of nearly equal size.
    """
    context.choice("pool", kind, ("max", "avg", "adaptive", "global"))
    channels = context.map()[0]
    if kind in ("global", "adaptive"):
        if (kernel, stride, padding) != (None, None, None):
            raise context.error(f"pool {kind} takes no kernel, stride or padding", hint="remove them")
        side = (1, 1) if kind == "global" else context.pair("bins", bins)
        spec = Spec("torch.nn.AdaptiveAvgPool2d", {"output_size": side})
        name = "pool global" if kind == "global" else f"pool adaptive, {times(side)} bins"
        return context.leaf(name, (channels, *side), spec, view=context.flow.view.binned(side))
    if bins is not None:
        raise context.error(f"pool {kind} takes no bins", bins, f"write {{pool: adaptive, bins: {bins}}}")
    side = context.pair("kernel", 2 if kernel is None else kernel)
    step = side if stride is None else context.pair("stride", stride)
    border = context.pair("padding", 0 if padding is None else padding, least=0)
    if border[0] > side[0] // 2 or border[1] > side[1] // 2:
        raise context.invalid("padding", f"at most half the kernel {times(side)}", padding)
    target = "torch.nn.MaxPool2d" if kind == "max" else "torch.nn.AvgPool2d"
    spec = Spec(target, {"kernel_size": side, "stride": step, "padding": border})
    sides = filtered(context, side, step, border)
    return context.leaf(
        f"pool {kind}, {times(side)} / {side_or_sides(step)}",
        (channels, *sides),
        spec,
        view=context.flow.view.through(sides, side, step, border),
        window=(side, step, border),
    )


def _named(kernel: Pair, stride: Pair, dilation: Pair) -> str:
    step = f" / {side_or_sides(stride)}" if stride != (1, 1) else ""
    return f"{times(kernel)}{step}" + (f", dilation {side_or_sides(dilation)}" if dilation != (1, 1) else "")


def _padding(context: PlanContext, value: Any, side: Pair) -> Pair:
    if value == "valid":
        return (0, 0)
    if value != "same":
        return context.pair("padding", value, least=0, besides="same, valid or ")
    if side[0] % 2 == 0 or side[1] % 2 == 0:
        hint = "use an odd kernel, or set padding to valid or pixels"
        raise context.error("padding same needs an odd kernel", side, hint)
    return side[0] // 2, side[1] // 2


def filtered(context: PlanContext, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return rows and columns of a filter's output; raise if the filter is larger than its input."""
    sides = context.map()[1:]
    axes = list(zip(sides, kernel, stride, padding, strict=True))
    if any(side + 2 * border < width for side, width, _, border in axes):
        hint = "use a larger image (data.shape), fewer strides and pools before it, or a smaller kernel"
        raise context.error(f"the kernel does not fit its {times(sides)} input", kernel, hint)
    rows, columns = ((side + 2 * border - width) // step + 1 for side, width, step, border in axes)
    return rows, columns


def _wires(context: PlanContext, wiring: Any, channels: int, filters: int, groups: int) -> list[list[int]]:
    """Return the input channels of each filter; raise if the table does not match the layer."""
    if groups != 1:
        raise context.error("wiring cannot be combined with groups", groups, "remove groups")
    is_table = isinstance(wiring, list) and all(isinstance(row, list) and row for row in wiring)
    if not is_table or len(wiring) != filters:
        raise context.invalid("wiring", f"a list of input channels for each of {filters} filters", wiring)
    wrong = [wire for row in wiring for wire in row if type(wire) is not int or not 0 <= wire < channels]
    if wrong or any(len(set(row)) < len(row) for row in wiring):
        allowed = f"a list of different channels from 0 to {channels - 1}"
        raise context.invalid("each row of wiring", allowed, wrong or wiring)
    return [list(row) for row in wiring]

"""The leaves of the network language: one function per kind of layer.

A leaf function gets the scope, its own part, what flows in, then its main argument; its keyword-only
parameters are its options. It returns a `Leaf` with shape, cost and the modules to make.
Shapes: (C, H, W) for maps, (F,) for vectors. Output rows of a filter: floor((H + 2p - k) / s) + 1
(Dumoulin and Visin 2016, arXiv:1603.07285, section 2.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.networks.grammar import Flow, Part, Scope, pair, parse, whole_number
from pipeline.networks.parts import activation_specs, init_of, norm_specs
from pipeline.networks.plan import Leaf, Pair, Shape, Spec, elements


def conv(
    scope: Scope,
    part: Part,
    flow: Flow,
    channels: Any,
    *,
    kernel: Any = 3,
    stride: Any = 1,
    padding: Any = "same",
    groups: Any = 1,
    norm: Any = None,
    activation: Any = None,
    bias: Any = None,
    init: Any = None,
) -> Leaf:
    """Convolve, then norm, then activation.

    Args:
        channels: filters, or `outputs`; a layer of `outputs` has neither norm nor activation.
        padding: `same` (half the kernel, so that stride 1 keeps rows and columns), `valid` (none),
            or pixels.
        bias: by default a bias where no norm follows.
    """
    count, is_last = _width(scope, part, channels)
    side, step = pair(scope, part, "kernel", kernel), pair(scope, part, "stride", stride)
    border = _padding(scope, part, padding, side)
    in_channels, rows, columns = _map(scope, part, flow)
    num_groups = whole_number(scope, part, "groups", groups)
    if in_channels % num_groups or count % num_groups:
        raise scope.error(part, f"groups {num_groups} must divide {in_channels} channels in and {count} out")
    shape = (count, *_filtered(scope, part, (rows, columns), side, step, border))
    after, extra = _after(scope, shape, norm, activation, is_last=is_last)
    has_bias = _bias(scope, part, bias, has_norm=extra > 0)
    inputs = side[0] * side[1] * in_channels // num_groups
    spec = Spec(
        "torch.nn.Conv2d",
        {
            "in_channels": in_channels,
            "out_channels": count,
            "kernel_size": side,
            "stride": step,
            "padding": border,
            "groups": num_groups,
            "bias": has_bias,
        },
        init_of(_part(scope, init, scope.init), scope),
    )
    return Leaf(
        name=f"conv {count}, {_times(side)}" + (f" / {step[0]}" if step != (1, 1) else ""),
        where=scope.where,
        shape=shape,
        view=flow.view.through(side, step),
        specs=(spec, *after),
        weights=inputs * count + has_bias * count + extra,
        multiply_adds=elements(shape) * inputs,
    )


def up(
    scope: Scope,
    part: Part,
    flow: Flow,
    channels: Any,
    *,
    kernel: Any = 2,
    stride: Any = 2,
    norm: Any = "none",
    activation: Any = "none",
    bias: Any = None,
    init: Any = None,
) -> Leaf:
    """Convolve transposed: rows and columns times the stride (U-Net's up-convolution).

    Unlike `conv`, neither norm nor activation unless asked for (Ronneberger et al. 2015, figure 1).
    """
    count, _ = _width(scope, part, channels)
    side, step = pair(scope, part, "kernel", kernel), pair(scope, part, "stride", stride)
    in_channels, rows, columns = _map(scope, part, flow)
    if side[0] < step[0] or side[1] < step[1]:
        raise scope.error(part, f"kernel {side} leaves holes at stride {step}; kernel >= stride")
    shape = (count, (rows - 1) * step[0] + side[0], (columns - 1) * step[1] + side[1])
    after, extra = _after(scope, shape, norm, activation, is_last=False)
    has_bias = _bias(scope, part, bias, has_norm=extra > 0)
    taps = side[0] * side[1] * in_channels
    spec = Spec(
        "torch.nn.ConvTranspose2d",
        {
            "in_channels": in_channels,
            "out_channels": count,
            "kernel_size": side,
            "stride": step,
            "bias": has_bias,
        },
        init_of(_part(scope, init, scope.init), scope),
    )
    return Leaf(
        name=f"up {count}, {_times(side)} x {step[0]}",
        where=scope.where,
        shape=shape,
        view=flow.view.through_up(side, step),
        specs=(spec, *after),
        weights=taps * count + has_bias * count + extra,
        multiply_adds=taps * count * rows * columns,
    )


def pool(
    scope: Scope,
    part: Part,
    flow: Flow,
    kind: Any = "max",
    *,
    kernel: Any = None,
    stride: Any = None,
    padding: Any = None,
) -> Leaf:
    """Pool: `max` or `avg` over windows (2x2 unless said), or `global` (mean of each channel)."""
    if kind == "global":
        return _global_pool(scope, part, flow, kernel, stride, padding)
    if kind not in ("max", "avg"):
        raise scope.error(part, f"unknown pool '{kind}'; allowed: avg, global, max")
    side = pair(scope, part, "kernel", 2 if kernel is None else kernel)
    step = side if stride is None else pair(scope, part, "stride", stride)
    border = pair(scope, part, "padding", 0 if padding is None else padding, least=0)
    if border[0] > side[0] // 2 or border[1] > side[1] // 2:
        raise scope.error(part, f"padding {padding} is more than half the kernel {_times(side)}")
    channels, rows, columns = _map(scope, part, flow)
    window = {"kernel_size": side, "stride": step, "padding": border}
    return Leaf(
        name=f"pool {kind}, {_times(side)} / {step[0]}",
        where=scope.where,
        shape=(channels, *_filtered(scope, part, (rows, columns), side, step, border)),
        view=flow.view.through(side, step),
        specs=(Spec("torch.nn.MaxPool2d" if kind == "max" else "torch.nn.AvgPool2d", window),),
    )


def linear(
    scope: Scope,
    part: Part,
    flow: Flow,
    features: Any,
    *,
    norm: Any = "none",
    activation: Any = None,
    bias: Any = None,
    init: Any = None,
) -> Leaf:
    """Connect every input to every output, then activation; no norm unless asked for.

    Args:
        features: outputs of the layer, or `outputs`; then without activation.
    """
    count, is_last = _width(scope, part, features)
    if len(flow.shape) != 1:
        raise scope.error(part, f"linear needs a vector, got {_times(flow.shape)}; put `flatten` before it")
    (in_features,) = flow.shape
    after, extra = _after(scope, (count,), norm, activation, is_last=is_last)
    has_bias = _bias(scope, part, bias, has_norm=extra > 0)
    spec = Spec(
        "torch.nn.Linear",
        {"in_features": in_features, "out_features": count, "bias": has_bias},
        init_of(_part(scope, init, scope.init), scope),
    )
    return Leaf(
        name=f"linear {count}",
        where=scope.where,
        shape=(count,),
        view=flow.view.whole(),
        specs=(spec, *after),
        weights=in_features * count + has_bias * count + extra,
        multiply_adds=in_features * count,
    )


def flatten(scope: Scope, part: Part, flow: Flow) -> Leaf:
    """Lay a map out as a vector of C * H * W numbers."""
    _map(scope, part, flow)
    return Leaf("flatten", scope.where, (elements(flow.shape),), flow.view, (Spec("torch.nn.Flatten"),))


def dropout(scope: Scope, part: Part, flow: Flow, probability: Any = 0.5) -> Leaf:
    """Zero each number with a probability in [0, 1) while training (Srivastava et al. 2014)."""
    is_number = isinstance(probability, int | float) and not isinstance(probability, bool)
    if not is_number or not 0 <= probability < 1:
        raise scope.error(part, f"probability must be in [0, 1), got {probability!r}")
    spec = Spec("torch.nn.Dropout", {"p": float(probability)})
    return Leaf(f"dropout {probability}", scope.where, flow.shape, flow.view, (spec,))


def norm(scope: Scope, part: Part, flow: Flow, kind: Any = None) -> Leaf:
    """Normalise by itself, without a convolution before it; the network's norm unless named."""
    chosen = _part(scope, kind, scope.norm)
    specs, weights = norm_specs(chosen, scope, flow.shape)
    return Leaf(f"norm {chosen.name}", scope.where, flow.shape, flow.view, specs, weights)


def activation(scope: Scope, part: Part, flow: Flow, kind: Any = None) -> Leaf:
    """Apply an activation by itself; the network's activation unless named."""
    chosen = _part(scope, kind, scope.activation)
    specs = activation_specs(chosen, scope)
    return Leaf(f"activation {chosen.name}", scope.where, flow.shape, flow.view, specs)


LEAVES: dict[str, Callable[..., Leaf]] = {
    each.__name__: each for each in (conv, up, pool, linear, flatten, dropout, norm, activation)
}


def _part(scope: Scope, value: Any, default: Part) -> Part:
    return default if value is None else parse(value, where=f"model {scope.model}, {scope.where}")


def _after(
    scope: Scope, shape: Shape, norm: Any, activation: Any, *, is_last: bool
) -> tuple[tuple[Spec, ...], int]:
    """Return the norm and activation behind a layer, and the norm's weights."""
    none = Part("none")
    norm_part = _part(scope, norm, none if is_last else scope.norm)
    activation_part = _part(scope, activation, none if is_last else scope.activation)
    specs, weights = norm_specs(norm_part, scope, shape)
    return (*specs, *activation_specs(activation_part, scope)), weights


def _width(scope: Scope, part: Part, value: Any) -> tuple[int, bool]:
    if value == "outputs":
        return scope.outputs, True
    return whole_number(scope, part, f"{part.name} (or the word `outputs`)", value), False


def _bias(scope: Scope, part: Part, value: Any, *, has_norm: bool) -> bool:
    if value is None:
        return not has_norm
    if not isinstance(value, bool):
        raise scope.error(part, f"bias must be true or false, got {value!r}")
    return value


def _map(scope: Scope, part: Part, flow: Flow) -> tuple[int, int, int]:
    if len(flow.shape) != 3:
        raise scope.error(
            part, f"{part.name} needs a map (C, H, W), got a vector of {flow.shape[0]}; "
            "move it before `flatten`"
        )  # fmt: skip
    channels, rows, columns = flow.shape
    return channels, rows, columns


def _padding(scope: Scope, part: Part, value: Any, side: Pair) -> Pair:
    if value == "valid":
        return (0, 0)
    if value != "same":
        return pair(scope, part, "padding (same, valid or pixels)", value, least=0)
    if side[0] % 2 == 0 or side[1] % 2 == 0:
        raise scope.error(part, f"padding same needs an odd kernel, got {_times(side)}; say valid or pixels")
    return side[0] // 2, side[1] // 2


def _filtered(scope: Scope, part: Part, sides: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return rows and columns behind a filter, or refuse a filter larger than its input."""
    axes = list(zip(sides, kernel, stride, padding, strict=True))
    if any(side + 2 * border < width for side, width, _, border in axes):
        raise scope.error(
            part,
            f"kernel {_times(kernel)} does not fit its {_times(sides)} input; use a larger image "
            "(data.shape), fewer strides and pools before it, or a smaller kernel",
        )
    rows, columns = ((side + 2 * border - width) // step + 1 for side, width, step, border in axes)
    return rows, columns


def _global_pool(scope: Scope, part: Part, flow: Flow, kernel: Any, stride: Any, padding: Any) -> Leaf:
    if (kernel, stride, padding) != (None, None, None):
        raise scope.error(part, "pool global takes the whole map; remove kernel, stride, padding")
    channels = _map(scope, part, flow)[0]
    spec = Spec("torch.nn.AdaptiveAvgPool2d", {"output_size": 1})
    return Leaf("pool global", scope.where, (channels, 1, 1), flow.view.whole(), (spec,))


def _times(numbers: Shape) -> str:
    return "x".join(map(str, numbers))

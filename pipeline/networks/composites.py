"""The composites of the network language: named blocks that are written out as lists of other layers.

A composite takes its context and returns the list of layers that it expands to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.networks.grammar import PlanContext

Items = list[Any]


def separable(
    context: PlanContext, filters: Any, *, kernel: Any = 3, stride: Any = 1, activation: Any = None
) -> Items:
    """Depthwise, then pointwise convolution (Howard et al. 2017, arXiv:1704.04861, figure 3)."""
    chosen = {} if activation is None else {"activation": activation}
    return [
        {"depthwise": kernel, "stride": stride, **chosen},
        {"conv": filters, "kernel": 1, **chosen},
    ]


def inverted_residual(
    context: PlanContext, filters: Any, *, expand: Any = None, hidden: Any = None, kernel: Any = 3, stride: Any = 1,
    squeeze: Any = None, activation: Any = None, drop_path: Any = None,
) -> Items:  # fmt: skip
    """Expand by a 1x1 convolution, filter each channel, project without activation; add the input if shapes match.

    Sources: Sandler et al. 2018, arXiv:1801.04381, table 1 and figure 4; with squeeze-and-excite, Tan et al. 2019,
    arXiv:1807.11626, figure 7.

    Args:
        expand: hidden channels per input channel, t in the paper; 6 by default.
        hidden: number of hidden channels instead of `expand`, as in table 1 of MobileNetV3.
        squeeze: a `squeeze_excite` layer after the depthwise filter, e.g. {squeeze_excite: 4}.
        drop_path: probability to drop the block, if its input is added to the output.
    """
    channels, count = context.map()[0], context.width_of(filters)
    if expand is not None and hidden is not None:
        raise context.error("expand and hidden both set the hidden channels", hint="remove one of them")
    factor = context.number("expand", 6 if expand is None else expand, low=0, is_open=True)
    inner = round(channels * factor) if hidden is None else context.width_of(hidden)
    chosen = {} if activation is None else {"activation": activation}
    widened = [{"conv": inner, "kernel": 1, "width": 1, **chosen}] if inner != channels else []
    block: Items = [
        *widened,
        {"depthwise": kernel, "stride": stride, **chosen},
        *([] if squeeze is None else [squeeze]),
        {"conv": count, "kernel": 1, "width": 1, "activation": "none"},
    ]
    if count != channels or context.pair("stride", stride) != (1, 1):
        return block
    dropped = [] if drop_path is None else [{"drop_path": drop_path}]
    return [{"residual": [*block, *dropped], "activation": "none"}]


def inception(context: PlanContext, widths: Any, *, kernel: Any = 5) -> Items:
    """Run 1x1, 3x3 and 5x5 filters and a pool side by side (Szegedy et al. 2014, arXiv:1409.4842, figure 2b).

    Args:
        widths: the six numbers of a row of table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
        kernel: of the third branch.
    """
    if not isinstance(widths, list) or len(widths) != 6:
        raise context.invalid("inception", "a list of six widths, as in a row of the paper's table 1", widths)
    plain, reduce_3x3, filters_3x3, reduce_5x5, filters_5x5, pooled = widths
    return [
        {
            "branches": [
                [{"conv": plain, "kernel": 1}],
                [{"conv": reduce_3x3, "kernel": 1}, {"conv": filters_3x3}],
                [{"conv": reduce_5x5, "kernel": 1}, {"conv": filters_5x5, "kernel": kernel}],
                [{"pool": "max", "kernel": 3, "stride": 1, "padding": 1}, {"conv": pooled, "kernel": 1}],
            ]
        }
    ]


def subpixel(
    context: PlanContext, filters: Any, *, factor: Any = 2, kernel: Any = 3, init: Any = None
) -> Items:
    """Convolve to f^2 maps for each filter, and shuffle these to f times the rows and columns.

    Source: Shi et al. 2016, arXiv:1609.05158, section 3.2. Neither norm nor activation.
    """
    count = context.width_of(filters) * context.whole("factor", factor, least=2) ** 2
    plain = {"kernel": kernel, "width": 1, "norm": "none", "activation": "none", "init": init}
    return [{"conv": count, **plain}, {"pixel_shuffle": factor}]


_COMPOSITES = (separable, inverted_residual, inception, subpixel)
COMPOSITES: dict[str, Callable[..., Items]] = {each.__name__: each for each in _COMPOSITES}

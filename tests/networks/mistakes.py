"""Every way a list can be wrong, for an image of 1x8x6: what is changed, and the error's fields."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from pipeline.errors import UNSET
from pipeline.networks.structures import LAYERS


class Mistake(NamedTuple):
    """A change of the model and the error that it must give; see `tests.refusals.refused` for the fields."""

    change: dict[str, Any]
    path: str
    got: Any = UNSET
    allowed: str | Collection[str] = ""
    hint: str = ""
    text: str = ""


def layers(*items: Any) -> dict[str, Any]:
    return {"layers": list(items)}


def nested_lists(num_lists: int) -> list[Any]:
    """Return nested lists of one residual each, the innermost holding a pool that keeps rows and columns."""
    items: list[Any] = [{"pool": "max", "kernel": 1}]
    for _ in range(num_lists - 1):
        items = [{"residual": items}]
    return items


ENDLESS: list[Any] = []
ENDLESS.append({"residual": ENDLESS})  # as a YAML anchor that contains itself
FIRST = "model.layers[0]"
DEEP = FIRST + ".residual[0]" * 31 + ".residual"
LAYER = "a name or a mapping such as {conv: 64, kernel: 3}"
NORM = "none, a name or a mapping such as {group: 8}"
OUTPUTS = "outputs or a whole number of at least 1"
WHOLE = "a whole number of at least 1"
POSITIVE = "a number in (0, inf)"
LIST = "a list of layers"
DASH = "start each layer with a dash"
CONV_OPTIONS = (
    "activation", "bias", "dilation", "groups", "init", "kernel", "norm", "padding", "repeat", "stride", "width",
    "wiring",
)  # fmt: skip

GRAMMAR = [
    Mistake(layers(3), FIRST, 3, LAYER, text=f"{FIRST}: in model small, layer must be {LAYER}, got 3"),
    Mistake(layers({}), FIRST, {}, LAYER),
    Mistake(layers({3: 4}), FIRST, {3: 4}, LAYER),
    Mistake(layers({"conv": 4, "norm": ["batch"]}), FIRST, ["batch"], NORM,
            text=f"{FIRST}: in {{conv: 4, norm: [...]}} of model small, norm must be {NORM}, got ['batch']"),
    Mistake(layers({"conv": 4, "activation": ["relu"]}), FIRST, ["relu"],
            "none, a name or a mapping such as {leaky_relu: 0.01}"),
    Mistake({"init": 0.1}, "model.init", 0.1, "default, a name or a mapping such as {normal: 0.01}"),
    Mistake({"norm": None}, "model.norm", None, NORM),
    Mistake(layers({"conv": 4, "kernle": 3}), FIRST, "kernle", CONV_OPTIONS, "did you mean 'kernel'?",
            f"{FIRST}: in {{conv: 4, kernle: 3}} of model small, unknown option 'kernle'; did you mean 'kernel'? "
            f"allowed: {', '.join(CONV_OPTIONS)}"),
    Mistake(layers({"conv": 4, "repeats": 2}), FIRST, "repeats", CONV_OPTIONS, "did you mean 'repeat'?"),
    Mistake(layers({"flatten": None, "dim": 1}), FIRST, "dim", hint="remove it",
            text=f"{FIRST}: in {{flatten:, dim: 1}} of model small, flatten takes no options, got 'dim'; remove it"),
    Mistake(layers("conv"), FIRST, hint="write {conv: <filters>}",
            text=f"{FIRST}: in conv of model small, conv is missing its filters; write {{conv: <filters>}}"),
    Mistake(layers({"conv": None, "kernel": 5}), FIRST, hint="write {conv: <filters>}"),
    Mistake(layers("residual"), FIRST, hint="write {residual: <body>}"),
    Mistake(layers({"flatten": 2}), FIRST, 2, hint="write flatten",
            text=f"{FIRST}: in {{flatten: 2}} of model small, flatten takes no value, got 2; write flatten"),
    Mistake(layers({"conv": 0}), FIRST, 0, OUTPUTS,
            text=f"{FIRST}: in {{conv: 0}} of model small, conv must be {OUTPUTS}, got 0"),
    Mistake(layers({"conv": 2.5}), FIRST, 2.5, OUTPUTS),
    Mistake(layers({"conv": True}), FIRST, True, OUTPUTS),
    Mistake(layers({"conv": "output"}), FIRST, "output", OUTPUTS),
    Mistake(layers("pool", {"conv": 4, "repeat": 0}), "model.layers[1]", 0, WHOLE,
            text=f"model.layers[1]: in {{conv: 4, repeat: 0}} of model small, repeat must be {WHOLE}, got 0"),
    Mistake(layers({"pool": "max", "repeat": 1.5}), FIRST, 1.5, WHOLE),
    Mistake(layers({"conv": 4, "kernel": [3, 3, 3]}), FIRST, [3, 3, 3], "a whole number or [rows, columns]",
            text=f"{FIRST}: in {{conv: 4, kernel: [...]}} of model small, kernel must be a whole number or "
            "[rows, columns], got [3, 3, 3]"),
    Mistake(layers({"conv": 4, "stride": "2"}), FIRST, "2", WHOLE),
    Mistake(layers({"conv": 4, "stride": [1, 0]}), FIRST, 0, WHOLE),
    Mistake(layers({"conv": 4, "width": 0}), FIRST, 0, POSITIVE,
            text=f"{FIRST}: in {{conv: 4, width: 0}} of model small, width must be {POSITIVE}, got 0"),
    Mistake(layers({"conv": 4, "width": "at_least_2"}), FIRST, "at_least_2", POSITIVE),
    Mistake(layers({"conv": "outputs", "width": 0.5}), FIRST, 0.5, hint="remove width",
            text=f"{FIRST}: in {{conv: outputs, width: 0.5}} of model small, width cannot scale outputs, which the "
            "task sets, got 0.5; remove width"),
    Mistake(layers({"up": "outputs", "width": "at_least_1"}), FIRST, "at_least_1", hint="remove width"),
    Mistake({"head": ["flatten", {"linear": "outputs", "width": 1}]}, "model.head[1]", 1, hint="remove width"),
    Mistake({"layers": {"conv": 4}}, "model.layers", {"conv": 4}, LIST, DASH),
    Mistake({"head": None}, "model.head", None, LIST, DASH,
            "model.head: in model small, head must be a list of layers, got None; start each layer with a dash"),
    Mistake(layers({"skip": "pool"}), f"{FIRST}.skip", "pool", LIST, DASH),
    Mistake({"layers": [], "head": []}, "model.layers", hint="list at least one layer",
            text="model.layers: both layers and head of model small are empty; list at least one layer"),
    Mistake(layers({"conv2d": 4}), FIRST, "conv2d", LAYERS, "did you mean 'conv'?",
            f"{FIRST}: in {{conv2d: 4}} of model small, unknown layer 'conv2d'; did you mean 'conv'? allowed: "
            "activation, auxiliary, branches, conv, depthwise, drop_path, dropout, edge, flatten, inception, "
            "inverted_residual, linear, lrn, module, norm, pixel_shuffle, pixels, pool, residual, resize, scale, "
            "separable, skip, squeeze_excite, subpixel, up"),
    Mistake(layers({"residual": [{"skip": [{"cnv": 4}]}]}), f"{FIRST}.residual[0].skip[0]", "cnv", LAYERS,
            "did you mean 'conv'?"),
    Mistake(layers("none"), FIRST, "none", LAYERS),
    Mistake(layers(*ENDLESS), DEEP, hint="flatten them",
            text=f"{DEEP}: in {{residual: [...]}} of model small, lists are nested more than 32 deep; flatten them"),
    Mistake(layers({"residual": nested_lists(32)}), DEEP, hint="flatten them"),
    Mistake(layers({"norm": None, "repeat": 10**9}), FIRST, hint="repeat fewer of them",
            text=f"{FIRST}: in {{norm:, repeat: {10**9}}} of model small, the network has more than 5000 layers; "
            "repeat fewer of them"),
]  # fmt: skip

PADDING = "same, valid or a whole number of at least 0"
ODD = "use an odd kernel, or set padding to valid or pixels"
TOO_LARGE = "use a larger image (data.shape), fewer strides and pools before it, or a smaller kernel"
WIRES = "a list of input channels for each of 2 filters"
CHANNELS = "a list of different channels from 0 to 3"


def wired(wiring: Any, **options: Any) -> dict[str, Any]:
    """Give two filters on four channels a wiring."""
    return layers({"conv": 4}, {"conv": 2, "wiring": wiring, **options})


FILTERS = [
    Mistake(layers({"conv": 4}, {"conv": 6, "groups": 4}), "model.layers[1]", 4,
            "a divisor of 4 input and 6 output channels",
            text="model.layers[1]: in {conv: 6, groups: 4} of model small, groups must be a divisor of 4 input and 6 "
            "output channels, got 4"),
    Mistake(layers({"conv": 6}, {"conv": 8, "groups": 4}), "model.layers[1]", 4,
            "a divisor of 6 input and 8 output channels"),
    Mistake(layers({"conv": 4, "groups": 0}), FIRST, 0, WHOLE),
    Mistake(layers({"conv": 4, "padding": "some"}), FIRST, "some", PADDING,
            text=f"{FIRST}: in {{conv: 4, padding: some}} of model small, padding must be {PADDING}, got 'some'"),
    Mistake({"padding": "some"}, FIRST, "some", PADDING),
    Mistake(layers({"conv": 4, "kernel": 2}), FIRST, (2, 2), hint=ODD,
            text=f"{FIRST}: in {{conv: 4, kernel: 2}} of model small, padding same needs an odd kernel, got (2, 2); "
            "use an odd kernel, or set padding to valid or pixels"),
    Mistake(layers({"depthwise": [3, 4]}), FIRST, (3, 4), hint=ODD),
    Mistake(layers({"depthwise": 3, "multiplier": 0}), FIRST, 0, WHOLE),
    Mistake(layers({"conv": 4, "kernel": [1, 7], "padding": "valid"}), FIRST, (1, 7), hint=TOO_LARGE,
            text=f"{FIRST}: in {{conv: 4, kernel: [...], padding: valid}} of model small, the kernel does not fit its "
            f"8x6 input, got (1, 7); {TOO_LARGE}"),
    Mistake(layers({"pool": "max", "repeat": 3}), FIRST, (2, 2), hint=TOO_LARGE),
    Mistake(layers({"conv": 4, "bias": "no"}), FIRST, "no", "true or false",
            text=f"{FIRST}: in {{conv: 4, bias: no}} of model small, bias must be true or false, got 'no'"),
    Mistake(layers({"up": 4, "kernel": 1}), FIRST, (1, 1), "at least as large as the stride 2x2",
            text=f"{FIRST}: in {{up: 4, kernel: 1}} of model small, kernel must be at least as large as the stride "
            "2x2, got (1, 1); a smaller one leaves gaps in the output"),
    Mistake(layers({"up": 4, "kernel": [2, 1], "stride": [1, 2]}), FIRST, (2, 1),
            "at least as large as the stride 1x2"),
    Mistake(layers({"pool": "min"}), FIRST, "min", ("adaptive", "avg", "global", "max"),
            text=f"{FIRST}: in {{pool: min}} of model small, unknown pool 'min'; allowed: adaptive, avg, global, max"),
    Mistake(layers({"pool": "max", "padding": 2}), FIRST, 2, "at most half the kernel 2x2",
            text=f"{FIRST}: in {{pool: max, padding: 2}} of model small, padding must be at most half the kernel 2x2, "
            "got 2"),
    Mistake(layers({"pool": "avg", "kernel": [2, 6], "padding": [2, 3]}), FIRST, [2, 3], "at most half the kernel 2x6"),
    Mistake(layers({"pool": "avg", "kernel": [6, 2], "padding": [3, 2]}), FIRST, [3, 2], "at most half the kernel 6x2"),
    Mistake(layers({"pool": "max", "padding": "same"}), FIRST, "same", "a whole number of at least 0"),
    Mistake(layers({"pool": "global", "stride": 2}), FIRST, hint="remove them",
            text=f"{FIRST}: in {{pool: global, stride: 2}} of model small, pool global takes no kernel, stride or "
            "padding; remove them"),
    Mistake(layers({"pool": "adaptive", "bins": 2, "kernel": 2}), FIRST, hint="remove them"),
    Mistake(layers({"pool": "adaptive"}), FIRST, None, WHOLE),
    Mistake(layers({"pool": "avg", "bins": 2}), FIRST, 2, hint="write {pool: adaptive, bins: 2}",
            text=f"{FIRST}: in {{pool: avg, bins: 2}} of model small, pool avg takes no bins, got 2; write {{pool: "
            "adaptive, bins: 2}"),
    Mistake(wired("all"), "model.layers[1]", "all", WIRES,
            text=f"model.layers[1]: in {{conv: 2, wiring: all}} of model small, wiring must be {WIRES}, got 'all'"),
    Mistake(wired([[0], [1]], init="orthogonal"), "model.layers[1]", hint="use another init"),
    *[Mistake(wired(wiring), "model.layers[1]", wiring, WIRES) for wiring in ([[0]], [[0], []], [0, 1])],
    Mistake(wired([[0], [1]], activation={"maxout": 2}), "model.layers[1]", [[0], [1]],
            "a list of input channels for each of 4 filters"),
    Mistake(wired([[0], [1]], groups=2), "model.layers[1]", 2, hint="remove groups",
            text="model.layers[1]: in {conv: 2, wiring: [...], groups: 2} of model small, wiring cannot be combined "
            "with groups, got 2; remove groups"),
    Mistake(wired([[0], [1, 4, -1]]), "model.layers[1]", [4, -1], CHANNELS,
            text=f"model.layers[1]: in {{conv: 2, wiring: [...]}} of model small, each row of wiring must be "
            f"{CHANNELS}, got [4, -1]"),
    Mistake(wired([[0], [1, 1]]), "model.layers[1]", [[0], [1, 1]], CHANNELS),
    *[Mistake(wired([[given], [1]]), "model.layers[1]", [given], CHANNELS)
      for given in ("a", 0.0, 2.0, False, None, [2])],
]  # fmt: skip

SHARE = "a number in [0, 1)"
FINITE = "a finite number"
CHECK = "check its arguments and the layer before it"


def module(target: Any, **arguments: Any) -> dict[str, Any]:
    return layers({"module": target, **arguments})


OTHER_LEAVES = [
    Mistake({"head": [{"linear": 3}]}, "model.head[0]", (4, 8, 6), "a vector", "put flatten before it",
            "model.head[0]: in {linear: 3} of model small, the input of linear must be a vector, got (4, 8, 6); put "
            "flatten before it"),
    Mistake({"head": ["flatten", {"conv": 3}]}, "model.head[1]", (192,), "a map (C, H, W)", "put it before flatten",
            "model.head[1]: in {conv: 3} of model small, the input of conv must be a map (C, H, W), got (192,); put it "
            "before flatten"),
    *[Mistake({"head": ["flatten", layer]}, "model.head[1]", (192,), "a map (C, H, W)", "put it before flatten")
      for layer in (
          {"depthwise": 3}, {"up": 3}, "pool", "flatten", "lrn", "scale", "resize", "edge", {"skip": [{"linear": 3}]},
          "pixel_shuffle", "squeeze_excite", {"inverted_residual": 4},
      )],
    *[Mistake(layers({"dropout": given}), FIRST, given, SHARE) for given in (1, "half")],
    Mistake(layers({"drop_path": -0.1}), FIRST, -0.1, SHARE),
    Mistake(layers("drop_path"), FIRST, hint="write {drop_path: <probability>}"),
    Mistake(layers({"lrn": 0}), FIRST, 0, WHOLE),
    Mistake(layers({"lrn": 5, "alpha": -1}), FIRST, -1, "a number in [0, inf)"),
    Mistake(layers({"lrn": 5, "beta": "x"}), FIRST, "x", "a number in [0, inf)"),
    Mistake(layers({"lrn": 5, "k": 0}), FIRST, 0, POSITIVE),
    Mistake(layers({"scale": "x"}), FIRST, "x", FINITE,
            text=f"{FIRST}: in {{scale: x}} of model small, start must be a finite number, got 'x'"),
    *[Mistake(layers({"scale": given}), FIRST, given, FINITE) for given in (True, float("inf"), float("-inf"))],
    Mistake(layers({"resize": 1.5}), FIRST, 1.5, WHOLE),
    Mistake(layers({"conv": 6}, {"pixel_shuffle": 2}), "model.layers[1]", 6, "a multiple of 4"),
    Mistake(layers({"pixel_shuffle": 1}), FIRST, 1, "a whole number of at least 2"),
    Mistake(layers({"subpixel": 3, "factor": 1}), FIRST, 1, "a whole number of at least 2"),
    Mistake(layers({"resize": 2, "mode": "bicubic"}), FIRST, "bicubic", ("bilinear", "nearest")),
    Mistake(layers({"edge": "sobel", "scale": "pixel"}), FIRST, "pixel", ("integer", "unit")),
    Mistake(layers({"edge": "sobel", "direction": "north"}), FIRST, "north", ("both", "down", "left", "right", "up")),
    Mistake(layers({"edge": "sobel", "padding": 1}), FIRST, 1, ("same", "valid")),
    Mistake(layers({"conv": 4, "dilation": 0}), FIRST, 0),
    Mistake(layers({"edge": "canny"}), FIRST, "canny", ("prewitt", "scharr", "sobel")),
    Mistake(layers({"edge": "sobell"}), FIRST, "sobell", ("prewitt", "scharr", "sobel"), "did you mean 'sobel'?"),
    Mistake(module("torch.nn.Relu"), FIRST, hint="correct the name",
            text=f"{FIRST}: in {{module: torch.nn.Relu}} of model small, there is no torch.nn.Relu; correct the name"),
    Mistake(module("no_such_package.Layer"), FIRST, hint="correct the name"),
    Mistake(module("torch.nn.ReLU", slope=1), FIRST, hint=CHECK),
    Mistake(module("torch.nn.Linear", in_features=3, out_features=4), FIRST, hint=CHECK),
    Mistake(module("torch.nn.GroupNorm", num_groups=2, num_channels=3), FIRST, hint=CHECK),
    Mistake(module("torch.nn.GroupNorm", num_groups=0, num_channels=1), FIRST, hint=CHECK),
    Mistake(module("torch.nn.MultiheadAttention", embed_dim=3, num_heads=2), FIRST, hint=CHECK),
    Mistake(module("torch.nn.Unflatten", dim=7, unflattened_size=[1, 1]), FIRST, hint=CHECK),  # an IndexError
    Mistake(module(3), FIRST, hint="write it as in torch.nn.ReLU"),
    Mistake(module("ReLU"), FIRST, hint="write it as in torch.nn.ReLU",
            text=f"{FIRST}: in {{module: ReLU}} of model small, ReLU has no package; write it as in torch.nn.ReLU"),
    Mistake(module("torch.nn.Flatten", start_dim=2), FIRST, (1, 48), "a map (C, H, W) or a vector",
            text=f"{FIRST}: in {{module: torch.nn.Flatten, start_dim: 2}} of model small, the output of "
            "torch.nn.Flatten must be a map (C, H, W) or a vector, got (1, 48)"),
    Mistake(module("torch.nn.Unflatten", dim=1, unflattened_size=[1, 1]), FIRST, (1, 1, 8, 6),
            "a map (C, H, W) or a vector"),
    Mistake(layers("module"), FIRST, hint="write {module: <target>}"),
]  # fmt: skip

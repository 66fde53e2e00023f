"""Every way a list can be wrong, for an image of 1x8x6: what is changed, and what is said where."""

from __future__ import annotations

from typing import Any


def layers(*items: Any) -> dict[str, Any]:
    return {"layers": list(items)}


def lists_in_each_other(num_lists: int) -> list[Any]:
    """Return lists of one residual each, the innermost holding a pool that keeps rows and columns."""
    items: list[Any] = [{"pool": "max", "kernel": 1}]
    for _ in range(num_lists - 1):
        items = [{"residual": items}]
    return items


ENDLESS: list[Any] = []
ENDLESS.append({"residual": ENDLESS})  # as a YAML anchor inside itself
PART = "a part is a name or a mapping such as {conv: 64, kernel: 3}, got"
COUNT = "conv (or the word `outputs`) must be a whole number of at least 1, got"

# What is changed in the model, the place that the message names, and what it says there.
GRAMMAR: list[tuple[dict[str, Any], str, str]] = [
    (layers(3), "layers[0]", f"{PART} 3; write `none` for nothing"),
    (layers({}), "layers[0]", f"{PART} {{}}; write `none` for nothing"),
    (layers({3: 4}), "layers[0]", f"{PART} {{3: 4}}; write `none` for nothing"),
    (layers({"conv": 4, "norm": ["batch"]}), "layers[0]", f"{PART} ['batch']; write `none` for nothing"),
    (layers({"conv": 4, "kernle": 3}), "layers[0]",
     "conv has no option 'kernle'; did you mean 'kernel'? allowed: activation, bias, groups, init, "
     "kernel, norm, padding, repeat, stride, width, wiring"),
    (layers({"conv": 4, "repeats": 2}), "layers[0]", "conv has no option 'repeats'; did you mean 'repeat'?"),
    (layers("conv"), "layers[0]", "conv needs a value, its filters; write {conv: ...}"),
    (layers({"conv": None, "kernel": 5}), "layers[0]", "conv needs a value, its filters; write {conv: ...}"),
    (layers("residual"), "layers[0]", "residual needs a value, its body; write {residual: ...}"),
    (layers({"flatten": 2}), "layers[0]", "flatten takes no value; write flatten"),
    (layers({"conv": 0}), "layers[0]", f"{COUNT} 0"),
    (layers({"conv": 2.5}), "layers[0]", f"{COUNT} 2.5"),
    (layers({"conv": True}), "layers[0]", f"{COUNT} True"),
    (layers({"conv": "output"}), "layers[0]", f"{COUNT} 'output'"),
    (layers("pool", {"conv": 4, "repeat": 0}), "layers[1]",
     "repeat must be a whole number of at least 1, got 0"),
    (layers({"pool": "max", "repeat": 1.5}), "layers[0]",
     "repeat must be a whole number of at least 1, got 1.5"),
    (layers({"conv": 4, "kernel": [3, 3, 3]}), "layers[0]",
     "kernel must be a number or [rows, columns], got [3, 3, 3]"),
    (layers({"conv": 4, "stride": "2"}), "layers[0]", "stride must be a whole number of at least 1, got '2'"),
    (layers({"conv": 4, "stride": [1, 0]}), "layers[0]", "stride must be a whole number of at least 1, got 0"),
    (layers({"conv": 4, "width": 0}), "layers[0]", "width must be a number in (0, inf), got 0"),
    (layers({"conv": 4, "width": "at_least_2"}), "layers[0]",
     "width must be a number in (0, inf), got 'at_least_2'"),
    *[(change, place, "width has no say in outputs, which the task asks for; remove it") for change, place in (
        (layers({"conv": "outputs", "width": 0.5}), "layers[0]"),
        (layers({"up": "outputs", "width": "at_least_1"}), "layers[0]"),
        ({"head": ["flatten", {"linear": "outputs", "width": 1}]}, "head[1]"),
    )],
    ({"layers": {"conv": 4}}, "layers",
     "must be a list of layers, got {'conv': 4}; start each layer with a dash"),
    ({"head": None}, "head", "must be a list of layers, got None; start each layer with a dash"),
    (layers({"skip": "pool"}), "layers[0].skip",
     "must be a list of layers, got 'pool'; start each layer with a dash"),
    ({"layers": [], "head": []}, "", "layers and head are both empty; list at least one layer"),
    (layers({"conv2d": 4}), "layers[0]",
     "unknown layer 'conv2d'; did you mean 'conv'? allowed: activation, auxiliary, branches, conv, "),
    (layers({"residual": [{"skip": [{"cnv": 4}]}]}), "layers[0].residual[0].skip[0]",
     "unknown layer 'cnv'; did you mean 'conv'?"),
    (layers("none"), "layers[0]", "unknown layer 'none'; "),
    (layers(*ENDLESS), "layers[0]" + ".residual[0]" * 31 + ".residual",
     "lists stand 32 deep in each other; lay some of them side by side"),
    (layers({"residual": lists_in_each_other(32)}), "layers[0]" + ".residual[0]" * 31 + ".residual",
     "lists stand 32 deep in each other; lay some of them side by side"),
]  # fmt: skip

WIRES = "wiring must list the channels seen by each of 2 filters, without groups"


def wired(wiring: Any, **options: Any) -> dict[str, Any]:
    """Give two filters on four channels a wiring."""
    return layers({"conv": 4}, {"conv": 2, "wiring": wiring, **options})


FILTERS: list[tuple[dict[str, Any], str, str]] = [
    (layers({"conv": 4}, {"conv": 6, "groups": 4}), "layers[1]",
     "groups 4 must divide 4 channels in and 6 out"),
    (layers({"conv": 6}, {"conv": 8, "groups": 4}), "layers[1]",
     "groups 4 must divide 6 channels in and 8 out"),
    (layers({"conv": 4, "groups": 0}), "layers[0]", "groups must be a whole number of at least 1, got 0"),
    (layers({"conv": 4, "padding": "some"}), "layers[0]",
     "padding (same, valid or pixels) must be a whole number of at least 0, got 'some'"),
    ({"padding": "some"}, "layers[0]",
     "padding (same, valid or pixels) must be a whole number of at least 0, got 'some'"),
    (layers({"conv": 4, "kernel": 2}), "layers[0]",
     "padding same needs an odd kernel, got 2x2; say valid or pixels"),
    (layers({"depthwise": [3, 4]}), "layers[0]",
     "padding same needs an odd kernel, got 3x4; say valid or pixels"),
    (layers({"depthwise": 3, "multiplier": 0}), "layers[0]",
     "multiplier must be a whole number of at least 1, got 0"),
    (layers({"conv": 4, "kernel": [1, 7], "padding": "valid"}), "layers[0]",
     "kernel 1x7 does not fit its 8x6 input; use a larger image (data.shape), fewer strides and "
     "pools before it, or a smaller kernel"),
    (layers({"pool": "max", "repeat": 3}), "layers[0]", "kernel 2x2 does not fit its 2x1 input; use a"),
    (layers({"conv": 4, "bias": "no"}), "layers[0]", "bias must be true or false, got 'no'"),
    (layers({"up": 4, "kernel": 1}), "layers[0]", "kernel 1x1 leaves holes at stride 2x2; kernel >= stride"),
    (layers({"up": 4, "kernel": [2, 1], "stride": [1, 2]}), "layers[0]",
     "kernel 2x1 leaves holes at stride 1x2; kernel >= stride"),
    (layers({"pool": "min"}), "layers[0]", "unknown pool 'min'; allowed: adaptive, avg, global, max"),
    (layers({"pool": "max", "padding": 2}), "layers[0]", "padding 2 is more than half the kernel 2x2"),
    (layers({"pool": "avg", "kernel": [2, 6], "padding": [2, 3]}), "layers[0]",
     "padding [2, 3] is more than half the kernel 2x6"),
    (layers({"pool": "avg", "kernel": [6, 2], "padding": [3, 2]}), "layers[0]",
     "padding [3, 2] is more than half the kernel 6x2"),
    (layers({"pool": "max", "padding": "same"}), "layers[0]",
     "padding must be a whole number of at least 0, got 'same'"),
    (layers({"pool": "global", "stride": 2}), "layers[0]",
     "pool global sets its own windows; remove kernel, stride, padding"),
    (layers({"pool": "adaptive", "bins": 2, "kernel": 2}), "layers[0]",
     "pool adaptive sets its own windows; remove kernel, stride, padding"),
    (layers({"pool": "adaptive"}), "layers[0]", "bins must be a whole number of at least 1, got None"),
    (layers({"pool": "avg", "bins": 2}), "layers[0]",
     "pool avg has no bins; write {pool: adaptive, bins: 2}"),
    (wired("all"), "layers[1]", WIRES),
    (wired([[0]]), "layers[1]", WIRES),
    (wired([[0], []]), "layers[1]", WIRES),
    (wired([0, 1]), "layers[1]", WIRES),
    (wired([[0], [1]], groups=2), "layers[1]", WIRES),
    (wired([[0], [1]], activation={"maxout": 2}), "layers[1]", WIRES.replace("2 filters", "4 filters")),
    (wired([[0], [1, 4, -1]]), "layers[1]",
     "wiring must name channels from 0 to 3, each once, got [4, -1]"),
    (wired([[0], [1, 1]]), "layers[1]",
     "wiring must name channels from 0 to 3, each once, got [[0], [1, 1]]"),
    *[(wired([[given], [1]]), "layers[1]",
       f"wiring must name channels from 0 to 3, each once, got [{given!r}]")
      for given in ("a", 0.0, 2.0, False, None, [2])],
]  # fmt: skip

RELU = "torch.nn.ReLU refuses its settings or its 1x8x6 input: "
OTHER_LEAVES: list[tuple[dict[str, Any], str, str]] = [
    ({"head": [{"linear": 3}]}, "head[0]", "linear needs a vector, got 4x8x6; put `flatten` before it"),
    ({"head": ["flatten", {"conv": 3}]}, "head[1]",
     "conv needs a map (C, H, W), got a vector of 192; move it before `flatten`"),
    *[({"head": ["flatten", layer]}, "head[1]",
       f"{name} needs a map (C, H, W), got a vector of 192; move it before `flatten`")
      for name, layer in {
          "depthwise": {"depthwise": 3}, "up": {"up": 3}, "pool": "pool", "flatten": "flatten", "lrn": "lrn",
          "scale": "scale", "resize": "resize", "edge": "edge", "skip": {"skip": [{"linear": 3}]},
          "squeeze_excite": "squeeze_excite", "inverted_residual": {"inverted_residual": 4},
      }.items()],
    (layers({"dropout": 1}), "layers[0]", "probability must be a number in [0, 1), got 1"),
    (layers({"dropout": "half"}), "layers[0]", "probability must be a number in [0, 1), got 'half'"),
    (layers({"drop_path": -0.1}), "layers[0]", "probability must be a number in [0, 1), got -0.1"),
    (layers("drop_path"), "layers[0]", "drop_path needs a value, its probability; write {drop_path: ...}"),
    (layers({"lrn": 0}), "layers[0]", "lrn's channels must be a whole number of at least 1, got 0"),
    (layers({"lrn": 5, "alpha": -1}), "layers[0]", "alpha must be a number in [0, inf), got -1"),
    (layers({"lrn": 5, "beta": "x"}), "layers[0]", "beta must be a number in [0, inf), got 'x'"),
    (layers({"lrn": 5, "k": 0}), "layers[0]", "k must be a number in (0, inf), got 0"),
    (layers({"scale": "x"}), "layers[0]", "start must be a number, got 'x'"),
    (layers({"scale": True}), "layers[0]", "start must be a number, got True"),
    (layers({"scale": float("inf")}), "layers[0]", "start must be a number, got inf"),
    (layers({"resize": 1.5}), "layers[0]", "factor must be a whole number of at least 1, got 1.5"),
    (layers({"resize": 2, "mode": "bicubic"}), "layers[0]",
     "unknown mode 'bicubic'; allowed: bilinear, nearest"),
    (layers({"edge": "canny"}), "layers[0]", "unknown edge 'canny'; allowed: prewitt, scharr, sobel"),
    (layers({"edge": "sobell"}), "layers[0]", "unknown edge 'sobell'; did you mean 'sobel'? allowed:"),
    (layers({"module": "torch.nn.Relu"}), "layers[0]",
     "torch.nn.Relu refuses its settings or its 1x8x6 input: module 'torch.nn' has no attribute 'Relu'"),
    (layers({"module": "no_such_package.Layer"}), "layers[0]",
     "no_such_package.Layer refuses its settings or its 1x8x6 input: No module named 'no_such_package'"),
    (layers({"module": "torch.nn.ReLU", "slope": 1}), "layers[0]",
     f"{RELU}ReLU.__init__() got an unexpected keyword argument 'slope'"),
    (layers({"module": "torch.nn.Linear", "in_features": 3, "out_features": 4}), "layers[0]",
     "torch.nn.Linear refuses its settings or its 1x8x6 input: "),
    (layers({"module": "torch.nn.GroupNorm", "num_groups": 2, "num_channels": 3}), "layers[0]",
     "torch.nn.GroupNorm refuses its settings or its 1x8x6 input: num_channels (3) must be divisible by num_"),
    (layers({"module": "torch.nn.Unflatten", "dim": 7, "unflattened_size": [1, 1]}), "layers[0]",
     "torch.nn.Unflatten refuses its settings or its 1x8x6 input: Dimension out of range"),  # an IndexError
    (layers({"module": "ReLU"}), "layers[0]", "name the class with its package, such as torch.nn.ReLU"),
    (layers({"module": 3}), "layers[0]", "name the class with its package, such as torch.nn.3"),
    (layers({"module": "torch.nn.Flatten", "start_dim": 2}), "layers[0]",
     "torch.nn.Flatten puts out 1x48, neither a map (C, H, W) nor a vector"),
    (layers({"module": "torch.nn.Unflatten", "dim": 1, "unflattened_size": [1, 1]}), "layers[0]",
     "torch.nn.Unflatten puts out 1x1x8x6, neither a map (C, H, W) nor a vector"),
    (layers("module"), "layers[0]", "module needs a value, its target; write {module: ...}"),
]  # fmt: skip

"""Every way a part, a structure or a composite can be wrong, for an image of 1x8x6, and what is said where."""

from __future__ import annotations

from typing import Any

from tests.networks.mistakes import layers

ACTIVATIONS = (
    "elu, gelu, hard_sigmoid, hard_swish, leaky_relu, maxout, none, prelu, relu, relu6, selu, sigmoid, silu, "
    "softplus, tanh"
)
INITIALISERS = (
    "constant, default, he, he_normal, he_uniform, lecun, lecun_normal, normal, orthogonal, truncated_normal, "
    "uniform, xavier, xavier_normal, xavier_uniform, zero"
)

INFINITE = float("inf")
UNUSED: dict[str, Any] = {"layers": [], "head": ["flatten"]}  # a network without norm, activation and weights

# What is changed in the model, the place that the message names, and what it says there.
PARTS: list[tuple[dict[str, Any], str, str]] = [
    *[({"norm": "bath", **rest}, "model.norm",
       "unknown norm 'bath'; did you mean 'batch'? allowed: batch, group, instance, layer, none")
      for rest in ({}, UNUSED)],
    (layers({"norm": "bath"}), "layers[0]", "unknown norm 'bath'; did you mean 'batch'?"),
    ({"norm": {"batch": 3}}, "layers[0]", "batch takes no value; write batch"),
    ({"norm": {"batch": None, "eps": 0}}, "layers[0]", "eps must be a number in (0, inf), got 0"),
    ({"norm": {"batch": None, "momentum": 1}}, "layers[0]", "momentum must be a number in (0, 1), got 1"),
    ({"norm": {"batch": None, "momentun": 0.1}}, "layers[0]",
     "batch has no option 'momentun'; did you mean 'momentum'?"),
    (layers({"norm": {"layer": "chanels"}}), "layers[0]",
     "unknown extent 'chanels'; did you mean 'channels'? allowed: all, channels"),
    (layers({"norm": {"layer": "all", "eps": -1}}), "layers[0]", "eps must be a number in (0, inf), got -1"),
    (layers({"norm": "group"}), "layers[0]", "group needs a value, its groups; write {group: ...}"),
    (layers({"norm": {"group": 2.5}}), "layers[0]",
     "the number of groups must be a whole number of at least 1, got 2.5"),
    (layers({"conv": 6, "norm": {"group": 4}}), "layers[0]",
     "4 groups do not divide 6 channels; use a divisor of 6"),
    (layers({"norm": {"group": 1, "eps": 0.1}}), "layers[0]", "group has no option 'eps'; remove it"),
    *[(change, place, f"{name} would normalise single numbers of {shape} to zero; use another norm here, or none")
      for change, place, name, shape in (
          (layers({"pool": "global"}, {"conv": 4, "norm": "instance"}), "layers[1]", "instance", "4x1x1"),
          (layers({"pool": "global"}, {"conv": 4, "norm": {"group": 4}}), "layers[1]", "group", "4x1x1"),
          (layers({"pool": "global"}, {"norm": "layer"}), "layers[1]", "layer", "1x1x1"),
          (layers({"conv": 1, "norm": {"layer": "channels"}}), "layers[0]", "layer", "1x8x6"),
          ({"head": ["flatten", {"linear": 3, "norm": "instance"}]}, "head[1]", "instance", "3"),
          ({"head": ["flatten", {"linear": 3, "norm": {"group": 3}}]}, "head[1]", "group", "3"),
          ({"head": ["flatten", {"linear": 1, "norm": "layer"}]}, "head[1]", "layer", "1"),
      )],
    *[({"activation": "rellu", **rest}, "model.activation",
       f"unknown activation 'rellu'; did you mean 'relu'? allowed: {ACTIVATIONS}") for rest in ({}, UNUSED)],
    (layers({"activation": "rellu"}), "layers[0]", "unknown activation 'rellu'; did you mean 'relu'?"),
    (layers({"activation": {"relu": 0.1}}), "layers[0]", "relu takes no value; write relu"),
    (layers({"activation": {"relu": None, "inplace": True}}), "layers[0]",
     "relu has no option 'inplace'; remove it"),
    (layers({"activation": {"elu": "x"}}), "layers[0]", "alpha must be a number, got 'x'"),
    (layers({"activation": {"elu": INFINITE}}), "layers[0]", "alpha must be a number, got inf"),
    (layers({"activation": {"leaky_relu": "x"}}), "layers[0]", "negative_slope must be a number, got 'x'"),
    (layers({"conv": 4, "activation": {"prelu": [1]}}), "layers[0]", "init must be a number, got [1]"),
    *[(layers({"activation": {"softplus": beta}}), "layers[0]",
       f"beta must be a number in (0, inf), got {beta}") for beta in (0, -1, True)],
    (layers({"conv": 4, "activation": "maxout"}), "layers[0]",
     "maxout needs the number of its pieces; write {maxout: 2}"),
    (layers({"conv": 4, "activation": {"maxout": 1}}), "layers[0]",
     "maxout's pieces must be a whole number of at least 2, got 1"),
    (layers({"conv": 6}, {"activation": {"maxout": 4}}), "layers[1]",
     "maxout needs a multiple of its 4 pieces, got 6 channels"),
    *[({"init": "hee", **rest}, "model.init",
       f"unknown init 'hee'; did you mean 'he'? allowed: {INITIALISERS}") for rest in ({}, UNUSED)],
    (layers({"conv": 4, "init": "hee"}), "layers[0]", "unknown init 'hee'; did you mean 'he'?"),
    (layers({"conv": 4, "init": {"zero": 2}}), "layers[0]", "init zero takes no value; write init: zero"),
    (layers({"conv": 4, "init": {"lecun": 2}}), "layers[0]", "init lecun takes no value; write init: lecun"),
    ({"init": "normal"}, "model.init", "init normal needs its standard deviation; write {normal: 0.01}"),
    ({"init": "uniform", **UNUSED}, "model.init", "init uniform needs its bound; write {uniform: 0.01}"),
    ({"init": {"normal": True}}, "model.init", "standard deviation must be a number in [0, inf), got True"),
    ({"init": {"uniform": -1}}, "model.init", "bound must be a number in [0, inf), got -1"),
    ({"init": {"constant": "one"}}, "model.init", "value must be a number, got 'one'"),
    ({"init": {"he": "relu"}}, "model.init", "gain must be a number in [0, inf), got 'relu'"),
    ({"init": {"normal": 0.1, "mean": 1}}, "model.init", "normal has no option 'mean'; remove it"),
]  # fmt: skip

SIDES = "the list turns 8x6 into"
OTHER_SIDES = (
    "so its output cannot be concatenated with its input; use as many `up` as `pool`, and rows and columns of "
    "data.shape that every pool divides (a multiple of 2 to the number of pools)"
)
SHORTCUT = "let every filter keep rows and columns (padding same) or halve them"

STRUCTURES: list[tuple[dict[str, Any], str, str]] = [
    (layers({"residual": []}), "layers[0].residual", "residual needs at least one layer in its list"),
    (layers({"skip": []}), "layers[0].skip", "skip needs at least one layer in its list"),
    (layers({"auxiliary": []}), "layers[0].auxiliary", "auxiliary needs at least one layer in its list"),
    (layers({"branches": [["pool"], []]}), "layers[0].branches[1]",
     "branches[1] needs at least one layer in its list"),
    (layers({"residual": ["norm"], "shortcut": []}), "layers[0].shortcut",
     "shortcut needs at least one layer in its list"),
    (layers({"skip": ["pool"]}), "layers[0]", f"{SIDES} 4x3, {OTHER_SIDES}"),
    (layers({"skip": [{"conv": 4, "padding": "valid"}]}), "layers[0]", f"{SIDES} 6x4, {OTHER_SIDES}"),
    (layers({"skip": [{"conv": 4, "padding": "valid"}], "crop": False}), "layers[0]", f"{SIDES} 6x4, "),
    (layers({"skip": [{"conv": 4, "padding": 2}], "crop": True}), "layers[0]", f"{SIDES} 10x8, "),
    (layers({"skip": ["norm"], "crop": "yes"}), "layers[0]", "crop must be true or false, got 'yes'"),
    (layers({"skip": ["flatten"]}), "layers[0]",
     "the list puts out a vector of 48, which cannot be concatenated with a map"),
    (layers({"residual": ["flatten"]}), "layers[0].residual",
     "no projection turns 1x8x6 into 48; keep the shape"),
    ({"head": ["flatten", {"residual": [{"linear": 3}]}]}, "head[1].residual",
     "no projection turns 192 into 3; keep the shape"),
    (layers({"residual": [{"conv": 4, "padding": "valid"}]}), "layers[0].residual",
     f"the list turns 1x8x6 into 4x6x4, its shortcut gives 4x4x3; {SHORTCUT}"),
    (layers({"residual": [{"up": 4}]}), "layers[0].residual",
     f"the list turns 1x8x6 into 4x16x12, its shortcut gives 4x8x6; {SHORTCUT}"),
    (layers({"residual": [{"conv": 4, "padding": "valid"}], "shortcut": "pad"}), "layers[0].residual",
     f"the list turns 1x8x6 into 4x6x4, its shortcut gives 4x4x3; {SHORTCUT}"),
    (layers({"conv": 4}, {"residual": [{"conv": 2}], "shortcut": "pad"}), "layers[1].residual",
     "no padding with zeros turns 4x8x6 into 2x8x6"),
    ({"head": ["flatten", {"residual": [{"linear": 200}], "shortcut": "pad"}]}, "head[1].residual",
     "residual needs a map (C, H, W), got a vector of 192; move it before `flatten`"),
    (layers({"residual": [{"conv": 4}], "shortcut": [{"conv": 3}]}), "layers[0].residual",
     f"the list turns 1x8x6 into 4x8x6, its shortcut gives 3x8x6; {SHORTCUT}"),
    (layers({"residual": [{"conv": 4}], "shortcut": "projekt"}), "layers[0].residual",
     "unknown shortcut 'projekt'; did you mean 'project'? allowed: pad, project"),
    (layers({"residual": [{"conv": 1, "activation": "none"}], "activation": {"maxout": 2}}), "layers[0]",
     "maxout cannot follow a sum, it would change the channels; write activation: none"),
    ({**layers({"residual": ["norm"]}), "activation": {"maxout": 2}}, "layers[0]",
     "maxout cannot follow a sum, it would change the channels; write activation: none"),
    (layers({"branches": [["pool"]]}), "layers[0]", "branches needs two lists of layers or more"),
    (layers({"branches": {"a": ["pool"], "b": ["pool"]}}), "layers[0]", "branches needs two lists of layers"),
    (layers({"branches": [["pool"], "pool"]}), "layers[0].branches[1]",
     "must be a list of layers, got 'pool'; start each layer with a dash"),
    (layers({"branches": [["pool"], [{"conv": 3}], ["norm"]]}), "layers[0]",
     "its lists put out 1x4x3, 3x8x6, 1x8x6; rows and columns must agree, so give all the same strides"),
    (layers({"branches": [["flatten"], ["norm"]]}), "layers[0]", "its lists put out 48, 1x8x6; rows and"),
    (layers({"squeeze_excite": 0}), "layers[0]", "ratio must be a number in (0, inf), got 0"),
    (layers({"squeeze_excite": 4, "multiple": 0}), "layers[0]",
     "multiple must be a whole number of at least 1, got 0"),
    (layers({"squeeze_excite": 4, "gate": "sigmod"}), "layers[0].squeeze_excite[2]",
     "unknown activation 'sigmod'; did you mean 'sigmoid'?"),
    (layers({"auxiliary": ["norm"], "weight": 0}), "layers[0]",
     "weight must be a number in (0, inf), got 0"),
    (layers({"conv": 4}, {"auxiliary": ["flatten", {"linear": 3}]}), "layers[1]",
     "the auxiliary head puts out 3, the network 10; end both alike, for example with {linear: outputs}"),
    (layers({"skip": [{"conv": 4}, {"auxiliary": ["norm"]}]}), "layers[0].skip[1]",
     "the auxiliary head puts out 4x8x6, the network 10; end both alike, for example with {linear: outputs}"),
    (layers({"separable": 4, "kernel": 2}), "layers[0].separable[0]",
     "padding same needs an odd kernel, got 2x2; say valid or pixels"),
    (layers({"inverted_residual": 4, "expand": 0}), "layers[0]",
     "expand must be a number in (0, inf), got 0"),
    (layers({"inverted_residual": 4, "expand": 6, "hidden": 8}), "layers[0]",
     "expand and hidden say the same twice; give one of them"),
    (layers({"inverted_residual": 4, "squeeze": "squeeze"}), "layers[0].inverted_residual[2]",
     "unknown layer 'squeeze'; did you mean 'squeeze_excite'?"),
    (layers({"inception": [64, 96, 128, 16, 32]}), "layers[0]",
     "inception needs six widths, as a row of the paper's table 1 has, got [64, 96, 128, 16, 32]"),
    (layers({"inception": 64}), "layers[0]", "inception needs six widths, as a row of the paper's table 1"),
    ({"encoder": {"layers": [{"conv": 4}]}, "layers": []}, "encoder layers",
     "the list never makes the map smaller, so that there is nothing to nest"),
    ({"encoder": {"layers": [{"conv": 4}, {"conv": 4, "kernel": 2, "padding": 0}]}, "layers": []}, "encoder layers",
     "the list turns 8x6 into 7x5, which no up-convolution turns back; choose rows and columns of data.shape "),
]  # fmt: skip

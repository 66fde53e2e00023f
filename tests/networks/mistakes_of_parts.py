"""Every way a part, a structure or a composite can be wrong, for an image of 1x8x6, and the error's fields."""

from __future__ import annotations

from typing import Any

from pipeline.networks.structures import LAYERS
from tests.networks.mistakes import DASH, FINITE, FIRST, LIST, ODD, POSITIVE, WHOLE, Mistake, layers

NORMS = ("batch", "group", "instance", "layer", "none")
ACTIVATIONS = (
    "elu", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "maxout", "none", "prelu", "relu", "relu6",
    "selu", "sigmoid", "silu", "softplus", "tanh",
)  # fmt: skip
INITIALISERS = (
    "constant", "default", "he", "he_normal", "he_uniform", "lecun", "lecun_normal", "normal", "orthogonal",
    "truncated_normal", "uniform", "xavier", "xavier_normal", "xavier_uniform", "zero",
)  # fmt: skip

INFINITE = float("inf")
UNUSED: dict[str, Any] = {"layers": [], "head": ["flatten"]}  # a network without norm, activation and weights
NOT_NEGATIVE = "a number in [0, inf)"
OTHER_NORM = "use another norm here, or none"
POOLED = {"pool": "global"}

PARTS = [
    *[Mistake({"norm": "bath", **rest}, "model.norm", "bath", NORMS, "did you mean 'batch'?") for rest in ({}, UNUSED)],
    Mistake(layers({"norm": "bath"}), FIRST, "bath", NORMS, "did you mean 'batch'?"),
    Mistake({"norm": {"batch": 3}}, FIRST, 3, hint="write batch"),
    Mistake({"norm": {"batch": None, "eps": 0}}, FIRST, 0, POSITIVE),
    Mistake({"norm": {"batch": None, "momentum": 1}}, FIRST, 1, "a number in (0, 1)"),
    Mistake({"norm": {"batch": None, "momentun": 0.1}}, FIRST, "momentun", ("eps", "momentum", "repeat"),
            "did you mean 'momentum'?"),
    Mistake(layers({"norm": {"layer": "chanels"}}), FIRST, "chanels", ("all", "channels"), "did you mean 'channels'?"),
    Mistake(layers({"norm": {"layer": "all", "eps": -1}}), FIRST, -1, POSITIVE),
    Mistake(layers({"norm": "group"}), FIRST, hint="write {group: <groups>}"),
    Mistake(layers({"norm": {"group": 2.5}}), FIRST, 2.5, WHOLE),
    Mistake(layers({"conv": 6, "norm": {"group": 4}}), FIRST, 4, "a divisor of 6 channels",
            text=f"{FIRST}: in {{group: 4}} of model small, groups must be a divisor of 6 channels, got 4"),
    Mistake(layers({"norm": {"group": 1, "eps": 0.1}}), FIRST, "eps", hint="remove it"),
    Mistake(layers(POOLED, {"conv": 4, "norm": "instance"}), "model.layers[1]", (4, 1, 1), hint=OTHER_NORM,
            text="model.layers[1]: in instance of model small, instance norm needs more than one value for each mean "
            "and variance, got (4, 1, 1); use another norm here, or none"),
    Mistake(layers(POOLED, {"conv": 4, "norm": {"group": 4}}), "model.layers[1]", (4, 1, 1), hint=OTHER_NORM),
    Mistake(layers(POOLED, {"norm": "layer"}), "model.layers[1]", (1, 1, 1), hint=OTHER_NORM),
    Mistake(layers({"conv": 1, "norm": {"layer": "channels"}}), FIRST, (1, 8, 6), hint=OTHER_NORM),
    *[Mistake({"head": ["flatten", {"linear": features, "norm": norm}]}, "model.head[1]", (features,), hint=OTHER_NORM)
      for features, norm in ((3, "instance"), (3, {"group": 3}), (1, "layer"))],
    *[Mistake({"activation": "rellu", **rest}, "model.activation", "rellu", ACTIVATIONS, "did you mean 'relu'?")
      for rest in ({}, UNUSED)],
    Mistake(layers({"activation": "rellu"}), FIRST, "rellu", ACTIVATIONS, "did you mean 'relu'?"),
    Mistake(layers({"activation": {"relu": 0.1}}), FIRST, 0.1, hint="write relu"),
    Mistake(layers({"activation": {"relu": None, "inplace": True}}), FIRST, "inplace", hint="remove it"),
    Mistake(layers({"activation": {"elu": "x"}}), FIRST, "x", FINITE),
    Mistake(layers({"activation": {"elu": INFINITE}}), FIRST, INFINITE, FINITE),
    Mistake(layers({"activation": {"leaky_relu": "x"}}), FIRST, "x", FINITE),
    Mistake({"activation": {"leaky_relu": "x"}}, "model.activation", "x", FINITE),
    Mistake(layers({"conv": 4, "activation": {"prelu": [1]}}), FIRST, [1], FINITE),
    *[Mistake(layers({"activation": {"softplus": beta}}), FIRST, beta, POSITIVE) for beta in (0, -1, True)],
    Mistake({"activation": {"softplus": 0}, "layers": []}, "model.activation", 0, POSITIVE),
    Mistake(layers({"conv": 4, "activation": "maxout"}), FIRST, hint="write {maxout: 2}",
            text=f"{FIRST}: in {{conv: 4, activation: maxout}} of model small, maxout is missing its number of pieces; "
            "write {maxout: 2}"),
    Mistake(layers({"conv": 4, "activation": {"maxout": 1}}), FIRST, 1, "a whole number of at least 2"),
    Mistake(layers({"conv": 6}, {"activation": {"maxout": 4}}), "model.layers[1]", 6, "a multiple of its 4 pieces",
            text="model.layers[1]: in {activation: {'maxout': 4}} of model small, the channels before maxout must be a "
            "multiple of its 4 pieces, got 6"),
    *[Mistake({"init": "hee", **rest}, "model.init", "hee", INITIALISERS, "did you mean 'he'?")
      for rest in ({}, UNUSED)],
    Mistake(layers({"conv": 4, "init": "hee"}), FIRST, "hee", INITIALISERS, "did you mean 'he'?"),
    Mistake(layers({"conv": 4, "init": {"zero": 2}}), FIRST, 2, hint="write zero"),
    Mistake(layers({"conv": 4, "init": {"lecun": 2}}), FIRST, 2, hint="write lecun"),
    Mistake({"init": "normal"}, "model.init", hint="write {normal: 0.01}",
            text="model.init: in normal of model small, normal is missing its standard deviation; write {normal: "
            "0.01}"),
    Mistake({"init": "uniform", **UNUSED}, "model.init", hint="write {uniform: 0.01}"),
    Mistake({"init": {"normal": True}}, "model.init", True, NOT_NEGATIVE),
    Mistake({"init": {"uniform": -1}}, "model.init", -1, NOT_NEGATIVE),
    Mistake({"init": {"constant": "one"}}, "model.init", "one", FINITE),
    Mistake({"init": {"he": "relu"}}, "model.init", "relu", NOT_NEGATIVE),
    Mistake({"init": {"normal": 0.1, "mean": 1}}, "model.init", "mean", hint="remove it"),
]  # fmt: skip

ONE = "a list of at least one layer"
AS_MANY = "use as many up as pool, and rows and columns of data.shape that every pool halves evenly"
KEEP = "let each filter keep rows and columns (padding same) or halve them"
END = "end both alike, for example with {linear: outputs}"
SIX = "a list of six widths, as in a row of the paper's table 1"
BODY = f"{FIRST}.residual"
HEAD_BODY = "model.head[1].residual"
VALID = {"conv": 4, "padding": "valid"}
ENCODER = "model.encoder.layers"

STRUCTURES = [
    Mistake(layers({"residual": []}), BODY, [], ONE,
            text=f"{BODY}: in {{residual: [...]}} of model small, residual must be {ONE}, got []"),
    *[Mistake(layers({name: []}), f"{FIRST}.{name}", [], ONE) for name in ("skip", "auxiliary")],
    Mistake(layers({"branches": [["pool"], []]}), f"{FIRST}.branches[1]", [], ONE),
    Mistake(layers({"residual": ["norm"], "shortcut": []}), f"{FIRST}.shortcut", [], ONE),
    Mistake(layers({"skip": ["pool"]}), FIRST, (4, 3), hint=AS_MANY,
            text=f"{FIRST}: in {{skip: [...]}} of model small, the output of skip cannot be concatenated with its 8x6 "
            f"input, got (4, 3); {AS_MANY}"),
    Mistake(layers({"skip": [VALID]}), FIRST, (6, 4), hint=AS_MANY),
    Mistake(layers({"skip": [VALID], "crop": False}), FIRST, (6, 4), hint=AS_MANY),
    Mistake(layers({"skip": [{"conv": 4, "padding": 2}], "crop": True}), FIRST, (10, 8), hint=AS_MANY),
    Mistake(layers({"skip": ["norm"], "crop": "yes"}), FIRST, "yes", "true or false"),
    Mistake(layers({"skip": ["flatten"]}), FIRST, (48,), "a map (C, H, W)", "remove flatten and linear",
            f"{FIRST}: in {{skip: [...]}} of model small, the output of skip must be a map (C, H, W), got (48,); "
            "remove flatten and linear"),
    Mistake(layers({"residual": ["flatten"]}), BODY, (48,), hint="keep the shape in the list",
            text=f"{BODY}: in {{residual: [...]}} of model small, shortcut project cannot map 1x8x6 to the output of "
            "the list, got (48,); keep the shape in the list"),
    Mistake({"head": ["flatten", {"residual": [{"linear": 3}]}]}, HEAD_BODY, (3,),
            hint="keep the shape in the list"),
    Mistake(layers({"residual": [VALID]}), BODY, (4, 4, 3), hint=KEEP,
            text=f"{BODY}: in {{residual: [...]}} of model small, the list maps 1x8x6 to 4x6x4, but its "
            f"shortcut does not, got (4, 4, 3); {KEEP}"),
    Mistake(layers({"residual": [{"up": 4}]}), BODY, (4, 8, 6), hint=KEEP),
    Mistake(layers({"residual": [VALID], "shortcut": "pad"}), BODY, (4, 4, 3), hint=KEEP),
    Mistake(layers({"conv": 4}, {"residual": [{"conv": 2}], "shortcut": "pad"}), "model.layers[1].residual", (2, 8, 6),
            hint="keep or add channels in the list, or use shortcut project",
            text="model.layers[1].residual: in {residual: [...], shortcut: pad} of model small, shortcut pad cannot "
            "map 4x8x6 to the output of the list, got (2, 8, 6); keep or add channels in the list, "
            "or use shortcut project"),
    Mistake({"head": ["flatten", {"residual": [{"linear": 200}], "shortcut": "pad"}]}, HEAD_BODY, (192,),
            "a map (C, H, W)", "put it before flatten"),
    Mistake(layers({"residual": [{"conv": 4}], "shortcut": [{"conv": 3}]}), BODY, (3, 8, 6), hint=KEEP),
    Mistake(layers({"residual": [{"conv": 4}], "shortcut": "projekt"}), BODY, "projekt", ("pad", "project"),
            "did you mean 'project'?"),
    Mistake(layers({"residual": [{"conv": 1, "activation": "none"}], "activation": {"maxout": 2}}), FIRST,
            hint="write activation: none",
            text=f"{FIRST}: in {{residual: [...], activation: {{'maxout': 2}}}} of model small, maxout after the sum "
            "would change the channels; write activation: none"),
    Mistake({**layers({"residual": ["norm"]}), "activation": {"maxout": 2}}, FIRST, hint="write activation: none"),
    Mistake(layers({"branches": [["pool"]]}), FIRST, [["pool"]], "a list of at least two lists of layers",
            text=f"{FIRST}: in {{branches: [...]}} of model small, branches must be a list of at least two lists of "
            "layers, got [['pool']]"),
    Mistake(layers({"branches": {"a": ["pool"], "b": ["pool"]}}), FIRST, {"a": ["pool"], "b": ["pool"]},
            "a list of at least two lists of layers"),
    Mistake(layers({"branches": [["pool"], "pool"]}), f"{FIRST}.branches[1]", "pool", LIST, DASH),
    Mistake(layers({"branches": [["pool"], [{"conv": 3}], ["norm"]]}), FIRST, [(1, 4, 3), (3, 8, 6), (1, 8, 6)],
            hint="use the same strides in each list",
            text=f"{FIRST}: in {{branches: [...]}} of model small, the outputs of branches differ in rows and columns, "
            "got [(1, 4, 3), (3, 8, 6), (1, 8, 6)]; use the same strides in each list"),
    Mistake(layers({"branches": [["flatten"], ["norm"]]}), FIRST, [(48,), (1, 8, 6)],
            hint="use the same strides in each list"),
    Mistake(layers({"squeeze_excite": 0}), FIRST, 0, POSITIVE),
    Mistake(layers({"squeeze_excite": 4, "multiple": 0}), FIRST, 0, WHOLE),
    Mistake(layers({"squeeze_excite": 4, "gate": "sigmod"}), f"{FIRST}.squeeze_excite[2]", "sigmod", ACTIVATIONS,
            "did you mean 'sigmoid'?"),
    Mistake(layers({"auxiliary": ["norm"], "weight": 0}), FIRST, 0, POSITIVE),
    Mistake(layers({"conv": 4}, {"auxiliary": ["flatten", {"linear": 3}]}), "model.layers[1]", (3,), hint=END,
            text="model.layers[1]: the auxiliary head of model small must output (10,), got (3,); end both alike, for "
            "example with {linear: outputs}"),
    Mistake(layers({"skip": [{"conv": 4}, {"auxiliary": ["norm"]}]}), f"{FIRST}.skip[1]", (4, 8, 6), hint=END),
    Mistake(layers({"separable": 4, "kernel": 2}), f"{FIRST}.separable[0]", (2, 2), hint=ODD),
    Mistake(layers({"inverted_residual": 4, "expand": 0}), FIRST, 0, POSITIVE),
    Mistake(layers({"inverted_residual": 4, "expand": 6, "hidden": 8}), FIRST, hint="remove one of them",
            text=f"{FIRST}: in {{inverted_residual: 4, expand: 6, hidden: 8}} of model small, expand and hidden both "
            "set the hidden channels; remove one of them"),
    Mistake(layers({"inverted_residual": 4, "squeeze": "squeeze"}), f"{FIRST}.inverted_residual[2]", "squeeze", LAYERS,
            "did you mean 'squeeze_excite'?"),
    Mistake(layers({"inception": [64, 96, 128, 16, 32]}), FIRST, [64, 96, 128, 16, 32], SIX,
            text=f"{FIRST}: in {{inception: [...]}} of model small, inception must be {SIX}, got "
            "[64, 96, 128, 16, 32]"),
    Mistake(layers({"inception": 64}), FIRST, 64, SIX),
    Mistake({"encoder": {"layers": [{"conv": 4}]}, "layers": []}, ENCODER, hint="choose one with strides or pools"),
    Mistake({"encoder": {"layers": [{"conv": 4}, {"conv": 4, "kernel": 2, "padding": 0}]}, "layers": []}, ENCODER,
            (7, 5), hint="choose rows and columns of data.shape that every stride divides"),
    Mistake({"encoder": {"layers": ["pool", 3]}, "layers": []}, f"{ENCODER}[1]", 3,
            "a name or a mapping such as {conv: 64, kernel: 3}"),
]  # fmt: skip

"""Every way a network can be none that becomes a convolution, for an image of 1x8x6, and the error's fields."""

from __future__ import annotations

from typing import Any

from tests.networks.mistakes import Mistake

PLACE = "model.classifier.layers"
CHOOSE = "choose a classifier by model=fully_convolutional model@model.classifier=<network>"
LISTS = "a network with a list of layers and one of its head"
VECTOR = "a vector, made by linear layers or by a pool over the whole map"
ITSELF = "use flatten and linear in the lists layers and head themselves"
UNLIKE = "put it before flatten, or after the linear layer"
POOLED = [{"conv": 4, "padding": "valid"}, "pool"]  # 4x3x2
LINEAR = {"linear": "outputs"}


def classifier(*head: Any, lists: Any = POOLED, window: Any = (8, 6), **changes: Any) -> dict[str, Any]:
    """Return the change that makes the model a classifier as convolutions."""
    made = {"layers": lists, "head": [*head]}
    return {"layers": [], "head": [], "classifier": made, "window": [*window], **changes}


OF_CLASSIFIERS = [
    Mistake(classifier("flatten", "norm", LINEAR), f"{PLACE}[3]", hint=UNLIKE,
            text=f"{PLACE}[3]: in norm of model small, a layer that does not treat all values of a flattened map alike "
            f"has no counterpart for larger images; {UNLIKE}"),
    Mistake(classifier("flatten", {"activation": {"maxout": 2}}, LINEAR), f"{PLACE}[3]", hint=UNLIKE),
    Mistake(classifier("flatten", {"activation": "prelu"}, LINEAR), f"{PLACE}[3]", hint=UNLIKE),
    Mistake(classifier("flatten", {"linear": 8, "norm": {"group": 2}}, LINEAR), f"{PLACE}[3]", hint="use batch norm",
            text=f"{PLACE}[3]: in {{linear: 8, norm: {{'group': 2}}}} of model small, a group norm of one position has "
            "no counterpart for larger images; use batch norm"),
    Mistake(classifier("flatten", {"residual": [{"linear": 24}]}, LINEAR), f"{PLACE}[3]", hint=ITSELF,
            text=f"{PLACE}[3]: in {{residual: [...]}} of model small, flatten and linear inside of other layers have "
            f"no counterpart for larger images; {ITSELF}"),
    Mistake(classifier({"module": "torch.nn.Flatten"}, LINEAR), f"{PLACE}[2]", hint=ITSELF,
            text=f"{PLACE}[2]: in {{module: torch.nn.Flatten}} of model small, a module that makes vectors has no "
            f"counterpart for larger images; {ITSELF}"),
    Mistake(classifier({"pool": "adaptive", "bins": 2}, "flatten", LINEAR), f"{PLACE}[2]",
            hint="choose a model.window for which the map before it has 2x2 positions",
            text=f"{PLACE}[2]: in {{pool: adaptive, bins: 2}} of model small, it pools a 3x2 map to 2x2 bins, which "
            "lie differently in each window; choose a model.window for which the map before it has 2x2 positions"),
    Mistake(classifier(), PLACE, (4, 3, 2), VECTOR,
            text=f"{PLACE}: in model small, the output for an image of 1x8x6 must be {VECTOR}, got (4, 3, 2)"),
    Mistake(classifier("flatten"), PLACE, (24,), VECTOR),
    Mistake(classifier(lists=[]), PLACE, (1, 8, 6), VECTOR),
    Mistake(classifier("flatten", LINEAR, window=[8, 7]), "model.window", [8, 7], "no larger than the image of 8x6",
            text="model.window: in model small, window must be no larger than the image of 8x6, got [8, 7]"),
    Mistake(classifier("flatten", LINEAR, window=[9, 6]), "model.window", [9, 6], "no larger than the image of 8x6"),
    Mistake(classifier("flatten", LINEAR, window=[0, 6]), "model.window", 0, "a whole number of at least 1"),
    Mistake(classifier("flatten", LINEAR, window=[8]), "model.window", [8], "a whole number or [rows, columns]"),
]  # fmt: skip
# Mistakes that no layer is to blame for.
OF_INNER_NETWORKS = [
    *[Mistake(classifier(**{key: ["pool"]}), f"model.{key}", allowed="empty if model.classifier is set", hint=CHOOSE)
      for key in ("layers", "head")],
    *[Mistake({"classifier": given, "layers": [], "head": []}, "model.classifier", given, LISTS, CHOOSE)
      for given in ({"layers": []}, {"head": []}, 3)],
    Mistake({"classifier": None, "layers": [], "head": []}, "model.classifier", None, LISTS, CHOOSE,
            f"model.classifier must be {LISTS}, got None; {CHOOSE}"),
]  # fmt: skip

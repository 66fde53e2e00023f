"""Names of layers in messages: their place in the declaration, as in the table of `summary`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import plan_network
from pipeline.networks.build import pair_modules
from pipeline.training.assemble import get_network

Places = Mapping[str, str]  # path of a module in the model -> its place in the declaration, and its name


def name_layers(declaration: Declaration, model: nn.Sequential) -> Places:
    """Return the place of each layer of a model by the path of its module, such as `layers[0] (conv 6, 5x5)`."""
    paths = {id(module): path for path, module in model.named_modules()}
    pairs = pair_modules(plan_network(declaration), get_network(model))
    return {paths[id(module)]: f"{leaf.where} ({leaf.name})" for leaf, module in pairs if id(module) in paths}


def name_layer(path: str, module: nn.Module, places: Places) -> str:
    """Return the name of a module: the place of the layer that it belongs to, and its class."""
    kind, parts = type(module).__name__, path.split(".")
    for length in range(len(parts), 0, -1):
        place = places.get(".".join(parts[:length]))
        if place is not None:
            return place if length == len(parts) else f"the {kind} of {place}"
    return f"{path} ({kind})" if path else kind

"""Build a planned network: a plain tree of torch modules, its weights drawn from one seed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from pipeline.layers.classes import load_class
from pipeline.layers.initialisers import initialise
from pipeline.plans.network import Leaf, Network, Node, Spec


def build(network: Network, *, seed: int) -> nn.Sequential:
    """Build a network with two children, `layers` and `head`.

    Args:
        seed: the same plan and seed always give the same weights; torch's global random state is unchanged.

    Returns:
        A module that maps (N, C, H, W) floats to (N, *network.output_shape).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(OrderedDict(layers=_sequential(network.layers), head=_sequential(network.head)))


def load_as_convolutions(built: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load the weights of a classifier, reshaped, into the network that `fully_convolutional` makes of it."""
    own = built.state_dict()
    built.load_state_dict({name: weights[name].reshape(tensor.shape) for name, tensor in own.items()})


def pair_modules(network: Network, built: nn.Sequential) -> Iterator[tuple[Leaf, nn.Module]]:
    """Yield each layer of a plan, auxiliary heads included, with the module built for it."""
    yield from _paired(network.layers, built.get_submodule("layers"))
    yield from _paired(network.head, built.get_submodule("head"))


def _sequential(nodes: tuple[Node, ...]) -> nn.Module:
    return nn.Sequential(*map(_module, nodes)) if nodes else nn.Identity()


def _module(node: Node) -> nn.Module:
    if isinstance(node, Leaf):
        modules = [_made(spec) for spec in node.specs]
        if len(modules) == 1:
            return modules[0]
        return nn.Sequential(*modules) if modules else nn.Identity()
    inside = [*map(_sequential, node.branches), *map(_module, node.after)]
    return load_class(node.target, nn.Module, node.where)(*inside, **node.arguments)


def _made(spec: Spec) -> nn.Module:
    module = load_class(spec.target, nn.Module, "model")(**spec.arguments)
    if spec.init is not None:
        initialise(module, *spec.init)
    return module


def _paired(nodes: tuple[Node, ...], built: nn.Module) -> Iterator[tuple[Leaf, nn.Module]]:
    for node, module in zip(nodes, built.children(), strict=True):
        if isinstance(node, Leaf):
            yield node, module
            continue
        children = list(module.children())
        for branch, child in zip(node.branches, children, strict=False):
            yield from _paired(branch, child) if branch else ()
        yield from zip(node.after, children[len(node.branches) :], strict=True)

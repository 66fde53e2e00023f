"""Class activation maps: which parts of an image speak for a class.

Sources: CAM, Zhou et al. 2016, arXiv:1512.04150, eq. 2, where a pool over the whole map and one linear layer are all
that follows the last map; Grad-CAM, Selvaraju et al. 2017, arXiv:1610.02391, eqs. 1 and 2, for other classifiers.
Shapes: N images, K classes; maps (N, H, W).
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.plans.network import Leaf, Network, Node, iterate_leaves

CAM, GRAD_CAM = "CAM", "Grad-CAM"
PASSED = (
    "pool",
    "dropout",
    "drop",
)  # first words of the layers after the last one that makes a map by weights


class ActivationMaps:
    """The class activation maps of a classifier.

    Args:
        model: `preprocess`, then `network`; maps uint8 images to an output for each class.
        network: its plan.

    Attributes:
        method: CAM or GRAD_CAM.
        sides: rows and columns of the layer that maps are of.
    """

    def __init__(self, model: nn.Module, network: Network) -> None:
        nodes = (*network.layers, *network.head)
        built = [
            child
            for name in ("layers", "head")
            for child in model.get_submodule(f"network.{name}").children()
        ]
        index = _find_last_map(nodes)
        assert index is not None, "see `has_maps`"
        self.method = CAM if _is_pooled_and_linear(nodes[index + 1 :]) else GRAD_CAM
        self.sides = nodes[index].shape[1:]
        self._model = model
        self._layer, self._last = built[index], built[-1]

    def __call__(self, images: Tensor, classes: Tensor) -> Tensor:
        """Return maps of the size of the images, the least value of each 0 and the largest 1; 0 where all are equal.

        Args:
            images: (N, C, H, W) uint8.
            classes: (N,), the index of the class that each image is explained for.
        """
        maps = self.raw(images, classes)[:, None]
        large = functional.interpolate(maps, images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        return normalise(large)

    def raw(self, images: Tensor, classes: Tensor) -> Tensor:
        """Return maps as they are defined, in rows and columns of the layer that they are of."""
        kept: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            del module, inputs
            kept.append(output.detach().requires_grad_())
            return kept[-1]

        hook = self._layer.register_forward_hook(keep)
        try:
            with torch.inference_mode(False), torch.enable_grad():
                chosen = self._model(images.clone()).gather(1, classes.clone()[:, None]).sum()
        finally:
            hook.remove()
        (features,) = kept
        if self.method == CAM:
            assert isinstance(self._last, nn.Linear)
            return torch.einsum("nk,nkhw->nhw", self._last.weight[classes], features).detach()
        (gradients,) = torch.autograd.grad(chosen, features)
        return torch.einsum("nk,nkhw->nhw", gradients.mean(dim=(2, 3)), features).detach().relu()


def normalise(maps: Tensor) -> Tensor:
    """Return maps (N, H, W) scaled to 0 for the least value of each and 1 for the largest; 0 where all are equal."""
    lowest, highest = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    spread = highest - lowest
    return torch.where(spread > 0, (maps - lowest) / spread.clamp(min=torch.finfo(spread.dtype).tiny), 0)


def has_maps(network: Network) -> bool:
    """Return whether a network has activation maps: a vector of outputs that is computed from maps."""
    return len(network.output_shape) == 1 and _find_last_map((*network.layers, *network.head)) is not None


def _find_last_map(nodes: tuple[Node, ...]) -> int | None:
    """Return the index of the last layer that makes a map of several positions by weights; None if there is none."""
    sizes = [prod(node.shape[1:]) if len(node.shape) == 3 else 0 for node in nodes]
    last = next((index for index in reversed(range(len(nodes))) if sizes[index] > 1), None)
    while last is not None and isinstance(nodes[last], Leaf) and nodes[last].name.split()[0] in PASSED:
        last = last - 1 if last else None
    return last


def _is_pooled_and_linear(nodes: tuple[Node, ...]) -> bool:
    """Return whether layers are a pool over the whole map and one linear layer, besides dropout."""
    leaves = [leaf for leaf, is_aside in iterate_leaves(nodes) if not is_aside]
    names = [leaf.name.split(",")[0] for leaf in leaves if not leaf.name.startswith("dropout")]
    is_linear = bool(leaves) and leaves[-1].name.startswith("linear ") and len(leaves[-1].specs) == 1
    return is_linear and names[:-1] == ["pool global", "flatten"]

"""Features of a loss network, and how far those of two images are apart.

Sources: content and style by features, Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks",
CVPR, eqs. 1 to 5; total variation, Mahendran and Vedaldi 2015, arXiv:1412.0035, section 3, with squares.
Unlike in the paper, errors are relative: the square of a difference is divided by the square of what is wanted, so that
weights mean the same for every network, level and style.
Shapes: N images, C channels, H rows, W columns; images (N, 1 or 3, H, W) from 0 to 255.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.networks.build import build
from pipeline.tasks.image_quality import WHITE
from pipeline.tasks.loss_network import LEVELS, find_loss_checkpoint, plan_loss_network
from pipeline.transfer.checkpoint import read_tensors
from pipeline.transfer.matching import load_matching

SHOWN = 3  # layers that an error names
TINY = 1e-30  # what a sum of squares is at least, where it is divided by


class LossNetwork(nn.Module):
    """The levels of a pretrained network, frozen and in evaluation.

    Args:
        settings: see `check_loss_network`.
        path: of the settings, for errors.

    Raises:
        ConfigError: the checkpoint cannot be read, or a layer of the levels has other shapes there.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, settings: Mapping[str, Any], path: str) -> None:
        super().__init__()
        plan = plan_loss_network(settings, path)
        network = build(plan, seed=0)
        setting = f"{path}.pretrained"
        tensors = read_tensors(find_loss_checkpoint(settings, path), setting)
        account = load_matching(network, tensors, source=settings["pretrained"], setting=setting)
        depth = max(_depth(settings[key]) for key in LEVELS)
        ends = plan.level_ends()[:depth]
        seen = {f"layers.{place}" for place in range(ends[-1] + 1)}
        unfit = [name for name in account.kept if ".".join(name.split(".")[:2]) in seen]
        if unfit:
            raise ConfigError(
                setting,
                f"it has no weights of the shapes of {plan.name} for {', '.join(unfit[:SHOWN])}",
                got=settings["pretrained"],
                hint="choose the network that it was trained with",
            )
        nodes, starts = list(network.get_submodule("layers").children()), [0, *(end + 1 for end in ends)]
        self.levels = nn.ModuleList(
            nn.Sequential(*nodes[start : end + 1]) for start, end in zip(starts, ends, strict=False)
        )
        self.is_reversed = settings["order"] == "bgr"
        for name in ("mean", "deviation"):
            self.register_buffer(name, torch.tensor(settings[name]).float().view(1, 3, 1, 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.requires_grad_(requires_grad=False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features (N, C, H, W) at the end of each level."""
        features = (images.expand(-1, 3, -1, -1) - self.mean) / self.deviation
        if self.is_reversed:
            features = features.flip(1)
        features = features.contiguous(memory_format=torch.channels_last)
        found = []
        for level in self.levels:
            features = level(features)
            found.append(features)
        return found


def gram(features: Tensor) -> Tensor:
    """Return the products of channels, as means over places: (N, C, C)."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def relative_error(found: Iterable[Tensor], wanted: Iterable[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted mean, over levels, of squared differences relative to what is wanted: (N,).

    Args:
        found: (N, ...) of each level.
        wanted: (N, ...), or (1, ...) for the same of all images.
        weights: of the levels; a level of 0 is passed over.
    """
    terms = [
        weight * _squares(one - other) / _squares(other).clamp(min=TINY)
        for one, other, weight in zip(found, wanted, weights, strict=False)
        if weight
    ]
    return torch.stack(terms).sum(dim=0) / sum(weights)


def variation(images: Tensor) -> Tensor:
    """Return the mean squared difference of neighbours down and to the right, of which white is 1: (N,)."""
    down, right = images.diff(dim=2) / WHITE, images.diff(dim=3) / WHITE
    return down.square().mean(dim=(1, 2, 3)) + right.square().mean(dim=(1, 2, 3))


def match_colours(style: Tensor, content: Tensor) -> Tensor:
    """Return a style image whose colours have the mean and the covariance of those of a content image: (3, H, W).

    Source: Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer", arXiv:1606.05897, section 4.1, with
    symmetric roots (the form of "Image Analogies", Hertzmann et al. 2001).

    Args:
        style: (3, H, W).
        content: (3, H', W').
    """
    own, wanted = style.flatten(1).double(), content.flatten(1).double()
    matrix = _root(torch.cov(wanted), 0.5) @ _root(torch.cov(own), -0.5)
    moved = matrix @ (own - own.mean(dim=1, keepdim=True)) + wanted.mean(dim=1, keepdim=True)
    return moved.clamp(0, WHITE).view(style.shape).to(style.dtype)


def _root(matrix: Tensor, power: float) -> Tensor:
    """Return a power of a symmetric matrix; axes along which nothing varies stay without."""
    values, axes = torch.linalg.eigh(matrix)
    powers = torch.where(values > 1e-6, values.clamp(min=1e-6) ** power, 0.0)
    root: Tensor = axes * powers @ axes.T
    return root


def _squares(values: Tensor) -> Tensor:
    return values.flatten(1).square().sum(dim=1)


def _depth(weights: Sequence[float]) -> int:
    """Return the number of levels up to the last one that has a weight."""
    return max(place for place, weight in enumerate(weights, start=1) if weight)

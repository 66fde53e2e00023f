"""Inference: images per second of networks as they were trained, and with their norms folded into filters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.figures import Figure, by_turns
from pipeline.declaration.composition import compose
from pipeline.training.assemble import build_model
from pipeline.transfer.folding import fold_norms
from pipeline.transforms.statistics import measure

ROUNDS = 3
NETWORKS = {  # name -> its declaration, and images in a batch
    "unet_small, 192 x 160": (["experiment=brain_unet"], 32),
    "resnet18, 224 x 224": (["model=resnet18", "data.shape=[3,224,224]"], 8),
}


def measured() -> Iterator[Figure]:
    """Yield the figures."""
    for name, (overrides, count) in NETWORKS.items():
        yield from _folded(name, overrides, count)


def _folded(name: str, overrides: list[str], count: int) -> Iterator[Figure]:
    declaration = compose(overrides)
    channels, rows, columns = declaration.data.shape
    images = np.random.default_rng(0).integers(0, 256, (count, rows, columns, channels), dtype=np.uint8)
    model = build_model(declaration, measure([images], patch=None)).eval()
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    models = {"plain": _in_layout(model), "folded": _in_layout(fold_norms(model))}
    with torch.inference_mode():
        found = by_turns({form: partial(each, batch) for form, each in models.items()}, rounds=ROUNDS)
    rates = {form: [count / each for each in found[form]] for form in models}
    for form, of_form in rates.items():
        yield Figure.over(f"inference of {name}, {form}, images/s", of_form)
    ratios = [folded / plain for folded, plain in zip(rates["folded"], rates["plain"], strict=True)]
    yield Figure.over(f"inference of {name}, folded / plain, images/s", ratios)


def _in_layout(model: nn.Module) -> nn.Module:
    laid_out: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return laid_out

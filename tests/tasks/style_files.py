"""A style image of stripes, and a tiny loss network with weights, for tests of style transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.networks.build import build
from pipeline.tasks.loss_network import plan_loss_network

SIDE = 16
TINY: dict[str, Any] = {
    "name": "tiny",
    "norm": "none",
    "activation": "leaky_relu",
    "init": "he_normal",
    "padding": "same",
    "width": 1.0,
    "depth": 1.0,
    "zero_last_norm": False,
    "layers": [{"conv": 4, "kernel": 1}, "pool", {"conv": 8, "kernel": 1}],
    "head": [{"pool": "global"}, "flatten", {"linear": "outputs"}],
}


def stripes(rows: int, columns: int) -> np.ndarray[Any, Any]:
    """Return a grey image (rows, columns) of stripes one pixel across, whose products do not depend on its sides."""
    return np.broadcast_to(np.where(np.arange(columns) % 2, 220, 40).astype(np.uint8), (rows, columns))


def style_outputs(targets: Tensor) -> Tensor:
    """Return outputs that are the style image, in the sides of targets (N, 1, H, W)."""
    return (torch.from_numpy(stripes(*targets.shape[2:]).copy()).float() / 255).expand(targets.shape)


def write_weights(path: Path, *more: str) -> dict[str, Any]:
    """Write weights of the tiny network, with more layers; return the settings of a loss network that has them."""
    settings: dict[str, Any] = {
        "model": {**TINY, "layers": [*TINY["layers"], *more]},
        "pretrained": str(path),
        "mean": [100.0, 110.0, 120.0],
        "deviation": [60.0, 70.0, 80.0],
        "order": "rgb",
        "content_levels": [0.0, 1.0],
        "style_levels": [1.0, 2.0],
    }
    torch.save(build(plan_loss_network(settings, "task.loss_network"), seed=0).state_dict(), path)
    return settings


def write_style(folder: Path, *more: str) -> dict[str, Any]:
    """Write a style image and weights into a folder; return the settings of a task that name them.

    Args:
        more: layers of the loss network behind the usual ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(stripes(SIDE, SIDE).copy()).save(folder / "style.png")
    return {
        "style_image": str(folder / "style.png"),
        "style_side": SIDE,
        "content_weight": 0.001,
        "style_weight": 0.1,
        "loss_network": write_weights(folder / "weights.pt", *more),
    }

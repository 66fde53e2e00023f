"""Restoration: an image without noise, or with more pixels.

Scores compare the luma (ITU-R BT.601) of bytes, as a user gets them. Where the input has fewer pixels, a border of as
many pixels as the factor is left out, as the literature does. The same scores of the input itself, enlarged by the
bicubic filter that reduced it, say what the network adds.
Shapes: N images, C channels, H rows, W columns; outputs (N, C, H, W), where 0 is black and 1 is white; inputs
(N, C, H / factor, W / factor) uint8.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.degrade_facts import FACTOR
from pipeline.data.degrading import resample
from pipeline.tasks.image_outputs import ImageOutputs
from pipeline.tasks.image_quality import WHITE, luma, psnr, ssim, without_border
from pipeline.tasks.restoration.demands import DEMANDS
from pipeline.tasks.task import Batch, Evidence


class Restoration(ImageOutputs):
    """Absolute or squared error of pixels, scored by PSNR and SSIM.

    Evidence is (N, 4): PSNR and SSIM of the restored image, then of the input.

    Args:
        degrade: how images were degraded.
        loss: `absolute` or `squared`, the mean error of the pixels, of which white is 1.
    """

    def __init__(self, *, degrade: Mapping[str, float], loss: str) -> None:
        DEMANDS.check_settings({"loss": loss})
        self.factor = int(degrade.get(FACTOR, 1))
        self.border = self.factor if self.factor > 1 else 0
        self.is_squared = loss == "squared"

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean error of a batch."""
        errors = outputs.float() - batch["target"].float() / WHITE
        return errors.square().mean() if self.is_squared else errors.abs().mean()

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, 4): PSNR and SSIM of the restored image and of the input."""
        restored = self.decode(outputs).cpu().numpy()
        true = batch["target"].permute(0, 2, 3, 1).cpu().numpy()
        inputs = self.enlarged(batch["image"].permute(0, 2, 3, 1).cpu().numpy())
        rows = [
            (*self._compare(found, wanted), *self._compare(given, wanted))
            for found, given, wanted in zip(restored, inputs, true, strict=True)
        ]
        return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 4)

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return the means over images of PSNR and SSIM, of both for the input, and of the gain."""
        means = [_mean(column) for column in evidence.T]
        return {
            "psnr": means[0],
            "gain": _mean(evidence[:, 0] - evidence[:, 2]),
            "ssim": means[1],
            "input_psnr": means[2],
            "input_ssim": means[3],
        }

    def enlarged(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return inputs (N, h, w, C) with the rows and columns of the restored images."""
        return resample(inputs, inputs.shape[1] * self.factor, inputs.shape[2] * self.factor)

    def _compare(self, image: NDArray[np.uint8], true: NDArray[np.uint8]) -> tuple[float, float]:
        one, other = (without_border(luma(each), self.border) for each in (image, true))
        return psnr(one, other), ssim(one, other)


def _mean(values: Evidence) -> float:
    """Return the mean of the values that are defined; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")

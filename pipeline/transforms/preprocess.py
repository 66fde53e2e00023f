"""Preprocessing: the first module of a model, which maps uint8 pixels to the floats of the network's input.

It is part of the saved model, so that inference needs nothing else.
Shapes: (N, C, H, W) uint8 or float in 0..255 to (N, C, H, W) float.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.transforms.settings import check_epsilon, check_scale
from pipeline.transforms.statistics import Floats, Statistics


class Scaled(nn.Module):
    """Scale pixels from 0..255 to 0..scale.

    Args:
        statistics: of the training split; not used.
        scale: the value of white; 1 is usual, 255 leaves pixels as they are.
    """

    def __init__(self, statistics: Statistics, *, scale: float) -> None:  # noqa: ARG002
        super().__init__()
        check_scale(scale)
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        """Return x scale / 255."""
        return image.float() / (255 / self.scale)


class _Centred(nn.Module):
    """Subtract a mean; white is `scale` above black."""

    mean: Tensor

    def __init__(self, mean: Tensor, *, scale: float) -> None:
        super().__init__()
        check_scale(scale)
        self.scale = scale
        self.register_buffer("mean", (mean * 255).float())

    def forward(self, image: Tensor) -> Tensor:
        """Return (x - mean) scale / 255."""
        return (image.float() - self.mean) * (self.scale / 255)


class MeanImage(_Centred):
    """Subtract the mean image of the training split, as AlexNet did (Krizhevsky et al. 2012, section 2).

    Unlike in AlexNet, the centre of the mean image is subtracted from a crop, regardless of its position.

    Args:
        statistics: of the training split.
        scale: of the result: 1 for values in -1..1, 255 as in the paper.
    """

    def __init__(self, statistics: Statistics, *, scale: float) -> None:
        super().__init__(torch.from_numpy(statistics.mean_image).permute(2, 0, 1)[None], scale=scale)

    def forward(self, image: Tensor) -> Tensor:
        """Return (x - mean image) scale / 255.

        Raises:
            ConfigError: image and mean image differ in size.
        """
        if image.shape[-2:] != self.mean.shape[-2:]:
            own = " x ".join(map(str, self.mean.shape[-2:]))
            raise ConfigError(
                "preprocess",
                f"the mean image has {own} pixels and cannot be subtracted from crops of another size",
                got=tuple(image.shape[-2:]),
                hint="use preprocess=channel_mean",
            )
        return super().forward(image)


class ChannelMean(_Centred):
    """Subtract the mean of each channel of the training split (VGG: Simonyan and Zisserman 2014, section 2.1).

    Args:
        statistics: of the training split.
        scale: of the result: 1 for values in -1..1, 255 as in the paper.
    """

    def __init__(self, statistics: Statistics, *, scale: float) -> None:
        super().__init__(torch.tensor(statistics.mean).view(1, -1, 1, 1), scale=scale)


class Standardize(nn.Module):
    """Subtract the mean and divide by the deviation of each channel over the training split.

    Args:
        statistics: of the training split.

    Raises:
        ConfigError: a channel is constant.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        for channel, deviation in enumerate(statistics.deviation):
            if deviation == 0:
                raise ConfigError(
                    "preprocess",
                    f"channel {channel} is constant over the training images, so standardize would divide by zero",
                    hint="use preprocess=unit",
                )
        mean, spread = (
            torch.tensor(values).view(1, -1, 1, 1) for values in (statistics.mean, statistics.deviation)
        )
        self.register_buffer("scale", 1 / (255 * spread))
        self.register_buffer("shift", -mean / spread)

    def forward(self, image: Tensor) -> Tensor:
        """Return (x / 255 - mean) / deviation."""
        return torch.addcmul(self.shift, image.float(), self.scale)


class PerImage(nn.Module):
    """Subtract each image's own mean and divide by its own deviation, over all its pixels and channels.

    The deviation is at least one grey level over the square root of the number of values, so that a constant image
    becomes 0 (as in TensorFlow's `per_image_standardization`).

    Args:
        statistics: of the training split; not used.
    """

    def __init__(self, statistics: Statistics) -> None:  # noqa: ARG002
        super().__init__()

    def forward(self, image: Tensor) -> Tensor:
        """Return (x - mean(x)) / deviation(x)."""
        values = image.float()
        axes = (1, 2, 3)
        centred = values - values.mean(dim=axes, keepdim=True)
        deviation = centred.square().mean(dim=axes, keepdim=True).sqrt()
        return centred / deviation.clamp(min=image.shape[1:].numel() ** -0.5)


class _Whiten(nn.Module):
    """Subtract the mean from each tile, then multiply it by a matrix; tiles keep their positions.

    Args:
        statistics: of the training split, with its whitening.
        patch: side of the tiles; null for the whole image as one tile.
        epsilon: added to each variance (on the scale 0 to 1), so that noise along weak axes is not amplified.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, statistics: Statistics, *, patch: int | None, epsilon: float) -> None:
        super().__init__()
        white = statistics.whitening
        assert white is not None, "the stage `statistics` measures it for these classes"
        check_epsilon(epsilon)
        rows, columns = statistics.mean_image.shape[:2]
        self.patch = (rows, columns) if patch is None else (patch, patch)
        matrix = self._matrix(white.axes, 1 / np.sqrt(white.variances + epsilon))
        self.register_buffer("mean", torch.from_numpy(white.mean * 255).float())
        self.register_buffer("matrix", torch.from_numpy(matrix.T / 255).float())

    @staticmethod
    def _matrix(axes: Floats, scale: Floats) -> Floats:
        """Return the whitening matrix (D, D), given the axes as columns and the factor of each."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """Return the images (N, C, H, W) with their tiles whitened in place."""
        p, q = self.patch
        rows, columns = image.shape[-2:]
        if rows % p or columns % q:
            raise ConfigError(
                "preprocess.patch",
                f"images cannot be divided into tiles of {p} x {q}",
                got=(rows, columns),
                hint="choose a patch that divides their rows and columns",
            )
        count, channels = image.shape[:2]
        cut = image.float().reshape(count, channels, rows // p, p, columns // q, q).permute(0, 2, 4, 1, 3, 5)
        # The rounding error of half precision exceeds the values along weak axes.
        with torch.autocast(image.device.type, enabled=False):
            white: Tensor = (cut.flatten(3) - self.mean) @ self.matrix
        return white.view(cut.shape).permute(0, 3, 1, 4, 2, 5).reshape(count, channels, rows, columns)


class PcaWhiten(_Whiten):
    """Project tiles of images onto their principal axes, and divide by the deviation along each.

    The component along axis k, the k-th largest, replaces value k of the tile (by channel, row, column).
    """

    @staticmethod
    def _matrix(axes: Floats, scale: Floats) -> Floats:
        return scale[:, None] * axes.T


class ZcaWhiten(_Whiten):
    """Whiten as `PcaWhiten`, then rotate back: the whitened tile that is closest to the original.

    Source: Bell and Sejnowski 1997; for images Krizhevsky 2009, appendix A.
    """

    @staticmethod
    def _matrix(axes: Floats, scale: Floats) -> Floats:
        return axes * scale @ axes.T

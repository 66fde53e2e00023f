"""Style transfer: the content of an image in the style of another.

Source: Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks", CVPR, eq. 7; by a network for one
style, Johnson et al. 2016, arXiv:1603.08155. J = alpha J_content + beta J_style + gamma J_variation, with relative
errors, see `pipeline.tasks.features`.
Scores are of bytes, as a user gets them.
Shapes: N images, C channels, H rows, W columns; outputs (N, C, H, W), where 0 is black and 1 is white.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipeline.data.images import convert, load_formats, open_image
from pipeline.errors import ConfigError
from pipeline.tasks.features import LossNetwork, gram, match_colours, relative_error, variation
from pipeline.tasks.image_outputs import ImageOutputs
from pipeline.tasks.image_quality import WHITE
from pipeline.tasks.style.demands import IMAGE, NETWORK, SMALLEST, digest_of, find_style_image
from pipeline.tasks.task import Batch, Evidence

MOST_PIXELS = 100_000_000  # of the style image
MOST_EXTREME = 10  # times that one of its sides is as long as the other


class _Wanted(NamedTuple):
    """What the features of an image are to be: its own, and products of those of the style."""

    features: list[Tensor]
    grams: list[Tensor]


class Style(ImageOutputs):
    """Weighted sum of relative errors of features, of their products, and of the variation of neighbours.

    Evidence is (N, 3): relative style error and content error of the output, then the style error of the input.

    Args:
        loss_network: that features are of, see `check_loss_network`.
        style_image: file of the image whose style is transferred.
        style_digest: its expected digest, `sha256:...`; null to accept any.
        style_side: rows or columns, the fewer, that it is resized to: fewer make finer strokes.
        content_weight: alpha.
        style_weight: beta, above 0.
        variation_weight: gamma, which makes neighbours alike.
        keep_colours: whether the colours of the style become those of the content first.
        frame_every: epochs from one kept image of the training to the next.
    """

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        *,
        loss_network: Mapping[str, Any],
        style_image: str,
        style_digest: str | None,
        style_side: int,
        content_weight: float,
        style_weight: float,
        variation_weight: float,
        keep_colours: bool,
        frame_every: int,
    ) -> None:
        self._settings = loss_network
        self._style_image, self._style_digest = style_image, style_digest
        self._style_side = style_side
        self._weights = (content_weight, style_weight, variation_weight)
        self._keeps_colours = keep_colours
        self.frame_every = frame_every
        self._network: LossNetwork | None = None
        self._style: Tensor | None = None
        self._last: tuple[Tensor, _Wanted] | None = None  # images, and what their features are to be
        self._style_grams: list[Tensor] | None = None

    def load(self) -> None:
        """Load the loss network and the style image, which predicting does without.

        Raises:
            ConfigError: one is missing, or cannot be used.
        """
        if self._network is None:
            with torch.inference_mode(mode=False):
                self._style = torch.from_numpy(self._read_style()).permute(2, 0, 1).float()
                self._network = LossNetwork(self._settings, NETWORK)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the weighted sum of the errors of a batch."""
        content_weight, style_weight, variation_weight = self._weights
        with torch.autocast(outputs.device.type, enabled=False):
            images = outputs.float() * WHITE
            content, style = self._errors(images, batch["target"])
            loss = content_weight * content + style_weight * style + variation_weight * variation(images)
        return loss.mean()

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, 3): style error, content error, style error of the input."""
        bytes_of = self.decode(outputs).permute(0, 3, 1, 2).float()
        rows = []
        for index, target in enumerate(batch["target"]):
            content, style = self._errors(bytes_of[[index]], target[None])
            features, grams = self._wanted(target[None])
            own = relative_error(map(gram, features), grams, self._settings["style_levels"])
            rows.append(torch.stack([style, content, own], dim=1))
        return torch.cat(rows).cpu().double() if rows else torch.empty((0, 3), dtype=torch.float64)

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return the means over images."""
        style, content, own = map(float, evidence.mean(axis=0))
        return {"style_error": style, "content_error": content, "input_style_error": own}

    def draw_result(self, outputs: Tensor, batch: Batch, path: Path) -> None:
        """Draw each content image, the style and the output."""
        from pipeline.tasks.style.cases import draw_rows

        contents = batch["target"].permute(0, 2, 3, 1).cpu().numpy()
        draw_rows(
            self, contents, self.decode(outputs).cpu().numpy(), self.evidence(outputs, batch).numpy(), path
        )

    def style_picture(self) -> NDArray[np.uint8]:
        """Return the style image as the loss network sees it: (H, W, 3)."""
        self.load()
        assert self._style is not None
        return self._style.permute(1, 2, 0).to(torch.uint8).cpu().numpy()

    def _errors(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return content and style error (N,) of images (N, C, H, W) from 0 to 255."""
        wanted = self._wanted(targets)
        assert self._network is not None
        found = self._network(images)
        return (
            relative_error(found, wanted.features, self._settings["content_levels"]),
            relative_error(map(gram, found), wanted.grams, self._settings["style_levels"]),
        )

    def _wanted(self, targets: Tensor) -> _Wanted:
        """Return what the features of images are to be; those of the last images are kept."""
        self.load()
        assert self._network is not None
        if (
            self._last is not None
            and self._last[0].device == targets.device
            and torch.equal(self._last[0], targets)
        ):
            return self._last[1]
        self._network.to(targets.device)
        with torch.inference_mode(mode=False), torch.no_grad():
            own = targets.clone()
            wanted = _Wanted(self._network(own.float()), self._grams(own))
        self._last = (own, wanted)
        return wanted

    def _grams(self, targets: Tensor) -> list[Tensor]:
        """Return the products of the style's features: those of each image, if its colours are kept."""
        assert self._network is not None
        assert self._style is not None
        self._style = self._style.to(targets.device)
        if self._keeps_colours:
            each = [
                self._network(match_colours(self._style, target.expand(3, -1, -1).float())[None])
                for target in targets
            ]
            return [torch.cat([gram(level) for level in levels]) for levels in zip(*each, strict=True)]
        if self._style_grams is None or self._style_grams[0].device != targets.device:
            self._style_grams = [gram(features) for features in self._network(self._style[None])]
        return self._style_grams

    def _read_style(self) -> NDArray[np.uint8]:
        """Return the style image (H, W, 3), resized.

        Raises:
            ConfigError: it is missing, another one than expected, unreadable, transparent or too small.
        """
        path = find_style_image(self._style_image)
        found = digest_of(path)
        if self._style_digest is not None and found != self._style_digest:
            raise ConfigError(
                IMAGE,
                f"{path} is another image than the one of task.style_digest",
                got=found,
                allowed=(self._style_digest,),
                hint="restore it, or train again",
            )
        load_formats()
        try:
            image = convert(open_image(path.read_bytes(), str(path), MOST_PIXELS), str(path), 3)
        except ConfigError as reason:
            raise ConfigError(
                IMAGE, f"{reason.path} {reason.problem}", got=reason.got, hint=reason.hint
            ) from None
        if min(image.size) < SMALLEST or max(image.size) > MOST_EXTREME * min(image.size):
            problem = f"{path} has {image.height} x {image.width} pixels"
            hint = f"choose one with at least {SMALLEST} of each, and no side {MOST_EXTREME} times as long as the other"
            raise ConfigError(IMAGE, problem, hint=hint)
        factor = self._style_side / min(image.size)
        sides = (round(image.width * factor), round(image.height * factor))
        return np.array(image.resize(sides, Image.Resampling.BICUBIC))

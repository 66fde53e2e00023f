"""Requirements of style transfer: images that are not degraded, and as many outputs as channels for each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError, Range
from pipeline.tasks.demands import Demands, TrainingTargets
from pipeline.tasks.loss_network import (
    check_loss_network,
    check_sides,
    find_loss_checkpoint,
    plan_loss_network,
)
from pipeline.transfer.checkpoint import file_digest

NETWORK = "task.loss_network"
IMAGE = "task.style_image"
WEIGHTS = ("content_weight", "style_weight", "variation_weight")
SMALLEST, LARGEST = 16, 4096  # rows or columns of the style image
BUILT = "`apt-get download gcompris-qt-data`, then `python -m pipeline.data.bundled style built/style`"


class StyleDemands(Demands):
    """Requirements of `pipeline.tasks.style.task.Style`."""

    name = "style transfer"
    target = "image"
    score = "style_error"
    mode = "min"
    is_dense = True
    sees_whole = True

    def check(self, facts: Facts) -> None:
        """Check that images are not degraded.

        Raises:
            ConfigError: they are.
        """
        if facts.degrade is not None:
            raise ConfigError("data.degrade", got=dict(facts.degrade), allowed=f"null for {self.name}")

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check weights, sides and the loss network; the style image is opened with the task.

        Raises:
            ConfigError: a setting is out of range.
        """
        for name in WEIGHTS:
            Range(least=0).check(f"task.{name}", settings[name])
        if not settings["style_weight"]:
            raise ConfigError(
                "task.style_weight",
                got=settings["style_weight"],
                allowed="a number above 0, as nothing is transferred",
            )
        Range(least=SMALLEST, most=LARGEST, is_whole=True).check("task.style_side", settings["style_side"])
        Range(least=1, is_whole=True).check("task.frame_every", settings["frame_every"])
        check_loss_network(settings["loss_network"], NETWORK)

    def files(self, settings: Mapping[str, Any]) -> dict[str, Path]:
        """Return the style image and the weights of the loss network."""
        return {
            IMAGE: find_style_image(settings["style_image"]),
            f"{NETWORK}.pretrained": find_loss_checkpoint(settings["loss_network"], NETWORK),
        }

    def targets(self, settings: Mapping[str, Any]) -> set[str]:
        """Return the classes of the layers of the loss network."""
        return plan_loss_network(settings["loss_network"], NETWORK).targets()

    def resolve(
        self, settings: Mapping[str, Any], facts: Facts, training: TrainingTargets
    ) -> Mapping[str, Any]:
        """Return settings with the digest of the style image, by which the run is scored from now on."""
        del facts, training
        return {**settings, "style_digest": digest_of(find_style_image(settings["style_image"]))}

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the shape of the image.

        Raises:
            ConfigError: images of the data are too small for the loss network.
        """
        if shape == tuple(facts.shape):
            check_sides(settings["loss_network"], NETWORK, shape[1:])
        return shape

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        del facts
        return {
            "style_error": "relative style error",
            "content_error": "relative content error",
            "input_style_error": "relative style error of the input",
        }


def find_style_image(path: str) -> Path:
    """Return the file of a style image.

    Raises:
        ConfigError: there is none.
    """
    if not Path(path).is_file():
        hint = f"make it by {BUILT}" if Path(path).parts[:1] == ("built",) else "name the file of an image"
        raise ConfigError(IMAGE, "there is no such file", got=path, hint=hint)
    return Path(path)


def digest_of(path: Path) -> str:
    """Return the digest of a file, as settings state it."""
    return f"sha256:{file_digest(path)}"


DEMANDS = StyleDemands()

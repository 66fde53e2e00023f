"""Requirements of restoration: degraded images, and as many outputs as channels for each pixel of the whole ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.data.degrade_facts import EXAMPLES, find_factor
from pipeline.data.facts import Facts
from pipeline.data.sources import find_target
from pipeline.errors import ConfigError
from pipeline.tasks.demands import Demands

LOSSES = ("absolute", "squared")


class RestorationDemands(Demands):
    """Requirements of `pipeline.tasks.restoration.task.Restoration`."""

    name = "restoration"
    target = "image"
    score = "psnr"
    bounds = (0.0, 100.0)
    facts = ("degrade",)
    is_dense = True
    sees_whole = True

    def check(self, facts: Facts) -> None:
        """Check that images are degraded, as there is nothing to restore otherwise.

        Raises:
            ConfigError: they are not.
        """
        if facts.degrade is None and find_target(facts) == self.target:
            problem = "is missing; images are restored that are degraded"
            raise ConfigError("data.degrade", problem, hint=f"set it to {EXAMPLES}")

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check that the loss is known."""
        if settings["loss"] not in LOSSES:
            raise ConfigError.unknown("task.loss", settings["loss"], LOSSES, what="loss")

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the shape of the image before its rows and columns were divided."""
        del settings
        factor = find_factor(facts)
        return (shape[0], shape[1] * factor, shape[2] * factor)

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        compared = "the enlarged input" if find_factor(facts) > 1 else "the input"
        return {
            "psnr": "PSNR",
            "gain": f"gain of PSNR over {compared}",
            "ssim": "SSIM",
            "input_psnr": f"PSNR of {compared}",
            "input_ssim": f"SSIM of {compared}",
        }

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return the bounds of ratios and of similarities; a gain has none."""
        return {"psnr": self.bounds, "input_psnr": self.bounds, "gain": None}.get(score, (-1.0, 1.0))


DEMANDS = RestorationDemands()

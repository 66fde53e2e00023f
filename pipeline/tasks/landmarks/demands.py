"""Requirements of landmarks: named points for each image, and two outputs or a map for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError
from pipeline.tasks.demands import Demands

OUTPUTS = ("coordinates", "heatmaps")
RANGES = ("linear", "sigmoid")
DIAGONAL = "diagonal"
FAILURE, CORRECT = (
    0.1,
    0.05,
)  # normalised errors above which an image fails, and up to which a point is correct


class LandmarksDemands(Demands):
    """Requirements of `pipeline.tasks.landmarks.task.Landmarks`."""

    name = "landmarks"
    target = "points"
    places = "points"
    score = "nme"
    mode = "min"
    facts = ("points", "swapped_points", "shape", "resize")
    suggested = ("task.outputs=heatmaps", "model=unet_small", "optimizer=adamw")

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check the outputs and what errors are divided by, but not the names of points.

        Raises:
            ConfigError: a setting is none of those allowed.
        """
        for key, allowed in (("outputs", OUTPUTS), ("range", RANGES)):
            if settings[key] not in allowed:
                raise ConfigError.unknown(f"task.{key}", settings[key], allowed, what="choice")
        unit = settings["unit"]
        is_pair = isinstance(unit, list) and len(unit) == 2 and all(isinstance(name, str) for name in unit)
        if unit != DIAGONAL and not (is_pair and unit[0] != unit[1]):
            raise ConfigError(
                "task.unit",
                got=unit,
                allowed=f"{DIAGONAL} or a pair of points, such as [left_eye, right_eye]",
            )

    def check_present(
        self, num_images: Mapping[str, Sequence[int]], facts: Facts, *, select: str | None
    ) -> None:
        """Accept any number of images: points are checked before they are read."""

    def output_shape(
        self, settings: Mapping[str, Any], facts: Facts, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return (2 K,) for K points, or (K, H, W) of maps."""
        count = len(facts.points or ())
        return (2 * count,) if settings["outputs"] == "coordinates" else (count, *shape[1:])

    def accepts(self, made: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
        """Return whether an output is a vector of that length, or maps of any sides."""
        return made == wanted or (len(made) == len(wanted) == 3 and made[0] == wanted[0])

    def bounds_of(self, score: str) -> tuple[float, float] | None:
        """Return 0 and 1, but for errors, which have no upper bound."""
        return None if score == self.score else (0.0, 1.0)

    def scores(self, facts: Facts) -> dict[str, str]:
        """Return score name -> title."""
        del facts
        return {"nme": "NME", "failure_rate": f"failure rate at {FAILURE:g}", "pck": f"PCK at {CORRECT:g}"}

    def direction(self, metric: str) -> str:
        """Return `minimize` for the failure rate, too."""
        return "minimize" if metric == "val/failure_rate" else super().direction(metric)


DEMANDS = LandmarksDemands()

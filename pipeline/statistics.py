"""Stage `statistics`: numbers of the training split that preprocessing needs; no other split is read.

python -m pipeline.statistics artifacts/compose/digits_lenet5.yaml artifacts/statistics/digits_lenet5
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.digests import code_digest, digest
from pipeline.declaration import load
from pipeline.errors import exit_on_mistake
from pipeline.prepare import prepare, prepared_key
from pipeline.runs.arguments import stage_paths
from pipeline.runs.found import find_or_make, publish
from pipeline.transforms.settings import tile_of

CODE = [Path(__file__).parent / "transforms" / "statistics.py"]
PICTURE = "statistics.png"


def statistics(config: Mapping[str, Any], *, root: Path) -> Path:
    """Return the folder with the statistics of a declaration and their picture, made if need be."""

    def make(folder: Path) -> None:
        from pipeline.data.prepared import Prepared
        from pipeline.pictures.statistics import draw_statistics
        from pipeline.transforms.statistics import measure, pieces_of

        images = Prepared(prepare(config, root=root)).images("train")
        found = measure(pieces_of(images), patch=_tile(config))
        found.save(folder)
        white = found.whitening
        draw_statistics(
            found.mean_image,
            folder / PICTURE,
            colours=found.colour_axes() if images.shape[-1] > 1 else None,
            tiles=None if white is None else (white.variances, white.axes),
            tile=_tile(config),
        )

    return find_or_make(root, "statistics", statistics_key(config, root=root), make)


def statistics_key(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides the statistics: prepared data, what is whitened, code."""
    return digest([prepared_key(config, root=root), _tile(config), code_digest(CODE, root=root)])


def _tile(config: Mapping[str, Any]) -> tuple[int, int] | None:
    return tile_of(config["preprocess"], tuple(config["data"]["shape"]))


def main() -> None:
    """Compute the statistics of one experiment."""
    declaration, out = stage_paths("statistics", "<declaration>.yaml", "<folder to write>")
    publish(statistics(load(declaration), root=Path.cwd()), out)


if __name__ == "__main__":
    exit_on_mistake(main)

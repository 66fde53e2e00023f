"""Stage `statistics`: numbers of the training split that preprocessing needs; no other split is read.

python -m pipeline.statistics artifacts/compose/digits_lenet5.yaml artifacts/statistics/digits_lenet5
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.compose import load
from pipeline.config.digests import code_digest, digest
from pipeline.errors import exit_on_mistake
from pipeline.prepare import prepare, prepared_key
from pipeline.runs.arguments import stage_paths
from pipeline.runs.found import find_or_make, publish

CODE = [Path(__file__).parent / "transforms" / "statistics.py"]
FILE = "statistics.json"


def statistics(config: Mapping[str, Any], *, root: Path) -> Path:
    """Return the folder with `statistics.json` of a declaration, made if need be."""

    def make(folder: Path) -> None:
        from pipeline.data.prepared import Prepared
        from pipeline.transforms.statistics import channel_statistics, chunks

        images = Prepared(prepare(config, root=root)).images("train")
        channel_statistics(chunks(images), channels=images.shape[-1]).save(folder / FILE)

    return find_or_make(root, "statistics", statistics_key(config, root=root), make)


def statistics_key(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides the statistics: prepared data and code."""
    return digest([prepared_key(config, root=root), code_digest(CODE)])


def main() -> None:
    """Compute the statistics of one experiment."""
    declaration, out = stage_paths("statistics", "<declaration>.yaml", "<folder to write>")
    publish(statistics(load(declaration), root=Path.cwd()), out)


if __name__ == "__main__":
    exit_on_mistake(main)

"""Stage `statistics`: numbers of the training split that preprocessing needs; no other split is read.

python -m pipeline.statistics artifacts/compose/digits_lenet5.yaml artifacts/statistics/digits_lenet5
"""

from __future__ import annotations

from pathlib import Path

from pipeline.declaration.loading import load
from pipeline.runs.arguments import stage_paths
from pipeline.runs.cache import publish
from pipeline.runs.command import exit_on_mistake
from pipeline.training.inputs import statistics


def main() -> None:
    """Compute the statistics of one experiment."""
    path, out = stage_paths("statistics", "<declaration>.yaml", "<folder to write>")
    root = Path.cwd()
    publish(statistics(load(path), root=root), out, root=root)


if __name__ == "__main__":
    exit_on_mistake(main)

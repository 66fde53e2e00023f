"""Stage `prepare`: an archive of images to uint8 arrays at training resolution.

    python -m pipeline.prepare artifacts/compose/digits_lenet5.yaml artifacts/prepare/digits_lenet5

Prepared data are cached by a digest of everything they depend on, and shared by all commands.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.declaration.loading import load
from pipeline.runs.arguments import stage_paths
from pipeline.runs.cache import publish
from pipeline.runs.command import exit_on_mistake
from pipeline.training.inputs import prepare


def main() -> None:
    """Prepare the data of one experiment."""
    path, out = stage_paths("prepare", "<declaration>.yaml", "<folder to write>")
    root = Path.cwd()
    publish(prepare(load(path), root=root, is_thorough=True), out, root=root)


if __name__ == "__main__":
    exit_on_mistake(main)

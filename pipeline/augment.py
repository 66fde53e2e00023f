"""Stage `augment`, optional: draw augmented training images ahead of time, for experiments that set `copies`.

    python -m pipeline.augment artifacts/compose/digits_lenet5.yaml artifacts/augment/digits_lenet5

Copy k contains what epoch k would draw on the fly; later epochs cycle through the copies. Copies are cached by a digest
of everything they depend on, and shared by all commands; DVC tracks those of experiments listed under `augmented` in
`params.yaml`.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.runs.arguments import stage_paths
from pipeline.runs.cache import publish
from pipeline.runs.command import exit_on_mistake
from pipeline.training.inputs import augment


def main() -> None:
    """Write the copies of one experiment."""
    path, out = stage_paths("augment", "<declaration>.yaml", "<folder to write>")
    root = Path.cwd()
    folder = augment(load(path), root=root, is_thorough=True)
    if folder is None:
        raise ConfigError(
            "augmentation.copies",
            f"is null in {path}, so there is nothing to draw",
            hint="set it, or remove the experiment from `augmented` in params.yaml",
        )
    publish(folder, out, root=root)


if __name__ == "__main__":
    exit_on_mistake(main)

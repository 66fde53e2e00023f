"""Draw training images before and after augmentation, with all steps together and step by step.

    python -m pipeline.preview experiment=brain_unet
    python -m pipeline.preview data=digits augmentation=rotate

Takes the same overrides as `pipeline.train`; the sheets are written to `artifacts/preview/<name>/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose
from pipeline.declaration.grants import grant_typed
from pipeline.runs.command import exit_on_mistake
from pipeline.training.assemble import make_train_split, resolve_task
from pipeline.training.construction import build_augmentation
from pipeline.training.inputs import augment, prepare, statistics
from pipeline.training.previews import draw_previews
from pipeline.transforms.statistics import Statistics


def main() -> None:
    """Draw the sheets of the declaration on the command line."""
    grant_typed(sys.argv[1:])
    declaration, root = compose(sys.argv[1:]), Path.cwd()
    prepared = Prepared.open(prepare(declaration, root=root), declaration.data)
    augmentation = build_augmentation(declaration, Statistics.load(statistics(declaration, root=root)))
    split = make_train_split(declaration, prepared, augmentation, augment(declaration, root=root))
    folder = root / "artifacts" / "preview" / declaration.name
    task = resolve_task(declaration, prepared)
    for path in draw_previews(declaration, split, augmentation, task, folder):
        print(path.relative_to(root))


if __name__ == "__main__":
    exit_on_mistake(main)

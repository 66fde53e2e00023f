"""Draw what augmentation makes of training images: originals beside their draws, and each step by itself.

    python -m pipeline.preview experiment=brain_unet
    python -m pipeline.preview data=digits augmentation=rotate

Overrides are those of `pipeline.train`; the sheets go to `artifacts/preview/<name>/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose
from pipeline.errors import exit_on_mistake
from pipeline.training.assemble import augmentation_of, train_split_of
from pipeline.training.inputs import augment, prepare, statistics
from pipeline.training.previews import draw_previews
from pipeline.transforms.statistics import Statistics


def main() -> None:
    """Draw the sheets of the declaration on the command line."""
    config, root = compose(sys.argv[1:]), Path.cwd()
    prepared = Prepared(prepare(config, root=root))
    augmentation = augmentation_of(config, Statistics.load(statistics(config, root=root)))
    split = train_split_of(config, prepared, augmentation, augment(config, root=root))
    for path in draw_previews(config, split, augmentation, root / "artifacts" / "preview" / config["name"]):
        print(path.relative_to(root))


if __name__ == "__main__":
    exit_on_mistake(main)

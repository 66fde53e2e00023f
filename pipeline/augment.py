"""Stage `augment`, optional: draw augmented training images ahead of time, for experiments that set `copies`.

    python -m pipeline.augment artifacts/compose/digits_lenet5.yaml artifacts/augment/digits_lenet5

Copy k holds what epoch k would draw on the fly; later epochs take the copies in turn. Copies are found by a digest of
all that decides them, whichever door asks; DVC keeps those of experiments listed under `augmented` in `params.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.config.digests import code_digest, digest
from pipeline.declaration import load
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.prepare import prepare, prepared_key
from pipeline.runs.arguments import stage_paths
from pipeline.runs.found import find_or_make, publish
from pipeline.statistics import statistics, statistics_key

PACKAGE = Path(__file__).parent
CODE = [PACKAGE / "assemble.py", PACKAGE / "data", PACKAGE / "transforms"]


def augment(config: Mapping[str, Any], *, root: Path) -> Path | None:
    """Return the folder of a declaration's copies, made if need be; None where it draws on the fly.

    Raises:
        ConfigError: the disk is too small, or a step refuses the images.
    """
    copies = config["augmentation"]["copies"]
    if copies is None:
        return None

    def make(folder: Path) -> None:
        from pipeline.assemble import augmentation_of
        from pipeline.data.draws import OnTheFly, write_draws
        from pipeline.data.prepared import Prepared
        from pipeline.transforms.statistics import Statistics

        prepared = Prepared(prepare(config, root=root))
        augmentation = augmentation_of(config, Statistics.load(statistics(config, root=root)))
        assert augmentation is not None, "copies without steps are refused"
        draws = OnTheFly(augmentation, seed=config["seed"])
        write_draws(draws, prepared.images("train"), prepared.targets("train"), folder, copies=copies)

    return find_or_make(root, "augment", _key(config, root=root), make)


def _key(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides the copies: images, steps, seed, code."""
    images = [prepared_key(config, root=root), statistics_key(config, root=root)]
    section = config["augmentation"]
    steps = [section["steps"], section["copies"], config["data"]["ignore_label"], config["seed"]]
    return digest([images, steps, code_digest(CODE, root=root), version("albumentations")])


def main() -> None:
    """Write the copies of one experiment."""
    declaration, out = stage_paths("augment", "<declaration>.yaml", "<folder to write>")
    folder = augment(load(declaration), root=Path.cwd())
    if folder is None:
        raise ConfigError(
            f"augmentation.copies is null in {declaration}, so there is nothing to make ahead; set it, or remove the "
            "experiment from `augmented` in params.yaml"
        )
    publish(folder, out)


if __name__ == "__main__":
    exit_on_mistake(main)

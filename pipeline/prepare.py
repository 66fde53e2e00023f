"""Stage `prepare`: an archive of images to uint8 arrays at training resolution.

    python -m pipeline.prepare artifacts/compose/digits_lenet5.yaml artifacts/prepare/digits_lenet5

Prepared data are found by a digest of all that decides them, whichever door asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.config.digests import code_digest, digest
from pipeline.data.archive import archive_digest, restore
from pipeline.data.facts import Facts
from pipeline.declaration import load
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.runs.arguments import stage_paths
from pipeline.runs.found import find_or_make, publish

NOT_DECIDING = (
    "name",
    "root",
    "digest",
    "licence",
    "background",
    "mirror_changes_label",
)  # the archive's own digest is
ROOM = Path(__file__).parent / "data"


def prepare(config: Mapping[str, Any], *, root: Path) -> Path:
    """Return the prepared folder of a declaration's data, made if need be.

    Raises:
        ConfigError: the archive is missing or not the pinned one, or an image cannot be used.
    """
    from pipeline.data.prepared import write_prepared  # decoders; not needed to find what is there

    facts, found = Facts.of(config["data"]), data_digest(config, root=root)
    return find_or_make(
        root,
        "prepare",
        prepared_key(config, root=root),
        lambda folder: write_prepared(facts, folder, data_digest=found),
    )


def prepared_key(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the digest of all that decides the prepared data: archive, facts, code."""
    facts = {name: value for name, value in config["data"].items() if name not in NOT_DECIDING}
    shuffled = None if facts["fold"] is None else version("scikit-learn")  # which cuts the folds
    return digest([data_digest(config, root=root), facts, code_digest([ROOM], root=root), shuffled])


def data_digest(config: Mapping[str, Any], *, root: Path) -> str:
    """Return the archive's digest.

    Raises:
        ConfigError: it is not the one that `data.digest` pins.
    """
    data = config["data"]
    archive = Path(data["root"])
    found = archive_digest(archive, memory=root / "cache" / "digests.json")
    if data["digest"] is not None and found != data["digest"]:
        raise ConfigError(
            f"data.digest: {archive} is not the archive that data {data['name']} pins: expected "
            f"{data['digest']}, found {found}; {restore(archive)}, or set data.digest to the new one"
        )
    return found


def main() -> None:
    """Prepare the data of one experiment."""
    declaration, out = stage_paths("prepare", "<declaration>.yaml", "<folder to write>")
    publish(prepare(load(declaration), root=Path.cwd()), out)


if __name__ == "__main__":
    exit_on_mistake(main)

"""Format `identity_folders`: one folder per identity, `<identity>/<image>`, optionally below train/, val/ and test/.

Any number of identities; drawn splits and folds have each of them as a whole.
"""

from __future__ import annotations

from unicodedata import normalize

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.identities import check_identity_facts, make_identity_samples
from pipeline.data.sources import Sample, is_image, read_split
from pipeline.errors import ConfigError

TARGET = "identity"
FEWEST_CLASSES = 0
check_facts = check_identity_facts


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of all splits, sorted by name.

    Raises:
        ConfigError: an image is outside the folders of identities or splits.
    """
    files = [name for name in archive.names() if is_image(name)]
    identities = {name: _identity(name, archive, facts) for name in files}
    splits = {name: read_split(name, archive) for name in files} if facts.shares is None else None
    return make_identity_samples(identities, splits, facts)


def _identity(name: str, archive: Archive, facts: Facts) -> str:
    depth = 1 if facts.split == "folders" else 0
    folders = name.split("/")[:-1]
    if len(folders) <= depth:
        raise ConfigError(
            "data.root",
            f"{archive.root} has an image outside the folder of an identity",
            got=name,
            hint=f"move it to {'<split>/' * depth}<identity>/<image>",
        )
    return normalize("NFC", folders[depth])

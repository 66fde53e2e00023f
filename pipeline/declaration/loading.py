"""Reading of resolved declarations, which anybody may have written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipeline.declaration.checks import check
from pipeline.declaration.declaration import HEADER, SEAL, SECTIONS, Declaration, seal
from pipeline.errors import ConfigError, DamagedFileError
from pipeline.files import CHANGED, YAMLError, read_json, read_yaml

DEEPEST, MOST_VALUES = 64, 100_000  # of the values in a file; the largest network of conf/ has 1,000


def load(path: Path) -> Declaration:
    """Read a resolved declaration from a file, which anybody may have written, and check it like a composed one.

    Raises:
        ConfigError: the file does not exist, or does not contain a valid declaration; the error names the file.
        DamagedFileError: its content does not match the digest in it; a file without one is read as it is.
    """
    if not path.is_file():
        raise ConfigError(str(path), "does not exist", hint="`dvc repro compose` writes it")
    is_sealed = _check_seal(path)
    try:
        loaded: Any = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (YAMLError, UnicodeDecodeError, RecursionError):
        loaded = None
    sections = (
        {key: value for key, value in loaded.items() if key != "digest"} if isinstance(loaded, dict) else {}
    )
    if set(sections) != set(SECTIONS):
        raise ConfigError(
            str(path), "is not a resolved declaration", hint="`python -m pipeline.compose` writes one"
        )
    try:
        _check_tree(sections)
        declaration = check(sections)
    except ConfigError as reason:
        raise reason.inside(path) from None
    if is_sealed:
        _check_partner(path, declaration)
    return declaration


def _check_tree(sections: Mapping[str, Any]) -> None:
    """Raise if values are of types that a composed declaration cannot have, nested too deeply, or too many."""
    level: list[Any] = [sections]
    num_values = depth = 0
    while level:
        inner = list(islice(chain.from_iterable(map(_values, level)), MOST_VALUES))
        depth, num_values = depth + 1, num_values + len(inner)
        if (
            depth > DEEPEST or num_values >= MOST_VALUES
        ):  # anchors can refer to themselves, or multiply what they name
            raise ConfigError(
                "declaration",
                f"is nested more than {DEEPEST} deep, or has {MOST_VALUES:,} values or more",
                hint="write it out, without anchors",
            )
        for value in inner:
            if not isinstance(value, Mapping | list | str | int | float | None):
                raise ConfigError(
                    "declaration", got=value, allowed="made of text, numbers, lists and mappings"
                )
        level = [value for value in inner if isinstance(value, Mapping | list)]


def _values(node: Any) -> Iterable[Any]:
    return chain(node, node.values()) if isinstance(node, Mapping) else node


def _check_seal(path: Path) -> bool:
    """Return whether the file contains a digest; raise if it is not that of the lines below it."""
    head, mark, rest = path.read_bytes().partition(SEAL.encode())
    written, _, body = rest.partition(b"\n")
    is_sealed = bool(mark) and head == HEADER.encode()
    if is_sealed and written != seal(body).encode():
        raise DamagedFileError(
            path,
            CHANGED,
            hint="delete it, and the command that wrote it writes it again; or remove its second line if you edited it",
        )
    return is_sealed


def _check_partner(path: Path, declaration: Declaration) -> None:
    """Check that a declaration belongs to the digests of its sections in the JSON file beside it, if there is one."""
    partner = path.with_suffix(".json")
    if not partner.exists():
        return
    known = read_json(partner)
    if {key: known.get(key) for key in SECTIONS} != declaration.digests():
        raise DamagedFileError(
            path,
            f"does not belong to {partner.name} beside it",
            hint="delete both, and the command that wrote them writes them again",
        )

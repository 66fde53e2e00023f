"""Names of classes as YAML reads them, which takes yes and no for booleans and digits for numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError

SPELLED = {True: "yes", False: "no"}  # as whoever named a class so probably wrote it


def check_class_names(data: Mapping[str, Any]) -> None:
    """Check that the names of classes are text, as YAML takes yes and no for booleans and 0 for a number.

    Args:
        data: the section `data`, whose types have not been checked.

    Raises:
        ConfigError: a name is something else, or the background is told by its index.
    """
    classes, background = data.get("classes"), data.get("background")
    if isinstance(classes, list) and not all(isinstance(name, str) for name in classes):
        more = ", ..." if len(classes) > 9 else ""
        raise ConfigError(
            "data.classes",
            got=classes,
            allowed="names in quotes, as YAML reads yes and no as booleans and digits as numbers",
            hint=f"write [{', '.join(map(_quoted, classes[:9]))}{more}]",
        )
    if isinstance(background, int) and isinstance(classes, list):
        meant = str(SPELLED[background] if isinstance(background, bool) else background)
        if meant not in classes:
            meant = classes[background] if 0 <= background < len(classes) else "<class>"
        raise ConfigError(
            "data.background",
            got=background,
            allowed="null or the name of a class, in quotes where YAML reads something else than text",
            hint=f"write data.background={_quoted(meant) if meant.isdigit() or meant in SPELLED.values() else meant}",
        )


def _quoted(name: object) -> str:
    return f'"{SPELLED.get(name, name) if isinstance(name, bool) else name}"'

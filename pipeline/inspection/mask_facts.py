"""What the values of masks mean, as far as they tell: their classes, the background, and what is ignored."""

from __future__ import annotations

from typing import Any

from pipeline.errors import ConfigError
from pipeline.inspection.survey import Survey

IGNORED = 255  # as Pascal VOC marks what belongs to no class
MOST_VALUES = 40  # of masks: more are shades or numbers of objects


def find_mask_facts(found: Survey) -> dict[str, Any]:
    """Return the facts `classes`, `background`, and where there are such, `mask_values` and `ignore_label`.

    Raises:
        ConfigError: there are so many values that they cannot be classes.
    """
    values: list[Any] = [*_by_colour(found)] or sorted(int(value) for value in found.pixels)
    if len(values) == 1:
        values = values if values[0] else [0, 1]
    if len(values) > MOST_VALUES:
        raise ConfigError(
            "data.mask_values",
            f"masks have {len(values)} different values, such as {', '.join(map(str, values[:6]))}",
            hint="save one value for each class: neither shades, as resizing leaves them, nor numbers of objects",
        )
    if values[-1] == IGNORED and len(values) > 2 and values[:-1] == list(range(len(values) - 1)):
        return {**_as_indices(values[:-1]), "ignore_label": IGNORED}
    if values == list(range(len(values))):
        return _as_indices(values)
    names = _name(values)
    background = {"background": names[0]} if names[0] == "background" else {}
    return {"classes": names, "mask_values": dict(zip(values, names, strict=True)), **background}


def _as_indices(values: list[Any]) -> dict[str, Any]:
    names = _name(values)
    return {"classes": names, "background": names[0]}


def _name(values: list[Any]) -> list[str]:
    """Return names of classes: what is black is background, and a single other one foreground."""
    names = [f"colour_{value[1:]}" if isinstance(value, str) else f"class_{value}" for value in values]
    if values[0] in (0, "#000000"):
        names[0] = "background"
        names[1:] = ["foreground"] if len(names) == 2 else names[1:]
    return names


def _by_colour(found: Survey) -> list[str]:
    """Return the colours of masks; empty where values tell classes.

    Values of palettes that contradict each other do not; nor do values beside colours, which are shades of grey.
    """
    colours = {value for value in found.pixels if value.startswith("#")}
    if not colours and not found.has_contradictions():
        return []
    of_palettes = {value for value, _ in found.colours}
    shades = {int(value) for value in found.pixels.keys() - colours - of_palettes}
    colours |= {colour for _, colour in found.colours}
    return sorted(colours | {f"#{bytes([shade] * 3).hex()}" for shade in shades})

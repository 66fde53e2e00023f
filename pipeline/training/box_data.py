"""Other data with boxes, on which a classifier is scored that was trained without any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.class_names import check_class_names
from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared
from pipeline.data.sources import check_source, find_target
from pipeline.declaration.checks import SCHEMAS
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.targets import check_section
from pipeline.errors import ConfigError

KIND = "boxes"


def has_boxes(data: Mapping[str, Any]) -> bool:
    """Return whether a section `data` is of data with boxes."""
    return find_target(_read(data)) == KIND


def declare_boxes(declaration: Declaration, data: Mapping[str, Any], *, is_resized: bool) -> Declaration:
    """Return the declaration of a classifier with data that have boxes of its classes.

    Args:
        data: section of the data.
        is_resized: whether images are resized as those that it was trained on, and not as `data` says.

    Raises:
        ConfigError: the data have no boxes, or other classes.
    """
    own = declaration.data
    rule = {"resize": own.resize, "padding_value": own.padding_value} if is_resized else {}
    sides = own.shape[1:] if is_resized else _read(data).shape[1:]
    values = own.value_range if data["value_range"] is None else data["value_range"]
    section = {**data, **rule, "shape": [own.shape[0], *sides], "value_range": values}
    facts = _read(section)
    if (target := find_target(facts)) != KIND:
        raise ConfigError(
            "data.format",
            f"data {facts.name} have targets of the kind {target}",
            got=facts.format,
            allowed="a format with boxes, such as csv_boxes",
        )
    missing = [name for name in facts.classes if name not in own.classes]
    if missing:
        raise ConfigError(
            "data.classes",
            f"the run knows no class {', '.join(missing)}",
            got=facts.classes,
            hint=f"it was trained on {', '.join(own.classes)}",
        )
    return declaration.replace(data=section)


def objects_of(prepared: Prepared, facts: Facts, own: Facts) -> NDArray[np.float64]:
    """Return the boxes of the test split with the classes of the run: (N, B, 6), as their kind stores them."""
    targets = np.array(prepared.targets("test"), np.float64)
    classes = np.array([own.classes.index(name) for name in facts.classes] + [-1])
    targets[..., 4] = classes[targets[..., 4].astype(int)]
    return targets


def _read(data: Mapping[str, Any]) -> Facts:
    check_class_names(data)
    check_section(data, SCHEMAS["data"], path="data")
    facts = Facts(**data)
    check_source(facts)
    return facts

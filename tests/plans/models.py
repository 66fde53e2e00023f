"""Networks for tests: from two lists without norms, or from conf/."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from pipeline.declaration.composition import compose_sections
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.plans.view import Shape
from tests.networks.models import model_of


def plan_lists(
    layers: Sequence[Any],
    head: Sequence[Any] = (),
    *,
    shape: Shape = (3, 32, 32),
    outputs: int = 4,
    **changes: Any,
) -> Network:
    """Plan a network of two lists, without norms unless `changes` say so."""
    return plan(model_of(*layers, head=head, **{"norm": "none", **changes}), shape=shape, outputs=outputs)


def plan_conf(*overrides: str, shape: Shape, outputs: int) -> Network:
    """Plan a network of conf/, e.g. `model=resnet18`."""
    return plan(section(*overrides), shape=shape, outputs=outputs)


@cache
def section(*overrides: str) -> dict[str, Any]:
    """Return the section `model` that overrides compose."""
    model: dict[str, Any] = compose_sections(overrides)["model"]
    return model

"""Facts about masks, which tasks of other targets would ignore."""

from __future__ import annotations

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError


def refuse_mask_facts(facts: Facts, task: str) -> None:
    """Check that no facts about masks are set.

    Args:
        task: human-readable name.

    Raises:
        ConfigError: `data.background` or `data.ignore_label` is set.
    """
    for name in ("background", "ignore_label"):
        value = getattr(facts, name)
        if value is not None:
            raise ConfigError(
                f"data.{name}", got=value, allowed=f"null for {task}", hint="it belongs to masks"
            )

"""Samples of data with identities, which are their groups at the same time."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.data.splits import split_by_name
from pipeline.errors import ConfigError

ONE_STRATUM = 0  # identities are no classes that each split should have


def check_identity_facts(facts: Facts) -> None:
    """Check that identities are declared neither as classes nor as groups.

    Raises:
        ConfigError: `data.classes` or `data.groups` is set.
    """
    if facts.classes:
        raise ConfigError(
            "data.classes",
            got=facts.classes,
            allowed=f"[] with data.format={facts.format}, whose identities are found in the data",
        )
    if facts.groups is not None:
        raise ConfigError(
            "data.groups",
            f"is not used by data.format={facts.format}, as no split or fold divides an identity",
            got=facts.groups,
            hint="set it to null",
        )


def make_identity_samples(
    identities: Mapping[str, str], splits: Mapping[str, str] | None, facts: Facts
) -> list[Sample]:
    """Return the samples of images, sorted by name; identities are numbered in the order of their names.

    Args:
        identities: file -> name of its identity.
        splits: file -> split; None to draw splits by `data.split`.
    """
    if splits is None:
        assert facts.shares is not None
        splits = split_by_name(dict.fromkeys(identities, ONE_STRATUM), facts.shares, groups=identities)
    numbers = {name: number for number, name in enumerate(sorted(set(identities.values())))}
    return [
        Sample(file, splits[file], target=numbers[name], group=name)
        for file, name in sorted(identities.items())
    ]

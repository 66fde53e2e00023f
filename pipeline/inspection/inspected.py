"""The inspection of a data set: every image is looked at, and what is seen becomes facts, blocks and pictures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.shares import Shares, check_counts, measure_shares
from pipeline.data.sources import Sample, Source, find_target, load_source, open_source
from pipeline.data.splits import fold_samples
from pipeline.data.targets.kind import TargetKind, load_kind
from pipeline.errors import ConfigError
from pipeline.inspection.advice import suggest_range, suggest_resizing, suggest_shape
from pipeline.inspection.duplicates import find_equal, find_near
from pipeline.inspection.mask_facts import find_mask_facts
from pipeline.inspection.overview import Block, describe
from pipeline.inspection.shown import draw_contact_sheet, follow_progress
from pipeline.inspection.survey import Survey, survey


@dataclass(frozen=True)
class Inspected:
    """What was seen of a data set.

    Args:
        facts: with shape and classes as they were found, where they were asked for.
        problems: why training would refuse the data set as a whole, in sentences.
    """

    facts: Facts
    survey: Survey
    blocks: list[Block]
    problems: list[str]


def inspect_data(facts: Facts, folder: Path, *, open_facts: Collection[str] = ()) -> Inspected:
    """Look at all images of a data set, and draw some of them.

    Args:
        folder: takes the contact sheet.
        open_facts: facts that are to be found: `shape`, `classes`, `resize`, `value_range`; `split`, where the declared
            one is replaced if another seed draws splits nearer to the shares.

    Raises:
        ConfigError: no image can be read, or the archive does not have its format.
    """
    source = load_source(facts.format)
    kind = load_kind(find_target(facts))
    with open_source(facts) as archive:
        facts, samples, shares = _list_samples(source, archive, facts, kind, is_open="split" in open_facts)
        follow = partial(follow_progress, total=len(samples))
        found = survey(archive, samples, facts, finds_range="value_range" in open_facts, follow=follow)
        if not found.readable:
            raise _nothing_readable(facts, found)
        facts = replace(facts, **_find_facts(found, open_facts))
        if "resize" in open_facts:
            facts = replace(facts, **suggest_resizing(found, facts, kind))
        folder.mkdir(parents=True, exist_ok=True)
        draw_contact_sheet(folder, archive, facts, found, kind)
        duplicates = find_equal(found, kind.named), find_near(found, kind.named)
        blocks = describe(archive, facts, found, kind.named, duplicates, shares, is_placed=kind.keeps_sides)
    problems = _find_problems(samples, facts, kind, shares)
    if duplicates[0].across_splits and not facts.allow_duplicates:
        problems.append(
            f"images that are in several splits: {duplicates[0].across_splits:,}; remove one of each, or set "
            "data.allow_duplicates=true"
        )
    if facts.value_range is not None and found.num_shallow:
        problems.append(
            f"images of 8 bits among those of 16: {found.num_shallow:,}; save all with 8 bits, or all with 16"
        )
    return Inspected(facts, found, blocks, problems)


def _list_samples(
    source: Source, archive: Archive, facts: Facts, kind: TargetKind, *, is_open: bool
) -> tuple[Facts, list[Sample], Shares]:
    """Return the samples of a data set, with the facts by which they are split, and the shares of their splits."""
    samples = fold_samples(source.samples(archive, facts), facts, kind.stratum)
    shares = measure_shares(samples, facts, kind.stratum)
    if shares.better is None or not is_open:
        return facts, samples, shares
    better = replace(facts, split=dict(shares.better))
    return _list_samples(source, archive, better, kind, is_open=False)


def _find_facts(found: Survey, open_facts: Collection[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if "shape" in open_facts:
        facts["shape"] = suggest_shape(found)
    if "classes" in open_facts:
        facts |= find_mask_facts(found)
    if "value_range" in open_facts:
        facts["value_range"] = suggest_range(found)
    return facts


def _find_problems(samples: list[Sample], facts: Facts, kind: TargetKind, shares: Shares) -> list[str]:
    problems = []
    for check in (partial(check_counts, shares), partial(kind.check, samples)):
        try:
            check(facts)
        except ConfigError as problem:
            problems.append(str(problem))
    return problems


def _nothing_readable(facts: Facts, found: Survey) -> ConfigError:
    sentences = [sentence for each in found.refused.values() for sentence in each]
    if not sentences:
        return ConfigError(
            "data.root", f"{facts.root} has no images", hint="point it to a folder that has some"
        )
    return ConfigError(
        "data.root",
        f"none of the {len(sentences):,} images of {facts.root} can be used, the first as: {sentences[0]}",
    )

"""An overview in the terminal, and as a page with a contact sheet."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.images import decode_image
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import TargetKind
from pipeline.errors import ConfigError
from pipeline.files import read_json, write_text
from pipeline.inspection.overview import Block
from pipeline.inspection.survey import Survey
from pipeline.pages.render import render

WIDTH = 80  # characters, where the output is not a terminal
SHEET_IMAGES = 32
PAGE = "inspect.html"


def follow_progress(items: Iterable[Any], total: int) -> Iterator[Any]:
    """Pass items on, with a progress bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    yield from track(
        items,
        "looking at images",
        total=total,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_blocks(title: str, blocks: Sequence[Block]) -> None:
    """Print blocks as tables."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(title, style="bold", markup=False)
    for block in blocks:
        console.print(f"\n{block.title}", style="bold", markup=False)
        table = Table(box=None, show_header=any(block.header), pad_edge=False)
        for index, name in enumerate(block.header or ("", "")):
            is_number = bool(block.header) and index > 0
            table.add_column(name, justify="right" if is_number else "left", overflow="fold")
        for row in block.rows:
            table.add_row(*row)
        if block.rows:
            console.print(table, markup=False)
        for remark in block.remarks:
            console.print(remark, markup=False)


@dataclass(frozen=True)
class Overview:
    """What a page shows of a data set.

    Args:
        picture: the contact sheet, a PNG in base64; empty if there is none.
    """

    blocks: Sequence[Block]
    picture: str


def write_page(folder: Path, title: str, blocks: Sequence[Block], survey: Survey, command: str = "") -> Path:
    """Write the page of a data set beside its contact sheet `images.png`.

    `refused.txt` has all refusals, and `blocks.json` what `read_overview` reads.

    Returns:
        The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sentences = [sentence for each in survey.refused.values() for sentence in each]
    write_text(folder / "refused.txt", "".join(f"{sentence}\n" for sentence in sentences))
    write_text(folder / "blocks.json", json.dumps({"blocks": [asdict(block) for block in blocks]}))
    overview = read_overview(folder)
    page = folder / PAGE
    write_text(page, render("inspect.html.j2", title=title, overview=overview, command=command))
    return page


def read_overview(folder: Path) -> Overview:
    """Return what `write_page` and `draw_contact_sheet` left in a folder."""
    blocks = [Block(**block) for block in read_json(folder / "blocks.json")["blocks"]]
    sheet = folder / "images.png"
    return Overview(blocks, base64.b64encode(sheet.read_bytes()).decode() if sheet.exists() else "")


def draw_contact_sheet(
    folder: Path, archive: Archive, facts: Facts, survey: Survey, kind: TargetKind
) -> None:
    """Draw images of all classes with their labels or masks; an earlier sheet is removed if there are none."""
    from pipeline.pictures.sheets import draw_sheet  # takes a second

    path = folder / "images.png"
    path.unlink(missing_ok=True)
    images, masks, marks, captions = [], [], [], []
    for sample in _choose(survey, kind):
        data = archive.read(sample.file)
        try:
            image = decode_image(data, name=sample.file, facts=facts).pixels
            target = kind.read(sample, archive, facts, image=data)
        except ConfigError:  # a mask whose values are no classes yet
            continue
        images.append(image)
        masks.append(kind.mask(target))
        marks.append(kind.marks(target, facts))
        captions.append(kind.caption(target, facts.classes))
    if images:
        shown = [mask for mask in masks if mask is not None]
        is_dense = len(shown) == len(images)
        draw_sheet(
            np.stack(images),
            path,
            masks=shown if is_dense else None,
            marks=[each for each in marks if each is not None] or None,
            captions=captions if any(captions) else None,
            classes=facts.classes if is_dense else None,
        )


def _choose(survey: Survey, kind: TargetKind) -> list[Sample]:
    """Return readable samples, evenly spaced in each class, the classes in turn."""
    sets: dict[tuple[int, ...] | None, list[Sample]] = {}
    for index in survey.readable:
        sample = survey.samples[index]
        sets.setdefault(kind.named(sample), []).append(sample)
    each = max(1, SHEET_IMAGES // max(1, len(sets)))
    spread = (samples[:: max(1, len(samples) // each)][:each] for samples in sets.values())
    turns = [sample for turn in zip_longest(*spread) for sample in turn if sample is not None]
    return turns[:SHEET_IMAGES]
